"""From many bad cells to few causes: greedy maximum likelihood with explain-away (Harsh et al., Flock, CoNEXT 2023).

In: cells of one or several spans that end now, shortest first, and the noise. Out: findings, none of which explains what
another one does, and the noise after the shortest span. The candidate with the greatest log-likelihood ratio wins if that
exceeds what it takes to name it, ln(number of candidates / alpha), and if its losses are spread over its witnesses; then its
events are taken away and the next is looked for. What a short span has explained is not looked at again in a longer one.
"""

from collections.abc import Sequence
from math import log
from typing import Final

import numpy as np

from collector.verdict import noise as background
from collector.verdict.candidates import ALL, NETWORK, Events, Family, Floats, Ground, Scope, families, of_layers
from collector.verdict.cells import LAYERS, Cells, Ints, Mask
from collector.verdict.extent import covered
from collector.verdict.finding import Finding
from collector.verdict.ladder import advantage, layer_of
from collector.verdict.noise import Noise
from wire.path import Layer

ALPHA: Final = 1e-6
"""Probability that one pass over one span blames somebody for noise."""
WITNESSES: Final = 3
"""Fewest distinct other ends that must have seen it."""
SPREAD: Final = 0.5
"""Least share of the witnesses that would be expected, were the losses spread evenly."""
LOSSES: Final = 4
"""Fewest lost probes."""
EXCESS: Final = 4.0
"""A cause loses at least so many times what the background does."""
PAIR_LOSS: Final = 0.45
PAIR_LOSSES: Final = 8
"""A single pair is named for a loss that somebody must care about: some pairs are noisy, and that is no incident."""
TELLING: Final = 3.0
"""Losses that must be expected of a span, that none may speak against a cause: e^-3 is 5 %."""
SUSPICIOUS: Final = 8.0
"""Log-likelihood ratio, from which a node's or a target's events are not learned as usual."""
ENOUGH: Final = 0.05
"""Expected events of a node; below, one event alone is a distance of 20."""
SIDE: Final = 6.0
"""Log-likelihood ratio, from which one side of a node is suspicious."""
PAIR_SPAN_NS: Final = 30 * 10**9
"""A burst of losses on one pair is shorter."""
FOUND: Final = 64
"""Most findings of one pass."""
PARTS: Final = frozenset({"node", "mtu", "service", "dns", "external"})
"""Kinds that a wide candidate may be put together of."""
MOSTLY: Final = 0.9
"""Share of a part's events that lie in the whole."""
TRIED: Final = 24
"""Candidates of one round that are looked at closely."""


def causes(spans: Sequence[Cells], noise: Noise) -> tuple[list[Finding], Noise]:
    """Findings of all spans, and the noise after the first; raises ValueError where there is no span."""
    if not spans:
        raise ValueError("a pass needs at least one span")
    found: list[Finding] = []
    searches: list[_Search] = []
    for cells in spans:
        group = background.groups(cells)
        present = np.unique(group[cells.judged]) if len(cells) else group
        ground = Ground(cells, group, background.rates(noise, cells, present))
        search = _Search(ground, noise.dispersion, found, searches[0] if searches else None)
        found = [*found, *search.findings()]
        searches.append(search)
    return found, _learned(noise, spans[0], searches[0], searches[-1])


def _learned(noise: Noise, cells: Cells, latest: "_Search", longest: "_Search") -> Noise:
    """What no cause explains, nor may yet be found to explain, is noise. Its spread is taken over nodes, inbound."""
    ground = latest.ground
    count = background.size(cells)
    usual = latest.live & ~latest.of(longest.suspects())
    events = np.bincount(ground.events.group[usual], minlength=count).astype(np.float64)
    probes = np.bincount(ground.group, ground.sent, count).astype(np.float64)
    return background.learned(noise, cells, events, probes, spread=latest.spread())


