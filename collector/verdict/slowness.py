"""Nodes, pairs of zones and pairs of nodes whose latency has risen, each path against its own past.

In: of each cell a latency of the shortest span, as a place on the histogram's scale. Out: findings. A path is slow where it
takes twice as long as it used to, and by some milliseconds: below that a busy machine would be told of. How many slow paths a
node or a pair of zones has is held against how many there are by chance (binomial log-likelihood ratio); what the likeliest
explains is not asked of another. A round trip cannot tell a direction. A pair of nodes that nothing wider explains must be slow
for a while. Where much of the cluster is slow at once, and not by one cause, nothing is told: then it is as likely the probers.
"""

from collections.abc import Iterator, Sequence
from math import log
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.verdict.aligned import ordered, places_before
from collector.verdict.candidates import NETWORK, Scope
from collector.verdict.cells import KINDS, LAYERS, Ints, Mask, Reason
from collector.verdict.finding import Finding
from collector.verdict.frame import framed
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
NEARLY_ALL: Final = 0.9
"""Share of slow paths that a pair must have; and of all slow ones, that one cause must explain where most are."""
SIDES: Final = 2
"""Nodes on each side of a pair of zones that must see it."""
PAIR_PATHS: Final = 4
PAIR_MS: Final = 5.0
PAIR_NS: Final = 30 * 10**9
"""A pair of nodes is told only where so many paths of it are slow, by so much, for so long: two ends are few witnesses."""
MOST_PAIRS: Final = 64
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
    words: tuple[str, ...]
    """Names of the nodes."""
    zone: Ints
    """Of each node, -1 where it has none; and one element more."""
    zones: tuple[str, ...]


class Slowness:
    """See the module; it remembers the past of each path."""

    def __init__(self) -> None:
        self._order = ordered(np.zeros(0, np.uint64), np.zeros(0, np.int64))
        self._past: Floats = np.zeros(0, np.float32)
        self._seen: NDArray[np.uint8] = np.zeros(0, np.uint8)
        self._pairs_ns: dict[str, int] = {}
        """Since when pairs of nodes, by their names, have been slow without a wider reason."""

    def findings(self, sample: Sample) -> list[Finding]:
        """After another pass."""
        self._align(sample)
        tables, now = sample.tables, sample.place
        timed = (now > 0) & (sample.reason == Reason.JUDGED)
        timed &= np.isin(tables.kind, TIMED)[sample.ask] & np.isin(tables.layer, BETWEEN)[sample.ask]
        known = timed & (self._seen >= KNOWN)
        slow = known & (now - self._past >= DOUBLED)
        where = np.flatnonzero(slow)
        slow[where] = _ms(now[where]) - _ms(self._past[where]) >= LEAST_MS
        found = self._found(sample, known, slow)
        share = np.where(slow, np.float32(ADOPT), np.float32(LEARN))
        share[self._seen == 0] = 1.0
        self._past = np.where(timed, self._past + share * (now - self._past), self._past).astype(np.float32)
        self._seen = np.where(timed, np.minimum(self._seen + 1, KNOWN), self._seen).astype(np.uint8)
        return found

    def _align(self, sample: Sample) -> None:
        """Let the past be in the order of the paths of this pass."""
        if np.array_equal(sample.paths, self._order.paths):
            return
        before, self._order = self._order, ordered(sample.paths, sample.source)
        place = places_before(before, self._order)
        past, seen = np.append(self._past, np.float32(0)), np.append(self._seen, np.uint8(0))  # the last is of what is new
        self._past, self._seen = past[place], seen[place]

    def _found(self, sample: Sample, known: Mask, slow: Mask) -> list[Finding]:
        before_ns, self._pairs_ns = self._pairs_ns, {}
        if not slow.any():
            return []
        cells = _cells(sample, known, slow, self._past)
        span_ns = sample.now_ns - sample.spans[0].start_ns
        live = np.ones(len(cells.slow), np.bool_)
        wide = list(_wide(cells, live, span_ns))
        if cells.slow.mean() > EVERYWHERE and not _is_one(cells, wide):
            return []
        pairs = _pairs(cells, live)
        self._pairs_ns = {pair: before_ns.get(pair, sample.now_ns) for pair in pairs}
        ripe = [pair for pair in pairs if sample.now_ns - self._pairs_ns[pair] >= PAIR_NS]
        return [*wide, *(_of_pair(cells, pair, pairs[pair], span_ns) for pair in ripe[:MOST])]


