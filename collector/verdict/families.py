"""What may be the cause of many bad cells: every node inbound, outbound and both, zone pair, service, and so on.

In: the ground of a span. Out: families of candidates, each an array of sums with one element a component.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

import numpy as np

from collector.verdict.candidates import ALL, CLASSES, NETWORK, SHARED, Floats, Ground, Scope, Sums, of_layers
from collector.verdict.cells import LAYERS, Ints, Mask, Numbers
from collector.verdict.frame import Sides
from wire.path import Layer

OTHERS: Final = 3
"""Fewest nodes without a label that must be there to see what those with it have in common."""


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
    halves: "tuple[Family, Family] | None" = None
    """Its two sides, where both count; `event` is that of the first."""

    def happened(self, live: Mask) -> Floats:
        """Events of each component that nothing explains yet."""
        if self.halves:
            return self.halves[0].happened(live) + self.halves[1].happened(live)
        return np.bincount(self.event[live & (self.event >= 0)], minlength=len(self.words)).astype(np.float64)

    def weighed(self, weights: Floats) -> Floats:
        """The sum of what each component's events weigh."""
        if self.halves:
            return self.halves[0].weighed(weights) + self.halves[1].weighed(weights)
        return np.asarray(np.bincount(self.event + 1, weights, len(self.words) + 1)[1:], np.float64)

    def holds(self, number: int) -> Mask:
        """Which events a component has."""
        result: Mask = self.event == number
        return result | (self.halves[1].event == number) if self.halves else result

    def scope(self, number: int) -> Scope:
        """What a component is."""
        return Scope(self.kind, self.words[number], self.direction, self.layers)

    def named(self, keys: AbstractSet[tuple[str, str, str]]) -> Ints:
        """Which components some scopes name; these are given by `key_of`."""
        names = {name for kind, name, layers in keys if (kind, layers) == (self.kind, self.layers)}
        names |= {">".join(reversed(name.split(">"))) for name in names}
        return np.array([self.words.index(name) for name in sorted(names) if name in self.words], np.int64)

    @property
    def many(self) -> bool:
        """Whether its components have many nodes or names on either side."""
        return self.kind in {"group", "zone_pair"} or self.words == (ALL,) or ">" in self.words[0]

    @property
    def wide(self) -> bool:
        """Whether its components are many nodes or many names."""
        return self.kind != "policy" and (self.many or self.layers == Layer.MTU)


def families(ground: Ground) -> list[Family]:
    """All of them."""
    frame, events, (into, out, names, _) = ground.frame, ground.events, ground.sums
    near, far = frame.node_of_source[events.source], frame.node_of_target[events.target]
    result: list[Family] = []
    for layers, node, zone in ((NETWORK, "node", "zone_pair"), (Layer.MTU.value, "mtu", "mtu")):
        one = _family(ground, Scope(node, "", "in", layers), frame.words, into, far)
        other = _family(ground, Scope(node, "", "out", layers), frame.words, out, near)
        result += [one, other, both(node, layers, one, other)]
        if layers == NETWORK:
            result += _by_label(ground, *result[-3:-1])
        result += _zones(ground, zone, layers)
    for kind, layer in SHARED.items():
        result += [
            _family(ground, Scope("node", "", "out", layer.value), frame.words, out, near),
            _family(ground, Scope(kind, "", "in", layer.value), frame.names, names, frame.name_of_target[events.target]),
        ]
    result += [_whole(ground, kind, layer.value) for kind, layer in (*SHARED.items(), ("mtu", Layer.MTU))]
    result += _policies(ground)
    return [family for family in result if family.words and family.sent.any()]


def both(kind: str, layers: str, one: Family, other: Family) -> Family:
    """Two sides of the same components together."""
    sums = one.sent + other.sent, one.usual + other.usual
    return Family(kind, "both", layers, one.words, *sums, one.event, (one, other))


def _family(ground: Ground, like: Scope, words: tuple[str, ...], sums: Sums, own: Ints) -> Family:
    """Candidates like one whose component is left out; `own`: the component of each event."""
    column = CLASSES.index(like.layers)
    event = np.where(of_layers(ground.events.layer, like.layers), own, -1)
    return Family(like.kind, like.direction, like.layers, words, sums[0][:, column], sums[1][:, column], event)


