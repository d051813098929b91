"""How far a cause reaches, and the paths that show it best. In: a scope and the ground that it was found on. Pure."""

from typing import NamedTuple

import numpy as np

from collector.verdict.candidates import Ground, Scope
from collector.verdict.cells import FAMILIES, KINDS, LAYERS
from collector.verdict.extent import covered
from collector.verdict.finding import MOST_EVIDENCE, Evidence


class Blast(NamedTuple):
    """What loses something by a cause."""

    nodes: int
    paths: int
    namespaces: int
    evidence: tuple[Evidence, ...]


def blast(scope: Scope, ground: Ground) -> Blast:
    """The order of the cells does not matter."""
    cells = ground.cells
    lossy = ground.lossy
    mine = lossy[covered(scope, ground, ground.source[lossy], ground.target[lossy], ground.layer[lossy])]
    source, target = ground.source[mine], ground.target[mine]
    nodes = np.union1d(ground.frame.node_of_source[source], ground.frame.node_of_target[target])
    spaces = np.union1d(ground.frame.namespaces[0].codes[source], ground.frame.namespaces[1].codes[target])
    columns = (cells.family, cells.kind, cells.layer, cells.target, cells.source, cells.sent)
    order = np.lexsort((*(column[mine] for column in columns), -cells.lost[mine]))
    shown = (
        Evidence(
            cells.sources[int(cells.source[cell])].name,
            cells.targets[int(cells.target[cell])].name,
            LAYERS[int(cells.layer[cell])],
            KINDS[int(cells.kind[cell])],
            FAMILIES[int(cells.family[cell])],
            int(cells.sent[cell]),
            int(cells.lost[cell]),
        )
        for cell in mine[order[:MOST_EVIDENCE]].tolist()
    )
    return Blast(int((nodes >= 0).sum()), len(source), int((spaces >= 0).sum()), tuple(shown))
