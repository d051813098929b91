"""The whole agent as a process of its own, against a collector on loopback, probing itself."""

import asyncio
import os
import resource
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.agent.fake_collector import KEY, FakeCollector, serving
from tests.agent.plans import path, plan, planned
from wire.outcome import Outcome
from wire.path import Http, Icmp, Kind, Tcp, Udp
from wire.plan import PlannedPath
from wire.report import Report, unpack
from wire.window import Flag, Window

pytestmark = [pytest.mark.lab, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Running:
    """An agent process and the ports it listens on."""

    process: Process
    echo: int
    http: int


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def itself(echo: int, *, timeout_ms: int = 1000) -> list[PlannedPath]:
    asks = (Icmp(), Udp(port=echo), Tcp(port=echo), Http(port=echo, path="/echo"))
    return [planned(path("pod/a/self", address="127.0.0.1", uid="uid-me", ask=ask), timeout_ms=timeout_ms) for ask in asks]


def kinds(paths: list[PlannedPath]) -> dict[int, Kind]:
    return {one.path.id: one.path.kind for one in paths}


@asynccontextmanager
async def agent(fake: FakeCollector, tmp_path: Path, echo: int) -> AsyncIterator[Running]:
    token = tmp_path / "token"
    token.write_text(KEY)
    http = free_port()
    settings = {
        "COLLECTOR": fake.url,
        "TOKEN_FILE": str(token),
        "ECHO_PORT": str(echo),
        "HTTP_PORT": str(http),
        "ALLOW_LOOPBACK": "true",
        "POD_UID": "uid-me",
        "VANTAGE": "n1",
    }
    environment = {**os.environ, **{f"NETMATRIX_{name}": value for name, value in settings.items()}}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "agent", "run", cwd=ROOT, env=environment)
    try:
        yield Running(process, echo, http)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def windows(reports: list[Report]) -> list[Window]:
    return [window for report in reports for window in unpack(report.columns)]


def received(reports: list[Report]) -> dict[int, int]:
    counts: Counter[int] = Counter()
    for window in windows(reports):
        counts[window.path] += window.received
    return dict(+counts)


async def status(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status


async def test_survive_02_06_08_09_an_agent_measures_is_stopped_and_continued_and_leaves_politely(tmp_path: Path) -> None:
    echo = free_port()
    paths = itself(echo)
    async with serving(FakeCollector(plan(*paths))) as fake, agent(fake, tmp_path, echo) as running:
        await fake.has(lambda reports: set(received(reports)) == set(kinds(paths)))
        assert await status(f"http://127.0.0.1:{running.http}/readyz") == 200
        assert await status(f"http://127.0.0.1:{running.http}/healthz") == 200

        before = len(fake.reports)
        running.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(3)
        running.process.send_signal(signal.SIGCONT)
        await fake.has(lambda reports: len(reports) >= before + 4)
        assert [window.failed or window.late for window in windows(fake.reports) if window.failed or window.late] == []
        assert any(window.flags & Flag.ILL for window in windows(fake.reports[before:]))
        assert not any(window.flags for window in windows(fake.reports[-1:])), "and is well again"

        running.process.terminate()
        asked = time.monotonic()
        last = (await fake.has(lambda reports: reports[-1].leaving))[-1]
        assert time.monotonic() - asked < 5
        assert await status(f"http://127.0.0.1:{running.http}/readyz") == 503
        assert await status(f"http://127.0.0.1:{echo}/echo") == 200, "peers are still answered"
        assert await running.process.wait() == 0
        assert time.monotonic() - asked < 30
        assert [one.leaving for one in fake.reports[:-1]] == [False] * (len(fake.reports) - 1)
        assert [one.sequence for one in fake.reports] == list(range(1, last.sequence + 1))
        assert {one.boot for one in fake.reports} == {last.boot}

        async with agent(fake, tmp_path, echo) as again:
            second = (await fake.has(lambda reports: reports[-1].boot != last.boot))[-1]
            assert second.sequence == 1, "a new boot counts from one, so that the gap between them is known as such"
            again.process.terminate()
            await asyncio.sleep(0.2)
            again.process.terminate()
            asked = time.monotonic()
            assert await again.process.wait() == 128 + signal.SIGTERM, "a second signal does not wait"
            assert time.monotonic() - asked < 2


async def test_survive_29_an_agent_without_descriptors_reports_so_and_recovers_by_itself(tmp_path: Path) -> None:
    echo = free_port()
    paths = itself(echo)
    tcp = {identity for identity, kind in kinds(paths).items() if kind is Kind.TCP}
    async with serving(FakeCollector(plan(*paths))) as fake, agent(fake, tmp_path, echo) as running:
        await fake.has(lambda reports: set(received(reports)) == set(kinds(paths)))
        pid = running.process.pid
        before, limits = len(fake.reports), resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        await fake.has(
            lambda reports: any(Outcome.NO_FD in window.local for window in windows(reports[before:]) if window.path in tcp)
        )
        assert not any(window.failed for window in windows(fake.reports))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
        before = len(fake.reports)
        await fake.has(lambda reports: set(received(reports[before:])) == set(kinds(paths)), seconds=40)
        assert not any(window.failed for window in windows(fake.reports))


async def test_a_first_loss_ends_its_span_early_and_an_empty_plan_ends_the_probing(tmp_path: Path) -> None:
    echo = free_port()
    closed = [planned(path("pod/a/closed", address="127.0.0.1", ask=Tcp(port=free_port())))]
    async with (
        serving(FakeCollector(plan(*closed, report_ms=8_000))) as fake,
        agent(fake, tmp_path, echo),
    ):
        reports = await fake.has(lambda reports: any(one.urgent for one in reports))
        # On a slow machine there may be an ordinary report before it, with some of the losses in it or with none.
        assert {word for window in windows(reports) for word in window.failed} == {Outcome.REFUSED}
        await fake.replan(plan(generation=2, report_ms=500))
        await fake.has(lambda reports: sum(one.generation == 2 for one in reports) >= 3)
        assert windows([one for one in fake.reports if one.generation == 2]) == []


async def test_a_port_that_is_taken_is_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(KEY)
    with socket.create_server(("", 0)) as taken:
        settings = {
            "NETMATRIX_COLLECTOR": "http://127.0.0.1:1",
            "NETMATRIX_TOKEN_FILE": str(token),
            "NETMATRIX_ECHO_PORT": str(free_port()),
            "NETMATRIX_HTTP_PORT": str(taken.getsockname()[1]),
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent", cwd=ROOT, env={**os.environ, **settings}, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
    assert process.returncode == 1
    assert errors.decode().count("\n") == 1
    assert "(NETMATRIX_HTTP_PORT) cannot be used" in errors.decode()
