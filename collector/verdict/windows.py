"""What some cells did over windows of their own, such as declared objectives have: counts and the whole histogram of latency.

In: the matrix, and which paths over which window. Out: `Windows`, read slab by slab on the loop of the matrix.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import numpy as np

from collector.matrix.histograms import Histograms, Ids
from collector.matrix.part import Part, present
from collector.matrix.slab import Slab
from collector.matrix.store import Matrix
from collector.verdict.cells import LAYERS, Ints, Numbers
from collector.verdict.sample import NO_WINDOWS, Windows
from wire.outcome import Outcome
from wire.path import Layer

Wanted = Mapping[int, Ids]
"""Paths by the length in nanoseconds of the window that is asked for."""
NOTHING_WANTED: Final[Wanted] = MappingProxyType({})
OUTSIDE: Final = LAYERS.index(Layer.EXTERNAL)
UNNAMED: Final = (Outcome.DNS_NXDOMAIN, Outcome.DNS_SERVFAIL, Outcome.DNS_TIMEOUT, Outcome.DNS_ERROR)
WRONG_PEER: Final = int(Outcome.WRONG_PEER)


def leave_out_strange(counts: Sequence[Numbers], words: tuple[Ints, Ints, Ints], layers: Ints, ask: Numbers) -> None:
    """Take from counts, of what was sent and lost, what says nothing of a way.

    That is an answer of somebody else, to whom an address was given again, and a name that was not found of a host outside.
    """
    element, code, value = words
    which = np.flatnonzero((code == WRONG_PEER) | np.isin(code, UNNAMED))
    which = which[(code[which] == WRONG_PEER) | (layers[ask[element[which]]] == OUTSIDE)]
    for column in counts if len(which) else ():
        np.subtract.at(column, element[which], value[which].astype(column.dtype))
        np.maximum(column, 0, out=column)


def windows_in(matrix: Matrix, slab: Slab, asked: Wanted, now_ns: int) -> list[Windows]:
    """What is wanted of the cells of a slab."""
    return [_windows(matrix, slab, paths, length_ns, now_ns) for length_ns, paths in asked.items()]


def _windows(matrix: Matrix, slab: Slab, paths: Ids, length_ns: int, now_ns: int) -> Windows:
    cells = present(slab)
    cells = cells[np.isin(slab.ids[cells], paths)]
    if not len(cells):
        return NO_WINDOWS
    span = matrix.span(now_ns, length_ns)
    part = Part(matrix, slab, cells, span)
    leave_out_strange((part.sent, part.lost), part.words, matrix.catalogue.layers, slab.ask[cells])
    asked, start = np.full(len(cells), length_ns, np.int64), np.full(len(cells), span.start_ns, np.int64)
    return Windows(slab.ids[cells], asked, start, part.sent, part.lost, part.histograms())


def together(windows: list[Windows]) -> Windows:
    """All of them in one."""
    some = [one for one in windows if len(one.paths)]
    if not some:
        return NO_WINDOWS
    firsts = np.cumsum([0, *(len(one.paths) for one in some[:-1])]).tolist()
    latency = [one.latency for one in some]
    return Windows(
        np.concatenate([one.paths for one in some]),
        np.concatenate([one.asked_ns for one in some]),
        np.concatenate([one.start_ns for one in some]),
        np.concatenate([one.sent for one in some]),
        np.concatenate([one.lost for one in some]),
        Histograms(
            np.concatenate([one.group + first for one, first in zip(latency, firsts, strict=True)]),
            np.concatenate([one.place for one in latency]),
            np.concatenate([one.count for one in latency]),
        ),
    )
