"""Which cells, or events, a cause explains. In: a scope, the ground that it was found on, and columns. Out: a mask."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from collector.verdict.candidates import ALL, NETWORK, Ground, Scope, of_layers
from collector.verdict.cells import LAYERS, Ints, Mask
from wire.path import Layer

BEHIND: Final = tuple(LAYERS.index(layer) for layer in (Layer.SERVICE, Layer.DNS, Layer.EXTERNAL))
"""Layers whose targets lie behind the network of a node."""


def covered(scope: Scope, ground: Ground, source: Ints, target: Ints, layer: Ints) -> Mask:
    """What a cause explains: a node that is cut off also loses everything that lies behind it."""
    result = _ends(scope, ground, source, target)
    if scope.layers != NETWORK:
        return result & of_layers(layer, scope.layers)
    if scope.kind in {"node", "group"}:
        return result
    return result & ~np.isin(layer, BEHIND)


def _ends(scope: Scope, ground: Ground, source: Ints, target: Ints) -> Mask:
    """What lies between the ends of a scope, on any layer."""
    if scope.component == ALL:
        return np.ones(len(source), np.bool_)
    if ">" in scope.component:
        return _between(scope, ground, source, target)
    if scope.kind in {"service", "dns", "external"}:
        names = ground.names
        named: Mask = names.codes[target] == _place(names.words, scope.component)
        return named
    nodes = _members(ground, scope)
    result: Mask = np.zeros(len(source), np.bool_)
    if scope.direction in {"out", "both"}:
        result = result | nodes[ground.nodes[0].codes[source]]
    if scope.direction in {"in", "both"}:
        result = result | nodes[ground.nodes[1].codes[target]]
    return result


def _between(scope: Scope, ground: Ground, source: Ints, target: Ints) -> Mask:
    near, far = scope.component.split(">")
    if scope.kind in {"zone_pair", "policy"} or (scope.kind == "mtu" and near in ground.zones[0].words):
        sides = ground.namespaces if scope.kind == "policy" else ground.zones
        result: Mask = (sides[0].codes[source] == _place(sides[0].words, near)) & (
            sides[1].codes[target] == _place(sides[1].words, far)
        )
        return result
    cells = ground.cells
    from_ = np.array([near in {one.node, one.name} for one in cells.sources.all], np.bool_)
    to = np.array([far in {one.node, one.name} for one in cells.targets.all], np.bool_)
    between: Mask = from_[source] & to[target]
    return between


def _members(ground: Ground, scope: Scope) -> Mask:
    """Which nodes a scope names, by number; the last element is for ends without a node."""
    words = ground.nodes[0].words
    names = {scope.component}
    if scope.kind == "group":
        names = {end.node for end in ground.cells.sources.all if scope.component in end.groups}
    return np.array([*(word in names for word in words), False], np.bool_)


def _place(words: Sequence[str], word: str) -> int:
    return words.index(word) if word in words else -2
