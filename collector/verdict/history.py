"""What was open: the expectation of last resort, where nobody says what should be.

In: of paths of which nothing is known, whether they are open. Out: which of them were open long enough that their silence is
a fault, and since when they were. It never claims that an open path should be closed. Two times a path are kept, and only of
paths that are probed and of which nobody says anything.
"""

from typing import Final, NamedTuple

import numpy as np

from collector.matrix.histograms import Ids
from collector.verdict.cells import Ints, Mask

LEARN_NS: Final = 3600 * 10**9
"""How long a path must have been open before its silence is worth telling."""
NEVER: Final = -(2**62)


class Remembered(NamedTuple):
    """One element a path."""

    known: Mask
    """Whether it was open at all."""
    broken: Mask
    """Whether it was open for so long, is closed now, and no policy has changed in between."""
    last_ns: Ints
    """When it was open last."""


class History:
    """See the module."""

    def __init__(self, *, learn_ns: int = LEARN_NS) -> None:
        self._learn_ns = learn_ns
        self._paths: Ids = np.zeros(0, np.uint64)
        self._opened_ns: Ints = np.zeros(0, np.int64)
        self._last_ns: Ints = np.zeros(0, np.int64)

    def __len__(self) -> int:
        """Number of paths that are remembered."""
        return len(self._paths)

    def follow(self, paths: Ids, *, open_: Mask, closed: Mask, now_ns: int, changed_ns: int) -> Remembered:
        """After another pass over these paths, the only ones that are remembered then.

        `closed` are those that enough probes show to be; `changed_ns` is when policies changed last.
        """
        order = np.argsort(paths)
        known = paths[order]
        opened, last = np.full(len(paths), NEVER, np.int64), np.full(len(paths), NEVER, np.int64)
        if len(self._paths):
            place = np.minimum(np.searchsorted(self._paths, known), len(self._paths) - 1)
            there = self._paths[place] == known
            opened[there], last[there] = self._opened_ns[place[there]], self._last_ns[place[there]]
        now_open = open_[order]
        opened[now_open & (opened == NEVER)] = now_ns
        last[now_open] = now_ns
        learned = (opened > NEVER) & (last - opened >= self._learn_ns)
        broken = closed[order] & learned & (last > changed_ns)
        forgotten = closed[order] & ~learned & (now_ns - last > self._learn_ns)
        opened[forgotten] = last[forgotten] = NEVER
        self._paths, self._opened_ns, self._last_ns = known, opened, last
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return Remembered((last > NEVER)[back], broken[back], last[back])
