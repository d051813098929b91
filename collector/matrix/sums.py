"""What cells did, added up: over a span, or since the collector started.

In: batches. Out: arrays with one element per cell, and sparse counts by word, by bucket and by measure. Windows that are
flagged as unconfirmed or ill are set aside: they are counted as such and enter no sum.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from collector.matrix.batch import Batch
from collector.matrix.histograms import Floats, Histograms, Ints, Mask, summed
from wire.histogram import BUCKETS
from wire.window import HIGHEST, Flag

CODES: Final = 256
"""Words and measures are one byte on the wire."""

NO_MINIMUM: Final = np.iinfo(np.int64).max
_HIGHEST: Final = [int(measure) for measure in HIGHEST]


class Ledger:
    """Counts under sparse keys (cell * width + code). Additions are cheap: they are sorted in when there are enough of them."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._keys: Ints = np.zeros(0, np.int64)
        self._counts: Ints = np.zeros(0, np.int64)
        self._pending: list[tuple[Ints, Ints]] = []
        self._waiting = 0

    def add(self, cell: Ints, code: NDArray[np.integer], count: NDArray[np.integer]) -> None:
        """Add counts; a key may occur many times."""
        if not len(cell):
            return
        self._pending.append((cell * self.width + code, count.astype(np.int64)))
        self._waiting += len(cell)
        if self._waiting > 4096 + len(self._keys) // 4:
            self._settle()

    def rows(self) -> tuple[Ints, Ints, Ints]:
        """(cell, code, count) in ascending order, each pair once."""
        self._settle()
        return self._keys // self.width, self._keys % self.width, self._counts

    def move(self, moved: Ints) -> None:
        """Renumber the cells; those that become -1 are dropped."""
        cell, code, count = self.rows()
        there = moved[cell] >= 0
        self._keys, self._counts = summed(moved[cell[there]] * self.width + code[there], count[there])

    @property
    def nbytes(self) -> int:
        """Bytes that it occupies."""
        return self._keys.nbytes + self._counts.nbytes + 16 * self._waiting + 300 * len(self._pending)

    def _settle(self) -> None:
        if self._pending:
            keys = np.concatenate([self._keys, *(keys for keys, _ in self._pending)])
            counts = np.concatenate([self._counts, *(counts for _, counts in self._pending)])
            self._keys, self._counts = summed(keys, counts)
            self._pending, self._waiting = [], 0


