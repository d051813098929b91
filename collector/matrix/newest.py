"""The newest of every cell: when its last window of each sort ended, what it said, and so whether it is known at all.

Freshness is by arrival: a window ended when it arrived minus the age that the agent gave it, by the collector's clock.
"""

from typing import Final

import numpy as np

from collector.matrix.batch import LOCAL_FROM, Batch
from collector.matrix.histograms import Ints
from wire.window import Flag

NEVER: Final = -(2**62)
"""Before all time, yet far from an overflow."""


class Newest:
    """Ends are in nanoseconds of the collector's monotonic clock, NEVER where there was no such window."""

    COLUMNS: Final = ("any_ns", "good_ns", "unconfirmed_ns", "ill_ns", "local_ns", "sent", "lost", "local_code")

    def __init__(self, cells: int) -> None:
        self.any_ns: Ints = np.full(cells, NEVER)
        """Whatever it said."""
        self.good_ns: Ints = np.full(cells, NEVER)
        """One with probes that count."""
        self.unconfirmed_ns: Ints = np.full(cells, NEVER)
        self.ill_ns: Ints = np.full(cells, NEVER)
        self.local_ns: Ints = np.full(cells, NEVER)
        """One in which our own side did not send."""
        self.sent: Ints = np.zeros(cells, np.int64)
        self.lost: Ints = np.zeros(cells, np.int64)
        """Of the newest good window."""
        self.local_code: Ints = np.zeros(cells, np.int64)
        """One of the words of the newest local failure."""

    def take(self, batch: Batch, end_ns: int) -> None:
        """Note the windows of a batch that ended at `end_ns`; an older one than is known changes nothing."""
        cell = batch.cell.astype(np.int64)
        lost = batch.late.astype(np.int64) + batch.failed
        sent = lost + batch.received
        ill = (batch.flags & Flag.ILL) != 0
        unconfirmed = ~ill & ((batch.flags & Flag.UNCONFIRMED) != 0)
        good = ~ill & ~unconfirmed & (sent > 0)
        fresh = good & (self.good_ns[cell] <= end_ns)
        self.sent[cell[fresh]], self.lost[cell[fresh]] = sent[fresh], lost[fresh]
        ours = batch.outcome_code >= LOCAL_FROM
        self.local_code[cell[batch.outcome_entry[ours]]] = batch.outcome_code[ours]
        for ends, which in (
            (self.any_ns, np.ones(len(cell), np.bool_)),
            (self.good_ns, good),
            (self.unconfirmed_ns, unconfirmed),
            (self.ill_ns, ill),
            (self.local_ns, batch.local > 0),
        ):
            np.maximum.at(ends, cell[which], end_ns)

    def move(self, moved: Ints, cells: int) -> "Newest":
        """The same under other numbers of the cells, of which there are `cells` now; -1 is dropped."""
        there = moved >= 0
        other = Newest(cells)
        for name in self.COLUMNS:
            getattr(other, name)[moved[there]] = getattr(self, name)[there]
        return other

    @property
    def nbytes(self) -> int:
        """Bytes that it occupies."""
        return sum(int(getattr(self, name).nbytes) for name in self.COLUMNS)