def _cells(sample: Sample, known: Mask, slow: Mask, past: Floats) -> _Cells:
    frame = framed(sample.tables.sources, sample.tables.targets)
    near, far = frame.node_of_source, frame.node_of_target
    zone = np.full(len(frame.words) + 1, -1, np.int64)  # the last is of what has no node
    zone[far], zone[near] = frame.zones[1].codes, frame.zones[0].codes
    chosen = np.flatnonzero(known & (near[sample.source] >= 0) & (far[sample.target] >= 0))
    chosen = chosen[near[sample.source[chosen]] != far[sample.target[chosen]]]
    return _Cells(
        near[sample.source[chosen]],
        far[sample.target[chosen]],
        slow[chosen],
        sample.place[chosen],
        past[chosen],
        frame.words,
        zone,
        frame.zones[0].words,
    )


def _wide(cells: _Cells, live: Mask, span_ns: int) -> Iterator[Finding]:
    """Nodes and pairs of zones that explain most slow paths, the likeliest first; `live` is left with what they do not."""
    between = _zone_pair(cells)
    for _ in range(MOST):
        node, of_node = _likeliest_node(cells, live)
        pair, of_pair = _likeliest_zones(cells, between, live)
        if max(of_node, of_pair) <= WORTH:
            return
        mine = live & (between == pair) if of_pair > of_node else live & ((cells.near == node) | (cells.far == node))
        yield (
            _of_zones(cells, pair, mine, of_pair, span_ns)
            if of_pair > of_node
            else _of_node(cells, node, mine, of_node, span_ns)
        )
        live &= ~mine


def _likeliest_node(cells: _Cells, live: Mask) -> tuple[int, float]:
    """The node that explains most, and by how much; 0 where none does that enough others see."""
    size = len(cells.words)
    paths = np.bincount(cells.near[live], minlength=size) + np.bincount(cells.far[live], minlength=size)
    slow = live & cells.slow
    bad = np.bincount(cells.near[slow], minlength=size) + np.bincount(cells.far[slow], minlength=size)
    score = _scores(bad, paths)
    best = int(score.argmax())
    seen = len(np.unique(_others(cells, best, slow)))
    return best, float(score[best]) if seen >= min(OTHERS, size - 1) else 0.0


def _likeliest_zones(cells: _Cells, between: Ints, live: Mask) -> tuple[int, float]:
    """The same of pairs of zones, each of which enough nodes of both must see."""
    size = len(cells.zones) ** 2
    there, slow = live & (between >= 0), live & cells.slow & (between >= 0)
    if not slow.any():
        return -1, 0.0
    score = _scores(np.bincount(between[slow], minlength=size), np.bincount(between[there], minlength=size))
    best = int(score.argmax())
    nodes = np.unique(np.concatenate((cells.near[slow & (between == best)], cells.far[slow & (between == best)])))
    sides = np.bincount(cells.zone[nodes], minlength=len(cells.zones))
    return best, float(score[best]) if (sides[sides > 0] >= SIDES).all() and len(nodes) else 0.0


def _scores(bad: Ints, paths: Ints) -> NDArray[np.float64]:
    return np.where(bad > MOSTLY * paths, [_ratio(int(k), int(n)) for k, n in zip(bad, paths, strict=True)], 0.0)


def _zone_pair(cells: _Cells) -> Ints:
    """A number for the pair of zones of each path, the same both ways; -1 within a zone, and where there is none."""
    one, other = cells.zone[cells.near], cells.zone[cells.far]
    number = np.minimum(one, other) * len(cells.zones) + np.maximum(one, other)
    return np.where((one == other) | (one < 0) | (other < 0), -1, number).astype(np.int64)


