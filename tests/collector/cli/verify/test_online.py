"""A cluster through its collector: what is expected, what is seen, and what is wrong with what is expected."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from collector.api.verdicts import _declared
from collector.cli import main
from collector.policy.labels import NAME_LABEL
from collector.verdict.explained import rows
from collector.verdict.status import statuses
from tests.collector.verdict.compared import SHUT, Watched, with_policies


def cell(near: str, far: str, layer: str = "pod", /, **more: Any) -> dict[str, Any]:
    """A row of /api/v1/verdicts between `NAMESPACE/NAME`s."""
    prefix = {"service": "service/", "pod": "pod/"}.get(layer, "")
    return {
        "from": {"vantage": near, "node": "n1", "zone": "z", "namespace": near.partition("/")[0]},
        "to": {"name": prefix + far, "node": "n2", "zone": "z", "namespace": far.partition("/")[0] if prefix else None},
        "layer": layer,
        "kind": "tcp",
        "family": "ipv4",
        "path": "0" * 16,
        "port": 5432,
        "expected": "allow",
        "source": "declared",
        "observed": "open",
        "verdict": "ok",
        "because": "3 of 3 probes got through in 10 s",
        "sent": 3,
        "lost": 0,
        "expectation": {"name": "shop/a"},
        **more,
    }


DECLARED = {"name": "shop/a", "pairs": {"ok": 3}, "conditions": [{"type": "Consistent", "status": "True", "message": ""}]}


class Collector:
    """Answers as a collector does."""

    def __init__(self) -> None:
        self.verdicts: list[dict[str, Any]] = []
        self.expectations: list[dict[str, Any]] = [DECLARED]
        self.most = 1000

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        page, _, query = path.removeprefix("/api/v1/").partition("?")
        if page == "expectations":
            return 200, {"version": 1, "expectations": self.expectations}
        found = [one for one in self.verdicts if not query or one["verdict"] == query.removeprefix("verdict=")]
        if len(found) > self.most:
            return 400, {"error": "too many"}
        return 200, {"version": 1, "verdicts": found}


@pytest.fixture
def collector() -> Iterator[tuple[Collector, str]]:
    told = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, answer = told.answer(self.path)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield told, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def verified(at: str, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, Any]]:
    status = main(["verify", "--server", at, "-o", "json", *options])
    return status, json.loads(capsys.readouterr().out)


def test_each_path_is_in_the_table_that_people_draw(
    collector: tuple[Collector, str], capsys: pytest.CaptureFixture[str]
) -> None:
    told, at = collector
    told.verdicts = [
        cell("shop/a", "shop/b"),
        cell("shop/a", "pay/db", "service"),
        cell("shop/a", "pay/db-0"),
        cell("shop/a", "external/203.0.113.7", "external"),
    ]
    status, answer = verified(at, capsys)
    assert status == 0
    assert {(one["table"], one["source"], one["target"]) for one in answer["lines"]} == {
        ("pods", "shop/a", "shop/b"),
        ("services", "shop/a", "pay/db"),
        ("namespaces", "shop/a", "pay/db-0"),
        ("outside", "shop/a", "external/203.0.113.7"),
    }


@pytest.mark.parametrize("verdict", ["broken", "leak", "target_down", "degraded", "unverifiable", "unknown"])
def test_whatever_does_not_hold_or_is_not_known_of_what_was_declared_is_status_1(
    verdict: str, collector: tuple[Collector, str], capsys: pytest.CaptureFixture[str]
) -> None:
    told, at = collector
    told.verdicts = [cell("shop/a", "shop/b", verdict=verdict)]
    assert verified(at, capsys)[0] == 1


def test_what_nobody_can_say_of_derived_paths_is_no_finding_and_what_nobody_expects_is_not_shown(
    collector: tuple[Collector, str], capsys: pytest.CaptureFixture[str]
) -> None:
    told, at = collector
    told.verdicts = [
        cell("shop/a", "shop/b", verdict="unverifiable", source="networkpolicy", expected="deny", expectation={"name": ""}),
        cell("shop/a", "shop/c", source="none", expectation={"name": ""}),
    ]
    status, answer = verified(at, capsys)
    assert status == 0
    assert [one["target"] for one in answer["lines"]] == ["shop/b"]
    assert answer["notes"][0].startswith("by what is seen anyway, since nothing could be probed now: ")
    assert answer["notes"][1:] == ["nobody expects anything of 1 further paths, which are as nothing forbids"]


def test_a_contradiction_and_a_declaration_that_nothing_measures_are_lines_and_status_1(
    collector: tuple[Collector, str], capsys: pytest.CaptureFixture[str]
) -> None:
    told, at = collector
    wrong = [{"type": "Consistent", "status": "False", "message": "to: pods selects nothing"}]
    told.expectations = [DECLARED | {"conditions": wrong}, DECLARED | {"name": "pay/b", "pairs": {"ok": 0}}]
    status, answer = verified(at, capsys)
    assert status == 1
    assert answer["faults"] == [
        {"name": "shop/a", "because": "to: pods selects nothing"},
        {"name": "pay/b", "because": "nothing of it is measured"},
    ]
    assert [fault["name"] for fault in verified(at, capsys, "--namespace", "pay")[1]["faults"]] == ["pay/b"]


def test_one_target_that_answers_is_enough_where_any_is_to_match(
    collector: tuple[Collector, str], capsys: pytest.CaptureFixture[str]
) -> None:
    told, at = collector
    either = {"name": "shop/a", "match": "any"}
    told.verdicts = [
        cell("shop/a", "shop/b", expectation=either),
        cell("shop/a", "shop/c", expectation=either, verdict="broken", observed="timeout"),
    ]
    assert verified(at, capsys)[0] == 0
    told.verdicts[0] |= {"verdict": "broken"}
    assert verified(at, capsys)[0] == 1


def test_of_too_many_cells_those_are_shown_that_are_not_as_they_should_be(
    collector: tuple[Collector, str], capsys: pytest.CaptureFixture[str]
) -> None:
    told, at = collector
    told.most = 2
    told.verdicts = [cell("shop/a", f"shop/{number}") for number in range(5)] + [cell("shop/a", "pay/db-0", verdict="leak")]
    status, answer = verified(at, capsys)
    assert status == 1
    assert [one["verdict"] for one in answer["lines"]] == ["leak"]
    assert answer["notes"][1:] == ["there are too many paths to show those that are as they should be"]


CLOSED_TO_SHOP = {
    "kind": "ReachabilityExpectation",
    "metadata": {"name": "to-pay", "namespace": "shop"},
    "spec": {"to": [{"pods": {"namespaceSelector": {"matchLabels": {NAME_LABEL: "pay"}}}}], "expect": "deny"},
}


def test_rows_as_a_collector_writes_them_are_read(collector: tuple[Collector, str], capsys: pytest.CaptureFixture[str]) -> None:
    told, at = collector
    seen = Watched(with_policies(SHUT, expectations=(CLOSED_TO_SHOP,))).seconds(20)
    told.verdicts = rows(seen, np.arange(len(seen.sample)))
    told.expectations = [_declared(one) for one in statuses(seen)]
    status, answer = verified(at, capsys)
    assert status == 1
    leaks = {(one["table"], one["source"], one["name"]) for one in answer["lines"] if one["verdict"] == "leak"}
    assert ("namespaces", "shop/shop-n1", "shop/to-pay") in leaks
    assert ("namespaces", "ops/ops-n2", "") in leaks
    assert answer["faults"] == []


def test_without_a_collector_the_status_is_3(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--server", "http://127.0.0.1:9"]) == 3
    assert "cannot reach" in capsys.readouterr().err
