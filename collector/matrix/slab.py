"""Places for up to 65,536 cells as arrays: what each is, what it did since the start, its newest window, its last steps.

A row of cells stands in consecutive places of one slab, in ascending order of path ids. Slabs are made one after the other and
never grow, so nothing is ever copied for want of room, and a question that goes slab by slab stays within a processor's cache
and within little memory. A cell is no object; an empty place holds zeros.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from collector.matrix.histograms import Ids, Ints

PLACES: Final = 65_536
"""Most places of a slab; a place in a row fits into 16 bits."""
ROUND: Final = 32
"""Room of a row is a multiple of this, so that holes are of use to others."""
NEVER: Final = -(2**62)
"""Before all time, yet far from an overflow."""

ABSENT: Final = 0
PLANNED: Final = 1
LEFT: Final = 2
"""Its path left the plan: it is unsampled."""

GOOD: Final = 1
UNCONFIRMED: Final = 2
ILL: Final = 4
LOCAL: Final = 8
NAT: Final = 16
"""What there was to say of a newest window, as bits."""

MOST: Final = 255
"""Of a count in one step of time; what is beyond goes into the row's log."""


class Slab:
    """Arrays with one element per place, those of the steps of time with one row per step."""

    KEPT: Final = (
        ("ids", np.uint64, 0),
        ("aim", np.int32, 0),
        ("ask", np.int32, 0),
        ("row", np.int32, 0),
        ("interval_ms", np.uint32, 0),
        ("shortest_ms", np.uint16, 0),
        ("longest_ms", np.uint16, 0),
        ("present", np.uint8, ABSENT),
        ("received", np.uint32, 0),
        ("lost", np.uint32, 0),
        ("untold_received", np.uint32, 0),
        ("untold_lost", np.uint32, 0),
        ("untold_ns", np.int64, 0),
        ("min_ns", np.float32, np.inf),
        ("max_ns", np.float32, 0),
        ("timed", np.uint8, 0),
        ("any_ns", np.int64, NEVER),
        ("good_ns", np.int64, NEVER),
        ("why", np.uint8, 0),
        ("local_code", np.uint8, 0),
        ("last_sent", np.uint16, 0),
        ("last_lost", np.uint16, 0),
    )
    STEPS: Final = ("step_sent", "step_lost", "step_place")
    PLACE_BYTES: Final = sum(np.dtype(kind).itemsize for _, kind, _ in KEPT)

    ids: Ids
    aim: NDArray[np.int32]
    ask: NDArray[np.int32]
    row: NDArray[np.int32]
    """Number of the vantage in the catalogue."""
    interval_ms: NDArray[np.uint32]
    """Of the plan in force."""
    shortest_ms: NDArray[np.uint16]
    """Shortest interval ever planned, at most a second: one second is always believed."""
    longest_ms: NDArray[np.uint16]
    """Longest waiting time ever planned."""
    present: NDArray[np.uint8]
    received: NDArray[np.uint32]
    lost: NDArray[np.uint32]
    untold_received: NDArray[np.uint32]
    untold_lost: NDArray[np.uint32]
    untold_ns: Ints
    """What exported counters have yet to hear of: answers, losses, and the sum of latencies."""
    min_ns: NDArray[np.float32]
    max_ns: NDArray[np.float32]
    timed: NDArray[np.uint8]
    any_ns: Ints
    """End of the newest window, whatever it said."""
    good_ns: Ints
    """The same of the newest with probes that count."""
    why: NDArray[np.uint8]
    """What the newest window was."""
    local_code: NDArray[np.uint8]
    last_sent: NDArray[np.uint16]
    last_lost: NDArray[np.uint16]
    """Of the newest good window, at most 65,535."""
    step_sent: NDArray[np.uint8]
    step_lost: NDArray[np.uint8]
    step_place: NDArray[np.uint8]
    """Histogram place, plus one, of one probe of the step; those of all others are in the row's log."""

    def __init__(self, places: int, steps: int) -> None:
        self.places = places
        self.rows: dict[int, slice] = {}
        """Where each row stands, by the number of its vantage."""
        self.is_told = True
        """Whether exported counters have heard of all of it."""
        self._holes = [(0, places)]
        for name, kind, empty in self.KEPT:
            setattr(self, name, np.full(places, empty, kind) if empty else np.zeros(places, kind))
        for name in self.STEPS:
            setattr(self, name, np.zeros((steps, places), np.uint8))

    @classmethod
    def bytes_of(cls, places: int, steps: int) -> int:
        """Bytes that one with so many places occupies."""
        return places * (cls.PLACE_BYTES + len(cls.STEPS) * steps)

    @property
    def nbytes(self) -> int:
        """Bytes that it occupies."""
        return self.bytes_of(self.places, len(self.step_sent))

    def take(self, size: int) -> slice | None:
        """Consecutive places for a row of so many cells, None where there are none."""
        room = max(ROUND, -(-size // ROUND) * ROUND)
        for number, (start, length) in enumerate(self._holes):
            if length >= room:
                self._holes[number : number + 1] = [(start + room, length - room)] if length > room else []
                return slice(start, start + room)
        return None

    def give(self, room: slice) -> None:
        """Empty places and take them back."""
        for name, _, empty in self.KEPT:
            getattr(self, name)[room] = empty
        for name in self.STEPS:
            getattr(self, name)[:, room] = 0
        holes: list[tuple[int, int]] = []
        for start, length in sorted([*self._holes, (room.start, room.stop - room.start)]):
            if holes and sum(holes[-1]) == start:
                holes[-1] = (holes[-1][0], holes[-1][1] + length)
            else:
                holes.append((start, length))
        self._holes = holes

    @property
    def is_empty(self) -> bool:
        """Whether no row stands in it."""
        return self._holes == [(0, self.places)]

    def lift(self, room: slice, source: Ints) -> list[NDArray[Any]]:
        """A row's cells in another order: element i is what stood at place source[i] of the room, or empty where that is -1."""
        fresh = source < 0
        lifted: list[NDArray[Any]] = []
        for name, _, empty in self.KEPT:
            part = getattr(self, name)[room][source]
            part[fresh] = empty
            lifted.append(part)
        for name in self.STEPS:
            part = getattr(self, name)[:, room][:, source]
            part[:, fresh] = 0
            lifted.append(part)
        return lifted

    def blank(self, size: int) -> list[NDArray[Any]]:
        """The same for a row that has no cells yet."""
        kept: list[NDArray[Any]] = [np.full(size, empty, kind) for _, kind, empty in self.KEPT]
        return kept + [np.zeros((len(self.step_sent), size), np.uint8) for _ in self.STEPS]

    def lay(self, room: slice, lifted: list[NDArray[Any]]) -> None:
        """Put a row's cells at the start of its room and empty the rest of it."""
        size = len(lifted[0])
        cells, rest = slice(room.start, room.start + size), slice(room.start + size, room.stop)
        for (name, _, empty), part in zip(self.KEPT, lifted, strict=False):
            array = getattr(self, name)
            array[cells], array[rest] = part, empty
        for name, part in zip(self.STEPS, lifted[len(self.KEPT) :], strict=True):
            array = getattr(self, name)
            array[:, cells], array[:, rest] = part, 0

    def clear_steps(self, slots: Ints) -> None:
        """Forget steps of time."""
        for name in self.STEPS:
            getattr(self, name)[slots] = 0

    def keep_steps(self, slots: Ints) -> None:
        """Keep these steps of time only, in this order."""
        for name in self.STEPS:
            setattr(self, name, getattr(self, name)[slots])
