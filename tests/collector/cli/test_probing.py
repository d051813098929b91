"""`netmatrix probe` against a real operator port, with agents that do as they are told."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from collector.cli import main
from tests.collector.api.acting import KEY, Collector, all_lost, all_well, with_agents

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def collector(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Collector:
    (tmp_path / "keys").write_text(KEY)
    monkeypatch.setenv("NETMATRIX_TOKEN", KEY)
    return Collector(tmp_path / "keys")


@pytest.fixture
async def url(collector: Collector) -> AsyncIterator[str]:
    server = TestServer(collector.app())
    async with server:
        yield str(server.make_url("/"))


async def run(url: str, *words: str) -> int:
    """The command in a thread of its own, since it blocks."""
    return await asyncio.to_thread(main, ["probe", *words, "--server", url])


async def test_what_was_answered_is_printed_and_all_is_well(collector: Collector, url: str, capsys: Capture) -> None:
    assert await with_agents(collector, all_well, run(url, "n1", "agent-n2", "--kind", "udp", "--count", "7")) == 0
    log, head, line = capsys.readouterr().out.splitlines()
    assert "by=operator" in log
    assert KEY not in log
    assert head.split() == ["FROM", "TO", "LAYER", "KIND", "FAMILY", "SENT", "LOSS", "MEAN", "STATE", "BECAUSE"]
    assert line.split() == ["n1", "pod/netmatrix/agent-n2", "pod", "udp", "ipv4", "7", "0.0%", "50µs", "answered"]


async def test_a_loss_is_found(collector: Collector, url: str, capsys: Capture) -> None:
    assert await with_agents(collector, all_lost, run(url, "n1", "agent-n2")) == 1
    assert "100%" in capsys.readouterr().out


async def test_an_agent_that_is_silent_is_found(url: str, capsys: Capture) -> None:
    assert await run(url, "n1", "agent-n2") == 1
    assert "its agent has not answered" in capsys.readouterr().out


async def test_json_is_the_answer_as_it_came(collector: Collector, url: str, capsys: Capture) -> None:
    assert await with_agents(collector, all_well, run(url, "n1", "agent-n2", "-o", "json")) == 0
    _, answer = capsys.readouterr().out.split("\n", 1)  # after the collector's own log
    assert json.loads(answer)["count"] == 5


async def test_what_is_not_probed_on_demand_is_said(collector: Collector, url: str, capsys: Capture) -> None:
    assert await with_agents(collector, all_well, run(url, "n1", "shop")) == 2
    assert await with_agents(collector, all_well, run(url, "n1", "namespace/shop")) == 0
    assert "more are not probed" not in capsys.readouterr().out


async def test_a_path_that_is_not_planned_is_a_wrong_command_line(url: str, capsys: Capture) -> None:
    assert await run(url, "n1", "192.0.2.1") == 2
    assert capsys.readouterr().err.startswith("netmatrix: no path between these two is planned")


@pytest.mark.parametrize("count", ["0", "21", "many", "-1"])
def test_so_many_probes_are_not_to_be_had(count: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["probe", "a", "b", f"--count={count}", "--server", "http://127.0.0.1:1"])
    assert "expected a number from 1 to 20" in capsys.readouterr().err


async def test_another_key_is_not_permitted(url: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETMATRIX_TOKEN", "another-key-0123456789")
    assert await run(url, "n1", "agent-n2") == 3
    assert "does not do that: the token is not known" in capsys.readouterr().err


async def test_without_a_key_it_says_where_one_goes(url: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NETMATRIX_TOKEN")
    assert await run(url, "n1", "agent-n2") == 2
    assert "NETMATRIX_TOKEN" in capsys.readouterr().err
