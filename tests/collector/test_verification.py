"""What is expected is probed now and judged by what came of it, from the command line to the agents and back."""

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestServer
from msgspec.structs import replace
from structlog.testing import capture_logs

from collector.api.question import QuestionError
from collector.api.verifying import VerifyAsked
from collector.bursts import Place, Result
from collector.cli import main
from collector.derivation import ExpectSettings
from collector.discovery.snapshot import Snapshot
from collector.expectation.document import declared
from collector.matrix.store import Matrix
from collector.policy.network_policy import network_policy
from collector.verification import Verification
from tests.collector.api.acting import KEY, Collector, all_lost, all_well, with_agents
from tests.collector.expectation.declaring import expectation
from tests.collector.small_cluster import SNAPSHOT, matrix_of, path_to
from wire.burst import Burst
from wire.window import Measure

TO_CART = "{pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}}"
CLOSED = network_policy({"metadata": {"name": "closed", "namespace": "shop"}, "spec": {}})
UDP = "ports: [{protocol: UDP, port: 8620}]"


def snapshot(*documents: dict[str, Any], **more: Any) -> Snapshot:
    return replace(SNAPSHOT, expectations=tuple(map(declared, documents)), profile="strict", **more)


def verification(known: Snapshot, matrix: Matrix) -> Verification:
    return Verification(matrix, snapshot=lambda: known, settings=ExpectSettings)


def verdicts(
    known: Snapshot, result: Callable[[str], Result], *, asked: VerifyAsked | None = None
) -> tuple[dict[str, tuple[str, str, str]], list[dict[str, str]]]:
    """Expected, observed and verdict of each path by its ends, and what is wrong."""
    asked = asked or VerifyAsked("t")
    made = verification(known, matrix_of())
    results: Mapping[Place, Result] = {(one.vantage, one.path): result(one.vantage) for one in made.paths(asked)}
    answer = made.answer(asked, results)
    rows = {
        f"{row['from']['vantage']} {row['to']['name']} {row['kind']}": (row["expected"], row["observed"], row["verdict"])
        for row in answer["verdicts"]
    }
    return rows, answer["faults"]


def well(_vantage: str) -> Result:
    return Result(sent=3)


def lost(_vantage: str) -> Result:
    return Result(sent=3, lost=3)


def test_what_is_declared_is_probed_and_open_as_it_should_be() -> None:
    known = snapshot(expectation("netmatrix/a", f"{{to: [{TO_CART}], {UDP}, expect: allow}}"))
    rows, faults = verdicts(known, well)
    assert rows == {f"n{number} pod/shop/cart-0 udp": ("allow", "open", "ok") for number in (1, 2, 3)}
    assert faults == []


def test_of_an_open_path_that_fails_others_say_whether_it_is_the_path_or_the_target() -> None:
    known = snapshot(expectation("netmatrix/a", f"{{to: [{TO_CART}], {UDP}, expect: allow}}"))
    rows, _ = verdicts(known, lambda vantage: lost(vantage) if vantage == "n1" else well(vantage))
    assert {row[2] for name, row in rows.items() if name.startswith("n1")} == {"broken"}
    assert {row[2] for row in verdicts(known, lost)[0].values()} == {"target_down"}


def test_a_closed_path_is_proven_by_whoever_gets_through() -> None:
    spec = f"{{from: [{{nodes: {{}}}}, {{pods: {{}}}}], to: [{TO_CART}], {UDP}, expect: deny}}"
    known = snapshot(expectation("a", spec))
    assert {row[2] for row in verdicts(known, lost)[0].values()} == {"unverifiable"}
    rows, _ = verdicts(known, lambda vantage: well(vantage) if vantage == "n3" else lost(vantage))
    assert {name.split()[0]: row[2] for name, row in rows.items()} == {"n1": "ok", "n2": "ok", "n3": "leak"}


def test_what_policies_say_is_verified_too() -> None:
    rows, _ = verdicts(snapshot(policies=(CLOSED,)), lost)
    assert {row for name, row in rows.items() if "cart-0 udp" in name} == {("deny", "timeout", "unverifiable")}
    assert verdicts(snapshot(policies=(CLOSED,)), well)[0]["n1 pod/shop/cart-0 udp"] == ("deny", "open", "leak")


