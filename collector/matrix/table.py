"""Which cells there are: a row for each vantage, laid out as its plan asks, in slabs.

In: a snapshot, and a plan per vantage. A row is laid anew when its plan changes: cells that stay keep all that is known of
them, wherever they stand then. A cell whose path left the plan stays a while, since windows of it are still to come and
questions reach back; then its last result goes to a bounded store. A cell whose target is gone vanishes at once.
"""

from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from collector.discovery.snapshot import Snapshot
from collector.matrix.catalogue import Catalogue
from collector.matrix.departed import NONE, Departed, departed, joined, superseded
from collector.matrix.histograms import Ids, Ints, Mask, Numbers
from collector.matrix.slab import ABSENT, LEFT, PLACES, PLANNED, Slab
from collector.matrix.sparse import Ledger, Log
from wire.plan import Plan

SECOND_MS: Final = 1000
EMPTY: Final = slice(0, 0)
MOST_DEPARTED: Final = 1024
"""Last results that a row keeps at most."""


@dataclass(slots=True)
class Row:
    """The cells of one vantage: `size` of them from the start of `room` in `slab`."""

    vantage: str
    number: int
    uid: str
    slab: Slab
    room: slice = field(default_factory=lambda: EMPTY)
    size: int = 0
    heard_ns: int | None = None
    """When its newest report arrived."""
    latencies: Log = field(default_factory=Log)
    words: Log = field(default_factory=Log)
    totals: Ledger = field(default_factory=Ledger)
    departed: Departed = field(default_factory=lambda: NONE)

    @property
    def cells(self) -> slice:
        """Its places in the slab."""
        return slice(self.room.start, self.room.start + self.size)

    @property
    def dropped(self) -> int:
        """Sparse counts that found no room."""
        return self.latencies.dropped + self.words.dropped + self.totals.dropped

    @property
    def nbytes(self) -> int:
        """Bytes beside the slab."""
        return 2000 + self.latencies.nbytes + self.words.nbytes + self.totals.nbytes + int(self.departed.nbytes)


@dataclass(frozen=True, slots=True)
class Laid:
    """A plan as arrays, in ascending order of ids."""

    ids: Ids
    aim: Ints
    ask: Ints
    interval_ms: Ints
    timeout_ms: Ints


