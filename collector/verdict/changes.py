"""Since when each cell's expectation is what it is, and how long it took until what is seen agreed with it.

In: what was expected of the same cells before and after a change. Out: a time per cell, ALWAYS where nothing has changed: a new
pod under an old policy has no grace. Bounded: a change is forgotten after an hour.
"""

from typing import Final, NamedTuple

import numpy as np

from collector.matrix.histograms import Ids
from collector.verdict.cells import Expected, Ints, Mask, Small
from collector.verdict.pair import ALWAYS

KEPT_NS: Final = 3700 * 10**9
"""Longer than any grace."""


class Delay(NamedTuple):
    """A change that has been seen to be in force."""

    source: str
    """Whose change it was: a word of `Expectation.source`."""
    seconds: float


class Changes:
    """See the module."""

    def __init__(self) -> None:
        self._since_ns: dict[int, int] = {}
        self._waiting: set[int] = set()
        self._paths: Ids = np.zeros(0, np.uint64)
        self._times: Ints = np.zeros(0, np.int64)

    def note(self, paths: Ids, before: Small, after: Small, *, now_ns: int) -> int:
        """Of these paths another thing is expected now; how many they are. What was not known before is no change."""
        changed = (before != after) & (before != Expected.UNKNOWN)
        for path in paths[changed].tolist():
            self._since_ns[path] = now_ns
            self._waiting.add(path)
        if changed.any():
            self._ordered()
        return int(changed.sum())

    def since(self, paths: Ids, *, now_ns: int) -> Ints:
        """Since when what is expected of each path is expected."""
        if not self._since_ns:
            return np.broadcast_to(np.int64(ALWAYS), paths.shape)  # which takes no memory
        result = np.full(len(paths), ALWAYS, np.int64)
        if any(now_ns - since_ns > KEPT_NS for since_ns in self._since_ns.values()):
            self._since_ns = {path: since_ns for path, since_ns in self._since_ns.items() if now_ns - since_ns <= KEPT_NS}
            self._waiting &= self._since_ns.keys()
            self._ordered()
        if len(self._paths):
            place = np.minimum(np.searchsorted(self._paths, paths), len(self._paths) - 1)
            there = self._paths[place] == paths
            result[there] = self._times[place[there]]
        return result

    def agreed(self, paths: Ids, agree: Mask, since_ns: Ints, *, now_ns: int) -> list[tuple[int, float]]:
        """Places of the paths that agree with a change for the first time, and how many seconds after it."""
        if not self._waiting:
            return []
        found: list[tuple[int, float]] = []
        for place in np.flatnonzero(agree & (since_ns > ALWAYS)).tolist():
            path = int(paths[place])
            if path in self._waiting:
                self._waiting.discard(path)
                found.append((place, (now_ns - int(since_ns[place])) / 1e9))
        return found

    def _ordered(self) -> None:
        items = sorted(self._since_ns.items())
        self._paths = np.array([path for path, _ in items], np.uint64)
        self._times = np.array([since_ns for _, since_ns in items], np.int64)
