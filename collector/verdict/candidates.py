"""What causes are looked for in: the cells of a span with their background, and what they lose. And what a candidate is.

In: the cells of a span and their background. Out: sums by the source's node, the target's node, name, layer and zone pair, from
a few passes over the cells; what is lossy is kept apart, since it is little.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.verdict.cells import LAYERS, Cells, Ints, Mask, Small
from collector.verdict.frame import Frame
from wire.path import Layer

Floats = NDArray[np.float64]
Count = NDArray[np.int32]

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
    probes: Ints
    """Of the lost, without those of bursts."""
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


Sums = tuple[Floats, Floats]
"""Probes and usual events, by component (rows) and class (columns)."""


class AllSums(NamedTuple):
    """Of a span: by the target's node, by the source's, and by the target's name where many vantages ask it."""

    into: Sums
    out: Sums
    names: Sums


class Ground:
    """Cells of a span as every family needs them; what is not judged has zero in every count.

    `before` is that of another span of the same pass, whose keys it shares where they are the same cells.
    """

    def __init__(self, cells: Cells, frame: Frame, group: Ints, rates: Floats, before: "Ground | None" = None) -> None:
        self.cells, self.frame, self.group, self.rates = cells, frame, group, rates
        self.judged = cells.judged
        self.source, self.target, self.layer = cells.source, cells.target, cells.layer
        sent = np.multiply(cells.sent, self.judged, dtype=np.float64)
        self.by_group = np.bincount(group, sent, len(rates)).astype(np.float64)
        """Probes of each group, without those of bursts."""
        self.lost: Ints = np.zeros(len(cells), np.int64)  # which takes no memory where nothing is lost
        lossy = np.flatnonzero(cells.lost)
        self.lost[lossy] = cells.lost[lossy] * self.judged[lossy]
        if cells.bursts is not None:
            judged = self.judged[cells.bursts.cell]
            np.add.at(sent, cells.bursts.cell, cells.bursts.sent * judged)
            np.add.at(self.lost, cells.bursts.cell, cells.bursts.lost * judged)
        self.sent: Ints | Count = sent.astype(np.int32)
        self.keys: Keys = before.keys if before is not None and before.is_of(cells) else _keys(frame, cells)
        self.sums = self._sums(sent)
        self.events = self._events()

    def is_of(self, cells: Cells) -> bool:
        """Whether these are the same cells, in another span."""
        mine = self.cells
        same = mine.sources is cells.sources and mine.targets is cells.targets and mine.layer is cells.layer
        return same and mine.source is cells.source and mine.target is cells.target

    def usual(self, which: Mask | Ints) -> float:
        """Events that the background brings to some cells."""
        return float((self.sent[which] * self.rates[self.group[which]]).sum())

    def _sums(self, sent: Floats) -> "AllSums":
        frame, keys = self.frame, self.keys
        usual: Floats = self.rates.take(self.group)
        usual *= sent
        into, out = (_sums(key, (sent, usual), len(frame.words)) for key in (keys.into, keys.out))
        return AllSums(into, out, _sums(keys.name, (sent.take(keys.shared), usual.take(keys.shared)), len(frame.names)))

    def _events(self) -> Events:
        frame = self.frame
        lossy = np.flatnonzero(self.lost)
        lossy = lossy[np.argsort(self.layer[lossy] != LAYERS.index(Layer.POD), kind="stable")]
        layer = self.layer[lossy].astype(np.int64)
        one, other = frame.node_of_source[self.source[lossy]], frame.node_of_target[self.target[lossy]]
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
            np.bincount(inverse, self.cells.lost[lossy] * self.judged[lossy], len(place)).astype(np.int64),
            self.group[place],
            place,
        )


def of_layers(layer: Ints | Small, layers: str) -> Mask:
    """Which of some layer numbers belong to NETWORK or to one layer."""
    if layers in CLASSES:
        return np.asarray(CLASS_OF[layer] == CLASSES.index(layers))
    return np.asarray(layer == LAYERS.index(Layer(layers)))


def _keys(frame: Frame, cells: Cells) -> Keys:
    kind_of = CLASS_OF.take(cells.layer)
    shared = np.flatnonzero(np.isin(CLASS_OF, [CLASSES.index(one) for one in SHARED.values()]).take(cells.layer))
    return Keys(
        _key(frame.node_of_target, cells.target, kind_of),
        _key(frame.node_of_source, cells.source, kind_of),
        shared,
        _key(frame.name_of_target, cells.target.take(shared), kind_of.take(shared)),
    )


def _key(codes: Ints, end: Ints, kind_of: Ints) -> Ints:
    """In front of all others is what has no component."""
    key: Ints = ((codes + 1) * len(CLASSES)).take(end)
    key += kind_of
    return key


def _sums(key: Ints, columns: tuple[Floats, Floats], count: int) -> Sums:
    size = (count + 1) * len(CLASSES)
    counts = (np.bincount(key, column, size).astype(np.float64) for column in columns)
    sent, usual = (column.reshape(count + 1, len(CLASSES))[1:] for column in counts)
    return sent, usual
