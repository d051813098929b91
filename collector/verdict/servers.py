"""How much of what a service or a name server loses is a node's that its servers are on.

In: a scope, the ground that it was found on, and nodes that lose. Out: whether that is all. Pure. A node explains as much as
gets lost on the way into it and no more: a name server that says nothing, on a node that loses some, is a cause of its own.
"""

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np

from collector.verdict.candidates import ALL, NETWORK, SHARED, Floats, Ground, Scope
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


def on_node(scope: Scope, ground: Ground) -> Ints:
    """Numbers of the targets that lose no more than what of them lies on the node of a scope does by it."""
    if not hosts(scope):
        return np.zeros(0, np.int64)
    nodes = _nodes(scope, ground)
    own = np.flatnonzero(np.any([named(ground.frame.behind, node) for node in nodes], axis=0))
    if not len(own):
        return own
    share = dict.fromkeys(nodes, _lost_exchanges(scope, ground))
    sent, lost = _by_target(ground)
    ends = ground.cells.targets
    mine = [n for n in own.tolist() if _no_more(lost.item(n), sent.item(n), _share(ends[n], share))]
    return np.array(mine, np.int64)


def of_nodes(scope: Scope, nodes: Iterable[Scope], ground: Ground) -> bool:
    """Whether a scope of services or name servers loses no more than what of it lies on some nodes that lose."""
    mine = [node for node in nodes if hosts(node)]
    names = {end.name for end in behind(scope, ground.cells.targets.all)}
    if not mine or not names:
        return False
    share: dict[str, float] = {}
    for one in mine:
        loss = _lost_exchanges(one, ground)
        share |= {node: max(loss, share.get(node, 0.0)) for node in _nodes(one, ground)}
    which = np.flatnonzero(cells_of(scope, ground))
    sent, lost = counted(ground, which)
    asked = np.bincount(ground.target[which], ground.sent[which], len(ground.cells.targets))
    expected = sum(
        asked.item(number) * _share(ground.cells.targets[number], share) for number in np.flatnonzero(asked).tolist()
    ) / max(sent, 1.0)
    return _no_more(lost, sent, expected)


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
