"""What may be the cause of many bad cells: every node inbound, outbound and both, zone pair, service, and so on.

In: the cells of a span and their background. Out: families of candidates, each an array of sums with one element a component.
All sums come from four passes over the cells (by source's node, target's node, name, layer and zone pair); what is lossy is
kept apart, since it is little.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.verdict.cells import LAYERS, Cells, Ints, Mask, Small
from collector.verdict.frame import Frame, Sides
from wire.path import Layer

Floats = NDArray[np.float64]

NETWORK: Final = "network"
"""The layers pod and host together: which of them it is, the ladder says afterwards."""
SHARED: Final = {"service": Layer.SERVICE, "dns": Layer.DNS, "external": Layer.EXTERNAL}
"""Kinds whose component is a target that many vantages ask, and its layer."""
ALL: Final = "all"
"""Component that stands for everything of its kind."""
CLASSES: Final = (NETWORK, *(layer.value for layer in LAYERS if layer not in {Layer.POD, Layer.HOST}))
CLASS_OF: Final = np.array([CLASSES.index(layer) if layer.value in CLASSES else 0 for layer in LAYERS], np.int64)
"""Of each layer its place in CLASSES."""


class Scope(NamedTuple):
    """What one candidate is: cells of some layers from one side, to one side, or between two."""

    kind: str
    component: str
    direction: str
    """Of the packets that get lost, as far as is known."""
    layers: str
    """NETWORK or the name of a layer."""
    sides: str = ""
    """Of the cells that lose by it, where that is more than `direction`: probes go there and back, so that what is lost on the
    way into a node is missed by its own probes too."""

    @property
    def reach(self) -> str:
        """Which cells it covers."""
        return self.sides or self.direction


def key_of(scope: Scope) -> tuple[str, str, str]:
    """What stays the same while it is refined; two ends are the same in either order, but two namespaces are not."""
    ends = scope.component.split(">") if scope.kind != "policy" else [scope.component]
    return scope.kind, ">".join(sorted(ends)), scope.layers


class Events(NamedTuple):
    """Every pair of ends that lost something; columns as in Cells, one element a pair and class of layers.

    A burst hits all that two nodes send each other, on the pod and on the host layer and between whatever agents they have: it
    is one event, of the pod layer where that lost something. Long packets are sent minutes apart, so that no burst hits two
    of them: there, each length is an event of its own.
    """

    source: Ints
    target: Ints
    layer: Ints
    lost: Ints
    sent: Ints
    group: Ints
    """See `noise.groups`."""
    place: Ints
    """One of its cells."""


class Keys(NamedTuple):
    """Where each cell counts in sums by component (rows) and class (columns). The spans of a pass share them."""

    into: Ints
    """By the target's node."""
    out: Ints
    """By the source's node."""
    shared: Ints
    """The cells whose target many vantages ask, and its name."""
    name: Ints