def _is_one(cells: _Cells, wide: Sequence[Finding]) -> bool:
    """Whether one cause explains nearly all slow paths, and others are fast: in few nodes or zones it has most of the paths."""
    return bool(wide) and wide[0].lost >= NEARLY_ALL * int(cells.slow.sum()) and wide[0].sent < len(cells.slow)


def _pairs(cells: _Cells, live: Mask) -> dict[str, Mask]:
    """Pairs of nodes, as `one>other`, nearly all of whose paths are slow, by much."""
    slow, size = live & cells.slow, max(1, len(cells.words))
    key = np.minimum(cells.near, cells.far) * size + np.maximum(cells.near, cells.far)
    keys, counts = np.unique(key[slow], return_counts=True)
    many = np.argsort(-counts, kind="stable")[:MOST_PAIRS]
    found: dict[str, Mask] = {}
    for number in keys[many[counts[many] >= PAIR_PATHS]].tolist():
        mine = key == number
        bad = mine & slow
        much = float(np.median(_ms(cells.now[bad]) - _ms(cells.before[bad])))
        if bad.sum() >= NEARLY_ALL * mine.sum() and much >= PAIR_MS:
            found[f"{cells.words[number // size]}>{cells.words[number % size]}"] = mine
    return found


def _others(cells: _Cells, node: int, which: Mask) -> Ints:
    mine = which & ((cells.near == node) | (cells.far == node))
    result: Ints = np.where(cells.near == node, cells.far, cells.near)[mine]
    return result


def _of_node(cells: _Cells, node: int, mine: Mask, score: float, span_ns: int) -> Finding:
    others, of = len(np.unique(_others(cells, node, mine & cells.slow))), len(np.unique(_others(cells, node, mine)))
    scope, where = Scope("node", cells.words[node], "both", NETWORK), f"to and from node {cells.words[node]}"
    told = _told(cells, scope, mine, where, f", seen by {others} others")
    return told._replace(witnesses=others, of_witnesses=of, nodes=others + 1, score=score - WORTH, span_ns=span_ns)


def _of_zones(cells: _Cells, pair: int, mine: Mask, score: float, span_ns: int) -> Finding:
    one, other = cells.zones[pair // len(cells.zones)], cells.zones[pair % len(cells.zones)]
    nodes, of = (len(np.unique((cells.near[which], cells.far[which]))) for which in (mine & cells.slow, mine))
    scope = Scope("zone_pair", f"{one}>{other}", "both", NETWORK)
    told = _told(cells, scope, mine, f"between zones {one} and {other}", f", seen by {nodes} nodes")
    return told._replace(witnesses=nodes, of_witnesses=of, nodes=nodes, score=score - WORTH, span_ns=span_ns)


def _of_pair(cells: _Cells, pair: str, mine: Mask, span_ns: int) -> Finding:
    one, _, other = pair.partition(">")
    told = _told(cells, Scope("pair", pair, "both", NETWORK), mine, f"between nodes {one} and {other}", "")
    return told._replace(witnesses=2, of_witnesses=2, nodes=2, severity="info", span_ns=span_ns)


def _told(cells: _Cells, scope: Scope, mine: Mask, where: str, seen: str) -> Finding:
    which = mine & cells.slow
    bad, paths = int(which.sum()), int(mine.sum())
    now, before = float(np.median(_ms(cells.now[which]))), float(np.median(_ms(cells.before[which])))
    return Finding(
        scope,
        Layer.HOST,
        lost=bad,
        sent=paths,
        effect="latency",
        severity="warning",
        paths=bad,
        sentence=(
            f"Round trips {where} take {now:.1f} ms at the median instead of {before:.2f} ms ({bad} of {paths} paths{seen})."
        ),
        against="That most of these paths are as fast as they were.",
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
