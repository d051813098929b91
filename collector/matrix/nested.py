"""Counts of the cells of a slab in spans that lie within each other, each step and each entry read once for all of them.

In: a slab, some of its cells, spans that end together, shortest first, and which codes are asked for. Out: of each span what
was sent and lost, and the sparse counts under these codes.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.matrix.histograms import Ints, Mask
from collector.matrix.slab import Slab
from collector.matrix.sparse import CODE, MORE_LOST, MORE_SENT, Entries, entries_of

if TYPE_CHECKING:
    from collector.matrix.store import Matrix, Span

Count = NDArray[np.int32]

_BEYOND: Final = (MORE_SENT, MORE_LOST)


class Counts(NamedTuple):
    """Of one span."""

    sent: Count
    lost: Count
    words: tuple[Ints, Ints, Ints]
    """(element, code, value), of which a pair of element and code may occur more than once."""


def wanted(codes: Sequence[int]) -> Mask:
    """Which codes are asked for, by code; what did not fit into a step's own count always is."""
    which = np.zeros(CODE + 1, np.bool_)
    which[[*codes, *_BEYOND]] = True
    return which


def nested(matrix: "Matrix", slab: Slab, cells: Ints, spans: Sequence["Span"], codes: Mask) -> list[Counts]:
    """Of each span; `codes` is from `wanted`."""
    entries = _entries(matrix, slab, cells, spans[-1], codes)
    sent, lost = (_stepped(steps, cells, spans) for steps in (slab.step_sent, slab.step_lost))
    result = []
    for number, span in enumerate(spans):
        inside = entries.where(entries.step >= span.first)
        beyond = (inside.code == MORE_SENT) | (inside.code == MORE_LOST)
        for code, column in zip(_BEYOND, (sent[number], lost[number]), strict=True):
            which = inside.code == code
            np.add.at(column, inside.cell[which], inside.value[which].astype(np.int32))
        words = inside.where(~beyond)
        result.append(Counts(sent[number], lost[number], (words.cell, words.code, words.value.astype(np.int64))))
    return result


def _entries(matrix: "Matrix", slab: Slab, cells: Ints, span: "Span", codes: Mask) -> Entries:
    """Those of the longest span, with the place among `cells` in place of that in the slab."""
    rows = list(matrix.table.rows_in(slab))
    starts = np.array([row.room.start for row in rows], np.int64)
    found = entries_of([row.words for row in rows], starts, first=span.first, last=span.last, codes=codes)
    place = np.full(slab.places, -1, np.int64)
    place[cells] = np.arange(len(cells))
    placed = found._replace(cell=place[found.cell])
    return placed.where(placed.cell >= 0)


def _stepped(steps: NDArray[np.uint8], cells: Ints, spans: Sequence["Span"]) -> list[Count]:
    """Sums over the steps of each span, of which a longer one begins with those of a shorter one."""
    total, known, result = np.zeros(steps.shape[1], np.int32), 0, []
    for span in spans:
        for slot in span.slots[known:].tolist():
            total += steps[slot]
        known = len(span.slots)
        result.append(total[cells])
    return result