class Ground:
    """Cells of a span as every family needs them; what is not judged has zero in every count.

    `before` is that of another span of the same pass, whose keys it shares where they are the same cells.
    """

    def __init__(self, cells: Cells, frame: Frame, group: Ints, rates: Floats, before: "Ground | None" = None) -> None:
        self.cells, self.frame, self.group, self.rates = cells, frame, group, rates
        self.judged = cells.judged
        self.source, self.target, self.layer = cells.source, cells.target, cells.layer
        self.sent: Floats = np.multiply(cells.sent, self.judged, dtype=np.float64)
        self.lost: Ints = np.multiply(cells.lost, self.judged, dtype=np.int64)
        self.by_group = np.bincount(group, self.sent, len(rates)).astype(np.float64)
        """Probes of each group."""
        self.usual: Floats = rates.take(group)
        """Events that the background brings."""
        self.usual *= self.sent
        same = before is not None and before.frame is frame and before.layer is cells.layer
        self.keys: Keys = before.keys if before is not None and same else _keys(frame, cells.layer)
        self.events = self._events()

    def _events(self) -> Events:
        frame = self.frame
        lossy = np.flatnonzero(self.lost)
        lossy = lossy[np.argsort(self.layer[lossy] != LAYERS.index(Layer.POD), kind="stable")]
        layer = self.layer[lossy].astype(np.int64)
        one, other = frame.source_node[lossy], frame.target_node[lossy]
        near = np.where(one >= 0, one, len(frame.words) + self.source[lossy])
        far = np.where(other >= 0, other, len(frame.words) + self.target[lossy])
        width = len(frame.words) + len(self.cells.targets) + 1
        key = (near * width + far) * len(CLASSES) + CLASS_OF[layer]
        rare = layer == LAYERS.index(Layer.MTU)
        key[rare] = -1 - lossy[rare]
        _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
        place = lossy[first]
        return Events(
            self.source[place],
            self.target[place],
            layer[first],
            np.bincount(inverse, self.lost[lossy], len(place)).astype(np.int64),
            np.bincount(inverse, self.sent[lossy], len(place)).astype(np.int64),
            self.group[place],
            place,
        )


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

    def holds(self, number: int) -> Mask:
        """Which events a component has."""
        result: Mask = self.event == number
        return result | (self.halves[1].event == number) if self.halves else result

    def scope(self, number: int) -> Scope:
        """What a component is."""
        return Scope(self.kind, self.words[number], self.direction, self.layers)

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
    frame, events, keys = ground.frame, ground.events, ground.keys
    into, out = (_sums(key, (ground.sent, ground.usual), len(frame.words)) for key in (keys.into, keys.out))
    result: list[Family] = []
    for layers, node, zone in ((NETWORK, "node", "zone_pair"), (Layer.MTU.value, "mtu", "mtu")):
        one = _family(ground, Scope(node, "", "in", layers), frame.words, into, frame.target_node[events.place])
        other = _family(ground, Scope(node, "", "out", layers), frame.words, out, frame.source_node[events.place])
        result += [one, other, both(node, layers, one, other)]
        if layers == NETWORK:
            result += _by_label(ground, *result[-3:-1])
        result += _zones(ground, zone, layers)
    names = _sums(keys.name, (ground.sent.take(keys.shared), ground.usual.take(keys.shared)), len(frame.names))
    for kind, layer in SHARED.items():
        result += [
            _family(ground, Scope("node", "", "out", layer.value), frame.words, out, frame.source_node[events.place]),
            _family(ground, Scope(kind, "", "in", layer.value), frame.names, names, frame.name[events.place]),
        ]
    result += [_whole(ground, kind, layer.value) for kind, layer in (*SHARED.items(), ("mtu", Layer.MTU))]
    result += _policies(ground)
    return [family for family in result if family.words and family.sent.any()]


def both(kind: str, layers: str, one: Family, other: Family) -> Family:
    """Two sides of the same components together."""
    sums = one.sent + other.sent, one.usual + other.usual
    return Family(kind, "both", layers, one.words, *sums, one.event, (one, other))


def of_layers(layer: Ints | Small, layers: str) -> Mask:
    """Which of some layer numbers belong to NETWORK or to one layer."""
    if layers in CLASSES:
        return np.asarray(CLASS_OF[layer] == CLASSES.index(layers))
    return np.asarray(layer == LAYERS.index(Layer(layers)))


Sums = tuple[Floats, Floats]
"""Probes and usual events, by component (rows) and class (columns)."""


def _keys(frame: Frame, layer: Small) -> Keys:
    kind_of = CLASS_OF.take(layer)
    shared = np.flatnonzero(np.isin(CLASS_OF, [CLASSES.index(one) for one in SHARED.values()]).take(layer))
    return Keys(
        _key(frame.target_node, kind_of),
        _key(frame.source_node, kind_of),
        shared,
        _key(frame.name.take(shared), kind_of.take(shared)),
    )


def _key(codes: Ints, kind_of: Ints) -> Ints:
    """In front of all others is what has no component."""
    key: Ints = codes + 1
    key *= len(CLASSES)
    key += kind_of
    return key


def _sums(key: Ints, columns: tuple[Floats, Floats], count: int) -> Sums:
    size = (count + 1) * len(CLASSES)
    counts = (np.bincount(key, column, size).astype(np.float64) for column in columns)
    sent, usual = (column.reshape(count + 1, len(CLASSES))[1:] for column in counts)
    return sent, usual


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
    sent = ground.by_group[groups]
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
    counts = ground.by_group, ground.by_group * ground.rates
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
    """Nodes that have a label in common, where several do and not all."""
    result = []
    shared = {label: numbers for label, numbers in ground.frame.labels.items() if 1 < len(numbers) < len(into.words)}
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
    sent, usual = (np.bincount(place, column[pods], len(found)).astype(np.float64) for column in (ground.sent, ground.usual))
    words = tuple(">".join(spaces[0].words[one] for one in divmod(number, count)) for number in found.tolist())
    event = np.where(own >= 0, np.searchsorted(found, own), -1)
    return [Family("policy", "in", Layer.POD.value, words, sent, usual, event)]


def _cross(sides: Sides, source: Ints, target: Ints) -> Ints:
    one, other = sides[0].codes[source], sides[1].codes[target]
    return np.where((one >= 0) & (other >= 0), one * len(sides[0].words) + other, -1)


def _other(codes: Ints, count: int) -> Ints:
    one, other = np.divmod(codes, max(count, 1))
    return np.where((codes >= 0) & (one != other), codes, -1)
