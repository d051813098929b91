"""The search through one span: the likeliest candidate, what it explains taken away, and again. See `cause`."""

from collections.abc import Mapping, Sequence
from math import log
from typing import Final

import numpy as np

from collector.verdict.candidates import NETWORK, SHARED, Floats, Ground, Scope, key_of
from collector.verdict.cells import Ints, Mask
from collector.verdict.extent import cells_of, covered
from collector.verdict.families import Family, families
from collector.verdict.finding import Effect, Finding
from collector.verdict.ladder import PINGED, advantage, busy, counted, layer_of
from collector.verdict.servers import events_on_node
from collector.verdict.ways import TOTAL, is_total, sided
from collector.verdict.witnesses import WITNESSES, even, least, sources, targets, without_worst, witnesses
from wire.path import Layer

ALPHA: Final = 1e-6
"""Probability that one pass over one span blames somebody for noise."""
LOSSES: Final = 4
"""Fewest lost probes."""
EXCESS: Final = 4.0
"""A cause loses at least so many times what the background does."""
GREAT: Final = ((5, 1.0), (10, 0.6), (16, 0.45))
"""Losses of a pair and its loss: it counts once more for each that it reaches. The last alone is what proves a pair."""
DROPPED: Final = 0.4
"""Least loss by a policy, which lets a pod's connections through or not: of some pods, or for a part of the span."""
TELLING: Final = 3.0
"""Nats, and losses that must be expected of a span, that none may speak against a cause: e^-3 is 5 %."""
SUSPICIOUS: Final = 8.0
"""Log-likelihood ratio, from which a node's or a target's events are not learned as usual."""
ENOUGH: Final = 0.05
"""Expected events of a node; below, one event alone is a distance of 20."""
SIDE: Final = 6.0
"""Log-likelihood ratio, from which one side of a node is suspicious."""
LESSER: Final = 0.1
"""Of the greater side's log-likelihood ratio, what the lesser one must have for both to be one cause."""
FOUND: Final = 64
"""Most findings of one pass."""
PARTS: Final = frozenset({"node", "mtu", "service", "dns", "external"})
"""Kinds that a wide candidate may be put together of."""
FEW: Final = 8
"""Parts of a wide candidate that are looked at one by one, whether each might be a cause itself."""
MOSTLY: Final = 0.9
"""Share of a part's events that lie in the whole."""
REST: Final = 0.5
"""Of what it takes to name a candidate, what a wide one must be worth without the worst of its nodes or targets."""
TRIED: Final = 24
"""Candidates of one round that are looked at closely."""
LEAST_WORTH: Final = 0.1
"""Of what is known already, in nats."""


