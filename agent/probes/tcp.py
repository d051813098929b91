"""TCP: what one handshake takes by the kernel's own account, and nothing is ever sent over it.

In: probes to an address and port. Out: `tcpi_rtt` of the handshake, exact retransmits, or a word. Where a segment was sent
again the latency is by our own clock, since the kernel's is not of this handshake then. Every connection ends with RST.
"""

import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from agent import handshake
from agent.errno_words import word_for
from agent.probes.prober import NO_MEASURES, Context, Note, Observation, Probe
from wire.outcome import Outcome
from wire.path import Family, Tcp
from wire.window import Measure

MAX_OPEN = 4096
"""Handshakes in flight: a black hole holds a socket for as long as the runner waits, and file descriptors are finite."""


@dataclass(slots=True)
class _Attempt:
    probe: Probe
    connection: socket.socket
    started_ns: int


class TcpProber:
    """A batch of non-blocking connects, read at the next tick: one TCP_INFO each, and a poll for those that take longer."""

    def __init__(self, context: Context) -> None:
        """Keep the context; open nothing yet."""
        self._context = context
        self._attempts: dict[int, _Attempt] = {}
        self._fresh: list[int] = []
        self._poll = select.poll()  # unlike epoll it needs no descriptor of its own, which may be what we are out of
        self._polled: dict[int, int] = {}

    def unsupported(self, family: Family) -> str | None:
        """Why TCP cannot be sent over this family from here; None where it can."""
        return handshake.no_such_family(family)

    def send(self, probes: Sequence[Probe]) -> list[Observation]:
        """Begin a handshake each; return those that could not be begun."""
        failed = []
        for probe in probes:
            outcome = self._begin(probe)
            if outcome is not None:
                failed.append(Observation(probe, outcome=outcome))
        return failed

    def collect(self) -> list[Observation | Note]:
        """The handshakes that have ended, either way, since the last call."""
        fresh, self._fresh = self._fresh, []
        numbers = [self._polled[descriptor] for descriptor, _ in self._poll.poll(0)] if self._polled else []
        observations: list[Observation | Note] = []
        for number in [*numbers, *fresh]:
            attempt = self._attempts.get(number)
            if attempt is None:
                continue
            result = handshake.result_of(attempt.connection, attempt.started_ns)
            if result is None:
                self._watch(attempt)
                continue
            self.forget(attempt.probe)
            observations.append(_observation(attempt.probe, result))
        return observations

    def forget(self, probe: Probe) -> None:
        """Close its connection."""
        attempt = self._attempts.pop(probe.number, None)
        if attempt is None:
            return
        if self._polled.pop(attempt.connection.fileno(), None) is not None:
            self._poll.unregister(attempt.connection)
        handshake.tear_down(attempt.connection)

    def close(self) -> None:
        """Close every connection."""
        for attempt in list(self._attempts.values()):
            self.forget(attempt.probe)

    def _begin(self, probe: Probe) -> Outcome | None:
        ask = probe.path.ask
        if not isinstance(ask, Tcp):
            raise TypeError(f"a tcp prober was given a path of kind {probe.path.kind}")
        if len(self._attempts) >= MAX_OPEN:
            return Outcome.SKIPPED
        if not self._context.permits(probe.address):
            return Outcome.FORBIDDEN
        started_ns = time.monotonic_ns()
        try:
            connection = handshake.begin(probe.address, ask.port)
        except OSError as error:
            return word_for(error)
        self._attempts[probe.number] = _Attempt(probe, connection, started_ns)
        self._fresh.append(probe.number)
        return None

    def _watch(self, attempt: _Attempt) -> None:
        descriptor = attempt.connection.fileno()
        if descriptor not in self._polled:
            self._poll.register(descriptor, select.POLLOUT)
            self._polled[descriptor] = attempt.probe.number


def _observation(probe: Probe, result: handshake.Shaken | Outcome) -> Observation:
    if isinstance(result, Outcome):
        return Observation(probe, outcome=result)
    measures = {Measure.RETRANSMITS: result.retransmits} if result.retransmits else NO_MEASURES
    return Observation(probe, latency_ns=result.rtt_ns, timed=result.timed, measures=measures)