class Sums:
    """Sums of a number of cells. Arrays have one element per cell, latencies are in nanoseconds."""

    COLUMNS: Final = (
        "received",
        "late",
        "failed",
        "local",
        "sum_ns",
        "max_ns",
        "timed",
        "unconfirmed",
        "ill",
        "nat",
        "through",
    )

    def __init__(self, cells: int) -> None:
        zeros = {name: np.zeros(cells, np.int64) for name in self.COLUMNS}
        self.received: Ints = zeros["received"]
        self.late: Ints = zeros["late"]
        self.failed: Ints = zeros["failed"]
        self.local: Ints = zeros["local"]
        self.sum_ns: Ints = zeros["sum_ns"]
        self.min_ns: Ints = np.full(cells, NO_MINIMUM)
        self.max_ns: Ints = zeros["max_ns"]
        self.timed: Ints = zeros["timed"]
        """Bits of wire.window.Timed."""
        self.unconfirmed: Ints = zeros["unconfirmed"]
        """Probes set aside since nothing proved who answered."""
        self.ill: Ints = zeros["ill"]
        """Probes set aside since the agent was not well."""
        self.nat: Ints = zeros["nat"]
        """Windows in which the peer saw another source address."""
        self.through: Ints = zeros["through"]
        """THROUGH_SEQUENCE of the last window that has one."""
        self.outcomes = Ledger(CODES)
        self.latencies = Ledger(BUCKETS)
        self.measures = Ledger(CODES)

    @classmethod
    def of(cls, batches: Sequence[Batch], cells: int, *, only: Mask | None = None) -> "Sums":
        """The sums of batches, taken together in one go. Entries of cell -1, or not in `only`, are left out."""
        sums = cls(cells)
        if batches:
            sums.add(joined(batches), only=only)
        return sums

    @property
    def sent(self) -> Ints:
        """Probes that left and were judged."""
        return self.received + self.late + self.failed

    @property
    def lost(self) -> Ints:
        """Probes that failed or were answered too late."""
        return self.late + self.failed

    def loss(self) -> Floats:
        """Lost by sent, NaN where nothing was sent."""
        return np.where(self.sent > 0, self.lost / np.maximum(self.sent, 1), np.nan)

    def add(self, batch: Batch, *, only: Mask | None = None) -> None:
        """Add the windows of a batch, of all its cells or of those in `only`."""
        there = batch.cell >= 0
        if only is not None and len(only):
            there &= only[batch.cell]
        ill = there & ((batch.flags & Flag.ILL) != 0)
        unconfirmed = there & ~ill & ((batch.flags & Flag.UNCONFIRMED) != 0)
        sent = batch.received.astype(np.int64) + batch.late + batch.failed
        np.add.at(self.ill, batch.cell[ill], sent[ill])
        np.add.at(self.unconfirmed, batch.cell[unconfirmed], sent[unconfirmed])
        good = there & ~ill & ~unconfirmed
        cell = batch.cell[good].astype(np.int64)  # with all the same type, numpy adds ten times as fast
        for name in ("received", "late", "failed", "local", "sum_ns"):
            np.add.at(getattr(self, name), cell, getattr(batch, name)[good].astype(np.int64))
        np.add.at(self.nat, cell, (batch.flags[good] & Flag.NAT) != 0)
        np.bitwise_or.at(self.timed, cell, batch.timed[good].astype(np.int64))
        answered = good & (batch.received > 0)
        np.minimum.at(self.min_ns, batch.cell[answered], batch.min_ns[answered])
        np.maximum.at(self.max_ns, batch.cell[answered], batch.max_ns[answered])
        self._add_sparse(batch, good)

    def _add_sparse(self, batch: Batch, good: Mask) -> None:
        cell = batch.cell.astype(np.int64)
        for ledger, entry, code, count in (
            (self.outcomes, batch.outcome_entry, batch.outcome_code, batch.outcome_count),
            (self.latencies, batch.latency_entry, batch.latency_place, batch.latency_count),
        ):
            wanted = good[entry]
            ledger.add(cell[entry[wanted]], code[wanted], count[wanted])
        wanted = good[batch.measure_entry]
        highest = wanted & np.isin(batch.measure_code, _HIGHEST)
        # Of the last window, not of all: a restarted agent counts from the start.
        self.through[cell[batch.measure_entry[highest]]] = batch.measure_value[highest]
        wanted &= ~highest
        self.measures.add(cell[batch.measure_entry[wanted]], batch.measure_code[wanted], batch.measure_value[wanted])

    def histograms(self) -> Histograms:
        """The latency histogram of every cell."""
        return Histograms(*self.latencies.rows())

    def move(self, moved: Ints, cells: int) -> None:
        """Renumber the cells, of which there are `cells` now; those that become -1 are dropped."""
        there = moved >= 0
        for name in (*self.COLUMNS, "min_ns"):
            array = np.full(cells, NO_MINIMUM) if name == "min_ns" else np.zeros(cells, np.int64)
            array[moved[there]] = getattr(self, name)[there]
            setattr(self, name, array)
        for ledger in (self.outcomes, self.latencies, self.measures):
            ledger.move(moved)

    @property
    def nbytes(self) -> int:
        """Bytes that they occupy."""
        dense = sum(int(getattr(self, name).nbytes) for name in (*self.COLUMNS, "min_ns"))
        return dense + self.outcomes.nbytes + self.latencies.nbytes + self.measures.nbytes


_SPARSE: Final = ("outcome", "latency", "measure")


def joined(batches: Sequence[Batch]) -> Batch:
    """Batches one after the other as one; at least one is needed. Facts are left out."""
    lengths = np.array([len(batch) for batch in batches])
    starts = np.cumsum(lengths) - lengths
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(batch, name) for batch in batches])
        for name in Batch.__slots__
        if name not in {"facts", "unknown_paths", "unknown_codes"}
    }
    for group in _SPARSE:
        name = f"{group}_entry"
        sizes = [len(getattr(batch, name)) for batch in batches]
        columns[name] = columns[name] + np.repeat(starts, sizes)
    return Batch(**columns, facts=())
