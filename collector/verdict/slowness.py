"""Nodes whose latency has risen, each path against its own past.

In: of each cell a latency of the shortest span, as a place on the histogram's scale. Out: findings. A path is slow where it
takes twice as long as it used to, and by some milliseconds: below that a busy machine would be told of. How many slow paths a
node has is held against how many there are by chance (binomial log-likelihood ratio); a round trip cannot tell a direction.
Where much of the cluster is slow at once, nothing is told: then it is as likely the probers.
"""

from collections.abc import Iterator
from math import log
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.matrix.histograms import Ids
from collector.verdict.candidates import NETWORK, Scope
from collector.verdict.cells import KINDS, LAYERS, Ends, Ints, Mask, Reason
from collector.verdict.finding import Finding
from collector.verdict.sample import Sample
from wire.histogram import UPPER_NS
from wire.path import Kind, Layer

Floats = NDArray[np.float32]

DOUBLED: Final = 8.0
"""Places of the histogram (base 2^(1/8)) by which a path must be slower."""
LEAST_MS: Final = 3.0
KNOWN: Final = 6
"""Passes after which a path's past is known."""
LEARN: Final = 0.05
ADOPT: Final = 0.005
"""Share of a pass in the past of a path, and while it is slow: what stays slow is usual after some quarter of an hour."""
CHANCE: Final = 0.02
"""Share of slow paths that chance brings."""
MOSTLY: Final = 0.6
OTHERS: Final = 3
"""A node is slow where so large a share of its paths is, towards so many others."""
WORTH: Final = 20.0
"""Log-likelihood ratio from which it is told."""
EVERYWHERE: Final = 0.5
"""Share of all paths; where more are slow, it is no part of the cluster."""
MOST: Final = 8
TIMED: Final = (KINDS.index(Kind.ICMP), KINDS.index(Kind.UDP))
"""Kinds that the kernel times on both sides."""
BETWEEN: Final = (LAYERS.index(Layer.POD), LAYERS.index(Layer.HOST))
MS: Final = np.array([0.0, *UPPER_NS]) / 1e6
"""Milliseconds of each place plus one."""


class _Cells(NamedTuple):
    """Paths between nodes whose past is known."""

    near: Ints
    far: Ints
    slow: Mask
    now: Floats
    before: Floats


class Slowness:
    """See the module; it remembers the past of each path."""

    def __init__(self) -> None:
        self._paths: Ids = np.zeros(0, np.uint64)
        self._past: Floats = np.zeros(0, np.float32)
        self._seen: NDArray[np.uint8] = np.zeros(0, np.uint8)

    def findings(self, sample: Sample) -> list[Finding]:
        """After another pass."""
        self._align(sample.paths)
        tables, now = sample.tables, sample.place
        timed = (now > 0) & (sample.reason == Reason.JUDGED)
        timed &= np.isin(tables.kind, TIMED)[sample.ask] & np.isin(tables.layer, BETWEEN)[sample.ask]
        known = timed & (self._seen >= KNOWN)
        slow = known & (now - self._past >= DOUBLED)
        where = np.flatnonzero(slow)
        slow[where] = _ms(now[where]) - _ms(self._past[where]) >= LEAST_MS
        found = self._found(sample, known, slow) if slow.any() else []
        share = np.where(slow, np.float32(ADOPT), np.float32(LEARN))
        share[self._seen == 0] = 1.0
        self._past = np.where(timed, self._past + share * (now - self._past), self._past).astype(np.float32)
        self._seen = np.where(timed, np.minimum(self._seen + 1, KNOWN), self._seen).astype(np.uint8)
        return found

    def _align(self, paths: Ids) -> None:
        """Let the past be in the order of these paths."""
        if np.array_equal(paths, self._paths):
            return
        past, seen = np.zeros(len(paths), np.float32), np.zeros(len(paths), np.uint8)
        if len(self._paths):
            order = np.argsort(self._paths)
            place = order[np.minimum(np.searchsorted(self._paths, paths, sorter=order), len(order) - 1)]
            there = self._paths[place] == paths
            past[there], seen[there] = self._past[place[there]], self._seen[place[there]]
        self._paths, self._past, self._seen = paths, past, seen

    def _found(self, sample: Sample, known: Mask, slow: Mask) -> list[Finding]:
        sources, targets = sample.tables.sources, sample.tables.targets
        near, far, words = _numbered(sources, targets)
        chosen = np.flatnonzero(known & (near[sample.source] >= 0) & (far[sample.target] >= 0))
        chosen = chosen[near[sample.source[chosen]] != far[sample.target[chosen]]]
        cells = _Cells(
            near[sample.source[chosen]],
            far[sample.target[chosen]],
            slow[chosen],
            sample.place[chosen],
            self._past[chosen],
        )
        if not len(chosen) or cells.slow.mean() > EVERYWHERE:
            return []
        span_ns = sample.now_ns - sample.spans[0].start_ns
        return list(_nodes(cells, words, span_ns))


