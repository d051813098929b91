"""When each path is due: open loop, on a grid of its own that no reply, loss or new plan can move.

In: planned paths and `now` (monotonic nanoseconds). Out: which are due, and how many times of theirs have passed unused.
A path is due at every `k * interval + phase`, where the phase is its id modulo the interval. The id is a BLAKE2b hash that
includes the vantage, so that agents started in the same second spread, and the same plan is always the same schedule.

Paths of one interval come round in one order, that of their phases. So a path waits on a heap for its first time only, and from
then on for its turn in a ring: what is due between two moments is a slice of it.
"""

import heapq
from bisect import bisect_right
from collections.abc import Sequence
from itertools import chain

from msgspec import Struct

from agent.track import Track
from wire.plan import PlannedPath

TICK_NS = 50_000_000
"""A tick costs as much as twenty probes, however few it has to do with; and no precision, since the kernel stamps packets."""
LONGEST_TICK_NS = 4 * TICK_NS
TICK_PROBES = 200
"""With fewer probes than this to send in it, a tick is made longer: an idle machine pays for wake-ups and not for probes. No
more than that, since a receive buffer of the usual size holds 256 answers, and those of a whole tick may come after it."""


def first_due(path: int, interval_ns: int, not_before: int) -> int:
    """The first time on the grid of a path (by id) at or after `not_before`."""
    return not_before + (path % interval_ns - not_before) % interval_ns


def last_due(track: Track, now: int) -> int:
    """The last time on the grid of a path until now."""
    return now - (now - track.id) % track.interval_ns


def tick_of(planned: Sequence[PlannedPath]) -> int:
    """The distance of two ticks under a plan, in nanoseconds: a whole number of shortest ones.

    A probe over HTTP takes three ticks, so that five of them fit the shortest time to wait.
    """
    probes_per_second = sum(1000 / one.interval_ms for one in planned)
    patience_ns = min((one.timeout_ms for one in planned), default=0) * 1_000_000 // 5
    wanted_ns = min(round(TICK_PROBES / max(probes_per_second, 1) * 1e9), patience_ns, LONGEST_TICK_NS)
    return max(wanted_ns // TICK_NS, 1) * TICK_NS


class _Ring(Struct, eq=False):
    """Paths of one interval that have been due, in the order of their phases."""

    interval_ns: int
    phases: list[int] = []
    tracks: list[Track] = []


class Schedule:
    """The due times of a plan's paths."""

    def __init__(self) -> None:
        self._first: list[tuple[int, int, int, Track]] = []
        """First times, ids and intervals of paths that have not been due yet, as a heap."""
        self._rings: dict[int, _Ring] = {}
        """By interval in nanoseconds."""
        self._until_ns = 0
        """All times until then have been handed out or skipped, as far as rings are concerned."""

    def replan(self, tracks: Sequence[Track], not_before: int) -> None:
        """Take a new set of paths. Those with an unchanged interval keep their next time, even one that has just passed."""
        asked = set(tracks)
        rings, self._rings = self._rings, {}
        for interval_ns, ring in rings.items():
            kept = [track for track in ring.tracks if track in asked and track.interval_ns == interval_ns]
            asked.difference_update(kept)
            if kept:
                self._rings[interval_ns] = _Ring(interval_ns, [track.id % interval_ns for track in kept], kept)
        self._first = [entry for entry in self._first if entry[3] in asked and entry[3].interval_ns == entry[2]]
        asked.difference_update(entry[3] for entry in self._first)
        for track in asked:
            self._first.append((first_due(track.id, track.interval_ns, not_before), track.id, track.interval_ns, track))
        heapq.heapify(self._first)

    def due(self, now: int) -> tuple[list[Track], list[tuple[Track, int]]]:
        """Every path whose time has come, by that time, each at most once, however late it is; and times that have passed.

        Those are times of a path that were a whole interval ago or longer: they are never sent, and never loss.
        """
        skipped: list[tuple[Track, int]] = []
        parts = [part for ring in self._rings.values() if (part := self._turn(ring, now, skipped))]
        while self._first and self._first[0][0] <= now:
            time, _, interval_ns, track = heapq.heappop(self._first)
            if now - time >= interval_ns:
                skipped.append((track, (now - time) // interval_ns))
            parts.append([track])
            ring = self._rings.setdefault(interval_ns, _Ring(interval_ns))
            at = bisect_right(ring.phases, track.id % interval_ns)
            ring.phases.insert(at, track.id % interval_ns)
            ring.tracks.insert(at, track)
        self._until_ns = max(self._until_ns, now)
        if len(parts) > 1:
            return sorted(chain.from_iterable(parts), key=lambda track: (last_due(track, now), track.id)), skipped
        return parts[0] if parts else [], skipped

    def next_due(self) -> int | None:
        """The next time that anything is due; None for an empty plan."""
        times = [self._first[0][0]] if self._first else []
        for interval_ns, ring in self._rings.items():
            at = bisect_right(ring.phases, self._until_ns % interval_ns)
            phase = ring.phases[at] if at < len(ring.phases) else ring.phases[0] + interval_ns
            times.append(self._until_ns - self._until_ns % interval_ns + phase)
        return min(times, default=None)

    def _turn(self, ring: _Ring, now: int, skipped: list[tuple[Track, int]]) -> list[Track]:
        """What of this ring is due after `_until_ns` and until `now`."""
        since, interval_ns = self._until_ns, ring.interval_ns
        if now <= since:
            return []
        begin, end = (bisect_right(ring.phases, time % interval_ns) for time in (since, now))
        if now - since >= interval_ns:  # all of them, some more than once
            times = ((track, (last_due(track, now) - since - 1) // interval_ns) for track in ring.tracks)
            skipped += [(track, passed) for track, passed in times if passed]
            return ring.tracks[end:] + ring.tracks[:end]
        if since < now - now % interval_ns:  # the ring came round
            return ring.tracks[begin:] + ring.tracks[:end]
        return ring.tracks[begin:end]
