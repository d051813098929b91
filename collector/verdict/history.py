"""What was open: the expectation of last resort, where nobody says what should be.

In: of paths of which nothing is known, whether they are open. Out: which of them were open long enough that their silence is
a fault, and since when they were. It never claims that an open path should be closed. Two times a path are kept, and only of
paths that are probed and of which nobody says anything. What was learned can be taken over by the next process.
"""

from typing import Final, NamedTuple

import numpy as np

from collector.matrix.histograms import Ids
from collector.verdict.cells import Ints, Mask

LEARN_NS: Final = 3600 * 10**9
"""How long a path must have been open before its silence is worth telling, unless the settings say so."""
MOST_LEARNED: Final = 100_000
"""Most paths that the next process is told of: those that were open for longest."""
NEVER: Final = -(2**62)


class Remembered(NamedTuple):
    """One element a path."""

    known: Mask
    """Whether it was open at all."""
    broken: Mask
    """Whether it was open for so long, is closed now, and no policy has changed in between."""
    last_ns: Ints
    """When it was open last."""


class Learned(NamedTuple):
    """What one process leaves to the next; one element a path, which was open at some time."""

    paths: Ids
    """In ascending order."""
    opened_ns: Ints
    """Since when it was open, in Unix time."""
    last_ns: Ints
    """When it was open last."""
    rules: str
    """What policies were in force, as a digest: where others are now, nobody knows when they changed."""


class History:
    """See the module. `learn_ns` may be changed."""

    def __init__(self) -> None:
        self.learn_ns = LEARN_NS
        self._kept: tuple[Ids, Ints, Ints] = np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int64)
        """Paths in ascending order, since when each was open, and when it was last: replaced as a whole, by another thread."""

    def __len__(self) -> int:
        """Number of paths that are remembered."""
        return len(self._kept[0])

    def learned(self, rules: str, *, ahead_ns: int) -> Learned:
        """What the next process may be told; `ahead_ns` is by how much Unix time is ahead of the clock of the passes."""
        paths, opened, last = self._kept
        known = np.flatnonzero(opened > NEVER)
        if len(known) > MOST_LEARNED:
            longest = np.argpartition(opened[known] - last[known], MOST_LEARNED)[:MOST_LEARNED]
            known = np.sort(known[longest])
        return Learned(paths[known], opened[known] + ahead_ns, last[known] + ahead_ns, rules)

    def recall(self, learned: Learned, *, ahead_ns: int) -> None:
        """Begin with what the process before has learned."""
        self._kept = learned.paths, learned.opened_ns - ahead_ns, learned.last_ns - ahead_ns

    def follow(self, paths: Ids, *, open_: Mask, closed: Mask, now_ns: int, changed_ns: int) -> Remembered:
        """After another pass over these paths, the only ones that are remembered then.

        `closed` are those that enough probes show to be; `changed_ns` is when policies changed last.
        """
        order = np.argsort(paths)
        known = paths[order]
        opened, last = np.full(len(paths), NEVER, np.int64), np.full(len(paths), NEVER, np.int64)
        kept, kept_opened, kept_last = self._kept
        if len(kept):
            place = np.minimum(np.searchsorted(kept, known), len(kept) - 1)
            there = kept[place] == known
            opened[there], last[there] = kept_opened[place[there]], kept_last[place[there]]
        now_open = open_[order]
        opened[now_open & (opened == NEVER)] = now_ns
        last[now_open] = now_ns
        learned = (opened > NEVER) & (last - opened >= self.learn_ns)
        broken = closed[order] & learned & (last > changed_ns)
        forgotten = closed[order] & ~learned & (now_ns - last > self.learn_ns)
        opened[forgotten] = last[forgotten] = NEVER
        self._kept = known, opened, last
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))
        return Remembered((last > NEVER)[back], broken[back], last[back])
