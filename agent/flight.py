"""The probes that are out, and who is to blame for those that do not come back.

In: probes sent, observations that arrived, stalls of our own. Out: each probe judged exactly once: by its answer, by an error,
or when the time to answer is over. Pure: `now` is monotonic nanoseconds.

A probe waits for its timeout and then a little longer, so that an answer that is merely late is told from none (RFC 6673).
While our own loop stands still nobody looks at the sockets; a probe whose time ran out meanwhile is `paused`, and never loss.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from agent.probes.prober import NO_MEASURES, Observation, Probe
from wire.outcome import Outcome
from wire.path import Kind
from wire.window import Timed

MAX_LATE_NS = 500_000_000
"""Longest wait for late answers after the timeout; never more than the timeout itself."""
SILENCE: Mapping[Kind, Outcome] = {Kind.DNS: Outcome.DNS_TIMEOUT}
"""The word for no answer at all, where it is not `timeout`."""
SETTLE_NS = 100_000_000
"""After a stall, answers may still have to be read in several steps; who runs out of time in these is paused as well."""


class _Flight(Struct, gc=False):
    probe: Probe
    timeout_ns: int
    deadline_ns: int
    interrupted_until: int | None = None
    landed: bool = False


class Flights:
    """All probes in flight."""

    def __init__(self) -> None:
        self._flights: dict[int, _Flight] = {}
        # By timeout: probes that wait equally long run out of time in the order in which they left, so that no heap is needed.
        self._queues: dict[int, deque[_Flight]] = {}
        self._kinds = dict.fromkeys(Kind, 0)

    def __len__(self) -> int:
        """Probes that are not judged yet."""
        return len(self._flights)

    def kinds(self) -> frozenset[Kind]:
        """The kinds that have a probe in flight."""
        return frozenset(kind for kind, count in self._kinds.items() if count)

    def launch(self, probes: Sequence[Probe], timeout_ns: int, now: int) -> None:
        """Probes of one kind leave now, which is not before the last ones left."""
        deadline_ns = now + timeout_ns + min(timeout_ns, MAX_LATE_NS)
        flights, queue = self._flights, self._queues.setdefault(timeout_ns, deque())
        for probe in probes:
            flight = flights[probe.number] = _Flight(probe, timeout_ns, deadline_ns)
            queue.append(flight)
        if probes:
            self._kinds[probes[0].path.kind] += len(probes)

    def land(self, observation: Observation) -> Observation | None:
        """What an observation means, given what happened to us meanwhile; None where its probe was already judged."""
        flight = self._flights.pop(observation.probe.number, None)
        if flight is None:
            return None
        flight.landed = True
        self._kinds[flight.probe.path.kind] -= 1
        latency_ns = observation.latency_ns
        if latency_ns is None:
            return observation
        late = latency_ns > flight.timeout_ns
        if flight.interrupted_until is not None and (late or Timed.USER in observation.timed):
            # Its time includes ours, whether as a stamp of our own clock or as a step of the exchange that we did not take.
            return Observation(flight.probe, outcome=Outcome.PAUSED)
        if late:
            return replace(observation, latency_ns=None, outcome=Outcome.LATE, timed=Timed.NONE, measures=NO_MEASURES)
        return observation

    def overdue(self, now: int) -> list[Observation]:
        """Judge every probe whose time is over."""
        judged: list[Observation] = []
        for timeout_ns, queue in list(self._queues.items()):
            while queue and (queue[0].landed or queue[0].deadline_ns <= now):
                flight = queue.popleft()
                if not flight.landed:
                    self._remove(flight)
                    word = Outcome.PAUSED if _is_ours(flight) else SILENCE.get(flight.probe.path.kind, Outcome.TIMEOUT)
                    judged.append(Observation(flight.probe, outcome=word))
            if not queue:
                del self._queues[timeout_ns]
        return judged

    def interrupt(self, now: int) -> None:
        """We stood still until now. Call it first of all; answers that lay in the sockets meanwhile still land."""
        for flight in self._flights.values():
            flight.interrupted_until = now

    def abandon(self) -> list[Observation]:
        """Give up all probes in flight, since nothing can be said about them: the machine slept, or we are leaving."""
        flights = list(self._flights.values())
        for flight in flights:
            self._remove(flight)
        self._queues.clear()
        return [Observation(flight.probe, outcome=Outcome.PAUSED) for flight in flights]

    def probes(self) -> Iterable[Probe]:
        """Every probe in flight."""
        return [flight.probe for flight in self._flights.values()]

    def _remove(self, flight: _Flight) -> None:
        del self._flights[flight.probe.number]
        flight.landed = True
        self._kinds[flight.probe.path.kind] -= 1


def _is_ours(flight: _Flight) -> bool:
    if flight.interrupted_until is None:
        return False
    # These take several steps, each of which waited for us, so that a whole exchange says nothing after a stall.
    return flight.probe.path.kind in (Kind.HTTP, Kind.DNS) or flight.deadline_ns <= flight.interrupted_until + SETTLE_NS
