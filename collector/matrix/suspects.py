"""Which paths may be looked at in a burst, with what a burst of them costs.

In: paths by their ids, or by names of both ends. Out: suspects, all of them paths of the plans in force: a burst goes nowhere
else, so nothing that anybody asks for becomes a target by being asked for.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from collector.matrix.answers import Answer, named
from collector.matrix.histograms import Ints
from collector.matrix.query import Filter, Wanted
from collector.matrix.slab import PLANNED, Slab
from collector.matrix.store import Matrix
from wire.path import Kind, Layer, packets

KINDS: Final = frozenset({Kind.ICMP, Kind.UDP, Kind.TCP})
"""As agents have them, which refuse all others."""


class Suspect(NamedTuple):
    """A path that may be looked at."""

    vantage: str
    path: int
    """Its id."""
    target: str
    packets: int = 1
    """Of one probe."""


def suspects(matrix: Matrix, vantage: str, paths: Sequence[int]) -> list[Suspect]:
    """Those of some paths of a vantage that may be looked at."""
    row = matrix.rows.get(vantage)
    if row is None or not row.size:
        return []
    ids = np.array(sorted(set(paths)), np.uint64)
    known = row.slab.ids[row.cells]
    place = np.minimum(known.searchsorted(ids), len(known) - 1)
    cells = place[known[place] == ids] + row.cells.start
    return list(_suspects(matrix, row.slab, cells, most=len(cells)))


def described(matrix: Matrix, suspect: Suspect) -> Answer:
    """What identifies a suspect, as in every answer about cells; empty where its path has left meanwhile."""
    row = matrix.rows.get(suspect.vantage)
    if row is None:
        return {}
    for cell in np.flatnonzero(row.slab.ids[row.cells] == np.uint64(suspect.path)) + row.cells.start:
        catalogue = matrix.catalogue
        return named(catalogue, catalogue.sources[row.number], int(row.slab.aim[cell]), int(row.slab.ask[cell]), suspect.path)
    return {}


def suspects_between(matrix: Matrix, wanted: Wanted, *, most: int) -> tuple[list[Suspect], int]:
    """Planned paths that are asked for, at most so many, and how many more are planned."""
    only = Filter(matrix, wanted)
    found: list[Suspect] = []
    planned = 0
    for slab in matrix.table.slabs:
        chosen = only.chosen(slab)
        planned += int(np.count_nonzero(slab.present[chosen] == PLANNED))
        found += _suspects(matrix, slab, chosen, most=most - len(found))
    return found, planned - len(found)


def _suspects(matrix: Matrix, slab: Slab, cells: Ints, *, most: int) -> Iterable[Suspect]:
    """The first of some cells that may be looked at."""
    catalogue, row_of = matrix.catalogue, matrix.row_of
    allowed = np.array([one.kind in KINDS and one.layer is not Layer.EXTERNAL for one in catalogue.asks], np.bool_)
    cells = cells[slab.present[cells] == PLANNED]
    for cell in cells[allowed[slab.ask[cells]]][:most].tolist():
        name = catalogue.aims[int(slab.aim[cell])].name
        probe = packets(catalogue.asks[int(slab.ask[cell])].ask)
        yield Suspect(row_of[int(slab.row[cell])].vantage, int(slab.ids[cell]), name, probe)