def _nodes(cells: _Cells, words: tuple[str, ...], span_ns: int) -> Iterator[Finding]:
    """The nodes that explain most slow paths, the greatest first; what one explains is not asked of another."""
    live = np.ones(len(cells.slow), np.bool_)
    for _ in range(MOST):
        paths = np.bincount(cells.near[live], minlength=len(words)) + np.bincount(cells.far[live], minlength=len(words))
        slow = live & cells.slow
        bad = np.bincount(cells.near[slow], minlength=len(words)) + np.bincount(cells.far[slow], minlength=len(words))
        score = np.where(bad > MOSTLY * paths, [_ratio(int(k), int(n)) for k, n in zip(bad, paths, strict=True)], 0.0)
        best = int(score.argmax())
        mine = live & ((cells.near == best) | (cells.far == best))
        others = np.unique(np.where(cells.near == best, cells.far, cells.near)[mine & cells.slow])
        if score[best] <= WORTH or len(others) < min(OTHERS, len(words) - 1):
            return
        live &= ~mine
        which = mine & cells.slow
        now, before = float(np.median(_ms(cells.now[which]))), float(np.median(_ms(cells.before[which])))
        yield Finding(
            Scope("node", words[best], "both", NETWORK),
            Layer.HOST,
            lost=int(bad[best]),
            sent=int(paths[best]),
            witnesses=len(others),
            of_witnesses=len(np.unique(np.where(cells.near == best, cells.far, cells.near)[mine])),
            score=float(score[best]) - WORTH,
            span_ns=span_ns,
            effect="latency",
            severity="warning",
            nodes=len(others) + 1,
            paths=int(bad[best]),
            sentence=(
                f"Round trips to and from node {words[best]} take {now:.1f} ms at the median instead of {before:.2f} ms "
                f"({int(bad[best])} of {int(paths[best])} paths, seen by {len(others)} others)."
            ),
            against="That most of its paths are as fast as they were.",
        )


def _ratio(bad: int, paths: int) -> float:
    """Log-likelihood ratio of so many slow paths against chance."""
    if not paths or bad <= CHANCE * paths:
        return 0.0
    share = min(bad / paths, 1.0 - 1e-6)
    return bad * log(share / CHANCE) + (paths - bad) * log((1 - share) / (1 - CHANCE))


def _ms(places: Floats) -> NDArray[np.float64]:
    result: NDArray[np.float64] = MS[np.minimum(np.round(places).astype(np.int64), len(MS) - 1)]
    return result


def _numbered(sources: Ends, targets: Ends) -> tuple[Ints, Ints, tuple[str, ...]]:
    """Nodes of both tables with numbers in common."""
    words = tuple(sorted({*sources.nodes.words, *targets.nodes.words}))
    number = {word: place for place, word in enumerate(words)}
    near = np.array([number.get(end.node, -1) for end in sources.all], np.int64)
    far = np.array([number.get(end.node, -1) for end in targets.all], np.int64)
    return near, far, words
