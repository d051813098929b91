"""The collector as one process: started as people start it, spoken to over its two ports."""

import asyncio
import json
import resource
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog
import trustme
import yaml
from aiohttp import web
from msgspec.structs import replace

from collector import app, planning, ports
from collector.__main__ import main
from collector.api.listener import Listener
from collector.api.verdicts import Verdicts
from collector.app import Collector
from collector.configuration import Configuration
from collector.judging import Judging
from collector.plan.compose import PlanError
from collector.plan.keys import PHASE_SECONDS
from collector.planning import Planning
from collector.settings import SECOND, PlanSettings
from tests.collector.running import KEY, Running, configured, inventory, running
from wire.codec import decode_acknowledgement
from wire.outcome import Outcome
from wire.path import Layer
from wire.plan import Plan
from wire.report import Report, pack
from wire.window import Window

BOOT = b"b" * 16


@pytest.fixture(autouse=True)
def _no_other_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys change at every full and half hour, also where a test runs just then."""
    monkeypatch.setattr(planning, "phase_of", lambda _: 7)


@pytest.fixture(autouse=True)
def _log_as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


def report(plan: Plan, sequence: int, *, received: int = 10, acknowledged: int = 0) -> Report:
    windows = [
        Window(
            path=planned.path.id,
            received=received,
            failed={Outcome.TIMEOUT: 2},
            latency={-80: received},
            sum_ns=received * 1_000_000,
            min_ns=1_000_000,
            max_ns=1_000_000,
        )
        for planned in plan.paths
    ]
    return Report(
        vantage=plan.identity.vantage,
        instance=plan.instance,
        boot=BOOT,
        sequence=sequence,
        acknowledged=acknowledged,
        generation=plan.generation,
        span_ns=60_000_000_000,
        age_ns=0,
        columns=pack(windows),
    )


async def test_survive_1_from_a_report_to_the_matrix_over_a_restart(tmp_path: Path, authority: trustme.CA) -> None:
    (tmp_path / "inventory.yaml").write_text(inventory("a", "b"))
    async with running(tmp_path, authority) as collector:
        plan = await collector.plan()
        assert plan.identity.node == "node-a"
        for sequence in (1, 2):
            status, answer = await collector.deliver(report(plan, sequence, acknowledged=sequence - 1))
            assert (status, decode_acknowledgement(answer).sequence) == (200, sequence)
        cells = (await collector.get("/api/v1/matrix?totals=true"))["cells"]
        mine = [cell for cell in cells if cell["from"]["vantage"] == "a"]
        assert {(cell["sent"], cell["received"]) for cell in mine} == {(24, 20)}
        assert {cell["state"] for cell in cells if cell["from"]["vantage"] == "b"} == {"unknown"}
        agents = (await collector.get("/api/v1/agents"))["agents"]
        assert [(agent["vantage"], agent["state"], agent["sequence"]) for agent in agents] == [
            ("a", "reporting", 2),
            ("b", "never", 0),
        ]
    async with running(tmp_path, authority) as collector:
        status, answer = await collector.deliver(report(plan, 3, acknowledged=2))
        assert status == 409
        again = await collector.plan()
        assert decode_acknowledgement(answer).instance == again.instance > plan.instance
        assert again.keys == plan.keys, "colleagues still know each other"
        for sequence in (1, 2, 3):
            assert (await collector.deliver(report(again, sequence, acknowledged=2)))[0] == 200
        cells = (await collector.get("/api/v1/matrix?totals=true"))["cells"]
        assert {(cell["sent"], cell["received"]) for cell in cells if cell["from"]["vantage"] == "a"} == {(36, 30)}
        counters = [line for line in (await collector.get("/metrics")).splitlines() if line.startswith("netmatrix_probes_sent")]
        sums = {line.partition("{")[2].partition("}")[0]: float(line.split()[-1]) for line in counters}
        assert sums['node="node-a",direction="out",layer="host"'] == 24, "12 probes on each of two paths, of report 3 alone"


async def test_survive_49_lies_about_the_own_row_are_refused_and_other_rows_unaffected(
    tmp_path: Path, authority: trustme.CA
) -> None:
    (tmp_path / "inventory.yaml").write_text(inventory("a", "b"))
    async with running(tmp_path, authority) as collector:
        plan, other = await collector.plan("a"), await collector.plan("b")
        assert (await collector.deliver(report(other, 1), name="b"))[0] == 200
        before = (await collector.get("/api/v1/matrix?totals=true&from=b"))["cells"]
        status, _ = await collector.deliver(report(plan, 1, received=1_000_000_000))
        assert status == 400
        assert (await collector.deliver(report(other, 2), name="a"))[0] == 403
        after = (await collector.get("/api/v1/matrix?totals=true"))["cells"]
        assert [cell["sent"] for cell in after if cell["from"]["vantage"] == "a"] == [0] * len(plan.paths)
        assert [(c["sent"], c["received"]) for c in before] == [
            (c["sent"], c["received"]) for c in after if c["from"]["vantage"] == "b"
        ]
        refused = [line for line in (await collector.get("/metrics")).splitlines() if "reports_refused_total{" in line]
        assert len(refused) == 2
        assert any('reason="foreign_row"' in line for line in refused)


async def test_survive_63_another_inventory_is_another_plan_and_a_bad_one_changes_nothing(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LOOK_SECONDS", 0.05)
    path = tmp_path / "inventory.yaml"
    path.write_text(inventory("a", "b"))
    async with running(tmp_path, authority) as collector, asyncio.timeout(60):
        plan = await collector.plan()
        path.write_text(inventory("a", "b").replace("10.30.1.2", "nowhere"))
        for _ in range(50):
            await asyncio.sleep(0.1)
            if "netmatrix_inventories_refused_total 1.0" in await collector.get("/metrics"):
                break
        assert (await collector.plan()).generation == plan.generation == 1
        path.write_text(inventory("a", "b", "c"))
        later = await collector.plan(etag=f'"{plan.instance}-{plan.generation}"')
        assert later.generation == 2
        assert later.keys == plan.keys
        before, after = ({one.path.id for one in each.paths if one.path.layer is not Layer.MTU} for each in (plan, later))
        assert before < after
        assert [agent["vantage"] for agent in (await collector.get("/api/v1/agents"))["agents"]] == ["a", "b", "c"]


async def test_a_node_that_is_cordoned_is_excluded_at_once_and_nobody_gets_another_plan(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LOOK_SECONDS", 0.05)
    path = tmp_path / "inventory.yaml"
    path.write_text(inventory("a", "b"))
    async with running(tmp_path, authority) as collector, asyncio.timeout(60):
        plan = await collector.plan()
        known = yaml.safe_load(path.read_text())
        known["nodes"][1]["excluded"] = "cordoned"
        path.write_text(yaml.safe_dump(known))
        while True:
            cells = (await collector.get("/api/v1/matrix?from=a"))["cells"]
            if {cell.get("excluded") for cell in cells if cell["to"]["node"] == "node-b"} == {"cordoned"}:
                break
            await asyncio.sleep(0.1)
        assert (await collector.plan()).generation == plan.generation


async def test_in_a_large_cluster_the_next_slot_brings_a_plan_with_other_peers_until_all_were_probed(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = 0
    monkeypatch.setattr(app, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(planning, "TURN_SHARE", 0.001)
    monkeypatch.setattr(Planning, "slot", lambda *_: slot)
    names = ("a", *"bcdefg")
    (tmp_path / "inventory.yaml").write_text(inventory(*names))
    sparse = {"full_mesh_nodes": 3, "peers": 2, "rotation": {"peers": 1, "slot": "10s"}}
    async with running(tmp_path, authority, sparse) as collector, asyncio.timeout(60):
        plan = await collector.plan()
        seen = {one.path.target.name for one in plan.paths if one.path.layer is Layer.POD}
        while slot < 5:
            slot += 1
            plan = await collector.plan(etag=f'"{plan.instance}-{plan.generation}"')
            seen |= {one.path.target.name for one in plan.paths if one.path.layer is Layer.POD}
        assert plan.generation == 6
        assert seen == {f"pod/netmatrix/agent-{name}" for name in names[1:]}


@pytest.mark.parametrize(("more", "same"), [(f"secret: {KEY}secret\n", True), ("", False)])
def test_a_secret_keeps_the_keys_over_a_restart_with_other_vantages(tmp_path: Path, more: str, same: bool) -> None:
    file = tmp_path / "inventory.yaml"
    keys = []
    for names in (("a", "b"), ("a", "b", "c")):
        file.write_text(inventory(*names) + more)
        keys.append({one.key for one in Collector(Configuration(), file)._planning.keys(7)})
    assert bool(keys[0] & keys[1]) is same


async def test_another_phase_brings_other_keys_that_the_plans_before_share(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "LOOK_SECONDS", 0.05)
    (tmp_path / "inventory.yaml").write_text(inventory("a", "b"))
    async with running(tmp_path, authority) as collector, asyncio.timeout(60):
        plan = await collector.plan()
        monkeypatch.setattr(planning, "phase_of", lambda _: 8)
        later = await collector.plan(etag=f'"{plan.instance}-{plan.generation}"')
        assert later.generation == 2
        assert later.paths == plan.paths
        assert plan.keys[0] in later.keys
        assert later.keys[0] in plan.keys
        assert later.keys != plan.keys


async def test_survive_11_it_runs_where_no_file_can_be_written_and_sigterm_ends_it_at_once(
    tmp_path: Path, authority: trustme.CA
) -> None:
    """A process of its own, since signals and limits are for processes. Agents wait for plans when it is told to stop."""
    (tmp_path / "inventory.yaml").write_text(inventory("a"))
    trust = configured(tmp_path, authority, {})
    words = ["-m", "collector", "--inventory", str(tmp_path / "inventory.yaml"), "--config", str(tmp_path / "config.yaml")]
    process = await asyncio.create_subprocess_exec(sys.executable, *words, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    assert process.pid
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (0, 0))  # a disk that is full, or read-only
    try:
        line: dict[str, Any] = {}
        async with asyncio.timeout(60):
            while line.get("event") != "listening":
                line = json.loads(await process.stdout.readline())
        collector = Running(f"https://127.0.0.1:{line['agents']}", f"http://127.0.0.1:{line['operators']}", trust)
        plan = await collector.plan()

        waiting = f'"{plan.instance}-{plan.generation}"'
        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            answers = [tasks.create_task(collector.plan(etag=waiting)) for _ in range(3)]
            await asyncio.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
        assert [task.result() for task in answers] == [plan] * 3, "who waited is answered and not cut off"
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


MISTAKES = [
    ({"i.yaml": "nodes: 3"}, "i.yaml: nodes: expected list, got int"),
    ({"i.yaml": "\n"}, "i.yaml: empty; an inventory of nothing is {}"),
    ({}, "i.yaml: cannot be read: No such file or directory"),
    ({"i.yaml": "{}", "c.yaml": "x: 1"}, "c.yaml: x: unknown key; allowed are agents, "),
    (
        {"i.yaml": "{}", "c.yaml": "agents: {tls: {certificate: no.pem, key: no.pem}}"},
        "c.yaml: agents.tls.certificate: no.pem cannot be read: No such file or directory",
    ),
    (
        {"i.yaml": "{}", "c.yaml": "agents: {tls: {certificate: c.yaml, key: c.yaml}}"},
        "c.yaml: agents.tls: certificate and key are not a pair in PEM",
    ),
    (
        {"i.yaml": "{}", "c.yaml": "agents: {listen: '203.0.113.1:1'}"},
        "c.yaml: agents.listen: 203.0.113.1:1 cannot be listened on: Cannot assign requested address",
    ),
]


@pytest.mark.parametrize(("files", "sentence"), MISTAKES)
def test_a_mistake_is_told_in_one_sentence_and_the_status_is_2(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    files: dict[str, str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert main(["--inventory", "i.yaml", *(["--config", "c.yaml"] if "c.yaml" in files else [])]) == 2
    told = capsys.readouterr().err
    assert told.startswith(sentence)
    assert told.count("\n") == 1


@pytest.mark.parametrize("slot_seconds", [10, 60, 3600])
def test_a_turn_is_over_before_there_are_keys_that_its_last_agents_do_not_know(slot_seconds: int) -> None:
    """Who has the keys of one phase is understood by those with the next one's, and by nobody later."""
    assert planning.turn_seconds(slot_seconds * SECOND) <= min(slot_seconds, PHASE_SECONDS / 2)


