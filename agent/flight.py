"""The probes that are out, and who is to blame for those that do not come back.

In: probes sent, observations that arrived, stalls of our own. Out: each probe judged exactly once: by its answer, by an error,
or when the time to answer is over. Pure: `now` is monotonic nanoseconds.

A probe waits for its timeout and then a little longer, so that an answer that is merely late is told from none (RFC 6673).
While our own loop stands still nobody looks at the sockets; a probe whose time ran out meanwhile is `paused`, and never loss.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from agent.probes.prober import NO_MEASURES, Launch, Observation, Probe
from wire.outcome import Outcome
from wire.path import Kind
from wire.window import Timed

MAX_LATE_NS = 500_000_000
"""Longest wait for late answers after the timeout; never more than the timeout itself."""
SILENCE: Mapping[Kind, Outcome] = {Kind.DNS: Outcome.DNS_TIMEOUT}
"""The word for no answer at all, where it is not `timeout`."""
SETTLE_NS = 100_000_000
"""After a stall, answers may still have to be read in several steps; who runs out of time in these is paused as well."""


class Flights:
    """All probes in flight."""

    def __init__(self) -> None:
        # By timeout: probes that wait equally long run out of time in the order in which they left, so that no heap is needed.
        self._queues: dict[int, deque[Launch]] = {}
        self._kinds = dict.fromkeys(Kind, 0)

    def __len__(self) -> int:
        """Probes that are not judged yet."""
        return sum(self._kinds.values())

    def kinds(self) -> frozenset[Kind]:
        """The kinds that have a probe in flight."""
        return frozenset(kind for kind, count in self._kinds.items() if count)

    def launch(self, probes: Sequence[Probe], timeout_ns: int, now: int) -> None:
        """Probes of one kind leave now, which is not before the last ones left."""
        if not probes:
            return
        launch = Launch(probes, timeout_ns, now + timeout_ns + min(timeout_ns, MAX_LATE_NS))
        for probe in probes:
            probe.launch = launch
        self._queues.setdefault(timeout_ns, deque()).append(launch)
        self._kinds[probes[0].path.kind] += len(probes)

    def land(self, arrived: Sequence[Observation]) -> list[Observation]:
        """What observations of one kind mean, given what happened to us meanwhile; each probe once."""
        judged = []
        for observation in arrived:
            probe, latency_ns = observation.probe, observation.latency_ns
            launch = probe.launch
            if launch is None:
                continue
            probe.launch = None
            if latency_ns is not None and (latency_ns > launch.timeout_ns or launch.interrupted_until is not None):
                judged.append(_reconsidered(observation, launch, is_late=latency_ns > launch.timeout_ns))
            else:
                judged.append(observation)
        if judged:
            self._kinds[judged[0].probe.path.kind] -= len(judged)
        return judged

    def overdue(self, now: int) -> list[Observation]:
        """Judge every probe whose time is over."""
        judged: list[Observation] = []
        for timeout_ns, queue in list(self._queues.items()):
            while queue and queue[0].deadline_ns <= now:
                launch = queue.popleft()
                for probe in self._left(launch):
                    word = Outcome.PAUSED if _is_ours(launch, probe) else SILENCE.get(probe.path.kind, Outcome.TIMEOUT)
                    judged.append(Observation(probe, outcome=word))
            if not queue:
                del self._queues[timeout_ns]
        return judged

    def interrupt(self, now: int) -> None:
        """We stood still until now. Call it first of all; answers that lay in the sockets meanwhile still land."""
        for queue in self._queues.values():
            for launch in queue:
                launch.interrupted_until = now

    def abandon(self) -> list[Observation]:
        """Give up all probes in flight, since nothing can be said about them: the machine slept, or we are leaving."""
        launches = [launch for queue in self._queues.values() for launch in queue]
        self._queues.clear()
        return [Observation(probe, outcome=Outcome.PAUSED) for launch in launches for probe in self._left(launch)]

    def _left(self, launch: Launch) -> list[Probe]:
        """The probes of a launch that nobody has judged; now somebody does."""
        left = [probe for probe in launch.probes if probe.launch is launch]
        for probe in left:
            probe.launch = None
            self._kinds[probe.path.kind] -= 1
        return left


def _reconsidered(observation: Observation, launch: Launch, *, is_late: bool) -> Observation:
    """An answer that was late, or during whose time we stood still."""
    if launch.interrupted_until is not None and (is_late or Timed.USER in observation.timed):
        # Its time includes ours, whether as a stamp of our own clock or as a step of the exchange that we did not take.
        return Observation(observation.probe, outcome=Outcome.PAUSED)
    if is_late:
        return replace(observation, latency_ns=None, outcome=Outcome.LATE, timed=Timed.NONE, measures=NO_MEASURES)
    return observation


def _is_ours(launch: Launch, probe: Probe) -> bool:
    if launch.interrupted_until is None:
        return False
    # These take several steps, each of which waited for us, so that a whole exchange says nothing after a stall.
    return probe.path.kind in (Kind.HTTP, Kind.DNS) or launch.deadline_ns <= launch.interrupted_until + SETTLE_NS
