"""Where each path of a pass stood in the pass before.

In: the paths of two passes, with the number of the source of each; those of one source stand together. Out: places. When plans
rotate, some sources have other paths in every pass: those are searched for one by one, and of all others one sum tells that
they are the same.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.matrix.histograms import Ids
from collector.verdict.cells import Ints, Numbers

NEW: Final = -1
Places = NDArray[np.int64]


class Order(NamedTuple):
    """Paths in their order, by sources: one element a source in all but the first column."""

    paths: Ids
    start: Ints
    size: Ints
    total: Ids
    """Sum of the paths, whatever overflows."""
    source: Ints


def ordered(paths: Ids, source: Numbers) -> Order:
    """The order of these paths."""
    if not len(paths):
        none = np.zeros(0, np.int64)
        return Order(paths, none, none, np.zeros(0, np.uint64), none)
    start = np.concatenate(([0], np.flatnonzero(source[1:] != source[:-1]) + 1)).astype(np.int64)
    size = np.diff(start, append=len(paths))
    return Order(paths, start, size, np.add.reduceat(paths, start), source[start].astype(np.int64))


def places_before(before: Order, after: Order) -> Places:
    """Of each path after, its place before, NEW where it had none."""
    place = np.full(len(after.paths), NEW, np.int64)
    if not len(before.start) or not len(after.start):
        return place
    number = np.full(int(max(before.source.max(), after.source.max())) + 1, NEW, np.int64)
    number[before.source] = np.arange(len(before.source))
    old = number[after.source]
    known = old >= 0
    same = known & (before.size[old] == after.size) & (before.total[old] == after.total)
    kept = np.repeat(same, after.size)
    place[kept] = np.repeat(before.start[old] - after.start, after.size)[kept] + np.flatnonzero(kept)
    for run in np.flatnonzero(known & ~same).tolist():
        here = slice(int(after.start[run]), int(after.start[run] + after.size[run]))
        there = int(before.start[old[run]])
        place[here] = _searched(before.paths[there : there + int(before.size[old[run]])], after.paths[here], there)
    return place


def _searched(before: Ids, after: Ids, start: int) -> Places:
    order = np.argsort(before)
    found = order[np.minimum(np.searchsorted(before, after, sorter=order), len(before) - 1)]
    result: Places = np.where(before[found] == after, found + start, NEW)
    return result