class Table:
    """All rows and slabs. `steps` is how many steps of time each slab has now."""

    def __init__(self, *, steps: int) -> None:
        self.catalogue = Catalogue()
        self.slabs: list[Slab] = []
        self.rows: dict[str, Row] = {}
        self.row_of: dict[int, Row] = {}
        """By number."""
        self.steps = steps
        self._empty = Slab(0, steps)
        self._uids: dict[str, str] = {}
        self.moved = 0
        """How often the cells of a row went to other places."""

    def replan(self, snapshot: Snapshot, vantages: Container[str]) -> None:
        """Take the places of a snapshot: rows of other vantages vanish, and so do cells whose target is gone."""
        uids = {vantage.name: vantage.uid for vantage in snapshot.vantages}
        for row in list(self.rows.values()):
            if row.vantage not in vantages or uids.get(row.vantage) != row.uid:
                self._remove(row)
        self._uids = uids
        used: Mask = np.zeros(len(self.catalogue.aims), np.bool_)
        for slab in self.slabs:
            used[slab.aim[slab.present != ABSENT]] = True
        for row in self.rows.values():
            used[row.departed["aim"]] = True
        there = self.catalogue.replan(snapshot, used)
        for slab in self.slabs:
            if len(there):
                slab.present[~there[slab.aim]] = ABSENT
        for row in self.rows.values():
            self.catalogue.name_source(row.number, row.vantage)
            if len(row.departed) and not there[row.departed["aim"]].all():
                row.departed = row.departed[there[row.departed["aim"]]]

    def _remove(self, row: Row) -> None:
        del self.rows[row.vantage], self.row_of[row.number]
        self.catalogue.release_source(row.number)
        if row.size:
            self._give(row)

    def _give(self, row: Row) -> None:
        row.slab.give(row.room)
        del row.slab.rows[row.number]
        if row.slab.is_empty:
            self.slabs.remove(row.slab)

    def read(self, plan: Plan) -> Laid:
        """A plan as arrays."""
        catalogue = self.catalogue
        rows = [
            (item.path.id, catalogue.aim(item.path.target), catalogue.ask(item.path), item.interval_ms, item.timeout_ms)
            for item in plan.paths
        ]
        ids = np.array([row[0] for row in rows], np.uint64)
        order = np.argsort(ids)
        aim, ask, interval, timeout = np.array([row[1:] for row in rows], np.int64).reshape(-1, 4)[order].T
        return Laid(ids[order], aim, ask, interval, timeout)

    def row(self, vantage: str) -> Row:
        """The row of a vantage, a new one where it has none."""
        row = self.rows.get(vantage)
        if row is None:
            number = self.catalogue.source(vantage)
            row = Row(vantage, number, self._uids.get(vantage, ""), self._empty)
            self.rows[vantage] = self.row_of[number] = row
        return row

    def lay(self, row: Row, laid: Laid, *, stays_ns: int, slots: Ints, places: int, departing: int) -> bool:
        """Lay a row out as planned; False where `places` more places are not enough, and then it has no cells.

        A cell that left the plan stays while its newest window ended within `stays_ns` before the row's newest report.
        `slots` are the steps of time, newest first; `departing` last results are kept of a row.
        """
        slab, cells = row.slab, row.cells
        before = slab.ids[cells]
        present = slab.present[cells]
        if not np.array_equal(before[present == PLANNED], laid.ids):
            left = (present != ABSENT) & ~np.isin(before, laid.ids)
            left &= ~np.isin(self._subjects(slab.aim[cells], slab.ask[cells]), self._subjects(laid.aim, laid.ask))
            recent = slab.any_ns[cells] > (row.heard_ns or 0) - stays_ns
            leaving = departed(slab, row.room, np.flatnonzero(left & ~recent), slots)
            gone = superseded(row.departed, laid.ids)
            gone |= np.isin(self._subjects(row.departed["aim"], row.departed["ask"]), self._subjects(laid.aim, laid.ask))
            row.departed = joined(row.departed, leaving, gone, most=departing)
            if not self._relay(row, np.union1d(laid.ids, before[left & recent]), places=places):
                return False
            slab, cells = row.slab, row.cells
        where = np.searchsorted(slab.ids[cells], laid.ids) + cells.start
        fresh = slab.present[where] == ABSENT
        slab.present[cells] = np.where(slab.present[cells] == ABSENT, ABSENT, LEFT)
        slab.present[where] = PLANNED
        slab.row[cells] = row.number
        slab.aim[where], slab.ask[where], slab.interval_ms[where] = laid.aim, laid.ask, laid.interval_ms
        shortest = np.minimum(laid.interval_ms, SECOND_MS)
        slab.shortest_ms[where] = np.where(fresh, shortest, np.minimum(shortest, slab.shortest_ms[where]))
        slab.longest_ms[where] = np.maximum(laid.timeout_ms, slab.longest_ms[where])
        return True

    def _subjects(self, aim: Numbers, ask: Numbers) -> Ints:
        """Equal where two cells of a row measure the same, though one asks for another address or pod of the same name."""
        names, measures = self.catalogue.subjects()
        return (names[aim] << 32) | measures[ask] if len(aim) else np.zeros(0, np.int64)

    def _relay(self, row: Row, ids: Ids, *, places: int) -> bool:
        """Move a row's cells to the places that these ids have among each other."""
        self.moved += 1
        before = row.slab.ids[row.cells]
        present = row.slab.present[row.cells] != ABSENT
        found = np.minimum(np.searchsorted(before, ids), max(0, len(before) - 1))
        source = np.full(len(ids), -1, np.int64)
        if len(before):
            same = (before[found] == ids) & present[found]
            source[same] = found[same]
        lifted = row.slab.lift(row.room, source) if row.size else self._empty.blank(len(ids))
        lifted[0][:] = ids
        to = np.full(len(before), -1, np.int64)
        to[source[source >= 0]] = np.flatnonzero(source >= 0)
        for part in (row.latencies, row.words, row.totals):
            part.move(to)
        if row.size and len(ids) <= row.room.stop - row.room.start and len(ids):
            row.slab.lay(row.room, lifted)
            row.size = len(ids)
            return True
        if row.size:
            self._give(row)
        row.slab, row.room, row.size = self._empty, EMPTY, 0
        if not len(ids):
            return True
        room = self._room(len(ids), places)
        if room is None:
            return False
        row.slab, row.room = room
        row.slab.rows[row.number] = row.room
        row.size = len(ids)
        row.slab.lay(row.room, lifted)
        return True

    def _room(self, size: int, places: int) -> tuple[Slab, slice] | None:
        for slab in self.slabs:
            if (room := slab.take(size)) is not None:
                return slab, room
        needed = max(32, -(-size // 32) * 32)
        most = min(PLACES, max(needed, sum(slab.places for slab in self.slabs)))
        if (most := min(most, places // 32 * 32)) < needed:
            return None
        self.slabs.append(slab := Slab(most, self.steps))
        room = slab.take(size)
        return None if room is None else (slab, room)

    def rows_in(self, slab: Slab) -> Iterator[Row]:
        """The rows that stand in a slab."""
        return (self.row_of[number] for number in slab.rows)

    def keep_steps(self, slots: Ints) -> None:
        """Keep these steps of time only, in this order."""
        self.steps = len(slots)
        self._empty = Slab(0, self.steps)
        for slab in self.slabs:
            slab.keep_steps(slots)
        for row in self.rows.values():
            if not row.size:
                row.slab = self._empty

    @property
    def nbytes(self) -> int:
        """Bytes that all of it occupies."""
        return sum(slab.nbytes for slab in self.slabs) + sum(row.nbytes for row in self.rows.values())
