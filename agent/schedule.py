"""When each path is due: open loop, on a grid of its own that no reply, loss or new plan can move.

In: planned paths and `now` (monotonic nanoseconds). Out: which are due, and how many times of theirs have passed unused.
A path is due at every `k * interval + phase`, where the phase is its id modulo the interval. The id is a BLAKE2b hash that
includes the vantage, so that agents started in the same second spread, and the same plan is always the same schedule.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

from wire.plan import PlannedPath


@dataclass(frozen=True, slots=True)
class Due:
    """A path whose time has come."""

    planned: PlannedPath
    intended_ns: int
    skipped: int
    """Times of this path that passed a whole interval ago or longer; they are never sent, and never loss."""


def first_due(path: int, interval_ns: int, not_before: int) -> int:
    """The first time on the grid of a path (by id) at or after `not_before`."""
    return not_before + (path % interval_ns - not_before) % interval_ns


class Schedule:
    """The due times of a plan's paths, as a heap."""

    def __init__(self) -> None:
        self._planned: dict[int, PlannedPath] = {}
        self._next: dict[int, int] = {}
        self._heap: list[tuple[int, int]] = []

    def replan(self, planned: Sequence[PlannedPath], not_before: int) -> None:
        """Take a new set of paths. Those with an unchanged interval keep their next time, even one that has just passed."""
        before, times = self._planned, self._next
        self._planned = {one.path.id: one for one in planned}
        self._next = {}
        for path, one in self._planned.items():
            if path in before and before[path].interval_ms == one.interval_ms:
                self._next[path] = times[path]
            else:
                self._next[path] = first_due(path, one.interval_ms * 1_000_000, not_before)
        self._heap = [(time, path) for path, time in self._next.items()]
        heapq.heapify(self._heap)

    def due(self, now: int) -> list[Due]:
        """Every path whose time has come, by intended time; each at most once, however late it is."""
        due: list[Due] = []
        while self._heap and self._heap[0][0] <= now:
            time, path = self._heap[0]
            planned = self._planned[path]
            interval_ns = planned.interval_ms * 1_000_000
            skipped = (now - time) // interval_ns
            intended = time + skipped * interval_ns
            due.append(Due(planned, intended, skipped))
            self._next[path] = intended + interval_ns
            heapq.heapreplace(self._heap, (intended + interval_ns, path))
        return sorted(due, key=lambda one: (one.intended_ns, one.planned.path.id))

    def next_due(self) -> int | None:
        """The next time that anything is due; None for an empty plan."""
        return self._heap[0][0] if self._heap else None
