"""The matrix as a picture: one code for every pair of two dimensions, so that a million of them fit into a small answer.

In: two dimensions, a measure and restrictions. Out: names, and an array with one byte for each pair of a row and a column.
Its unit is a vantage, a target and a layer, by all kinds of probes together, since one kind alone may have sent two. A pair
that stands for many of these takes the code of the worst, so that nothing bad disappears where it is looked at from afar.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.matrix.catalogue import Catalogue
from collector.matrix.groups import Keys
from collector.matrix.histograms import Floats, Ids, Ints, Mask, merged, quantiles
from collector.matrix.part import CLOSED, MEASURED, Part
from collector.matrix.query import DEFAULT_SPAN_NS, Filter, TooManyError, Wanted, asked
from collector.matrix.slices import Slices
from collector.matrix.store import Matrix
from wire.path import Layer

Codes = NDArray[np.uint8]

MEASURES: Final = ("loss", "p50", "p99")
MAX_PAIRS: Final = 4_000_000
"""Most pairs of one picture, 2,000 by 2,000."""


class Code(IntEnum):
    """What a byte means below LEVEL; of several the highest is shown."""

    NOTHING = 0
    """No path."""
    UNSAMPLED = 1
    EXCLUDED = 2
    """An end comes or goes, or is not ready."""
    UNKNOWN = 3
    CLOSED = 4
    """Closed, and it should be."""


LEVEL: Final = 16
"""From here on it is a level of the measure: 0 is the best."""
LOSS_LEVELS: Final = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.999)
"""Of loss, what each level does not exceed; what exceeds the last is another one."""
LATENCY_LEVELS: Final = tuple(10_000 * 2**step for step in range(20))
"""The same of latencies, in nanoseconds: from 10 µs, each twice the one before, to 5 s. Two to each doubling cost 100 kB
more in a picture of 1,000 nodes, and nobody tells so many colours apart."""


class Picture(NamedTuple):
    """Names of rows and columns as people sort them, and what is between each two."""

    rows: Sequence[str]
    columns: Sequence[str]
    codes: Codes
    """Shape (rows, columns)."""
    span_ns: int | None
    cells: int
    """Number of cells that it stands for."""


def picture_in_slices(
    matrix: Matrix,
    now_ns: int,
    rows: str,
    columns: str,
    *,
    measure: str,
    wanted: Wanted,
    span_ns: int | None = DEFAULT_SPAN_NS,
    closed: Ids | None = None,
) -> Slices[Picture]:
    """A picture of two dimensions, in slices; rows and columns without a cell are left out.

    `closed` are ids of paths that should be closed and are: what they lose is no loss.

    Raises TooManyError for more than MAX_PAIRS, and KeyError for a dimension or measure that does not exist.
    """
    keys, only, span = Keys(matrix, rows, columns), Filter(matrix, wanted), asked(matrix, now_ns, span_ns)
    levels = {"loss": _losses, "p50": _medians, "p99": _tails}[measure]
    by_network = matrix.table.catalogue.by_network
    slabs, count = list(matrix.table.slabs), 0
    used = _Used(len(keys.row_words)), _Used(len(keys.column_words))
    for slab in slabs:
        group = keys.of(slab, only.chosen(slab))
        group = group[group >= 0]
        used[0].note(group // keys.width)
        used[1].note(group % keys.width)
        count += len(group)
        yield
    height, width = (one.number() for one in used)
    if height * width > MAX_PAIRS:
        raise TooManyError(f"{height} by {width} pairs are too many for one picture: use from, to or a coarser by")
    codes: Codes = np.zeros(height * width, np.uint8)
    for slab in slabs:
        cells = only.chosen(slab)
        group = keys.of(slab, cells)
        row, column = (one.numbers(key) for one, key in zip(used, np.divmod(group, keys.width), strict=True))
        some = (group >= 0) & (row >= 0) & (column >= 0)  # a row laid since then waits for the next picture
        if some.any():
            part = Part(matrix, slab, cells[some], span.steps)
            units = _Units(part, matrix.table.catalogue, now_ns, by_network, part.among(closed))
            np.maximum.at(codes, (row[some] * width + column[some])[units.first], units.codes(levels(units)))
        yield
    return Picture(
        used[0].named(keys.row_words),
        used[1].named(keys.column_words),
        codes.reshape(height, width),
        span.span_ns,
        count,
    )


_CODES: Final = np.array([Code.UNKNOWN, Code.UNKNOWN, Code.EXCLUDED, Code.UNSAMPLED, Code.CLOSED], np.uint8)
"""By the state of a cell; a measured one whose measure is not known is unknown."""


class _Used:
    """Which words of a dimension occur, and a number for each of those."""

    def __init__(self, words: int) -> None:
        self._there = np.zeros(words + 1, np.bool_)
        self._numbers = np.full(words + 1, -1)

    def note(self, words: Ints) -> None:
        """Take words that occur."""
        self._there[words] = True

    def number(self) -> int:
        """Number those that were noted; how many there are."""
        count = int(self._there.sum())
        self._numbers[self._there] = np.arange(count)
        return count

    def numbers(self, words: Ints) -> Ints:
        """The number of each word, -1 for one that was not noted."""
        return self._numbers.take(words, mode="clip")

    def named(self, words: Sequence[str]) -> Sequence[str]:
        """Those that were noted, in their order."""
        return [words[word] for word in np.flatnonzero(self._there).tolist()]


class _Units:
    """The cells of a part by vantage, target and layer."""

    def __init__(self, part: Part, catalogue: Catalogue, now_ns: int, by_network: Mask, shut: Mask) -> None:
        slab, cells = part.slab, part.cells
        key = slab.row[cells].astype(np.int64) * (len(catalogue.aims) + 1) + slab.aim[cells]
        key = key * len(Layer) + catalogue.layers.take(slab.ask[cells], mode="clip")
        _, self.first, self.unit = np.unique(key, return_index=True, return_inverse=True)
        # Of each unit one cell, and of each cell its unit.
        self.part = part
        self._state = part.states(now_ns)
        self._state[shut] = CLOSED
        self._by_network = by_network.take(slab.ask[cells], mode="clip")

    def summed(self, column: Ints) -> Floats:
        """A column added up, of measured cells alone."""
        return np.bincount(self.unit, column * (self._state == MEASURED), len(self.first)).astype(np.float64)

    def quantile(self, q: float) -> Floats:
        """A quantile of the latencies of each unit: the network's alone, unless there are no others."""
        found = self.part.histograms()
        if len(self.first) == len(self.unit):  # one kind of probe each, as with most clusters: there is nothing to add up
            return quantiles(found, q, groups=len(self.unit))[self.first]
        unit, own = self.unit[found.group], self._by_network[found.group]
        has = np.zeros(len(self.first), np.bool_)
        has[unit[own]] = True
        kept = own | ~has[unit]
        return quantiles(merged(unit[kept], found.place[kept], found.count[kept]), q, groups=len(self.first))

    def codes(self, levels: Ints) -> Codes:
        """The code of each unit: its level where it is measured and the measure is known."""
        state = np.full(len(self.first), CLOSED)
        np.minimum.at(state, self.unit, self._state)  # measured before unknown and so on: closed where nothing else is
        result: Codes = _CODES[state]
        known = (state == MEASURED) & (levels >= 0)
        result[known] = LEVEL + levels[known]
        return result


def _losses(units: _Units) -> Ints:
    sent, lost = units.summed(units.part.sent), units.summed(units.part.lost)
    return _levels(np.where(sent > 0, lost / np.maximum(sent, 1), np.nan), LOSS_LEVELS)


def _medians(units: _Units) -> Ints:
    return _levels(units.quantile(0.5), LATENCY_LEVELS)


def _tails(units: _Units) -> Ints:
    return _levels(units.quantile(0.99), LATENCY_LEVELS)


def _levels(values: Floats, bounds: Sequence[float]) -> Ints:
    """The first bound that each value does not exceed, and -1 where it is not known."""
    return np.where(np.isnan(values), -1, np.searchsorted(np.array(bounds), values, side="left"))
