"""Who probes whom for one slot: the circle method, which in a cycle of slots covers every ordered pair once. Pure.

All stand on a circle in the order of their hashed names. In slot s everybody probes those who stand a certain number of places
on, and the distances of a cycle of ceil((n - 1) / k) slots are 1 to n - 1, each in one slot. So in every slot everybody has as
many peers as it is a peer of, and a pair that only some addresses cannot cross is found within a cycle: this is a sweep in the
background and not an alarm. A join or leave may change a pair's slot, so that it waits for up to one cycle more.
"""

import numpy as np

from collector.plan.hashing import Hashes, mixed
from collector.plan.matching import Ints

_SEED = 1_000_003


class Rotation:
    """The circle; `peers` of everybody in one slot, 0 for no rotation."""

    def __init__(self, hashes: Hashes, peers: int) -> None:
        self.peers = min(peers, max(len(hashes) - 1, 0))
        self._order = np.argsort(mixed(hashes, _SEED), kind="stable")
        self._place = np.empty_like(self._order)
        self._place[self._order] = np.arange(len(hashes))

    @property
    def cycle(self) -> int:
        """Slots until all pairs were covered; 0 without rotation."""
        return -(-(len(self._order) - 1) // self.peers) if self.peers else 0

    def of(self, vertices: Ints, slot: int) -> Ints:
        """The peers of some vertices in a slot, a row for each; in the last slot of a cycle there may be fewer."""
        if not self.peers:
            return np.zeros((len(vertices), 0), np.int64)
        first = 1 + slot % self.cycle * self.peers
        distances = np.arange(first, min(first + self.peers, len(self._order)))
        peers: Ints = self._order[(self._place[vertices, None] + distances) % len(self._order)]
        return peers