class _Search:
    """The search through one span."""

    def __init__(self, ground: Ground, dispersion: float, before: Sequence[Finding], latest: "_Search | None") -> None:
        self.ground = ground
        self._families = families(ground)
        self._dispersion = dispersion
        self._latest = latest or self
        self._cost = log((sum(len(family.words) for family in self._families) + len(ground.events.source) + 1) / ALPHA)
        self.live: Mask = np.ones(len(ground.events.source), np.bool_)
        for finding in before:
            self.live &= ~covered(finding.scope, ground, ground.events.source, ground.events.target, ground.events.layer)

    def findings(self) -> list[Finding]:
        """Everything that this span shows, the greatest first."""
        result: list[Finding] = []
        while len(result) < FOUND and self.live.any():
            finding = self._best()
            if finding is None:
                break
            result.append(finding)
            events = self.ground.events
            self.live &= ~covered(finding.scope, self.ground, events.source, events.target, events.layer)
        return [*result, *self._pairs()]

    def suspects(self) -> dict[tuple[str, str, str], Mask]:
        """Nodes and targets, by family, that have so many events that one would not yet call them usual."""
        return {
            (family.kind, family.direction, family.layers): ratio(family.happened(self.live), family.usual) > SUSPICIOUS
            for family in self._families
            if family.kind in PARTS and family.words != (ALL,) and ">" not in family.words[0]
        }

    def of(self, suspects: dict[tuple[str, str, str], Mask]) -> Mask:
        """Which events are of suspects."""
        result: Mask = np.zeros(len(self.live), np.bool_)
        for family in self._families:
            who = suspects.get((family.kind, family.direction, family.layers))
            if who is None or len(who) != len(family.words):
                continue
            for column in (family.event, family.other):
                if column is not None:
                    result |= who[column] & (column >= 0)
        return result

    def spread(self) -> tuple[float, float]:
        """Squared distances of nodes' events from their expected number, and how many they are."""
        if not self._families:
            return 0.0, 0.0
        first = self._families[0]
        enough = first.usual > ENOUGH
        distance = (first.happened(self.live)[enough] - first.usual[enough]) ** 2 / first.usual[enough]
        return float(distance.sum()), float(enough.sum())

    def _best(self) -> Finding | None:
        scored: list[tuple[float, int, int]] = []
        happened = [family.happened(self.live) for family in self._families]
        for number, (family, events) in enumerate(zip(self._families, happened, strict=True)):
            scores = ratio(events, family.usual) / self._dispersion
            worth = np.flatnonzero((scores > self._cost) & (events >= WITNESSES))
            scored += [(scores.item(one), number, one) for one in worth.tolist()]
        scored.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
        for score, number, one in scored[:TRIED]:
            family = self._families[number]
            if family.direction == "both" and not self._two_sided(number, one, happened):
                continue
            if self._wide(family, one) and self._parts(number, one, happened) > score - self._cost:
                continue
            finding = self._finding(family, one, happened[number].item(one), score - self._cost)
            if finding is not None:
                return finding
        return None

    @staticmethod
    def _wide(family: Family, one: int) -> bool:
        return family.kind in {"group", "zone_pair"} or family.words[one] == ALL or family.layers == Layer.MTU

    def _parts(self, number: int, one: int, happened: list[Floats]) -> float:
        """The most that nodes or targets whose events lie in a wide candidate are worth together, each named by itself."""
        wide = self._families[number]
        inside = wide.holds(one) & self.live
        best = 0.0
        for small, events in zip(self._families, happened, strict=True):
            if small.direction == "both" or small.layers != wide.layers or small.kind not in PARTS or small.words == (ALL,):
                continue
            part = np.bincount(small.event[inside & (small.event >= 0)], minlength=len(small.words)) > MOSTLY * events
            worth = ratio(events, small.usual) / self._dispersion - self._cost
            best = max(best, float(worth[part & (worth > 0) & (events >= WITNESSES)].sum()))
        return best

    def _two_sided(self, number: int, one: int, happened: list[Floats]) -> bool:
        """Whether each side alone would be suspicious, so that one side is not blamed for the other."""
        both = self._families[number]
        sides = [
            float(ratio(events[one : one + 1], family.usual[one : one + 1])[0])
            for family, events in zip(self._families, happened, strict=True)
            if (family.kind, family.layers, family.words) == (both.kind, both.layers, both.words) and family.direction != "both"
        ]
        return min(sides, default=0.0) > SIDE and min(sides) > 0.1 * max(sides)

    def _finding(self, family: Family, one: int, events: float, score: float) -> Finding | None:
        """The candidate in full, None where its losses are not spread as those of a common cause would be."""
        ground, scope = self.ground, family.scope(one)
        which = covered(scope, ground, ground.source, ground.target, ground.layer)
        mine = family.holds(one) & self.live
        witnesses, there = self._witnesses(scope, mine, which)
        if any(seen < least(all_, events) for seen, all_ in zip(witnesses, there, strict=True)):
            return None
        lost, sent = int(ground.events.lost[mine].sum()), int(ground.sent[which].sum())
        usual = float(family.usual[one])
        if lost < LOSSES or events < EXCESS * usual:
            return None
        scope, certain = self._directed(scope, lost / max(sent, 1), usual / max(sent, 1))
        layer = layer_of(scope, ground, which, usual / max(sent, 1))
        fresh = self._latest.shows(scope, lost / max(sent, 1))
        span = ground.cells.span_ns
        return Finding(scope, layer, events, usual, lost, sent, witnesses[0], there[0], score, span, fresh, certain)

    def _directed(self, scope: Scope, loss: float, usual: float) -> tuple[Scope, bool]:
        """A node in both directions, where its other side is likelier to lose as much than as little as usual; and how sure."""
        if scope.kind not in {"node", "mtu"} or scope.direction == "both" or scope.layers not in {NETWORK, Layer.MTU.value}:
            return scope, True
        if ">" in scope.component or scope.component == ALL:
            return scope, True
        ground = self.ground
        other = scope._replace(direction="out" if scope.direction == "in" else "in")
        there = covered(other, ground, ground.source, ground.target, ground.layer) & of_layers(ground.layer, scope.layers)
        weight = advantage(float(ground.lost[there].sum()), float(ground.sent[there].sum()), loss, usual)
        return (scope._replace(direction="both") if weight > TELLING else scope), abs(weight) > TELLING

    def _witnesses(self, scope: Scope, mine: Mask, which: Mask) -> tuple[list[int], list[int]]:
        """Distinct other ends, that lost something and in all."""
        ground = self.ground
        sides: list[tuple[Ints, Ints]] = []
        if scope.direction != "out" or scope.kind == "zone_pair" or ">" in scope.component:
            sides.append((ground.events.source[mine], ground.source[which]))
        if scope.direction != "in" or scope.kind == "zone_pair" or scope.component == ALL:
            names = ground.names.codes
            sides.append((names[ground.events.target[mine]], names[ground.target[which]]))
        if scope.direction == "both":
            (one, ones), (other, others) = sides
            return [max(distinct(one), distinct(other))], [max(distinct(ones), distinct(others))]
        return [distinct(one) for one, _ in sides], [distinct(all_) for _, all_ in sides]

    def shows(self, scope: Scope, loss: float) -> bool:
        """Whether this span has something of a cause, or too few probes to tell."""
        ground = self.ground
        events = ground.events
        if covered(scope, ground, events.source, events.target, events.layer).any():
            return True
        return float(ground.sent[covered(scope, ground, ground.source, ground.target, ground.layer)].sum()) * loss < TELLING

    def _pairs(self) -> list[Finding]:
        """Single pairs that lose much, of what nothing wider explains."""
        ground, events = self.ground, self.ground.events
        here = np.flatnonzero(self.live)
        if not len(here):
            return []
        width = len(ground.names.words) + 1
        network = of_layers(events.layer, NETWORK)
        nodes = ground.nodes[1].codes
        beyond = np.where(
            network & (nodes[events.target] >= 0), nodes[events.target], width + ground.names.codes[events.target]
        )
        layer = np.where(network, 0, events.layer + 1)
        key = (events.source * (2 * width + len(nodes)) + beyond) * (len(LAYERS) + 2) + layer
        keys, inverse = np.unique(key[here], return_inverse=True)
        lost = np.bincount(inverse, events.lost[here], len(keys))
        result = []
        for number in np.flatnonzero(lost >= PAIR_LOSSES).tolist():
            one = here[inverse == number][0]
            result.append(self._pair(events, int(one), float(lost[number])))
        return [finding for finding in result if finding is not None][:FOUND]

    def _pair(self, events: Events, one: int, lost: float) -> Finding | None:
        ground = self.ground
        source, target = ground.cells.sources[int(events.source[one])], ground.cells.targets[int(events.target[one])]
        layer = LAYERS[int(events.layer[one])]
        wide = layer in {Layer.POD, Layer.HOST}
        near, far = source.node or source.name, (target.node if wide and target.node else target.name)
        scope = Scope("pair" if layer != Layer.MTU else "mtu", f"{near}>{far}", "out", NETWORK if wide else layer.value)
        which = covered(scope, ground, ground.source, ground.target, ground.layer)
        sent, usual = float(ground.sent[which].sum()), float(ground.usual[which].sum())
        score = float(ratio(np.array([lost]), np.array([usual]))[0]) / self._dispersion - self._cost
        if score <= 0 or lost < PAIR_LOSS * sent or ground.cells.span_ns < PAIR_SPAN_NS:
            return None
        deeper = layer_of(scope, ground, which, usual / max(sent, 1.0))
        fresh = self._latest.shows(scope, lost / sent)
        return Finding(scope, deeper, lost, usual, int(lost), int(sent), 1, 1, score, ground.cells.span_ns, fresh)


def ratio(events: Floats, usual: Floats) -> Floats:
    """Log-likelihood ratio of Poisson counts against their expectation, 0 where there are fewer than expected."""
    base = np.maximum(usual, 1e-9)
    with np.errstate(divide="ignore"):
        value = events * np.log(np.maximum(events, 1e-9) / base) - (events - base)
    return np.where(events > base, value, 0.0)


def least(witnesses: int, events: float) -> float:
    """Fewest witnesses with losses: three, and half of those that as many events would hit, were they spread evenly."""
    if not witnesses:
        return 1.0
    even: float = witnesses * (1.0 - (1.0 - 1.0 / witnesses) ** events)
    return min(max(WITNESSES, SPREAD * even), max(witnesses, 2))


def distinct(numbers: Ints) -> int:
    """How many different ones there are."""
    return len(np.unique(numbers))
