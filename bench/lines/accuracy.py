"""How far the agent's round trips are from those of the packets, captured at both ends.

All four kinds are probed at once by one agent, through its runner and on its schedule, in three conditions: on a quiet machine;
with a thread in the agent's process that wants the interpreter all the time; and with twice as many busy processes as the
machine has cores, half of them at either end. docs/benchmarks.md says what the truth of each kind is.
"""

import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.agents import SETTLED_SECONDS, agent, plan_of
from bench.capture import Capture
from bench.measurement import Bar, Spoilt
from bench.network import DEVICE, Network, targets
from bench.programs import Program
from bench.traced_agent import traced
from bench.truth import Key, percentile, round_trips, times
from wire.outcome import Outcome
from wire.path import Ask, Http, Icmp, Kind, Tcp, Udp

COUNT = 250
"""Targets, each probed once a second in each way."""
TCP_PORT, HTTP_PORT, UDP_PORT = 8081, 8080, 8620
ASKS: Mapping[Kind, Ask] = {
    Kind.ICMP: Icmp(),
    Kind.UDP: Udp(UDP_PORT),
    Kind.TCP: Tcp(TCP_PORT),
    Kind.HTTP: Http(HTTP_PORT, expect_status="200"),
}
PORTS = {UDP_PORT: Kind.UDP, TCP_PORT: Kind.TCP, HTTP_PORT: Kind.HTTP}
NAMES = {Kind.ICMP: "icmp", Kind.UDP: "udp", Kind.TCP: "tcp connect", Kind.HTTP: "http first byte"}
CONDITIONS = {"quiet": 30.0, "busy thread": 50.0, "4 hogs": 50.0}
"""And the most that the 99th percentile of the error may be in each, in microseconds."""
HOGS = 4
WINDOW_SECONDS = 10.0
QUICK_WINDOW_SECONDS = 3.0
LANDED_SECONDS = 1.5
"""From the end of the capture until every probe in it has been judged."""
PACKETS_PER_PROBE = 12
"""Of the kind that needs most; the ring is as large as if all did."""
MOST_UNKNOWN = 0.001
"""Share of answered probes that may have no figure of the agent's next to them, beyond those that it paused."""


class Accuracy:
    """Errors of round trips, and how many probes had not all of their stamps."""

    def __init__(self) -> None:
        self._errors = {
            (kind, condition): Bar(f"{name} RTT error p99, {condition}", "µs", most)
            for condition, most in CONDITIONS.items()
            for kind, name in NAMES.items()
        }
        self._without = Bar("probes without stamps", "%", 0.1)
        self._network = Network("exact")
        self._stack = ExitStack()

    @property
    def bars(self) -> tuple[Bar, ...]:
        """One for each kind in each condition, and one for the stamps that were missing in the worst condition."""
        return (*self._errors.values(), self._without)

    def __enter__(self) -> Self:
        """Lay out the network, with the server in it that connections are made to."""
        with ExitStack() as stack:
            stack.enter_context(self._network)
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-exact-")))
            for port, mode in ((TCP_PORT, "tcp"), (HTTP_PORT, "http")):
                serve = [sys.executable, "-m", "bench.stream_server", str(port), mode]
                stack.enter_context(Program(serve, log=self._folder / f"{mode}.log", netns=self._network.target))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Take it down."""
        self._stack.close()

    def round(self, *, quick: bool) -> Mapping[str, float]:
        """One condition after the other."""
        seconds = QUICK_WINDOW_SECONDS if quick else WINDOW_SECONDS
        figures, without = {}, []
        for condition in CONDITIONS:
            truth, measured = self._probes(condition, seconds)
            for kind in NAMES:
                errors = [
                    abs(measured[key][0] - whole_ns) / 1000
                    for key, whole_ns in truth.items()
                    if key[0] is kind and key in measured
                ]
                if len(errors) < COUNT * seconds / 2:
                    raise Spoilt(f"{condition}: only {len(errors)} probes of kind {kind}")
                figures[self._errors[kind, condition].name] = percentile(errors, 0.99)
            exact = [measured[key][1] for key in truth if key in measured]
            without.append(100 * exact.count(False) / len(exact))
        return {**figures, self._without.name: max(without)}

    def _probes(self, condition: str, seconds: float) -> tuple[dict[Key, int], dict[Key, tuple[int, bool]]]:
        """Of every probe that was answered, what is true and what the agent says."""
        file = self._folder / "trace"
        asks = [(address, ask) for ask in ASKS.values() for address in targets(COUNT)]
        plan = plan_of(asks, interval_ms=1000)
        program = ["bench.traced_agent", str(file), *(["busy"] if condition == "busy thread" else [])]
        capacity = round(COUNT * len(ASKS) * PACKETS_PER_PROBE * (seconds + 1))
        with (
            Capture(self._network.prober, DEVICE, capacity=capacity) as near,
            Capture(self._network.target, DEVICE, capacity=capacity) as far,
        ):
            with (
                agent(self._network.target, plan_of([], interval_ms=1000)),
                agent(self._network.prober, plan, module=program) as asking,
                self._burdened(HOGS if condition == "4 hogs" else 0),
            ):
                time.sleep(SETTLED_SECONDS)
                near.start()
                far.start()
                time.sleep(seconds)
                near.stop()
                far.stop()
                time.sleep(LANDED_SECONDS)
                paused = asking.probes()[Outcome.PAUSED.word]
            if near.missed() or far.missed():
                raise Spoilt(f"{condition}: the captures are not whole")
            here = times(near.packets(), PORTS, asking=True)
            truth = dict(round_trips(here, times(far.packets(), PORTS, asking=False)))
        measured = traced(file)
        # A probe that was out while the agent stood still has no figure, as the agent says itself.
        unknown = sum(key not in measured for key in truth)
        if unknown - paused > MOST_UNKNOWN * len(truth):
            raise Spoilt(
                f"{condition}: of {len(truth)} answered probes {unknown} are not in the agent's figures, and it paused {paused}"
            )
        return truth, measured

    @contextmanager
    def _burdened(self, hogs: int) -> Iterator[None]:
        with ExitStack() as stack:
            for number in range(hogs):
                netns = self._network.target if number % 2 else self._network.prober
                hog = [sys.executable, "-c", "while True: pass"]
                stack.enter_context(Program(hog, log=self._folder / "hog.log", netns=netns))
            yield
