"""Single pairs that lose much, of what nothing wider explains: what is left after the search through all spans.

Losses of one pair come in bursts, so no count of them within one burst proves a fault. A pair is proven by much loss over a
whole minute, or by total loss now together with enough before; what is not proven yet is a finding that may only wait.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from collector.verdict.candidates import CLASS_OF, CLASSES, NETWORK, Ground, Scope
from collector.verdict.cells import Ints
from collector.verdict.extent import covered, named, turned
from collector.verdict.finding import Finding
from collector.verdict.ladder import advantage, counted, layer_of
from collector.verdict.search import FOUND, TELLING, Search, ratio
from collector.verdict.ways import TOTAL, is_total
from collector.verdict.witnesses import sources
from wire.path import Layer

SOME: Final = 4
"""Losses from which a pair is looked at."""
MUCH: Final = 0.45
"""Loss from which somebody must care: some pairs are noisy, and that is no incident."""
SOUND: Final = 0.01
"""Loss of the way back that one does not wonder about."""
MINUTE_NS: Final = 60 * 10**9
LONG_NS: Final = 300 * 10**9


class Rule(NamedTuple):
    """What proves a pair: so much in the span, and in the shortest one."""

    span_ns: int
    """Least length of the span."""
    lost: int
    loss: float
    lost_now: int = 0
    loss_now: float = 0.0


RULES: Final = (
    Rule(MINUTE_NS, 12, 0.5, 2, 0.0),
    Rule(MINUTE_NS, 12, 0.2, 5, 0.98),
    Rule(LONG_NS, 8, 0.6),
    Rule(0, 16, 0.45, 16, 0.45),
)
SHARED_RULE: Final = Rule(0, 6, 0.9, 6, 0.9)
"""To a service, a name server or a host outside: those lose in no bursts, and several agents of a node may ask."""
"""A noisy pair in a bad state loses less than half, and not for a minute. The second is for what gets lost whole: it is seen
before a minute is full of it; the third for pairs that are probed twice a minute; the last for paths probed every second."""

LEAST: Final = min(rule.loss for rule in RULES)


class Tally(NamedTuple):
    """What a pair did in one span."""

    lost: float
    sent: float


def pairs(searches: Sequence[Search]) -> list[Finding]:
    """Of all spans together, shortest first; each pair once."""
    seen: dict[tuple[str, str], Scope] = {}
    for search in searches:
        for scope in _candidates(search):
            seen.setdefault((scope.component, scope.layers), scope)
    parts = [_part(search, list(seen.values())) for search in searches] if seen else []
    every = [one for _, scope in sorted(seen.items()) if (one := _pair(scope, searches, parts))]
    found = [one for one in every if one.scope.kind != "mtu" or _only_long(one, searches, parts)]
    return sorted(found, key=lambda one: (not one.proven, -one.score, one.scope))[:FOUND]


def _candidates(search: Search) -> Iterator[Scope]:
    """Pairs with some losses, each of two nodes once whatever the direction."""
    ground, events = search.ground, search.ground.events
    here = np.flatnonzero(search.live)
    if not len(here):
        return
    near, far, class_of = _ends(ground, here)
    wide = len(ground.frame.words) + max(len(ground.frame.names), len(ground.cells.sources)) + 1
    _, first, inverse = np.unique((class_of * wide + near) * wide + far, return_index=True, return_inverse=True)
    lost = np.bincount(inverse, events.lost[here], len(first))
    of = np.bincount(inverse, events.sent[here], len(first))
    for number in np.flatnonzero((lost >= SOME) & (lost >= LEAST * of)).tolist():
        event = int(here[first[number]])
        source, target = ground.cells.sources[int(events.source[event])], ground.cells.targets[int(events.target[event])]
        layers = CLASSES[int(CLASS_OF[events.layer[event]])]
        nodes = layers in {NETWORK, Layer.MTU.value} and target.node and source.node
        names = sorted((source.node, target.node)) if nodes else [source.node or source.name, target.name]
        yield Scope("mtu" if layers == Layer.MTU else "pair", ">".join(names), "both" if nodes else "out", layers)


def _ends(ground: Ground, here: Ints) -> tuple[Ints, Ints, Ints]:
    """Of each event two numbers for its ends and one for what they are: two nodes in ascending order, or source and name."""
    frame, events = ground.frame, ground.events
    place = events.place[here]
    class_of = CLASS_OF[events.layer[here]]
    one, other = frame.node_of_source[ground.source[place]], frame.node_of_target[ground.target[place]]
    nodes = np.isin(class_of, [CLASSES.index(NETWORK), CLASSES.index(Layer.MTU.value)]) & (one >= 0) & (other >= 0)
    near = np.where(nodes, np.minimum(one, other), sources(ground, place))
    far = np.where(nodes, np.maximum(one, other), frame.name_of_target[ground.target[place]])
    return near, far, np.where(nodes, class_of, len(CLASSES) + class_of)


def _part(search: Search, scopes: Sequence[Scope]) -> Ints:
    """The few cells that any of these pairs may have, and that nothing wider explains."""
    ground = search.ground
    near, far = (np.zeros(called.size, np.bool_) for called in ground.frame.called)
    for scope in scopes:
        for name in scope.component.split(">"):
            near |= named(ground.frame.called[0], name)
            far |= named(ground.frame.called[1], name)
    return search.unexplained(np.flatnonzero(near[ground.source] & far[ground.target]))


def _of(scope: Scope, ground: Ground, part: Ints) -> Ints:
    """Cells of a scope among a few."""
    return part[covered(scope, ground, ground.source[part], ground.target[part], ground.layer[part])]


def _tally(scope: Scope, ground: Ground, part: Ints) -> Tally:
    sent, lost = counted(ground, _of(scope, ground, part))
    return Tally(lost, sent)


def _pair(scope: Scope, searches: Sequence[Search], parts: Sequence[Ints]) -> Finding | None:
    """The pair in the span that proves it."""
    best: tuple[bool, int, Scope] | None = None
    for number, (search, part) in enumerate(zip(searches, parts, strict=True)):
        side = _alone(scope, search.ground, part)
        tally, now = _tally(side, search.ground, part), _tally(side, searches[0].ground, parts[0])
        rules = RULES if scope.layers in {NETWORK, Layer.MTU.value} else (*RULES, SHARED_RULE)
        proven = any(_holds(rule, search.ground.cells.span_ns, tally, now) for rule in rules)
        some = tally.lost >= max(SOME, MUCH * tally.sent)
        if (proven or some) and (best is None or (proven and not best[0])):
            best = proven, number, side
    if best is None:
        return None
    proven, number, side = best
    return _finding(side, searches, number, parts[number], proven=proven)


def _only_long(finding: Finding, searches: Sequence[Search], parts: Sequence[Ints]) -> bool:
    """Whether short packets get through where long ones do not, in the span that shows it."""
    for search, part in zip(searches, parts, strict=True):
        if search.ground.cells.span_ns == finding.span_ns:
            tally = _tally(finding.scope._replace(layers=NETWORK), search.ground, part)
            return advantage(tally.lost, tally.sent, finding.loss, max(finding.usual / finding.sent, 1e-6)) <= 0
    return True


def _finding(scope: Scope, searches: Sequence[Search], number: int, part: Ints, *, proven: bool) -> Finding | None:
    search, ground = searches[number], searches[number].ground
    which, tally = _of(scope, ground, part), _tally(scope, ground, part)
    usual = float(ground.usual(which).sum())
    score = float(ratio(np.array([tally.lost]), np.array([usual]))[0]) / search.dispersion - search.cost
    if score <= 0:
        return None
    loss = tally.lost / max(tally.sent, 1.0)
    layer, sure = layer_of(scope, ground, which, usual / tally.sent)
    found = Finding(
        scope, layer, tally.lost, usual, int(tally.lost), int(tally.sent), 1, 1, score,
        ground.cells.span_ns, fresh=search.is_fresh(scope, loss), certain=sure, proven=proven,
        effect="mtu" if scope.kind == "mtu" else "unreachable" if loss >= TOTAL else "loss",
    )  # fmt: skip
    return found._replace(total=is_total(found, which, ground))


def _alone(scope: Scope, ground: Ground, part: Ints) -> Scope:
    """The one side that loses, where the other was probed and is likelier sound; one that was not probed says nothing."""
    if scope.direction != "both":
        return scope
    one, other = scope._replace(direction="out"), turned(scope)._replace(direction="out")
    for loser, sound in ((one, other), (other, one)):
        mine, theirs = (_tally(side, ground, part) for side in (loser, sound))
        if mine.lost and not theirs.sent:
            return loser
        if mine.lost >= SOME and advantage(theirs.lost, theirs.sent, mine.lost / mine.sent, SOUND) < -2 * TELLING:
            return loser
    return scope._replace(sides="both")


def _holds(rule: Rule, span_ns: int, here: Tally, now: Tally) -> bool:
    return (
        span_ns >= rule.span_ns
        and here.lost >= max(rule.lost, rule.loss * here.sent)
        and now.lost >= max(rule.lost_now, rule.loss_now * now.sent)
    )
