"""What may be the cause of many bad cells: every node inbound, outbound and both, zone pair, service, and so on.

In: the cells of a span and their background. Out: families of candidates, each an array of sums with one element a component.
A candidate is a set of cells, so its sums come from one pass over the cells; what is lossy is kept apart, since it is little.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.verdict.cells import LAYERS, Cells, Codes, Ends, Ints, Mask, coded
from wire.path import Layer

Floats = NDArray[np.float64]
Sides = tuple[Codes, Codes]
"""A property of sources and of targets."""

NETWORK: Final = "network"
"""The layers pod and host together: which of them it is, the ladder says afterwards."""
SHARED: Final = {"service": Layer.SERVICE, "dns": Layer.DNS, "external": Layer.EXTERNAL}
"""Kinds whose component is a target that many vantages ask, and its layer."""
ALL: Final = "all"
"""Component that stands for everything of its kind."""


class Scope(NamedTuple):
    """What one candidate is: cells of some layers from one side, to one side, or between two."""

    kind: str
    component: str
    direction: str
    layers: str
    """NETWORK or the name of a layer."""


class Events(NamedTuple):
    """Every pair of ends that lost something on a layer; columns as in Cells, one element a pair and layer.

    Long packets are sent minutes apart, so that no burst hits two of them: there, each length is an event of its own.
    """

    source: Ints
    target: Ints
    layer: Ints
    lost: Ints
    sent: Ints
    group: Ints
    """See `noise.groups`."""


class Ground:
    """Cells of a span as every family needs them: judged ones only, numbered by node, zone and name."""

    def __init__(self, cells: Cells, group: Ints, rates: Floats) -> None:
        judged = np.flatnonzero(cells.judged)
        self.cells = cells
        self.source = cells.source[judged]
        self.target = cells.target[judged]
        self.layer = cells.layer[judged].astype(np.int64)
        self.sent = cells.sent[judged].astype(np.float64)
        self.lost = cells.lost[judged]
        self.group = group[judged]
        self.usual = self.sent * rates[self.group]
        """Events that the background brings."""
        self.nodes, self.zones, self.namespaces, self.names = _words(cells.sources, cells.targets)
        self.events = self._events()

    def _events(self) -> Events:
        lossy = np.flatnonzero(self.lost)
        width = len(self.cells.targets) + 1
        key = (self.source[lossy] * width + self.target[lossy]) * len(LAYERS) + self.layer[lossy]
        rare = self.layer[lossy] == LAYERS.index(Layer.MTU)
        key[rare] = -1 - lossy[rare]
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        place = lossy[first]
        return Events(
            self.source[place],
            self.target[place],
            self.layer[place],
            np.bincount(inverse, self.lost[lossy], len(place)).astype(np.int64),
            np.bincount(inverse, self.sent[lossy], len(place)).astype(np.int64),
            self.group[place],
        )

    def of(self, layers: str) -> Mask:
        """Which cells are of some layers."""
        return of_layers(self.layer, layers)


@dataclass(slots=True, eq=False)
class Family:
    """Candidates of one kind, direction and set of layers; arrays have one element a component."""

    kind: str
    direction: str
    layers: str
    words: tuple[str, ...]
    sent: Floats
    usual: Floats
    event: Ints
    """Of each event the component that it belongs to, -1 for none."""
    other: Ints | None = None
    """The same for the second side, where both count."""

    def happened(self, live: Mask) -> Floats:
        """Events of each component that nothing explains yet."""
        total = np.zeros(len(self.words))
        for column in (self.event, self.other):
            if column is not None:
                total += np.bincount(column[live & (column >= 0)], minlength=len(self.words))
        return total

    def holds(self, number: int) -> Mask:
        """Which events a component has."""
        result: Mask = self.event == number
        return result if self.other is None else result | (self.other == number)

    def scope(self, number: int) -> Scope:
        """What a component is."""
        return Scope(self.kind, self.words[number], self.direction, self.layers)


def families(ground: Ground) -> list[Family]:
    """All of them."""
    result: list[Family] = []
    events, words = ground.events, ground.nodes[0].words
    into = ground.nodes[1].codes[ground.target], ground.nodes[1].codes[events.target]
    outof = ground.nodes[0].codes[ground.source], ground.nodes[0].codes[events.source]
    zones = _cross(ground.zones, ground.source, ground.target), _cross(ground.zones, events.source, events.target)
    names = ground.names.codes[ground.target], ground.names.codes[events.target]
    for layers, node, zone in ((NETWORK, "node", "zone_pair"), (Layer.MTU.value, "mtu", "mtu")):
        one = _family(ground, node, "in", layers, words, codes=into[0], own=into[1])
        other = _family(ground, node, "out", layers, words, codes=outof[0], own=outof[1])
        both = Family(node, "both", layers, words, one.sent + other.sent, one.usual + other.usual, one.event, other.event)
        result += [one, other, both]
        if layers == NETWORK:
            result += _by_label(ground, one, other, both)
        result.append(_family(ground, zone, "out", layers, _crossed(ground.zones), codes=zones[0], own=zones[1]))
    for kind, layer in SHARED.items():
        result.append(_family(ground, "node", "out", layer.value, words, codes=outof[0], own=outof[1]))
        result.append(_family(ground, kind, "in", layer.value, ground.names.words, codes=names[0], own=names[1]))
    whole = np.zeros(len(ground.source), np.int64), np.zeros(len(events.source), np.int64)
    result += [
        _family(ground, kind, "in", layer.value, (ALL,), codes=whole[0], own=whole[1])
        for kind, layer in (*SHARED.items(), ("mtu", Layer.MTU))
    ]
    if len(spaces := _crossed(ground.namespaces)) > 1:
        codes = _cross(ground.namespaces, ground.source, ground.target)
        own = _cross(ground.namespaces, events.source, events.target)
        result.append(
            _family(ground, "policy", "in", Layer.POD.value, spaces, codes=_other(codes, ground), own=_other(own, ground))
        )
    return [family for family in result if family.words and family.sent.any()]


def _family(
    ground: Ground, kind: str, direction: str, layers: str, words: tuple[str, ...], *, codes: Ints, own: Ints
) -> Family:
    """`codes` are of cells, `own` of events: the component of each."""
    chosen = np.flatnonzero(ground.of(layers) & (codes >= 0))
    number, count = codes[chosen], len(words)
    sent = np.bincount(number, ground.sent[chosen], count).astype(np.float64)
    usual = np.bincount(number, ground.usual[chosen], count).astype(np.float64)
    return Family(kind, direction, layers, words, sent, usual, np.where(of_layers(ground.events.layer, layers), own, -1))


def _by_label(ground: Ground, into: Family, out: Family, both: Family) -> list[Family]:
    """Nodes that have a label in common, where several do and not all."""
    members: dict[str, set[int]] = {}
    place = {name: number for number, name in enumerate(into.words)}
    for end in ground.cells.sources.all:
        for label in end.groups:
            if end.node in place:
                members.setdefault(label, set()).add(place[end.node])
    result = []
    for label, numbers in sorted(members.items()):
        if not 1 < len(numbers) < len(into.words):
            continue
        chosen = np.array(sorted(numbers), np.int64)
        of = np.full(len(into.words) + 1, -1, np.int64)
        of[chosen] = 0
        for family in (into, out, both):
            other = None if family.other is None else of[family.other]
            result.append(
                Family(
                    "group",
                    family.direction,
                    family.layers,
                    (label,),
                    family.sent[chosen].sum(keepdims=True),
                    family.usual[chosen].sum(keepdims=True),
                    of[family.event],
                    other,
                )
            )
    return result


def of_layers(layer: Ints, layers: str) -> Mask:
    """Which of some layer numbers belong to NETWORK or to one layer."""
    if layers == NETWORK:
        network: Mask = (layer == LAYERS.index(Layer.POD)) | (layer == LAYERS.index(Layer.HOST))
        return network
    one: Mask = layer == LAYERS.index(Layer(layers))
    return one


@lru_cache(maxsize=4)
def _words(sources: Ends, targets: Ends) -> tuple[Sides, Sides, Sides, Codes]:
    """Nodes, zones and namespaces of both tables with numbers in common, and the names of targets."""
    nodes, zones, namespaces = (_both(sources, targets, field) for field in ("node", "zone", "namespace"))
    return nodes, zones, namespaces, coded([end.name for end in targets.all])


def _both(sources: Ends, targets: Ends, field: str) -> Sides:
    words = sorted({word for end in (*sources.all, *targets.all) if (word := getattr(end, field))})
    one, other = (coded([getattr(end, field) for end in ends.all], words) for ends in (sources, targets))
    return one, other


def _crossed(sides: Sides) -> tuple[str, ...]:
    words = sides[0].words
    return tuple(f"{one}>{other}" for one in words for other in words)


def _cross(sides: Sides, source: Ints, target: Ints) -> Ints:
    one, other = sides[0].codes[source], sides[1].codes[target]
    return np.where((one >= 0) & (other >= 0), one * len(sides[0].words) + other, -1)


def _other(codes: Ints, ground: Ground) -> Ints:
    """Pairs of two different namespaces alone: within one, no policy between namespaces is at work."""
    one, other = np.divmod(codes, len(ground.namespaces[0].words))
    return np.where((codes >= 0) & (one != other), codes, -1)