class Search:
    """The search through one span. `before` is what shorter ones have found."""

    def __init__(
        self, ground: Ground, dispersion: float, before: Sequence[Finding], shorter: "Sequence[Search]", *, times: Ints,
        known: frozenset[tuple[str, str, str]] = frozenset(),
    ) -> None:  # fmt: skip
        """`times`: how often each event counts; `known`: what has been told, by `key_of`."""
        self.ground = ground
        self._times, self._weights = times, self._weight(times)
        self.dispersion = dispersion
        self.shorter = tuple(shorter)
        self._families = families(ground)
        self._known = [family.named(known) for family in self._families]
        self.cost = log((sum(len(family.words) for family in self._families) + len(ground.events.source) + 1) / ALPHA)
        """What it takes to name one candidate."""
        self.own: list[Scope] = []
        """What was found in this span."""
        self.live: Mask = np.ones(len(ground.events.source), np.bool_)
        """Events that nothing explains."""
        self._explained: list[Scope] = []
        for finding in before:
            self.explain(finding.scope)

    def explain(self, scope: Scope) -> None:
        """Take away what a cause explains."""
        events = self.ground.events
        self._explained.append(scope)
        if self.live.any():
            self.live &= ~covered(scope, self.ground, events.source, events.target, events.layer)
            self.live &= ~events_on_node(scope, self.ground)

    def unexplained(self, which: Ints) -> Ints:
        """Those of some cells that nothing explains: an end that is dead is no witness."""
        ground = self.ground
        for scope in self._explained:
            which = which[~covered(scope, ground, ground.source[which], ground.target[which], ground.layer[which])]
        return which

    def findings(self) -> list[Finding]:
        """Everything wider than a pair that this span shows, the greatest first."""
        result: list[Finding] = []
        for long in (False, True):  # long packets get lost by all that loses short ones as well
            while len(result) < FOUND and self.live.any() and (finding := self._best(long=long)) is not None:
                result.append(finding)
                self.explain(finding.scope)
        self.own = [finding.scope for finding in result]
        return result

    def suspects(self) -> dict[tuple[str, str, str], Mask]:
        """Nodes and targets, by family, that have so many events that one would not yet call them usual."""
        result = {}
        for family in self._families:
            if family.kind in PARTS and not family.wide:
                events = family.happened(self.live)
                result[family.kind, family.direction, family.layers] = (events >= WITNESSES) & (
                    ratio(events, family.usual) > SUSPICIOUS
                )
        return result

    def of(self, suspects: dict[tuple[str, str, str], Mask]) -> Mask:
        """Which events are of suspects."""
        result: Mask = np.zeros(len(self.live), np.bool_)
        for family in self._families:
            who = suspects.get((family.kind, family.direction, family.layers))
            if who is None or len(who) != len(family.words):
                continue
            for half in family.halves or (family,):
                result |= who[half.event] & (half.event >= 0)
        return result

    def spread(self, usual: Mask) -> tuple[float, float]:
        """Squared distances of nodes' usual events from their expected number, and how many they are."""
        if not self._families:
            return 0.0, 0.0
        first = self._families[0]
        enough = first.usual > ENOUGH
        distance = (first.happened(usual)[enough] - first.usual[enough]) ** 2 / first.usual[enough]
        return float(distance.sum()), float(enough.sum())

    def is_fresh(self, scope: Scope, loss: float) -> bool:
        """Whether a cause is still there: what the shortest span says that can tell."""
        told = (search.shows(scope, loss) for search in (*self.shorter, self))
        return next((one for one in told if one is not None), True)

    def shows(self, scope: Scope, loss: float) -> bool | None:
        """Whether this span speaks for a cause rather than for the background, or has too few probes to tell (None).

        What other causes of this span explain says nothing of this one, and what one part of it alone loses is that part's.
        """
        ground = self.ground
        which = np.flatnonzero(covered(scope, ground, ground.source, ground.target, ground.layer) & ground.judged)
        for other in self.own:
            if key_of(other) != key_of(scope):
                which = which[~covered(other, ground, ground.source[which], ground.target[which], ground.layer[which])]
        if counted(ground, which)[0] * loss < TELLING:
            return None
        if self._speaking(which, loss) <= 0:
            return False
        rest = without_worst(scope, ground, which)
        return not len(rest) or self._speaking(rest, loss) > -TELLING

    def _speaking(self, which: Ints, loss: float) -> float:
        """By how much some cells speak for a loss rather than for the background, in nats."""
        sent, lost = counted(self.ground, which)
        return advantage(lost, sent, loss, float(self.ground.usual(which).sum()) / max(sent, 1.0))

    def _best(self, *, long: bool) -> Finding | None:
        """The likeliest candidate of the layer of long packets, or of all others."""
        scored: list[tuple[bool, float, int, int]] = []
        weights = self._weights * self.live
        happened: dict[int, Floats] = {}
        for number, family in enumerate(self._families):
            if (family.layers == Layer.MTU) is not long:
                continue
            events = happened[number] = family.weighed(weights)
            some = np.flatnonzero(events >= WITNESSES)
            scores = ratio(events[some], family.usual[some]) / self.dispersion
            known = self._known[number]
            told = np.isin(some, known) if len(known) else np.zeros(len(some), np.bool_)
            worth = scores > np.where(told, TELLING, self.cost)
            columns = (column[worth].tolist() for column in (~told, -scores, some))
            scored += [(unknown, below, number, one) for unknown, below, one in zip(*columns, strict=True)]
        # What has been told explains first: a narrower cause is named beside it for what it leaves.
        for _, below, number, one in sorted(scored)[:TRIED]:
            score = -below
            family = self._families[number]
            if family.halves and not self._two_sided(family, one):
                continue
            if family.wide and not self._spread(number, one, happened, score):
                continue
            beyond = max(score - self.cost, LEAST_WORTH)
            finding = self._finding(family, one, family.happened(self.live).item(one), beyond)
            if finding is not None:
                return finding
        return None

    def _weight(self, times: Ints) -> Floats:
        """How much each event counts: more often where most or all got lost.

        A burst takes some of a pair's probes for some seconds, and hardly ever most of many: three pairs of three are a node.
        """
        events = self.ground.events
        weight = times.astype(np.float64)
        for lost, loss in GREAT:
            weight += (events.lost >= lost) & (events.lost >= loss * events.sent)
        return weight

    def _spread(self, number: int, one: int, happened: Mapping[int, Floats], score: float) -> bool:
        """Whether a wide candidate is worth more than its nodes or targets, each named by itself, and much without one."""
        wide = self._families[number]
        inside = wide.holds(one) & self.live
        best = 0.0
        weights = self._weights * inside
        for place, events in happened.items():
            small = self._families[place]
            if bool(small.halves) != bool(wide.halves) or small.layers != wide.layers or small.kind not in PARTS or small.many:
                continue
            within = small.weighed(weights)
            part = (within > MOSTLY * events) & (events >= WITNESSES)
            if np.count_nonzero(part) <= FEW:
                part[[one for one in np.flatnonzero(part).tolist() if not self._seen(small, one)]] = False
            worth = ratio(events[part], small.usual[part]) / self.dispersion - self.cost
            # Where both sides count, every event is of two nodes.
            best = max(best, float(worth[worth > 0].sum()) / (2 if small.halves else 1))
        return best <= score - self.cost and (not wide.many or self._others(inside, float(wide.usual[one])) > REST * self.cost)

    def _others(self, inside: Mask, usual: float) -> float:
        """Log-likelihood ratio of some events without those of the one node or target that has most of them."""
        ground = self.ground
        place = ground.events.place[inside]
        ends = len(ground.frame.words) + max(len(ground.cells.sources), len(ground.frame.names))
        near, far = sources(ground, place), targets(ground, place)
        nodes = len(ground.frame.words)
        near, far = (np.where(end >= nodes, end + side * ends, end) for side, end in enumerate((near, far)))
        worst = int(np.argmax(np.bincount(np.concatenate([near, far]))))
        rest = float(np.count_nonzero((near != worst) & (far != worst)))
        return float(ratio(np.array([rest]), np.array([usual]))[0]) / self.dispersion

    def _two_sided(self, family: Family, one: int) -> bool:
        """Whether each side alone would be suspicious, so that one side is not blamed for the other."""
        halves = family.halves or ()
        alone = [(half, half.happened(self.live & ~other.holds(one))) for half, other in zip(halves, halves[::-1], strict=True)]
        sides = [float(ratio(losses[one : one + 1], half.usual[one : one + 1])[0]) for half, losses in alone]
        return min(sides, default=0.0) > SIDE and min(sides) > LESSER * max(sides)

    def _seen(self, family: Family, one: int) -> bool:
        """Whether so many others see a candidate as would see a cause."""
        scope, mine = family.scope(one), family.holds(one) & self.live
        which = self.unexplained(np.flatnonzero(cells_of(scope, self.ground)))
        seen = witnesses(scope, self.ground, self.ground.events.place[mine], which)
        return all(one.seen >= least(one.all, float(self._times[mine].sum())) for one in seen)

    def _finding(self, family: Family, one: int, events: float, score: float) -> Finding | None:
        """The candidate in full, None where its losses are not spread as those of a common cause would be."""
        ground, scope = self.ground, family.scope(one)
        which = self.unexplained(np.flatnonzero(cells_of(scope, ground)))
        mine = family.holds(one) & self.live
        seen = witnesses(scope, ground, ground.events.place[mine], which)
        happened = float(self._times[mine].sum())
        if any(one.seen < least(one.all, happened) for one in seen) or not even(scope, ground, which):
            return None
        lost, sent = int(ground.events.lost[mine].sum()), int(ground.sent[which].sum())
        usual = float(family.usual[one])
        if lost < LOSSES or events < EXCESS * usual or (scope.kind == "policy" and lost < DROPPED * sent):
            return None
        base, loss = usual / max(sent, 1), lost / max(sent, 1)
        if scope.layers == Layer.MTU and not self._only_long(scope, loss, base):
            return None
        scope, certain = sided(scope, ground, (lost, sent), base, self.unexplained)
        layer, sure = layer_of(scope, ground, which, base)
        sure = sure and not self._has_company(family, one)
        if scope.kind == "node" and layer is Layer.POD:
            whole = cells_of(scope, ground)
            if busy(ground, whole, base) > TELLING:
                scope = scope._replace(kind="agent", direction="in")
            sure = sure and busy(ground, whole, base, PINGED) <= TELLING  # else it waits, as for an agent that starts anew
        found = Finding(
            scope, layer, events, usual, lost, sent, *seen[0], score, ground.cells.span_ns,
            fresh=self.is_fresh(scope, loss), certain=certain and sure, effect=_effect(scope, loss),
        )  # fmt: skip
        return found._replace(total=is_total(found, which, ground))

    def _has_company(self, family: Family, one: int) -> bool:
        """Whether others of its kind look ill too, of services and the like, so that it may soon be all of them."""
        if family.kind not in SHARED or family.wide:
            return False
        events = family.happened(np.ones(len(self.live), np.bool_))
        events[one] = 0.0
        return bool((ratio(events, family.usual) > SUSPICIOUS).any())

    def _only_long(self, scope: Scope, loss: float, usual: float) -> bool:
        """Whether short packets get through where long ones do not."""
        sent, lost = counted(self.ground, cells_of(scope._replace(layers=NETWORK), self.ground))
        return advantage(lost, sent, loss, usual) <= 0


def _effect(scope: Scope, loss: float) -> Effect:
    if scope.kind == "mtu":
        return "mtu"
    if scope.kind == "policy":
        return "broken"
    return "unreachable" if loss >= TOTAL and scope.kind != "agent" else "loss"


def ratio(events: Floats, usual: Floats) -> Floats:
    """Log-likelihood ratio of Poisson counts against their expectation, 0 where there are fewer than expected."""
    base = np.maximum(usual, 1e-9)
    with np.errstate(divide="ignore"):
        value = events * np.log(np.maximum(events, 1e-9) / base) - (events - base)
    return np.where(events > base, value, 0.0)
