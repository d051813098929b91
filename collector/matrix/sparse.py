"""What few cells of a row have: counts by word, by measure, by latency, as two plain arrays per row.

A Log holds entries of the last steps of time in the order of their arrival, a Ledger sums since the start. Both know a cell by
its place in the row and are told when the places change.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.matrix.histograms import Ids, Ints, Mask
from wire.window import Measure

MEASURE: Final = 256
"""Codes below are those of wire.outcome; a measure has this added."""
UNCONFIRMED: Final = 512
ILL: Final = 513
"""Probes that were set aside."""
MORE_SENT: Final = 514
MORE_LOST: Final = 515
"""What did not fit into a step's own count."""

CELL: Final = 16
STEP: Final = 32
"""Bits of an entry's key: step, place of the cell in its row, code."""
CODE: Final = 0xFFFF
THROUGH: Final = MEASURE + int(Measure.THROUGH_SEQUENCE)
"""The one measure of which the last counts (wire.window.HIGHEST), since a restarted agent counts from the start."""


MANY: Final = 1024
FEW: Final = 12
"""So many keys are looked up together, and so many codes a cell has at most as a rule."""


class Log:
    """Entries (step, cell, code, value); values are exact up to 2^24, and to seven digits beyond."""

    ENTRY_BYTES: Final = 12
    __slots__ = ("_end", "_keys", "_start", "_values", "dropped")

    def __init__(self) -> None:
        self._keys: Ids = np.zeros(0, np.uint64)
        self._values: NDArray[np.float32] = np.zeros(0, np.float32)
        self._start = self._end = 0
        self.dropped = 0
        """Entries that left before their time for want of memory."""

    def __len__(self) -> int:
        """Number of entries."""
        return self._end - self._start

    @property
    def nbytes(self) -> int:
        """Bytes that it occupies."""
        return self._keys.nbytes + self._values.nbytes

    def add(self, step: int, keys: Ints, values: Ints, *, oldest: int, most: int) -> None:
        """Add entries by keys of cell and code. Those of steps before `oldest` leave, and of more than `most` the first."""
        count = min(len(keys), most)
        self.dropped += len(keys) - count
        if self._end + count > len(self._keys):
            self._make_room(count, oldest=oldest, most=most)
        added = slice(self._end, self._end + count)
        self._keys[added] = keys[:count] | (step << STEP)
        self._values[added] = values[:count]
        self._end = added.stop

    def _make_room(self, count: int, *, oldest: int, most: int) -> None:
        live = slice(self._start, self._end)
        kept = self._keys[live] >= np.uint64(oldest << STEP)
        keys, values = self._keys[live][kept], self._values[live][kept]
        beyond = max(0, len(keys) + count - most)
        self.dropped += beyond
        keys, values = keys[beyond:], values[beyond:]
        room = min(max(most, count), (len(keys) + count) * 5 // 4 + 16)
        self._keys, self._values = np.zeros(room, np.uint64), np.zeros(room, np.float32)
        self._keys[: len(keys)], self._values[: len(keys)] = keys, values
        self._start, self._end = 0, len(keys)

    def entries(self) -> tuple[Ids, NDArray[np.float32]]:
        """Keys and values, those of steps that are over included."""
        live = slice(self._start, self._end)
        return self._keys[live], self._values[live]

    def move(self, to: Ints) -> None:
        """Renumber cells: place i of the row becomes to[i]; the entries of those that become -1 leave."""
        keys, values = self.entries()
        if not len(keys):
            return
        cell = to[((keys >> np.uint64(CELL)) & np.uint64(CODE)).astype(np.int64)]
        there = cell >= 0
        rest = keys[there] & np.uint64(~(CODE << CELL) & (2**64 - 1))
        self._keys = rest | (cell[there].astype(np.uint64) << np.uint64(CELL))
        self._values = values[there]
        self._start, self._end = 0, len(self._keys)


class Ledger:
    """Sums since the start under (cell, code), exact."""

    ENTRY_BYTES: Final = 16
    __slots__ = ("_keys", "_values", "dropped")

    def __init__(self) -> None:
        self._keys: Ints = np.zeros(0, np.int64)
        self._values: Ints = np.zeros(0, np.int64)
        self.dropped = 0
        """Keys that found no room."""

    @property
    def nbytes(self) -> int:
        """Bytes that it occupies."""
        return self._keys.nbytes + self._values.nbytes

    def add(self, keys: Ints, values: Ints, *, most: int) -> None:
        """Add values under keys of cell and code; of a measure of which the last counts, that is kept. At most `most` keys."""
        place = _places(self._keys, keys)
        there = self._keys.take(place, mode="clip") == keys if len(self._keys) else np.zeros(len(keys), np.bool_)
        if not there.all():
            keys, values, place = self._known(keys, values, place, there, most)
        through = (keys & CODE) == THROUGH
        if not through.any():
            np.add.at(self._values, place, values)
        elif through.all():
            self._values[place] = values
        else:
            np.add.at(self._values, place[~through], values[~through])
            self._values[place[through]] = values[through]

    def _known(self, keys: Ints, values: Ints, place: Ints, there: Mask, most: int) -> tuple[Ints, Ints, Ints]:
        """Give missing keys a place as long as there are any; what has one now, and where."""
        missing = np.unique(keys[~there])
        found = missing[: max(0, most - len(self._keys))]
        at = self._keys.searchsorted(found)
        self._keys, self._values = np.insert(self._keys, at, found), np.insert(self._values, at, 0)
        if len(found) < len(missing):
            kept = there | np.isin(keys, found)
            self.dropped += int(len(keys) - np.count_nonzero(kept))
            keys, values, place = keys[kept], values[kept], place[kept]
        return keys, values, place + found.searchsorted(keys)  # behind those that were put before it, which are few

    def rows(self) -> tuple[Ints, Ints, Ints]:
        """(cell, code, value) in ascending order."""
        return self._keys >> CELL, self._keys & CODE, self._values

    def move(self, to: Ints) -> None:
        """Renumber cells as a Log does."""
        cell, code, value = self.rows()
        cell = to[cell] if len(cell) else cell
        there = cell >= 0
        keys = (cell[there] << CELL) | code[there]
        order = np.argsort(keys)
        self._keys, self._values = keys[order], value[there][order]


class Entries(NamedTuple):
    """Entries of several logs; columns are of one length."""

    step: Ints
    cell: Ints
    code: Ints
    value: NDArray[np.float32]

    def where(self, which: Mask) -> "Entries":
        """Some of them."""
        return Entries(self.step[which], self.cell[which], self.code[which], self.value[which])


def _places(known: Ints, keys: Ints) -> Ints:
    """Where each key of a cell and a code is among known ones, which ascend, or where it would be."""
    if len(keys) < MANY or not len(known):
        return known.searchsorted(keys)
    # To halve what is known for each of many keys is one wrong guess of the processor after the other. But of one cell there is
    # little: so each key begins at the first of its cell, and all go on together.
    cell = keys >> CELL
    held = np.bincount(known >> CELL, minlength=int(cell.max()) + 1)
    place, ended = (np.cumsum(held) - held).take(cell), np.append(known, np.iinfo(np.int64).max)
    for _ in range(FEW):
        behind = ended.take(place) < keys
        if not behind.any():
            return place
        place += behind
    return known.searchsorted(keys)


def entries_of(logs: Sequence[Log], starts: Ints, *, first: int, last: int, codes: Mask | None = None) -> Entries:
    """Those of the steps `first` to `last`, and with `codes` only of these; a cell is its place plus the start of its row."""
    which = [place for place, log in enumerate(logs) if len(log)]
    if not which:
        none = np.zeros(0, np.int64)
        return Entries(none, none, none, np.zeros(0, np.float32))
    parts = [logs[place].entries() for place in which]
    keys = np.concatenate([keys for keys, _ in parts])
    values = np.concatenate([values for _, values in parts])
    base = np.repeat(starts[which], [len(keys) for keys, _ in parts])
    there = (keys >= np.uint64(first << STEP)) & (keys < np.uint64((last + 1) << STEP))
    if codes is not None:
        there &= codes.take((keys & np.uint64(CODE)).astype(np.int64))
    keys = keys[there]
    cell = ((keys >> np.uint64(CELL)) & np.uint64(CODE)).astype(np.int64) + base[there]
    step = (keys >> np.uint64(STEP)).astype(np.int64)
    return Entries(step, cell, (keys & np.uint64(CODE)).astype(np.int64), values[there])
