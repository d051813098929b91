"""What an agent costs the node that it is a guest on: with the plan that the collector makes, at its defaults, for 100 nodes.

The subject probes 99 peers and is probed by them; one other process, whose cost counts for nobody, plays all of these. What it
holds after half an hour without a collector is measured after half an hour without a collector, once: in haste its memory is
another, since everything that is in flight or in a window is more.
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from bench import usage
from bench.agents import Agent, agent
from bench.measurement import Bar, Spoilt
from bench.mesh import UID, mesh
from bench.network import Network

NODES = 100
WARM_SECONDS = 15.0
"""Every path but those over HTTP has been probed by then, and the first report is gone."""
WINDOW_SECONDS = 60.0
QUICK_WINDOW_SECONDS = 20.0
AWAY_SECONDS = 30 * 60
MOST_LOST = 0.005
"""Of few probes, one that was lost while all processes started is many."""
_CPU = Bar("agent in a mesh of 100: CPU", "% of a core", 1.0)
_MEMORY = Bar("agent in a mesh of 100: resident, collector away", "MiB", 48.0)
_DEFAULT = {"NETMATRIX_POD_UID": UID, "NETMATRIX_MAX_PPS": "100", "NETMATRIX_MIN_INTERVAL": "1s", "NETMATRIX_MAX_PEERS": "256"}


class Guest:
    """One agent as it is installed."""

    bars = (_CPU, _MEMORY)

    def __init__(self) -> None:
        self._network = Network("guest")
        self._stack = ExitStack()
        self._memory_is_known = False

    def __enter__(self) -> Self:
        """Lay out the network, and have the plans made."""
        with ExitStack() as stack:
            stack.enter_context(self._network)
            self._own, self._peers = mesh(NODES)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Take it down."""
        self._stack.close()

    def round(self, *, quick: bool) -> Mapping[str, float]:
        """CPU; and in the first round memory, which the short form leaves out."""
        figures = {_CPU.name: self._cpu_percent(QUICK_WINDOW_SECONDS if quick else WINDOW_SECONDS)}
        if not quick and not self._memory_is_known:
            figures[_MEMORY.name] = self._resident_mib()
            self._memory_is_known = True
        return figures

    def _cpu_percent(self, seconds: float) -> float:
        with (
            agent(self._network.target, self._peers, environment={"NETMATRIX_POD_UID": UID}),
            agent(self._network.prober, self._own, environment=_DEFAULT) as subject,
        ):
            time.sleep(WARM_SECONDS)
            began_ns, began = usage.cpu_ns(subject.pid), time.monotonic()
            time.sleep(seconds)
            used_ns, elapsed = usage.cpu_ns(subject.pid) - began_ns, time.monotonic() - began
            _believe(subject)
        return used_ns / 1e9 / elapsed * 100

    def _resident_mib(self) -> float:
        with (
            agent(self._network.target, self._peers, environment={"NETMATRIX_POD_UID": UID}),
            agent(self._network.prober, self._own, environment=_DEFAULT) as subject,
        ):
            time.sleep(WARM_SECONDS)
            subject.collector.end()
            time.sleep(AWAY_SECONDS)
            resident = usage.resident_bytes(subject.pid)
            _believe(subject)
            if not subject.figures("buffer_merged").total():
                raise Spoilt("the agent has not filled what it may keep")
        return resident / 2**20


def _believe(subject: Agent) -> None:
    probes = subject.probes()
    if probes["received"] < probes.total() * (1 - MOST_LOST):
        raise Spoilt(f"of the agent's probes became {dict(probes)}")