async def test_an_inventory_without_a_plan_does_not_swallow_a_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise PlanError("no plan")

    file = tmp_path / "inventory.yaml"
    file.write_text(inventory("a"))
    collector = Collector(Configuration(), file)
    monkeypatch.setattr(planning, "phase_of", lambda _: 8)
    monkeypatch.setattr(planning, "compose", refuses)
    fault = await collector._replan(replace(collector._source.snapshot, mtu=1400), PlanSettings())
    assert (fault, collector._planning._phase) == ("no plan", 7)
    collector._refuse_inventory(fault)
    assert collector._own.inventories_refused._value.get() == 1


async def test_a_pass_of_verdicts_that_fails_ends_neither_the_measuring_nor_the_judging(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = asyncio.Event()

    async def fails(*_: object) -> None:
        tries.append(1)
        if len(tries) > 1:
            tried.set()
        raise ZeroDivisionError

    tries: list[int] = []
    monkeypatch.setattr(app, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(Judging, "look", fails)
    (tmp_path / "inventory.yaml").write_text(inventory("a", "b"))
    async with running(tmp_path, authority) as collector, asyncio.timeout(60):
        await tried.wait()
        assert (await collector.get("/api/v1/incidents"))["state"] == "unknown"


async def test_an_answer_that_takes_longer_than_a_connection_has_to_prove_itself_arrives(
    tmp_path: Path, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = Verdicts.incidents

    async def late(self: Verdicts, request: web.Request) -> web.Response:
        await asyncio.sleep(1.0)
        return await answered(self, request)

    monkeypatch.setattr(ports, "Listener", partial(Listener, proof_seconds=0.2))
    monkeypatch.setattr(Verdicts, "incidents", late)
    (tmp_path / "inventory.yaml").write_text(inventory("a", "b"))
    async with running(tmp_path, authority) as collector, asyncio.timeout(60):
        assert (await collector.get("/api/v1/incidents"))["state"] == "unknown"
