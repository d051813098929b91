import asyncio
import csv
import io
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from collector.api.incidents import Written
from collector.api.operators import operator_app
from collector.api.verdicts import Verdicts
from collector.cli import KINDS, LAYERS, main
from collector.matrix.slices import Slices
from collector.sessions import Sessions
from collector.verdict.judgement import Judgement, following
from tests.collector.incidents import JUDGED
from tests.collector.small_cluster import SECOND, SNAPSHOT, composed, matrix_of, path_to, paths_of, report_of, window
from tests.collector.verdict.compared import SHUT, Watched, with_policies
from wire.outcome import Outcome
from wire.path import Kind, Layer

NOW = 100 * SECOND


def _nothing(_now_ns: int) -> Slices[bytes]:
    yield
    return b""


class Cluster:
    """A collector's operator port over a small cluster, in which nothing is wrong until `lose` is called."""

    def __init__(self) -> None:
        self.matrix = matrix_of()
        self.sessions = Sessions(instance=1, silent_after_ns=3 * SECOND)
        self.sessions.replan(SNAPSHOT)
        for name in ("n1", "n2", "n3", "cart"):
            windows = [window(path.id, [60_000] * 4) for path in paths_of(SNAPSHOT, name)]
            report = report_of(name, windows)
            self.matrix.apply(report, arrived_ns=NOW, counted=True)
            self.sessions.record(report, now_ns=NOW)
        self.clock = SimpleNamespace(now=NOW + SECOND)
        self.url = ""
        self.judgement = Judgement(NOW, cells=32, judged=32)

    def lose(self) -> None:
        report = report_of("n1", [window(path_to(self.matrix, "n1", "n3").id, failed={Outcome.TIMEOUT: 4})], sequence=2)
        self.matrix.apply(report, arrived_ns=NOW, counted=True)

    def app(self) -> web.Application:
        return operator_app(
            matrix=self.matrix,
            sessions=self.sessions,
            plans=composed,
            metrics=_nothing,
            now_ns=lambda: self.clock.now,
            ready=lambda: True,
            verdicts=Verdicts(lambda: self.judgement, Written(epoch_ns=0)),
        )

    async def run(self, *arguments: str) -> int:
        """The command in a thread of its own, since it blocks."""
        return await asyncio.to_thread(main, [*arguments, "--server", self.url])


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    cluster = Cluster()
    server = TestServer(cluster.app())
    async with server:
        cluster.url = str(server.make_url("/"))
        yield cluster


Capture = pytest.CaptureFixture[str]


async def test_status_is_0_while_all_report_and_nothing_is_lost(cluster: Cluster, capsys: Capture) -> None:
    assert await cluster.run("status") == 0
    out = capsys.readouterr().out
    assert "4 of 4 report" in out
    assert "pod       0.0% lost, 0 of 96 probes; 24 paths" in out


async def test_status_is_1_and_names_what_is_lost(cluster: Cluster, capsys: Capture) -> None:
    cluster.lose()
    assert await cluster.run("status") == 1
    assert "4 of 8 probes lost within 60 s: 4 timeout" in capsys.readouterr().out


async def test_status_is_1_and_names_who_is_silent(cluster: Cluster, capsys: Capture) -> None:
    cluster.clock.now += 200 * SECOND
    assert await cluster.run("status") == 1
    assert "n2 on n2: silent for 3 min" in capsys.readouterr().out


async def test_the_matrix_is_a_table_by_node(cluster: Cluster, capsys: Capture) -> None:
    assert await cluster.run("matrix") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["n1", "n2", "n3"]
    assert "0.0%  60/60µs" in lines[1]
    assert "\x1b" not in "".join(lines)


async def test_the_matrix_by_other_things(cluster: Cluster, capsys: Capture) -> None:
    for by, column in (("zone", "z2"), ("namespace", "shop"), ("service", "shop/cart")):
        assert await cluster.run("matrix", "--by", by) == 0
        assert column in capsys.readouterr().out.splitlines()[0].split()


