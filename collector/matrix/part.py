"""Some cells of one slab, and what they did over a span or since the start: what every question is answered from.

Counts come from dense arrays, everything rarer from the logs of the rows. Elements are in the order of `cells`.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from collector.matrix.exclusions import Codes
from collector.matrix.histograms import Floats, Histograms, Ids, Ints, Mask, merged
from collector.matrix.slab import PLANNED, Slab
from collector.matrix.sparse import MORE_LOST, MORE_SENT, entries_of
from wire.outcome import Outcome

if TYPE_CHECKING:
    from collector.matrix.store import Matrix, Span

MEASURED: Final = 0
UNKNOWN: Final = 1
EXCLUDED: Final = 2
UNSAMPLED: Final = 3
"""In the order in which a group takes the state of its cells: the lowest wins."""
CLOSED: Final = 4
"""The state of what should be closed and is, which no cell has by itself."""

MILLISECOND: Final = 1_000_000
FEW: Final = 8
"""Below this part of a slab, cells are looked up one by one."""
_NO_ENTRY: Final = np.zeros(0, np.int64)


class Part:
    """Cells of a slab, as places in it in ascending order; `span` None is since the start."""

    def __init__(self, matrix: "Matrix", slab: Slab, cells: Ints, span: "Span | None") -> None:
        self.slab = slab
        self.cells = cells
        self._matrix = matrix
        self._span = span
        numbers = np.flatnonzero(np.bincount(slab.row[cells]))
        row_of = matrix.table.row_of
        self._rows = [row_of[number] for number in numbers.tolist()]
        self._starts = np.array([row.room.start for row in self._rows], np.int64)

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.cells)

    @cached_property
    def words(self) -> tuple[Ints, Ints, Ints]:
        """(element, code, value) of words and measures, of which a pair of element and code may occur more than once."""
        if self._span is None:
            parts = [row.totals.rows() for row in self._rows]
            if not parts:
                return _NO_ENTRY, _NO_ENTRY, _NO_ENTRY
            cell, code, value = (np.concatenate(columns) for columns in zip(*parts, strict=True))
            cell = cell + np.repeat(self._starts, [len(part[0]) for part in parts])
        else:
            logs = [row.words for row in self._rows]
            found = entries_of(logs, self._starts, first=self._span.first, last=self._span.last)
            cell, code, value = found.cell, found.code, found.value.astype(np.int64)
        element, there = self._elements(cell)
        return element, code[there], value[there]

    def _elements(self, cell: Ints) -> tuple[Ints, NDArray[np.bool_]]:
        """Which elements places are, and which places are any."""
        element = self._element_of[cell].astype(np.int64)
        there = element >= 0
        return element[there], there

    @cached_property
    def _element_of(self) -> NDArray[np.int32]:
        element = np.full(self.slab.places, -1, np.int32)
        element[self.cells] = np.arange(len(self.cells), dtype=np.int32)
        return element

    @cached_property
    def sent(self) -> Ints:
        """Probes that left and were judged."""
        if self._span is None:
            return self.slab.received[self.cells].astype(np.int64) + self.slab.lost[self.cells]
        return self._stepped(self.slab.step_sent, MORE_SENT)

    @cached_property
    def lost(self) -> Ints:
        """Probes that failed or were answered too late."""
        if self._span is None:
            return self.slab.lost[self.cells].astype(np.int64)
        return self._stepped(self.slab.step_lost, MORE_LOST)

    def _stepped(self, steps: NDArray[np.uint8], more: int) -> Ints:
        if len(self) < self.slab.places // FEW:
            result: Ints = steps[self._slots[:, None], self.cells].sum(axis=0, dtype=np.int64)
        else:
            total = np.zeros(self.slab.places, np.uint32)
            for slot in self._slots.tolist():
                total += steps[slot]
            result = total[self.cells].astype(np.int64)
        np.add.at(result, *self._of_word(more))
        return result

    def _of_word(self, wanted: int) -> tuple[Ints, Ints]:
        element, code, value = self.words
        which = code == wanted
        return element[which], value[which]

    @cached_property
    def late(self) -> Ints:
        """Those of the lost that were answered too late."""
        result = np.zeros(len(self), np.int64)
        np.add.at(result, *self._of_word(int(Outcome.LATE)))
        return result

    @property
    def loss(self) -> Floats:
        """Lost by sent, NaN where nothing was sent."""
        return np.where(self.sent > 0, self.lost / np.maximum(self.sent, 1), np.nan)

    @property
    def _slots(self) -> Ints:
        """Steps of latencies: since the start they reach as far back as any are kept."""
        steps = self._matrix.table.steps
        return np.arange(steps) if self._span is None else self._span.slots

    def places(self) -> list[NDArray[np.uint8]]:
        """For each step the place, plus one, of one latency of each cell, 0 for none."""
        return [self.slab.step_place[slot][self.cells] for slot in self._slots.tolist()]

    @cached_property
    def other_latencies(self) -> tuple[Ints, Ints, Ints]:
        """(element, place, count) of all other latencies."""
        first, last = (0, 2**31) if self._span is None else (self._span.first, self._span.last)
        first = max(first, self._matrix.oldest_step)
        found = entries_of([row.latencies for row in self._rows], self._starts, first=first, last=last)
        element, there = self._elements(found.cell)
        return element, found.code[there], found.value[there].astype(np.int64)

    def histograms(self) -> Histograms:
        """The latency histogram of every cell."""
        rows = [self.other_latencies]
        for places in self.places():
            element = np.flatnonzero(places)
            rows.append((element, places[element].astype(np.int64) - 1, np.ones(len(element), np.int64)))
        return merged(*(np.concatenate(columns) for columns in zip(*rows, strict=True)))

    @cached_property
    def extremes(self) -> tuple[Floats, Floats]:
        """Shortest and longest latency since the start, infinite and zero where there is none."""
        return self.slab.min_ns[self.cells].astype(np.float64), self.slab.max_ns[self.cells].astype(np.float64)

    def among(self, paths: Ids | None) -> Mask:
        """Which cells are of these paths."""
        return np.zeros(len(self), np.bool_) if paths is None else np.isin(self.slab.ids[self.cells], paths)

    def states(self, now_ns: int) -> Ints:
        """MEASURED, UNKNOWN, EXCLUDED or UNSAMPLED for every cell.

        Measured needs a believable fresh window, a probe in the span, and an agent that reports: what a silent one said of its
        rare probes a while ago is not known to hold. Excluded is whatever an excluded end has a part in, planned or not: others
        let go of a pod that terminates.
        """
        slab, cells, stale_ns = self.slab, self.cells, self._matrix.stale_after_ns
        good_ns = slab.good_ns[cells]
        fresh = good_ns > now_ns - stale_ns
        if len(older := np.flatnonzero(~fresh)):  # which those that are probed rarely may be
            fresh[older] = good_ns[older] > now_ns - 3 * MILLISECOND * slab.interval_ms[cells[older]].astype(np.int64)
        silent = [row.number for row in self._rows if row.heard_ns is None or row.heard_ns <= now_ns - stale_ns]
        if silent:
            heard = np.ones(max(slab.rows) + 1, np.bool_)
            heard[silent] = False
            fresh &= heard[slab.row[cells]]
        state = np.where(fresh & (self.sent > 0), MEASURED, UNKNOWN)
        state[slab.present[cells] != PLANNED] = UNSAMPLED
        state[self.exclusions.max(axis=0, initial=0) > 0] = EXCLUDED
        return state

    @cached_property
    def exclusions(self) -> Codes:
        """Why the vantage and the target of each cell are excluded, see `exclusions`: of shape (2, cells)."""
        sources, aims = self._matrix.table.catalogue.excluded
        result: Codes = np.stack(
            (sources.take(self.slab.row[self.cells], mode="clip"), aims.take(self.slab.aim[self.cells], mode="clip"))
        )
        return result


def present(slab: Slab) -> Ints:
    """The places of a slab that are cells."""
    return np.flatnonzero(slab.present)  # ABSENT is 0
