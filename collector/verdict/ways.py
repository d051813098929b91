"""Which cells lose by a cause, and which way packets get lost. In: what was found, and a span. Out: its sides and direction.

Of receipts the longest span is asked, whichever has shown the cause: of a third of the losses there is one, and a short span
has few of those, while the background brings hardly any.
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from collector.verdict.candidates import ALL, NETWORK, Ground, Scope
from collector.verdict.cells import KINDS, LAYERS, Ints
from collector.verdict.extent import cells_of, turned
from collector.verdict.finding import Finding
from collector.verdict.ladder import advantage, counted, one_way, receipts
from wire.path import Kind, Layer

DIRECTED: Final = frozenset({"node", "mtu", "group", "zone_pair", "pair"})
"""Kinds of which packets get lost in a direction."""
TELLING: Final = 3.0
"""Nats that may speak against a side: e^-3 is 5 %."""
SURE: Final = 4.4
"""Nats, from which the receipts are sure: seven of one direction. They are asked again and again until then."""
HINT: Final = 1.9
"""From which they speak for something: three of one direction."""
LEANING: Final = 0.5
"""From which one direction is told where nobody waits any longer: one receipt, as long as none of the other way is there."""
RECEIPTS: Final = 0.3
"""Of the losses of probes that bring receipts, for so many there must be some."""
STAMPED: Final = KINDS.index(Kind.UDP)
"""The kind of probe whose answers say how many arrived (RFC 8762)."""
TOTAL: Final = 0.9
"""Loss from which nothing gets through."""


def sided(
    scope: Scope, ground: Ground, counts: tuple[int, int], usual: float, unexplained: Callable[[Ints], Ints]
) -> tuple[Scope, bool]:
    """Which cells lose by it, of its lost and sent ones, and whether that is sure; the direction, receipts say afterwards.

    `unexplained` leaves out what other causes explain: they say nothing of the other side. A cause covers both sides where
    the other one is likelier to lose as much than as little as usual.
    """
    if scope.kind not in DIRECTED or scope.component == ALL or scope.layers not in {NETWORK, Layer.MTU.value}:
        return scope, True
    if scope.reach != "both":
        between = ">" in scope.component
        if between and len(set(scope.component.split(">"))) == 1:
            return scope, True
        lost, sent = counts
        other = turned(scope) if between else scope._replace(direction="out" if scope.direction == "in" else "in")
        alone = unexplained(np.flatnonzero(cells_of(other, ground) & ~cells_of(scope, ground)))
        probes, gone = counted(ground, alone)
        if advantage(gone, probes, lost / max(sent, 1), usual) <= TELLING:
            # What was found is likelier more than the truth than less, so that less must have shown as well.
            return scope, advantage(gone, probes, lost / max(2 * sent, 1), usual) < -2 * TELLING
    return scope._replace(direction="both", sides="both"), True


def is_total(finding: Finding, which: Ints, ground: Ground) -> bool:
    """Whether nothing gets through its cells, or those of pods where the nodes' own addresses answer."""
    sent: float = finding.sent
    if finding.scope.layers == NETWORK and finding.layer is Layer.POD:
        sent = counted(ground, which[ground.layer[which] == LAYERS.index(Layer.POD)])[0]
    return finding.lost >= TOTAL * max(sent, 1.0)


def told_way(finding: Finding, ground: Ground) -> Finding:
    """The finding with the direction that receipts tell; uncertain where waiting may tell more."""
    scope = finding.scope
    if scope.kind not in DIRECTED or scope.sides != "both" or scope.component == ALL:
        return finding
    scope = scope._replace(direction="both")
    between = ">" in scope.component
    if between:
        scope = scope._replace(component=">".join(sorted(scope.component.split(">"))))
    if finding.total or ground.cells.forward is None or scope.layers != NETWORK:
        return finding._replace(scope=scope)
    into, out = receipts(scope, ground)
    told = np.flatnonzero(cells_of(scope, ground) & (ground.cells.kind == STAMPED))
    weight = one_way(max(into, out), into + out, float(ground.usual(told).sum()))
    # The first receipts are of the background: those of a fault come with the next answers.
    certain = abs(weight) > SURE and into + out >= RECEIPTS * counted(ground, told)[1]
    if weight > LEANING and between:
        scope = (scope if into > out else turned(scope))._replace(direction="out")
    elif weight > LEANING:
        scope = scope._replace(direction="in" if into > out else "out")
    return finding._replace(scope=scope, certain=finding.certain and certain, hinted=abs(weight) > HINT)


def both_ways(finding: Finding) -> Finding:
    """One of a place whose agent is not heard, so that nothing more will be known of a direction."""
    return finding._replace(scope=finding.scope._replace(direction="both", sides="both"), certain=True)


def gone_for_good(finding: Finding) -> Finding:
    """A node that nobody reaches, with nothing left to wait for."""
    return both_ways(finding)._replace(effect="unreachable")
