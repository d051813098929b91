"""The agent as it is, its probers writing down each latency with what tells the packet: an agent keeps windows only.

Run as `python -m bench.traced_agent FILE [busy]`, configured as `python -m agent run` is. `busy` adds a thread to the process
that wants the interpreter all the time. A line of FILE is one probe: kind, name as in `bench.truth`, nanoseconds, Timed.
"""

import sys
import threading
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from agent import probes
from agent.__main__ import main as agent_main
from agent.probes.datagram import Flight
from agent.probes.http import HttpProber
from agent.probes.http_exchange import Question
from agent.probes.http_plain import PlainExchanges
from agent.probes.icmp import IcmpProber
from agent.probes.prober import Context, Note, Observation, Probe, Prober
from agent.probes.tcp import TcpProber
from agent.probes.udp import UdpProber
from bench.truth import Key, flow
from wire.outcome import Outcome
from wire.path import Kind
from wire.window import Measure, Timed

EXACT = {Kind.ICMP: Timed.KERNEL, Kind.UDP: Timed.KERNEL, Kind.TCP: Timed.TCP_INFO, Kind.HTTP: Timed.KERNEL | Timed.TCP_INFO}
"""How each kind times where no stamp is missing."""
FLUSHED_NS = 250_000_000
"""Longest that a line waits for the next one to be written with: each write lets go of the interpreter."""


def traced(file: Path) -> dict[Key, tuple[int, bool]]:
    """Latency in nanoseconds of every probe in a file, and whether all its stamps were there; what came twice is left out."""
    found: dict[Key, tuple[int, bool]] = {}
    repeated = set()
    for line in file.read_text().splitlines():
        word, name, latency_ns, timed = line.split()
        key = Kind(word), name
        if key in found:
            repeated.add(key)
        found[key] = int(latency_ns), Timed(int(timed)) == EXACT[key[0]]
    return {key: value for key, value in found.items() if key not in repeated}


class Trace:
    """The file, written to a few times a second, and the names of the probes under way."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lines: list[str] = []
        self._flushed_ns = 0
        self._names: dict[int, str] = {}

    def name(self, probe: Probe, name: str) -> None:
        """Keep what tells the packets of a probe."""
        self._names[probe.number] = name

    def keep(self, arrived: Iterable[Observation | Note]) -> None:
        """Write down what has arrived; called at every tick."""
        for one in arrived:
            if isinstance(one, Observation) and one.latency_ns is not None:
                latency_ns = one.measures.get(Measure.FIRST_BYTE_NS, one.latency_ns)
                name = self._names.pop(one.probe.number)
                self._lines.append(f"{one.probe.path.kind} {name} {latency_ns} {int(one.timed)}\n")
        now_ns = time.monotonic_ns()
        if self._lines and now_ns - self._flushed_ns >= FLUSHED_NS:
            self._stream.write("".join(self._lines))
            self._stream.flush()
            self._lines.clear()
            self._flushed_ns = now_ns


def traced_probers(trace: Trace) -> dict[Kind, type[Prober]]:  # noqa: C901 - four small classes that share one thing
    """The agent's probers, which do what they do and write it down after that."""

    class TracedIcmp(IcmpProber):
        def _left(self, flights: Sequence[Flight]) -> None:
            super()._left(flights)
            for flight in flights:
                trace.name(flight.probe, str(flight.identifier))

        def collect(self) -> list[Observation | Note]:
            arrived = super().collect()
            trace.keep(arrived)
            return arrived

    class TracedUdp(UdpProber):
        def _left(self, flights: Sequence[Flight]) -> None:
            super()._left(flights)
            for flight in flights:
                trace.name(flight.probe, str(flight.identifier))

        def collect(self) -> list[Observation | Note]:
            arrived = super().collect()
            trace.keep(arrived)
            return arrived

    class TracedTcp(TcpProber):
        def send(self, probes: Sequence[Probe]) -> list[Observation]:
            failed = super().send(probes)
            for probe in probes:
                attempt = self._attempts.get(probe.number)
                if attempt is not None:
                    trace.name(probe, flow(probe.address, attempt.connection.getsockname()[1]))
            return failed

        def collect(self) -> list[Observation | Note]:
            arrived = super().collect()
            trace.keep(arrived)
            return arrived

    class TracedExchanges(PlainExchanges):
        def begin(self, question: Question) -> Outcome | None:
            outcome, probe = super().begin(question), question.probe
            if outcome is None:
                trace.name(probe, flow(probe.address, self._exchanges[probe.number].connection.getsockname()[1]))
            return outcome

        def collect(self) -> list[Observation]:
            arrived = super().collect()
            trace.keep(arrived)
            return arrived

    class TracedHttp(HttpProber):
        def __init__(self, context: Context) -> None:
            super().__init__(context)
            self._plain = TracedExchanges(context)

    return {Kind.ICMP: TracedIcmp, Kind.UDP: TracedUdp, Kind.TCP: TracedTcp, Kind.HTTP: TracedHttp}


def _spin() -> None:
    while True:
        pass


def main(arguments: Sequence[str]) -> int:
    """Be an agent; the exit status is the agent's."""
    file, *options = arguments
    with Path(file).open("w") as stream:
        # The agent looks its probers up when it is loaded, which happens once its settings have been read.
        probes.PROBERS = {**probes.PROBERS, **traced_probers(Trace(stream))}
        if "busy" in options:
            threading.Thread(target=_spin, daemon=True).start()
        return agent_main(["run"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