def test_further_declarations_come_with_the_question_and_must_be_good() -> None:
    document = expectation("netmatrix/b", f"{{to: [{TO_CART}], {UDP}, expect: deny}}")
    rows, _ = verdicts(snapshot(), well, asked=VerifyAsked("t", expectations=(document,)))
    assert {row[2] for row in rows.values()} == {"leak"}
    bad = expectation("netmatrix/b", "{to: [{nodes: {}}], expect: deny}")
    with pytest.raises(QuestionError, match=r"expectations: spec\.to\[0\]\.nodes: needs the kind"):
        verdicts(snapshot(), well, asked=VerifyAsked("t", expectations=(bad,)))


def test_one_namespace_alone_can_be_asked_for() -> None:
    known = snapshot(expectation("a", "{to: [{pods: {}}], ports: [{protocol: UDP}], expect: allow}"))
    rows, _ = verdicts(known, well, asked=VerifyAsked("t", namespace="shop"))
    assert rows
    assert all("cart" in name for name in rows)


def test_what_is_expected_no_more_when_the_answers_come_is_excluded() -> None:
    known = [snapshot(expectation("netmatrix/a", f"{{to: [{TO_CART}], {UDP}, expect: allow}}")), snapshot(policies=(CLOSED,))]
    made = Verification(matrix_of(), snapshot=lambda: known[0], settings=ExpectSettings)
    asked = VerifyAsked("t")
    results = {(one.vantage, one.path): Result(sent=3) for one in made.paths(asked)}
    known.reverse()
    assert {row["verdict"] for row in made.answer(asked, results)["verdicts"]} == {"excluded"}


def test_a_declaration_that_nothing_measures_or_that_contradicts_something_is_a_fault() -> None:
    other = expectation("netmatrix/a", f"{{to: [{TO_CART}], ports: [{{port: 9}}], expect: allow}}")
    nothing = expectation("netmatrix/b", "{to: [{pods: {podSelector: {matchLabels: {a: b}}}}], expect: allow}")
    _, faults = verdicts(snapshot(other, nothing), well)
    assert {fault["name"]: fault["because"] for fault in faults} == {
        "netmatrix/a": "to: pods: no pod declares port TCP 9",
        "netmatrix/b": "to: pods selects nothing",
    }


def test_where_nothing_is_expected_there_is_nothing_to_verify() -> None:
    with pytest.raises(QuestionError, match="nothing is expected of any planned path"):
        verification(replace(SNAPSHOT), matrix_of()).paths(VerifyAsked("t"))


@pytest.mark.parametrize(("found", "status", "verdict"), [(all_well, 0, "ok"), (all_lost, 1, "target_down")])
async def test_the_command_line_has_it_probed_and_says_what_came_of_it(
    *,
    found: Callable[[Burst], Mapping[Measure, int]],
    status: int,
    verdict: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "keys").write_text(KEY + "\n")
    monkeypatch.setenv("NETMATRIX_TOKEN", KEY)
    file = tmp_path / "more.yaml"
    file.write_text(
        "kind: ReachabilityExpectation\nmetadata: {name: a, namespace: netmatrix}\n"
        f"spec: {{to: [{TO_CART}], {UDP}, expect: allow}}\n"
    )
    collector = Collector(tmp_path / "keys", lambda matrix: verification(snapshot(), matrix))
    assert path_to(collector.matrix, "n1", "cart")
    with capture_logs():  # the collector of this process logs, and would write among the answer
        async with TestServer(collector.app()) as server:
            words = ["verify", "--server", str(server.make_url("/")).rstrip("/"), "-f", str(file), "-o", "json"]
            ended = await with_agents(collector, found, asyncio.to_thread(main, words))
    answer = json.loads(capsys.readouterr().out)
    assert ended == status
    assert {(line["name"], line["verdict"]) for line in answer["lines"]} == {("netmatrix/a", verdict)}
    assert {line["table"] for line in answer["lines"]} == {"namespaces"}
