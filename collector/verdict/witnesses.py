"""Who has seen a cause: a common cause loses at many other ends, and a wide one in most of its parts.

In: a scope, its events and its cells. Out: how many different ends lost something, out of how many. Pure.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from collector.verdict.candidates import ALL, NETWORK, Ground, Scope
from collector.verdict.cells import Ints, Mask
from collector.verdict.extent import members
from collector.verdict.ladder import advantage, counted

WITNESSES: Final = 3
"""Fewest distinct other ends that must have seen it."""
SPREAD: Final = 0.5
"""Least share of the witnesses that would be expected, were the losses spread evenly."""


PLENTY: Final = 16
"""Losses of a node from which its loss is no accident."""
UNEVEN: Final = 2.0
"""How many times as much one node may lose as the others of a wide cause."""
UNLIKELY: Final = 6.0
"""Nats, from which they do not lose so much."""


class Seen(NamedTuple):
    """Different ends that lost something, and all that were asked."""

    seen: int
    all: int


def witnesses(scope: Scope, ground: Ground, events: Ints, which: Ints | Mask) -> list[Seen]:
    """First the other ends; then, of what has many parts, the parts on each side. `events` are places of cells."""
    ends = [(sources(ground, events), sources(ground, which)), (targets(ground, events), targets(ground, which))]
    if scope.kind == "zone_pair" or ">" in scope.component or scope.component == ALL:
        chosen = ends[:1] if scope.component == ALL and scope.direction == "out" else ends
        return [Seen(distinct(one), distinct(all_)) for one, all_ in chosen]
    if scope.kind not in {"node", "mtu", "group"}:
        return [Seen(distinct(ends[0][0]), distinct(ends[0][1]))]
    own = np.flatnonzero(members(ground, scope))
    others, parts = _apart(ends[0][0], ends[1][0], own, scope.direction)
    all_others, all_parts = _apart(ends[0][1], ends[1][1], own, scope.direction)
    result = [Seen(distinct(others), distinct(all_others))]
    if scope.kind == "group":
        result += [Seen(distinct(some), distinct(every)) for some, every in zip(parts, all_parts, strict=True)]
    return result


def even(scope: Scope, ground: Ground, which: Ints) -> bool:
    """Whether a cause loses about as much without its worst part: else it is that part, and something else.

    Parts are the nodes of a wide cause, the targets of all that there are, and of a node the others that it is probed with.
    """
    parts = _parts(scope, ground, which)
    if not parts:
        return True
    sent, lost = _by_part(parts, ground, which)
    loss = np.where(lost >= PLENTY, lost / np.maximum(sent, 1), 0.0)
    worst = int(np.argmax(loss))
    others, gone = counted(ground, _without(worst, parts, which))
    least_loss = loss.item(worst) / UNEVEN
    if others <= 0 or gone >= least_loss * others:
        return True
    return advantage(gone, others, gone / others, least_loss) <= UNLIKELY


def without_worst(scope: Scope, ground: Ground, which: Ints) -> Ints:
    """Those of a cause's cells that are not of the part that loses most (see `even`); all of what has no parts."""
    parts = _parts(scope, ground, which)
    return _without(int(np.argmax(_by_part(parts, ground, which)[1])), parts, which) if parts else which


def _by_part(parts: Sequence[Ints], ground: Ground, which: Ints) -> list[Ints]:
    """Sent and lost of each part; in front of all others is what has no such part, and counts for nothing."""
    count = int(max(part.max(initial=-1) for part in parts)) + 2
    columns = [
        np.sum([np.bincount(part + 1, column[which], count) for part in parts], axis=0) for column in (ground.sent, ground.lost)
    ]
    for column in columns:
        column[0] = 0
    return columns


def _without(place: int, parts: Sequence[Ints], which: Ints) -> Ints:
    result: Ints = which[np.all([part + 1 != place for part in parts], axis=0)]
    return result


def _parts(scope: Scope, ground: Ground, which: Ints) -> list[Ints]:
    """Of each cell the numbers of the parts that it is of, -1 for none."""
    frame = ground.frame
    source, target = ground.source[which], ground.target[which]
    near, far = frame.node_of_source[source], frame.node_of_target[target]
    if scope.component == ALL:
        return [frame.name_of_target[target]]
    if scope.kind == "node":
        own = np.flatnonzero(members(ground, scope))
        return [np.where(np.isin(near, own), far, near)] if scope.layers == NETWORK else []
    wide = scope.kind in {"group", "zone_pair"} or ">" in scope.component
    return [near, far] if wide and scope.kind != "policy" else []


def _apart(source: Ints, target: Ints, own: Ints, direction: str) -> tuple[Ints, list[Ints]]:
    """Ends that are not members, and members as targets and as sources, of what goes between the two."""
    from_, to = np.isin(source, own), np.isin(target, own)
    into, out = to & ~from_, from_ & ~to
    sides = [(into, source, target)] if direction != "out" else []
    sides += [(out, target, source)] if direction != "in" else []
    return np.concatenate([other[mine] for mine, other, _ in sides]), [member[mine] for mine, _, member in sides]


def sources(ground: Ground, which: Ints | Mask) -> Ints:
    """The nodes of some sources, or their own numbers where they have none."""
    source = ground.source[which]
    node = ground.frame.node_of_source[source]
    return np.where(node >= 0, node, len(ground.frame.words) + source)


def targets(ground: Ground, which: Ints | Mask) -> Ints:
    """The nodes of some targets, or the numbers of their names where they have none."""
    target = ground.target[which]
    node = ground.frame.node_of_target[target]
    return np.where(node >= 0, node, len(ground.frame.words) + ground.frame.name_of_target[target])


def least(witnesses: int, events: float) -> float:
    """Fewest witnesses with losses: three, and half of those that as many events would hit, were they spread evenly."""
    if not witnesses:
        return 1.0
    even: float = witnesses * (1.0 - (1.0 - 1.0 / witnesses) ** events)
    return min(max(WITNESSES, SPREAD * even), max(witnesses, 2))


def distinct(numbers: Ints) -> int:
    """How many different ones there are."""
    return len(np.unique(numbers))
