"""When each path is due: open loop, on a grid of its own that no reply, loss or new plan can move.

In: planned paths and `now` (monotonic nanoseconds). Out: which are due, and how many times of theirs have passed unused.
A path is due at every `k * interval + phase`, where the phase is its id modulo the interval. The id is a BLAKE2b hash that
includes the vantage, so that agents started in the same second spread, and the same plan is always the same schedule.

Paths of one interval come round in one order, that of their phases. So a path waits on a heap for its first time only, and from
then on for its turn in a ring: what is due between two moments is a slice of it.
"""

import heapq
from bisect import bisect_right, insort
from collections.abc import Sequence

from msgspec import Struct

from wire.plan import PlannedPath

TICK_NS = 50_000_000
"""A tick costs as much as twenty probes, however few it has to do with; and no precision, since the kernel stamps packets."""
LONGEST_TICK_NS = 4 * TICK_NS
TICK_PROBES = 10
"""With fewer probes than this to send in it, a tick is made longer: an idle machine pays for wake-ups and not for probes."""


class Due(Struct, frozen=True, gc=False):
    """A path whose time has come."""

    planned: PlannedPath
    intended_ns: int
    skipped: int
    """Times of this path that passed a whole interval ago or longer; they are never sent, and never loss."""


def first_due(path: int, interval_ns: int, not_before: int) -> int:
    """The first time on the grid of a path (by id) at or after `not_before`."""
    return not_before + (path % interval_ns - not_before) % interval_ns


def tick_of(planned: Sequence[PlannedPath]) -> int:
    """The distance of two ticks under a plan, in nanoseconds: a whole number of shortest ones.

    A probe over HTTP takes three ticks, so that five of them fit the shortest time to wait.
    """
    probes_per_second = sum(1000 / one.interval_ms for one in planned)
    patience_ns = min((one.timeout_ms for one in planned), default=0) * 1_000_000 // 5
    wanted_ns = min(round(TICK_PROBES / max(probes_per_second, 1) * 1e9), patience_ns, LONGEST_TICK_NS)
    return max(wanted_ns // TICK_NS, 1) * TICK_NS


class Schedule:
    """The due times of a plan's paths."""

    def __init__(self) -> None:
        self._planned: dict[int, PlannedPath] = {}
        self._first: list[tuple[int, int]] = []
        """First times and paths (by id) of those that have not been due yet, as a heap."""
        self._rings: dict[int, list[tuple[int, int]]] = {}
        """By interval in nanoseconds: phases and paths (by id) of those that have been due, in order."""
        self._until_ns = 0
        """All times until then have been handed out or skipped, as far as rings are concerned."""

    def replan(self, planned: Sequence[PlannedPath], not_before: int) -> None:
        """Take a new set of paths. Those with an unchanged interval keep their next time, even one that has just passed."""
        before = self._planned
        self._planned = {one.path.id: one for one in planned}
        kept = {path for path, one in self._planned.items() if path in before and before[path].interval_ms == one.interval_ms}
        rings = {interval: [entry for entry in ring if entry[1] in kept] for interval, ring in self._rings.items()}
        self._rings = {interval: ring for interval, ring in rings.items() if ring}
        self._first = [entry for entry in self._first if entry[1] in kept]
        self._first += [
            (first_due(path, one.interval_ms * 1_000_000, not_before), path)
            for path, one in self._planned.items()
            if path not in kept
        ]
        heapq.heapify(self._first)

    def due(self, now: int) -> list[Due]:
        """Every path whose time has come, by intended time; each at most once, however late it is."""
        due: list[Due] = []
        for interval_ns, ring in self._rings.items():
            self._turn(ring, interval_ns, now, due)
        sources = len(self._rings)
        while self._first and self._first[0][0] <= now:
            time, path = heapq.heappop(self._first)
            planned = self._planned[path]
            interval_ns = planned.interval_ms * 1_000_000
            skipped = (now - time) // interval_ns
            due.append(Due(planned, time + skipped * interval_ns, skipped))
            insort(self._rings.setdefault(interval_ns, []), (path % interval_ns, path))
            sources = 2
        self._until_ns = max(self._until_ns, now)
        if sources > 1:
            due.sort(key=lambda one: (one.intended_ns, one.planned.path.id))
        return due

    def next_due(self) -> int | None:
        """The next time that anything is due; None for an empty plan."""
        times = [self._first[0][0]] if self._first else []
        for interval_ns, ring in self._rings.items():
            at = bisect_right(ring, (self._until_ns % interval_ns, 2**64))
            phase = ring[at][0] if at < len(ring) else ring[0][0] + interval_ns
            times.append(self._until_ns - self._until_ns % interval_ns + phase)
        return min(times, default=None)

    def _turn(self, ring: list[tuple[int, int]], interval_ns: int, now: int, due: list[Due]) -> None:
        """Hand out what of this ring is due after `_until_ns` and until `now`."""
        since, planned = self._until_ns, self._planned
        if now <= since:
            return
        if now - since >= interval_ns:  # all of them, some more than once
            for phase, path in ring:
                last = now - (now - phase) % interval_ns
                due.append(Due(planned[path], last, (last - since - 1) // interval_ns))
            due.sort(key=lambda one: (one.intended_ns, one.planned.path.id))
            return
        begin, end = (bisect_right(ring, (time % interval_ns, 2**64)) for time in (since, now))
        lap = now - now % interval_ns
        if since < lap:  # the ring came round
            for phase, path in ring[begin:]:
                due.append(Due(planned[path], lap - interval_ns + phase, 0))
            begin = 0
        for phase, path in ring[begin:end]:
            due.append(Due(planned[path], lap + phase, 0))
