"""Mends a permutation that has edges which others have already, or that lead from a vertex to itself. Pure.

In: a permutation, and those before it. Out: the same but for a few edges, with all edges its own. It always exists: with j
permutations taken and no vertex its own peer, every vertex has n - 1 - j others left as a source and as many as a target, and a
regular bipartite graph has a perfect matching (Hall, 1935).
"""

import numpy as np

from collector.plan.hashing import Hashes, mixed
from collector.plan.matching import Ints, Mask


class Taken:
    """The permutations so far, as columns: `out[i]` are those that i probes, `into[i]` those that probe it."""

    def __init__(self, vertices: int, permutations: int) -> None:
        self.out: Ints = np.full((vertices, permutations), -1, np.int64)
        self.into: Ints = np.full((vertices, permutations), -1, np.int64)
        self.count = 0

    def add(self, to: Ints) -> None:
        """Take one more, `to[i]` being the peer of i."""
        self.out[:, self.count] = to
        self.into[to, self.count] = np.arange(len(to))
        self.count += 1

    def bad(self, to: Ints) -> Mask:
        """Which vertices have an edge in `to` that is taken, or that leads to themselves."""
        mine: Mask = to == np.arange(len(to))
        for column in range(self.count):
            mine |= self.out[:, column] == to
        return mine

    def free_targets(self, source: int) -> Mask:
        """Whom this vertex may still probe."""
        free = np.ones(len(self.out), np.bool_)
        free[source] = False
        free[self.out[source, : self.count]] = False
        return free

    def free_sources(self, target: int) -> Mask:
        """Who may still probe this vertex."""
        free = np.ones(len(self.out), np.bool_)
        free[target] = False
        free[self.into[target, : self.count]] = False
        return free


def mend(to: Ints, taken: Taken, *, hashes: Hashes, zones: Ints, seed: int) -> None:
    """Change `to` in place until none of its edges is bad.

    A bad edge and one that is drawn by hash exchange their targets: if possible one between the same zones, or else one with
    which as many edges stay within a zone as before. Few are bad, about as many as there are permutations before, however many
    vertices there are; and one edge more or less changes three.
    """
    broken = np.flatnonzero(taken.bad(to))
    for source in broken[np.argsort(mixed(hashes[broken], seed), kind="stable")].tolist():
        target = int(to[source])
        free = taken.free_targets(source)
        if free[target]:  # mended together with another
            continue
        good = free[to] & taken.free_sources(target)
        good[source] = False
        within = zones[to] == zones
        alike = good & (zones[to] == zones[target]) & (zones == zones[source])
        if not alike.any():
            if zones[source] == zones[target] and _reroute(to, source, taken, zones == zones[source]):
                continue
            after = (zones[to] == zones[source]).astype(np.int64) + (zones == zones[target])
            alike = good & (after == within.astype(np.int64) + within[source])
        drawn = np.flatnonzero(alike if alike.any() else good)
        if len(drawn):
            other = drawn[np.argmax(mixed(hashes[drawn] ^ hashes[source], seed + 1))]
            to[source], to[other] = to[other], target
        else:
            _reroute(to, source, taken, np.ones(len(to), np.bool_))


def _reroute(to: Ints, source: int, taken: Taken, among: Mask) -> bool:
    """Free a source and its target of each other along the shortest alternating path among some vertices; False without one.

    Only needed where nearly everybody probes everybody, so among a handful of vertices.
    """
    goal = int(to[source])
    from_: Ints = np.empty_like(to)
    from_[to] = np.arange(len(to))
    reached_by: dict[int, int] = {}
    sources = [source]
    for one in sources:  # grows while it is read
        free = taken.free_targets(one) & among & among[from_]
        free[to[one]] = False
        for target in np.flatnonzero(free).tolist():
            if target not in reached_by:
                reached_by[target] = one
                sources.append(int(from_[target]))
        if goal in reached_by:
            break
    else:
        return False
    target = goal
    while True:
        one = reached_by[target]
        target, to[one] = int(to[one]), target
        if one == source:
            return True
