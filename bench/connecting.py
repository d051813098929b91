"""CPU per probe of kinds that connect, of the whole agent, next to blackbox_exporter on the same targets.

The agent does all that it does in a cluster, on its own schedule; blackbox_exporter is called as fast as it answers, where it
needs least for each probe. Both are measured by the kernel's account of their process, over a window in the middle of a run.
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import blackbox, usage
from bench.agents import SETTLED_SECONDS, agent, plan_of
from bench.measurement import Bar, Spoilt
from bench.network import Network, targets
from bench.programs import Program
from wire.path import Http, Tcp

SERVER_PORT = 8080
COUNT = 1000
WARM_SECONDS = 1.0
WINDOW_SECONDS = 5.0
"""As long as the agent's report interval here, so that each window has the cost of one report in it: twice as many as usual."""
CALLING_SECONDS = 4.0
MOST_LOST = 0.001


class ConnectingCost:
    """One kind, `tcp` or `http`, at so many probes a second."""

    def __init__(self, kind: str, rate: int, *, most: float) -> None:
        self._kind = kind
        self._rate = rate
        self._own = Bar(f"{kind} {rate:,}/s", "µs/probe", None)
        self._ratio = Bar(f"{kind} {rate:,}/s vs blackbox", "ratio", most)
        self._network = Network(kind)
        self._stack = ExitStack()

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The agent's own figure, and its ratio to blackbox_exporter's."""
        return self._own, self._ratio

    def __enter__(self) -> Self:
        """Lay out the network, with the server and the exporter in it: neither does anything unasked."""
        blackbox.installed()
        with ExitStack() as stack:
            stack.enter_context(self._network)
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=f"bench-{self._kind}-")))
            serve = [sys.executable, "-m", "bench.stream_server", str(SERVER_PORT), self._kind]
            self._server = stack.enter_context(Program(serve, log=folder / "server.log", netns=self._network.target))
            self._exporter = stack.enter_context(blackbox.exporter(folder, self._network.prober))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Take it down."""
        self._stack.close()

    def round(self, *, quick: bool) -> Mapping[str, float]:  # noqa: ARG002 - it is short in both forms
        """The agent, and then the exporter."""
        own = self._own_cost()
        return {self._own.name: own, self._ratio.name: own / self._exporter_cost()}

    def _own_cost(self) -> float:
        ask = Http(SERVER_PORT, expect_status="200") if self._kind == "http" else Tcp(SERVER_PORT)
        plan = plan_of([(address, ask) for address in targets(COUNT)], interval_ms=1000 * COUNT // self._rate, report_ms=5000)
        with agent(self._network.prober, plan) as running:
            time.sleep(SETTLED_SECONDS + WARM_SECONDS)
            before, began_ns = running.probes(), usage.cpu_ns(running.pid)
            time.sleep(WINDOW_SECONDS)
            used_ns, after = usage.cpu_ns(running.pid) - began_ns, running.probes()
            self._server.check()
        probes = after - before
        due = self._rate * WINDOW_SECONDS
        if probes.total() < due * 0.97 or probes["received"] < probes.total() * (1 - MOST_LOST):
            raise Spoilt(f"of {due:.0f} probes of the agent became {dict(probes)}")
        return used_ns / 1000 / probes.total()

    def _exporter_cost(self) -> float:
        scheme = "http://" if self._kind == "http" else ""
        places = [f"{scheme}{address}:{SERVER_PORT}" for address in targets(COUNT)]
        blackbox.call(self._network.prober, self._kind, places, 1.0)
        began_ns = usage.cpu_ns(self._exporter.pid)
        made, succeeded = blackbox.call(self._network.prober, self._kind, places, CALLING_SECONDS)
        used_ns = usage.cpu_ns(self._exporter.pid) - began_ns
        if not made or succeeded < made * (1 - MOST_LOST):
            raise Spoilt(f"of {made} probes of blackbox_exporter {succeeded} succeeded")
        return used_ns / 1000 / made
