"""How much of what a service or a name server loses is a node's that its servers are on.

In: a scope, the ground that it was found on, and nodes that lose. Out: whether that is all. Pure. A node explains as much as
gets lost on the way into it and no more: a name server that says nothing, on a node that loses some, is a cause of its own.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from collector.verdict.candidates import ALL, NETWORK, SHARED, Floats, Ground, Scope, of_layers
from collector.verdict.cells import LAYERS, End, Ints, Mask
from collector.verdict.extent import cells_of, members, named
from collector.verdict.ladder import advantage, counted
from wire.path import Layer

EXCHANGES: Final = 3
"""Most packets of a probe that must all get there: SYN, the end of the handshake, and the request; A and AAAA are two."""
TELLING: Final = 3.0
"""Nats, from which a service loses more than what its nodes do: e^-3 is 5 %."""
SERVED: Final = frozenset({Layer.SERVICE.value, Layer.DNS.value})
_SERVED: Final = tuple(LAYERS.index(Layer(layer)) for layer in sorted(SERVED))


def hosts(scope: Scope) -> bool:
    """Whether a scope is of nodes that servers may be on, and of what gets lost on the way there."""
    return scope.kind in {"node", "group"} and scope.layers == NETWORK and scope.reach != "out"


def behind(scope: Scope, ends: Sequence[End]) -> list[End]:
    """The targets that a scope of services or name servers names."""
    if SHARED.get(scope.kind) is None or SHARED[scope.kind].value not in SERVED:
        return []
    prefix = f"{scope.kind}/"
    return [end for end in ends if end.name == scope.component or (scope.component == ALL and end.name.startswith(prefix))]


def events_on_node(scope: Scope, ground: Ground) -> Mask:
    """Which events are of targets that lose no more than what of them lies on the node of a scope does by it.

    An event that is more than that by itself is not: whoever loses everything of such a target has a cause of its own.
    """
    events = ground.events
    result: Mask = np.zeros(len(events.target), np.bool_)
    if not hosts(scope):
        return result
    nodes = _nodes(scope, ground)
    own = np.flatnonzero(np.any([named(ground.frame.behind, node) for node in nodes], axis=0))
    if not len(own):
        return result
    share = dict.fromkeys(nodes, _lost_exchanges(scope, ground))
    sent, lost = _by_target(ground)
    for target in np.intersect1d(own, events.target).tolist():
        expected = _share(ground.cells.targets[target], share)
        if _no_more(lost.item(target), sent.item(target), expected):
            mine = np.flatnonzero(events.target == target)
            counts = zip(events.lost[mine].tolist(), events.sent[mine].tolist(), strict=True)
            result[mine] = [_no_more(gone, asked, expected) for gone, asked in counts]
    return result


def of_nodes(scope: Scope, ground: Ground) -> bool:
    """Whether what services or name servers lose is no more than what gets lost on the way to the nodes of their servers.

    From one node, that is the way from there. Nobody needs to have named a node yet: it takes less to see a service fail.
    """
    if scope.layers not in SERVED:
        return False
    which = np.flatnonzero(cells_of(scope, ground))
    asked = np.bincount(ground.target[which], ground.sent[which], len(ground.cells.targets))
    ends = {number: ground.cells.targets[number] for number in np.flatnonzero(asked).tolist()}
    if not any(end.behind for end in ends.values()):
        return False
    share = _on_the_way(which, {node for end in ends.values() for node in end.behind}, ground)
    sent, lost = counted(ground, which)
    expected = sum(asked.item(number) * _share(end, share) for number, end in ends.items()) / max(sent, 1.0)
    return _no_more(lost, sent, expected)


def _on_the_way(which: Ints, nodes: set[str], ground: Ground) -> dict[str, float]:
    """Of the exchanges of some cells with nodes, as many as would lose a packet on the way there."""
    frame = ground.frame
    asked = np.array([end.node in nodes for end in ground.cells.targets.all], np.bool_)
    here = np.flatnonzero(asked[ground.target] & of_layers(ground.layer, NETWORK))
    near = np.unique(frame.node_of_source[ground.source[which]])
    one, other = frame.node_of_source[ground.source[here]], frame.node_of_target[ground.target[here]]
    mine = (one != other) & ((one == near[0]) | (len(near) > 1))
    here, far = here[mine], other[mine]
    sent, lost = (np.bincount(far, column[here], len(frame.words)) for column in (ground.sent, ground.lost))
    places = {word: number for number, word in enumerate(frame.words) if word in nodes}
    return {node: 1.0 - (1.0 - lost.item(number) / max(sent.item(number), 1.0)) ** EXCHANGES for node, number in places.items()}


def _nodes(scope: Scope, ground: Ground) -> list[str]:
    """Names of the nodes that it is of."""
    return [ground.frame.words[number] for number in np.flatnonzero(members(ground, scope)[:-1]).tolist()]


def _no_more(lost: float, sent: float, expected: float) -> bool:
    """Whether that many lost are within what is expected, which is the most that it may be."""
    if expected <= 0:
        return False
    return lost <= expected * sent or advantage(lost, sent, lost / sent, expected) <= TELLING


def _share(end: End, lost: dict[str, float]) -> float:
    """Of the exchanges with a target, as many as get lost on the nodes of its servers, each of which has as many of them."""
    return sum(lost.get(node, 0.0) for node in end.behind) / max(len(end.behind), 1)


def _lost_exchanges(node: Scope, ground: Ground) -> float:
    """Of the exchanges with a node, as many as lose one packet or more."""
    sent, lost = counted(ground, np.flatnonzero(cells_of(node, ground)))
    kept: float = (1.0 - lost / max(sent, 1.0)) ** EXCHANGES
    return 1.0 - kept


def _by_target(ground: Ground) -> tuple[Floats, Floats]:
    """Probes of services and name servers, and how many of them were lost, by the target's number."""
    which: Mask = np.isin(ground.layer, _SERVED)
    sent, lost = (
        np.bincount(ground.target[which], column[which], len(ground.cells.targets)).astype(np.float64)
        for column in (ground.sent, ground.lost)
    )
    return sent, lost