def _whole(ground: Ground, kind: str, layers: str) -> Family:
    """Everything of a layer."""
    event = np.where(of_layers(ground.events.layer, layers), 0, -1)
    per = len(ground.rates) // len(LAYERS)
    groups = slice(LAYERS.index(Layer(layers)) * per, (LAYERS.index(Layer(layers)) + 1) * per)
    sent = ground.sums.by_group[groups]
    usual = sent @ ground.rates[groups]
    return Family(kind, "in", layers, (ALL,), sent.sum(keepdims=True), np.array([usual]), event)


def _zones(ground: Ground, kind: str, layers: str) -> list[Family]:
    """Each directed pair of zones, and each two zones in both directions."""
    zones = ground.frame.zones
    count = len(zones[0].words)
    own_words = ground.cells.sources.zones.words, ground.cells.targets.zones.words
    table = (len(LAYERS), len(own_words[0]) + 1, len(own_words[1]) + 1)
    both_sides = np.ix_(*([zones[0].words.index(word) for word in words] for words in own_words))
    picked = of_layers(np.arange(len(LAYERS)), layers)
    counts = ground.sums.by_group, ground.sums.by_group * ground.rates
    totals = np.zeros((2, count, count))
    for total, column in zip(totals, counts, strict=True):
        total[both_sides] = column.reshape(table)[picked, 1:, 1:].sum(axis=0)
    sent, usual = totals.reshape(2, -1)
    events = ground.events
    own = np.where(of_layers(events.layer, layers), _cross(zones, events.source, events.target), -1)
    words = tuple(f"{one}>{other}" for one in zones[0].words for other in zones[1].words)
    single = Family(kind, "out", layers, words, sent, usual, own)
    first, second = np.triu_indices(count, 1)
    if not len(first):
        return [single]
    ahead, back = first * count + second, second * count + first
    names = tuple(words[number] for number in ahead.tolist())
    halves = []
    for chosen in (ahead, back):
        place = np.full(count * count + 1, -1, np.int64)
        place[chosen] = np.arange(len(chosen))
        halves.append(Family(kind, "out", layers, names, sent[chosen], usual[chosen], place[own]))
    return [single, both(kind, layers, *halves)]


def _by_label(ground: Ground, into: Family, out: Family) -> list[Family]:
    """Nodes that have a label in common, where several do and several do not."""
    result = []
    most = len(into.words) - OTHERS
    shared = {label: numbers for label, numbers in ground.frame.labels.items() if 1 < len(numbers) <= most}
    for label, numbers in shared.items():
        of = np.full(len(into.words) + 1, -1, np.int64)
        of[numbers] = 0
        sides = []
        for family in (into, out):
            sent, usual = (column[numbers].sum(keepdims=True) for column in (family.sent, family.usual))
            sides.append(Family("group", family.direction, family.layers, (label,), sent, usual, of[family.event]))
        result += [*sides, both("group", into.layers, *sides)]
    return result


def _policies(ground: Ground) -> list[Family]:
    """Pairs of two different namespaces that lost something on the pod layer: within one, no policy between them is at work."""
    spaces = ground.frame.namespaces
    count = len(spaces[0].words)
    events, pod = ground.events, LAYERS.index(Layer.POD)
    own = np.where(events.layer == pod, _other(_cross(spaces, events.source, events.target), count), -1)
    found = np.unique(own[own >= 0])
    if not len(found):
        return []
    pods = np.flatnonzero(ground.layer == pod)
    code = _cross(spaces, ground.source[pods], ground.target[pods])
    place = np.minimum(np.searchsorted(found, code), len(found) - 1)
    pods, place = pods[found[place] == code], place[found[place] == code]
    columns = ground.sent[pods], ground.usual(pods)
    sent, usual = (np.bincount(place, column, len(found)).astype(np.float64) for column in columns)
    words = tuple(">".join(spaces[0].words[one] for one in divmod(number, count)) for number in found.tolist())
    event = np.where(own >= 0, np.searchsorted(found, own), -1)
    return [Family("policy", "in", Layer.POD.value, words, sent, usual, event)]


def _cross(sides: Sides, source: Numbers, target: Numbers) -> Ints:
    one, other = sides[0].codes[source], sides[1].codes[target]
    return np.where((one >= 0) & (other >= 0), one * len(sides[0].words) + other, -1)


def _other(codes: Ints, count: int) -> Ints:
    one, other = np.divmod(codes, max(count, 1))
    return np.where((codes >= 0) & (one != other), codes, -1)
