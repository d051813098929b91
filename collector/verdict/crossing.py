"""Which paths are looked at again at once, since a cause was seen for the first time: from others to it, and from it to others.

In: what waits, and the sample that showed it. Out: ids of paths by their vantage. Pure. One path a pair of ends is enough; the
rate of the cluster decides how many of them are looked at indeed (collector.bursts).
"""

from typing import Final

import numpy as np

from collector.matrix.suspects import KINDS
from collector.verdict.candidates import NETWORK, Scope
from collector.verdict.cells import KINDS as EVERY_KIND
from collector.verdict.cells import LAYERS, Ends, Mask, Reason
from collector.verdict.hold import Phase
from collector.verdict.incident import Memory
from collector.verdict.sample import Sample
from wire.path import Layer

CAUSES: Final = 4
"""Causes of one pass that are looked at: more at once need no confirmation."""
PATHS: Final = 16
"""Paths of each."""
CONFIRMED: Final = frozenset({"node", "pair", "zone_pair", "group"})
"""Kinds that a burst can tell from a blip."""
NETWORKS: Final = [LAYERS.index(layer) for layer in (Layer.POD, Layer.HOST)]
BURSTING: Final = [EVERY_KIND.index(kind) for kind in sorted(KINDS)]


def crossing(memory: Memory, sample: Sample) -> dict[str, list[int]]:
    """Paths to look at."""
    fresh = [
        memory.findings[key].scope
        for key, hold in memory.holds.items()
        if hold.phase is Phase.PENDING and hold.first_ns == sample.now_ns and memory.findings[key].scope.kind in CONFIRMED
    ]
    chosen: dict[str, list[int]] = {}
    for scope in [one for one in fresh if one.layers == NETWORK][:CAUSES]:
        for cell in _paths(scope, sample):
            vantage = sample.tables.sources[int(sample.source[cell])].name
            chosen.setdefault(vantage, []).append(int(sample.paths[cell]))
    return chosen


def _paths(scope: Scope, sample: Sample) -> list[int]:
    """Some cells of a cause, of different pairs of ends, spread over all of them."""
    tables = sample.tables
    near, far = (_sides(scope, ends) for ends in (tables.sources, tables.targets))
    if ">" in scope.component:
        between = (near[0][sample.source] & far[1][sample.target]) | (near[1][sample.source] & far[0][sample.target])
    else:
        between = near[0][sample.source] | far[0][sample.target]
    here = np.flatnonzero(between & (sample.reason == Reason.JUDGED))
    ask = sample.ask[here]
    here = here[np.isin(tables.layer[ask], NETWORKS) & np.isin(tables.kind[ask], BURSTING)]
    _, first = np.unique(sample.source[here].astype(np.int64) * len(tables.targets) + sample.target[here], return_index=True)
    every = here[np.sort(first)]
    spread = np.unique(np.linspace(0, len(every) - 1, min(PATHS, len(every))).astype(np.int64)) if len(every) else every
    chosen: list[int] = every[spread].tolist()
    return chosen


def _sides(scope: Scope, ends: Ends) -> tuple[Mask, Mask]:
    """Which ends are the one that a scope names, and the other."""
    one, _, other = scope.component.partition(">")
    masks = (np.array([end.is_of(name) for end in ends.all] or [False], np.bool_) for name in (one, other))
    return next(masks), next(masks)
