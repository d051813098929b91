"""CPU per ICMP probe of the whole agent, next to fping and smokeping_prober at the same rate.

The agent does all that it does in a cluster: kernel stamps of both directions, judgement, windows with histograms, reports to a
collector. Probes are counted by the kernel of the side that is probed, CPU time by the kernel's account of the process, both
over a window in the middle of a run. The kernel's own work for a probe is in every figure, that of the answering side included.
"""

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import peers, usage
from bench.agents import SETTLED_SECONDS, agent, plan_of
from bench.measurement import Bar, Spoilt
from bench.network import Network, targets
from bench.programs import Program, binary
from wire.outcome import LOCAL
from wire.path import Icmp

WARM_SECONDS = 2.0
"""From the first probe to the window, so that every contender has sent to each of its targets."""
WINDOW_SECONDS = 10.0
"""As long as the agent's report interval, so that each window has the cost of one report in it."""
QUICK_WINDOW_SECONDS = 3.0
_NOT_SENT = {word.word for word in LOCAL}
MOST_LOST = 0.001
"""A contender that loses more answers than this did less work than the others."""


class IcmpCost:
    """One rate: so many targets, each once an interval."""

    def __init__(
        self,
        rate: str,
        *,
        count: int,
        interval_ms: int,
        smokeping_most: float,
        burst_most: float | None = None,
    ) -> None:
        self._count = count
        self._interval_ms = interval_ms
        self._burst = burst_most is not None
        self._own = Bar(f"icmp {rate}/s", "µs/probe", None)
        self._spaced = Bar(f"icmp {rate}/s vs fping spaced", "ratio", 0.5)
        self._fastest = Bar(f"icmp {rate}/s vs fping fastest", "ratio", burst_most)
        self._smokeping = Bar(f"icmp {rate}/s vs smokeping", "ratio", smokeping_most)
        self._network = Network(f"icmp{count}x{interval_ms}")
        self._stack = ExitStack()

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The agent's own figure and its ratio to each peer."""
        return (self._own, self._spaced, *([self._fastest] if self._burst else []), self._smokeping)

    def __enter__(self) -> Self:
        """Lay out the network."""
        binary("fping", "fping")
        binary("prometheus-smokeping-prober", "prometheus-smokeping-prober")
        with ExitStack() as stack:
            stack.enter_context(self._network)
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-icmp-")))
            # Somebody has to live over there for the kernel's counters to be read.
            self._witness = stack.enter_context(
                Program(["sleep", "infinity"], log=self._folder / "witness.log", netns=self._network.target)
            )
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Take it down."""
        self._stack.close()

    def round(self, *, quick: bool) -> Mapping[str, float]:
        """One contender after the other."""
        seconds = QUICK_WINDOW_SECONDS if quick else WINDOW_SECONDS
        addresses, netns = targets(self._count), self._network.prober
        spacing_ms = self._interval_ms / self._count
        own = self._own_cost(addresses, seconds)
        with peers.fping(self._folder, netns, addresses, period_ms=self._interval_ms, spacing_ms=spacing_ms) as program:
            spaced = self._cost(program, seconds, "fping spaced")
        with peers.smokeping(self._folder, netns, addresses, interval_ms=self._interval_ms) as program:
            smokeping = self._cost(program, seconds, "smokeping_prober")
        figures = {self._own.name: own, self._spaced.name: own / spaced, self._smokeping.name: own / smokeping}
        if self._burst:
            with peers.fping(self._folder, netns, addresses, period_ms=self._interval_ms, spacing_ms=0) as program:
                figures[self._fastest.name] = own / self._cost(program, seconds, "fping fastest")
        return figures

    def _own_cost(self, addresses: Sequence[str], seconds: float) -> float:
        plan = plan_of([(address, Icmp()) for address in addresses], interval_ms=self._interval_ms)
        with agent(self._network.prober, plan) as running:
            time.sleep(SETTLED_SECONDS)
            cost = self._cost(running.program, seconds, "the agent")
            probes = running.probes()
        sent = sum(count for word, count in probes.items() if word not in _NOT_SENT)
        if probes["received"] < sent * (1 - MOST_LOST):
            raise Spoilt(f"of the agent's probes became {dict(probes)}")
        return cost

    def _cost(self, program: Program, seconds: float, name: str) -> float:
        """CPU time per probe in microseconds, over a window of so many seconds."""
        time.sleep(WARM_SECONDS)
        began_ns, sent, answered = usage.cpu_ns(program.pid), self._seen("InEchos"), self._seen("OutEchoReps")
        time.sleep(seconds)
        used_ns = usage.cpu_ns(program.pid) - began_ns
        sent, answered = self._seen("InEchos") - sent, self._seen("OutEchoReps") - answered
        program.check()
        if not sent or answered < sent * (1 - MOST_LOST):
            raise Spoilt(f"{sent} probes of {name} arrived and {answered} were answered")
        return used_ns / 1000 / sent

    def _seen(self, counter: str) -> int:
        return usage.packets(self._witness.pid, "Icmp", counter)