async def test_the_matrix_as_json_csv_and_wide(cluster: Cluster, capsys: Capture) -> None:
    assert await cluster.run("matrix", "-o", "json", "--layer", "pod", "--kind", "udp", "--span", "30s") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["by"], answer["span_seconds"]) == ("node", 30)
    assert await cluster.run("matrix", "-o", "csv", "--totals") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["state"] for row in rows} == {"measured"}
    assert await cluster.run("matrix", "-o", "wide", "--from", "n1") == 0
    assert len(capsys.readouterr().out.splitlines()) == 3


async def test_the_worst_come_first(cluster: Cluster, capsys: Capture) -> None:
    cluster.lose()
    assert await cluster.run("matrix", "--worst", "2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:2] == ["n1", "pod/netmatrix/agent-n3"]
    assert await cluster.run("matrix", "--worst", "1", "-o", "csv") == 0
    assert next(csv.DictReader(io.StringIO(capsys.readouterr().out)))["loss"] == "0.5"


async def test_a_pair_has_both_directions(cluster: Cluster, capsys: Capture) -> None:
    assert await cluster.run("pair", "n1", "n3") == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["FROM", "n1", "n1", "n3", "n3"]
    assert await cluster.run("pair", "n1", "nobody") == 2
    assert "nothing is called that; there is n1, n2" in capsys.readouterr().err


async def test_agents(cluster: Cluster, capsys: Capture) -> None:
    assert await cluster.run("agents") == 0
    assert capsys.readouterr().out.splitlines()[2].split()[:6] == ["n1", "n1", "z1", "netmatrix", "reporting", "1"]
    cluster.clock.now += 60 * SECOND
    assert await cluster.run("agents", "-o", "csv") == 1


async def test_a_question_that_the_collector_refuses_is_2_with_its_sentence(cluster: Cluster, capsys: Capture) -> None:
    for arguments in (
        ["matrix", "--by", "colour"],
        ["matrix", "--worst", "0"],
        ["status", "--span", "9h"],
        ["pair", "n1", "a b"],
    ):
        assert await cluster.run(*arguments) == 2
        err = capsys.readouterr().err
        assert err.startswith("netmatrix: ")
        assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["dance"], ["matrix", "--layer", "cake"], ["status", "--timeout", "0"], ["status", "--server", "gopher://x"]],
)
def test_a_wrong_command_line_is_2(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["-h"], ["status", "-h"], ["matrix", "-h"], ["pair", "-h"], ["agents", "-h"]])
def test_help_is_everywhere(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 0
    assert "usage: netmatrix" in capsys.readouterr().out


def test_nobody_there_is_3_in_one_sentence(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert main(["status", "--server", f"http://127.0.0.1:{port}"]) == 3
    assert capsys.readouterr().err == f"netmatrix: cannot reach http://127.0.0.1:{port}: Connection refused\n"


def test_silence_is_3_after_the_timeout(capsys: Capture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert main(["status", "--server", url, "--timeout", "0.05"]) == 3
    assert capsys.readouterr().err == f"netmatrix: cannot reach {url}: no answer in time\n"


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"agents": 3}', b'{"agents": [{}]}', b"\xff", b"[" * 100_000])
async def test_another_server_is_3_and_no_traceback(body: bytes, capsys: Capture) -> None:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(body=body)

    app = web.Application()
    app.router.add_get("/{page:.*}", answer)
    server = TestServer(app)
    async with server:
        for command in ("status", "agents"):
            assert await asyncio.to_thread(main, [command, "--server", str(server.make_url("/"))]) == 3
            assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_server_comes_from_the_environment(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETMATRIX_SERVER", "http://127.0.0.1:9")
    assert main(["agents"]) == 3
    assert "http://127.0.0.1:9" in capsys.readouterr().err


def test_it_knows_the_layers_and_kinds_that_there_are() -> None:
    assert set(LAYERS) == {layer.value for layer in Layer}
    assert set(KINDS) == {kind.value for kind in Kind}


def test_without_a_server_and_without_kubectl_it_says_what_to_do(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETMATRIX_SERVER", raising=False)
    monkeypatch.setenv("PATH", "")
    assert main(["agents"]) == 3
    assert capsys.readouterr().err == (
        "netmatrix: kubectl is not installed, so say where the collector is: --server URL, or NETMATRIX_SERVER\n"
    )


def test_a_namespace_asks_for_kubectl_whatever_the_environment_says(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETMATRIX_SERVER", "http://127.0.0.1:9")
    monkeypatch.setenv("PATH", "")
    assert main(["agents", "-n", "monitoring"]) == 3
    assert "kubectl is not installed" in capsys.readouterr().err


def test_two_ways_to_a_collector_at_once_are_a_wrong_command_line(capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["agents", "--server", "http://127.0.0.1:9", "--context", "prod"])
    assert "--server says where the collector is" in capsys.readouterr().err


def test_what_kubectl_complains_of_is_said(tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\necho 'error: context \"nowhere\" does not exist' >&2\nexit 1\n")
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert main(["agents", "--context", "nowhere"]) == 3
    assert capsys.readouterr().err == 'netmatrix: kubectl: context "nowhere" does not exist\n'


def test_the_command_imports_nothing_slow() -> None:
    code = "import sys, collector.cli; print(sorted({'numpy', 'aiohttp', 'msgspec', 'asyncio', 'yaml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    code = "import sys, collector.cli; sys.exit(collector.cli.main(['-h']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


async def test_incidents_are_0_while_there_are_none(cluster: Cluster, capsys: Capture) -> None:
    assert await cluster.run("incidents") == 0
    assert capsys.readouterr().out == "No incident; 32 of 32 paths could be judged.\n"


async def test_incidents_are_1_with_a_line_and_a_sentence_for_each(cluster: Cluster, capsys: Capture) -> None:
    cluster.judgement = JUDGED
    assert await cluster.run("incidents") == 1
    out = capsys.readouterr().out
    assert "firing  critical  node  n3         host   both       unreachable  00f0" in out
    assert "00f0  Node n3 is unreachable.\n" in out
    assert "00f1" not in out


async def test_incidents_that_are_pending_or_over_are_asked_for(cluster: Cluster, capsys: Capture) -> None:
    cluster.judgement = JUDGED
    assert await cluster.run("incidents", "--all") == 1
    out = capsys.readouterr().out
    assert "pending" in out
    assert "Over:" in out


async def test_incidents_are_1_while_nothing_is_known(cluster: Cluster, capsys: Capture) -> None:
    cluster.judgement = Judgement()
    assert await cluster.run("incidents", "-o", "json") == 1
    assert json.loads(capsys.readouterr().out)["state"] == "unknown"


async def test_why_is_1_where_something_leaks_and_names_the_policy_and_the_numbers(cluster: Cluster, capsys: Capture) -> None:
    compared = Watched(with_policies(SHUT)).seconds(6)
    cluster.judgement = following(Judgement(), [], now_ns=NOW, cells=1, judged=1, took_seconds=0.1, comparison=compared)
    assert await cluster.run("why", "shop", "pay") == 1
    out = capsys.readouterr().out
    assert "deny: ingress: no rule of NetworkPolicy pay/shut allows it" in out
    assert "leak: 3 of 3 probes got through in 3 s" in out
    assert await cluster.run("why", "pay", "ops") == 0
    assert await cluster.run("why", "shop", "nowhere") == 2
    assert "nothing is called that; there is " in capsys.readouterr().err
    assert await cluster.run("why", "shop", "pay", "--port", "8620", "-o", "json") == 1
    assert {cell["port"] for cell in json.loads(capsys.readouterr().out)["paths"]} == {8620}
