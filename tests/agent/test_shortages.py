"""A whole agent under load that runs out of what probes need: it says so, blames nobody, and comes back by itself."""

import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path as File

import pytest

from bench.agents import SETTLED_SECONDS, Agent, agent, plan_of
from bench.network import Network, targets
from bench.programs import Program
from lab.namespaces import write_sysctls
from wire.outcome import Outcome
from wire.path import Ask, Http, Tcp

pytestmark = pytest.mark.lab

PORT = 8080
RATE = 200
FEW_DESCRIPTORS = 20
SHORTAGE_SECONDS = 4.0
RECOVERY_SECONDS = 12.0
"""Each kind is left alone for 1, 2, 4 and then 8 seconds at most after a shortage of four."""


@pytest.fixture
def network(tmp_path: File) -> Iterator[Network]:
    serve = [sys.executable, "-m", "bench.stream_server", str(PORT), "http"]
    with Network("short") as network, Program(serve, log=tmp_path / "server.log", netns=network.target):
        yield network


@contextmanager
def probing(network: Network, asks: Sequence[tuple[str, Ask]]) -> Iterator[Agent]:
    """An agent that sends 200 of these a second and reports each second, in a steady state."""
    plan = plan_of(asks, interval_ms=1000 * len(asks) // RATE, report_ms=1000)
    with agent(network.prober, plan) as running:
        time.sleep(SETTLED_SECONDS + 2)
        assert set(running.probes()) == {"received"}
        yield running


def nothing_was_lost(before: Counter[str], after: Counter[str], shortage: Outcome) -> None:
    """Between the two, whatever was not received was our own shortage, and said so."""
    grown = after - before
    assert grown.keys() <= {"received", "skipped", shortage.word}
    assert grown[shortage.word] > 0


def comes_back(running: Agent) -> None:
    """Probes are received at full rate again, within the longest pause and without a restart."""
    until = time.monotonic() + RECOVERY_SECONDS
    while time.monotonic() < until:
        before = running.probes()
        time.sleep(1.5)
        if running.probes()["received"] - before["received"] >= RATE:
            return
    pytest.fail(f"probes became {dict(running.probes())}")


def reported(running: Agent, taken: int) -> None:
    """The collector got a report each second or so all the while, and none had to be tried again."""
    reports = running.figures("reports", "outcome")
    assert set(reports) == {"taken"}
    assert reports["taken"] - taken >= SHORTAGE_SECONDS - 1


def test_survive_29_at_its_limit_of_descriptors_an_agent_under_load_loses_nothing_reports_and_recovers(
    network: Network,
) -> None:
    with probing(network, [(address, Tcp(PORT)) for address in targets(RATE)]) as running:
        before, taken = running.probes(), running.figures("reports", "outcome")["taken"]
        usual = resource.prlimit(running.pid, resource.RLIMIT_NOFILE)
        highest = max(int(entry.name) for entry in File(f"/proc/{running.pid}/fd").iterdir())
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, (min(highest, FEW_DESCRIPTORS), usual[1]))
        time.sleep(SHORTAGE_SECONDS)
        resource.prlimit(running.pid, resource.RLIMIT_NOFILE, usual)
        comes_back(running)
        nothing_was_lost(before, running.probes(), Outcome.NO_FD)
        reported(running, taken)


def test_survive_31_with_twenty_source_ports_an_agent_under_load_loses_nothing_reports_and_recovers(network: Network) -> None:
    # A port is taken once for each destination, so all probes go to one.
    one = targets(1)[0]
    with probing(network, [(one, Http(PORT, path=f"/{number}")) for number in range(RATE)]) as running:
        before, taken = running.probes(), running.figures("reports", "outcome")["taken"]
        write_sysctls({network.prober: {"ipv4/ip_local_port_range": "40000 40019"}})
        time.sleep(SHORTAGE_SECONDS)
        write_sysctls({network.prober: {"ipv4/ip_local_port_range": "1024 65000"}})
        comes_back(running)
        nothing_was_lost(before, running.probes(), Outcome.NO_PORT)
        reported(running, taken)
