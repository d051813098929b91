"""Who probes whom, always: a graph in which everybody has exactly k peers and is a peer of exactly k. Pure.

It is a union of k permutations of the vertices that share no edge and lead nobody to itself. Half of them are rings within the
zones, in an order of hashed names: a random regular graph, in which any split of a zone is crossed by many edges and any two
vertices have witnesses of their own. The other half lead from each zone to another one, the d-th after it in permutation d, so
that the zones are mixed evenly.

What holds, for vertices of any number and zones of any sizes, is proven by construction (see `repair`) and tested:

- in- and out-degree are exactly min(k, n - 1); there is no double edge and no edge to oneself.
- With one zone all is within it.
- In a zone with more than k/2 vertices everybody has k/2 peers in it, and the rest elsewhere, evenly over the others to within
  one where zones are equal, roughly by their sizes where not.
- A smaller zone is a full mesh, and its members have more peers elsewhere, whose own zones give up as many edges.
- From a zone that is larger than all others together no more edges leave than can come in; its members have more peers in it.

A join or leave changes edges in proportion to k and not to n. Counted as edges that are in one of both graphs only, of which 3k
must be: 3k in one zone; in several zones of 100 to 5,000 vertices 8k to 12k on average, growing with the logarithm of the zone;
up to 20k where zones are of very different sizes. The tests hold it to 30k. A bound that no choice of names breaks does not
exist: what depends on a set alone and matches two zones completely changes everywhere for some sets (by Ramsey's theorem).
The first vertex of a zone and the last one change the order of the zones, and with it half of the edges.
"""

from collections.abc import Sequence

import numpy as np

from collector.plan.hashing import Hashes, hashes, mixed
from collector.plan.matching import Ints, Mask, matched
from collector.plan.repair import Taken, mend

_SEEDS = 10_000
"""Distance of the seeds of two permutations."""


def static_peers(names: Sequence[str], zones: Sequence[str], peers: int) -> Ints:
    """For each vertex the numbers of its peers, an array of shape (n, min(peers, n - 1)); names must be sorted and unique."""
    count = len(names)
    numbers: dict[str, int] = {zone: number for number, zone in enumerate(sorted(set(zones)))}
    return _Mesh(hashes(names), np.array([numbers[zone] for zone in zones], np.int64), min(peers, max(count - 1, 0))).peers()


class _Mesh:
    """The graph while it is made."""

    def __init__(self, hashed: Hashes, zones: Ints, degree: int) -> None:
        self._hashes = hashed
        self._zones = zones
        self._degree = degree
        self._vertices = np.arange(len(hashed))
        self._sizes = np.bincount(zones) if len(zones) else np.zeros(0, np.int64)
        self._inside = degree // 2 if len(self._sizes) > 1 else degree

    def peers(self) -> Ints:
        taken = Taken(len(self._vertices), self._degree)
        for number in range(self._degree):
            seed = number * _SEEDS
            to = np.full(len(self._vertices), -1, np.int64)
            within: Mask = (self._sizes[self._zones] - 1 > number) & (number < self._inside)
            self._ring(to, self._vertices[within], seed)
            self._across(to, self._vertices[~within], 1 + number % max(len(self._sizes) - 1, 1), seed + 1000)
            mend(to, taken, hashes=self._hashes, zones=self._zones, seed=seed + 5000)
            taken.add(to)
        return taken.out

    def _ring(self, to: Ints, members: Ints, seed: int) -> None:
        """Lead each of the members to the next one of its zone."""
        order = members[np.lexsort((mixed(self._hashes[members], seed), self._zones[members]))]
        zones = self._zones[order]
        begins = np.flatnonzero(np.diff(zones, prepend=-1))
        ends = np.append(begins[1:], len(order)) - 1
        following = np.roll(order, -1)
        following[ends[ends >= 0]] = order[begins]
        to[order] = following

    def _across(self, to: Ints, members: Ints, distance: int, seed: int) -> None:
        """Lead each of the members to one of another zone, as many as can be: to the one so far on, or else to any."""
        zones = self._zones
        aimed = (zones[members] + distance) % max(len(self._sizes), 1)
        for group in ((aimed, zones[members]), None):
            givers, takers = members[to[members] < 0], np.setdiff1d(members, to)
            pairs = matched(givers, takers, hashes=self._hashes, seed=seed, apart=zones, group=group)
            to[pairs[:, 0]] = pairs[:, 1]
            seed += 1000
        givers, takers = members[to[members] < 0], np.setdiff1d(members, to)  # now of one zone, which is larger than the rest
        if len(givers):
            pairs = matched(givers, takers, hashes=self._hashes, seed=seed, apart=self._vertices)
            to[pairs[:, 0]] = pairs[:, 1]
            # Whoever is left alone is its own target, which will be mended.
            to[members[to[members] < 0]] = np.setdiff1d(members, to)
            self._leave(to, members, givers, seed + 1000)

    def _leave(self, to: Ints, members: Ints, givers: Ints, seed: int) -> None:
        """Let edges within the zone of these givers and edges between other zones exchange targets, while there are any."""
        zone = self._zones[givers[0]]
        foreign = members[(self._zones[members] != zone) & (self._zones[to[members]] != zone)]
        pairs = matched(givers, foreign, hashes=self._hashes, seed=seed, apart=self._zones)
        one, other = pairs[:, 0], pairs[:, 1]
        to[one], to[other] = to[other], to[one]
