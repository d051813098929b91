"""Which cells, or events, a cause explains. In: a scope, the ground that it was found on, and columns. Out: a mask."""

from typing import Final

import numpy as np

from collector.verdict.candidates import ALL, NETWORK, Ground, Scope, of_layers
from collector.verdict.cells import LAYERS, Codes, Ints, Mask, Numbers, Small
from collector.verdict.frame import Called
from wire.path import Layer

BEHIND: Final = tuple(LAYERS.index(layer) for layer in (Layer.SERVICE, Layer.DNS, Layer.EXTERNAL))
"""Layers whose targets lie behind the network of a node."""


def covered(scope: Scope, ground: Ground, source: Numbers, target: Numbers, layer: Ints | Small) -> Mask:
    """What a cause explains: a node that is cut off also loses everything that lies behind it."""
    result = _ends(scope, ground, source, target)
    if scope.layers != NETWORK:
        return result & of_layers(layer, scope.layers)
    if scope.kind in {"node", "group"}:
        return result
    return result & ~np.isin(layer, BEHIND)


def cells_of(scope: Scope, ground: Ground) -> Mask:
    """The cells of a scope's own layers, without what lies behind them."""
    here = covered(scope, ground, ground.source, ground.target, ground.layer) & ground.judged
    return here & of_layers(ground.layer, scope.layers)


def members(ground: Ground, scope: Scope) -> Mask:
    """Which nodes a scope names, by number; the last element is for ends without a node."""
    words = ground.frame.words
    result = np.zeros(len(words) + 1, np.bool_)
    if scope.kind == "group":
        result[ground.frame.labels.get(scope.component, np.zeros(0, np.int64))] = True
    elif scope.component in words:
        result[words.index(scope.component)] = True
    return result


def ends_of(scope: Scope, ground: Ground) -> tuple[Mask, Mask]:
    """Of a scope between two ends: which sources are the one, and which targets are the other."""
    near, _, far = scope.component.partition(">")
    if scope.kind in {"zone_pair", "policy"} or (scope.kind == "mtu" and near in ground.frame.zones[0].words):
        sides = ground.frame.namespaces if scope.kind == "policy" else ground.frame.zones
        return _is(sides[0], near), _is(sides[1], far)
    return named(ground.frame.called[0], near), named(ground.frame.called[1], far)


def turned(scope: Scope) -> Scope:
    """The same between the same ends, the other way round."""
    near, _, far = scope.component.partition(">")
    return scope._replace(component=f"{far}>{near}")


def _ends(scope: Scope, ground: Ground, source: Numbers, target: Numbers) -> Mask:
    """What lies between the ends of a scope, on any layer."""
    if scope.component == ALL:
        return np.ones(len(source), np.bool_)
    if ">" in scope.component:
        near, far = ends_of(scope, ground)
        result: Mask = near[source] & far[target]
        if scope.reach == "both":
            back, ahead = ends_of(turned(scope), ground)
            result = result | (back[source] & ahead[target])
        return result
    if scope.kind in {"service", "dns", "external"}:
        chosen: Mask = named(ground.frame.called[1], scope.component)[target]
        return chosen
    nodes = members(ground, scope)
    one = nodes[ground.frame.node_of_source[source]] if scope.reach != "in" else np.zeros(len(source), np.bool_)
    other = nodes[ground.frame.node_of_target[target]] if scope.reach != "out" else np.zeros(len(source), np.bool_)
    either: Mask = one | other
    return either


def named(called: Called, name: str) -> Mask:
    """Which ends of a table have this name, or are on the node of this name."""
    result = np.zeros(called.size, np.bool_)
    result[list(called.places.get(name, ()))] = True
    return result


def _is(codes: Codes, word: str) -> Mask:
    result: Mask = codes.codes == (codes.words.index(word) if word in codes.words else -2)
    return result
