"""What causes are looked for in: the cells of a span with their background, and what they lose. And what a candidate is.

In: the cells of a span and their background. Out: sums by the source's node, the target's node, name, layer and zone pair, from
a few passes over the cells; what is lossy is kept apart, since it is little.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.verdict.cells import LAYERS, Cells, Ints, Mask, Numbers, Small, chunks
from collector.verdict.frame import Frame
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
_SHARED: Final = np.isin(np.arange(len(LAYERS)), [LAYERS.index(layer) for layer in SHARED.values()])


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


Sums = tuple[Floats, Floats]
"""Probes and usual events, by component (rows) and class (columns)."""


class AllSums(NamedTuple):
    """Of a span: by the target's node, by the source's, by the target's name where many vantages ask it, and by group."""

    into: Sums
    out: Sums
    names: Sums
    by_group: Floats
    """Probes alone, without those of bursts."""


class Judged:
    """A column of which only what is judged counts, and is zero elsewhere: it is made of some cells as they are asked for."""

    def __init__(self, column: Numbers, judged: Mask) -> None:
        self._column, self._judged = column, judged

    def __getitem__(self, which: Mask | Ints) -> Numbers:
        """Of some cells."""
        result: Numbers = self._column[which] * self._judged[which]
        return result


class Ground:
    """Cells of a span as every family needs them; what is not judged has zero in every count. `rates` are by group."""

    def __init__(self, cells: Cells, frame: Frame, rates: Floats, sums: AllSums) -> None:
        self.cells, self.frame, self.rates, self.sums = cells, frame, rates, sums
        self.judged = cells.judged
        self.source, self.target, self.layer = cells.source, cells.target, cells.layer
        sent, lost = _with_bursts(cells)
        self.sent, self.lost = Judged(sent, self.judged), Judged(lost, self.judged)
        lossy = np.flatnonzero(lost)
        self.lossy: Ints = lossy[self.judged[lossy]]
        """Cells that lost something."""
        self.events = self._events()

    def usual(self, which: Mask | Ints) -> Floats:
        """Events that the background brings to some cells."""
        result: Floats = self.sent[which] * self.rates[self._group(which)]
        return result

    def _group(self, which: Mask | Ints) -> Ints:
        return self.frame.grouping.of(self.source[which], self.target[which], self.layer[which])

    def _events(self) -> Events:
        frame = self.frame
        lossy = self.lossy[np.argsort(self.layer[self.lossy] != LAYERS.index(Layer.POD), kind="stable")]
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
            self.source[place].astype(np.int64),
            self.target[place].astype(np.int64),
            layer[first],
            np.bincount(inverse, self.lost[lossy], len(place)).astype(np.int64),
            np.bincount(inverse, self.sent[lossy], len(place)).astype(np.int64),
            np.bincount(inverse, self.cells.lost[lossy] * self.judged[lossy], len(place)).astype(np.int64),
            self._group(place),
            place,
        )


def of_layers(layer: Ints | Small, layers: str) -> Mask:
    """Which of some layer numbers belong to NETWORK or to one layer."""
    if layers in CLASSES:
        return np.asarray(CLASS_OF[layer] == CLASSES.index(layers))
    return np.asarray(layer == LAYERS.index(Layer(layers)))


def grounds_of(spans: Sequence[Cells], frame: Frame, rates: Floats) -> list[Ground]:
    """The grounds of the same cells in several spans."""
    return [Ground(cells, frame, rates, sums) for cells, sums in zip(spans, _summed(spans, frame, rates), strict=True)]


def _summed(spans: Sequence[Cells], frame: Frame, rates: Floats) -> list[AllSums]:
    """All sums of each span, some cells at a time: what is only needed on the way never is as long as all cells are."""
    first, result = spans[0], [_nothing(frame, len(rates)) for _ in spans]
    into, out, names = (
        (codes + 1) * len(CLASSES) for codes in (frame.node_of_target, frame.node_of_source, frame.name_of_target)
    )
    for here in chunks(len(first)):
        source, target, layer = first.source[here], first.target[here], first.layer[here]
        group, kind_of = frame.grouping.of(source, target, layer), CLASS_OF.take(layer)
        shared = np.flatnonzero(_SHARED.take(layer))
        keys = into.take(target) + kind_of, out.take(source) + kind_of, names.take(target[shared]) + kind_of[shared]
        usual_rate = rates.take(group)
        for cells, sums in zip(spans, result, strict=True):
            sent = np.multiply(cells.sent[here], cells.judged_in(here), dtype=np.float64)
            sums.by_group[:] += np.bincount(group, sent, len(rates))
            if cells.bursts is not None:
                mine = (cells.bursts.cell >= here.start) & (cells.bursts.cell < here.stop)
                cell = cells.bursts.cell[mine]
                np.add.at(sent, cell - here.start, cells.bursts.sent[mine] * cells.judged_in(cell))
            usual = sent * usual_rate
            _add(sums.into, keys[0], sent, usual)
            _add(sums.out, keys[1], sent, usual)
            _add(sums.names, keys[2], sent[shared], usual[shared])
    # In front of all others is what has no component.
    return [
        AllSums(_of_components(one.into), _of_components(one.out), _of_components(one.names), one.by_group) for one in result
    ]


def _of_components(sums: Sums) -> Sums:
    return sums[0][1:], sums[1][1:]


def _nothing(frame: Frame, groups: int) -> AllSums:
    into, out, names = (
        (np.zeros((count + 1, len(CLASSES))), np.zeros((count + 1, len(CLASSES))))
        for count in (len(frame.words), len(frame.words), len(frame.names))
    )
    return AllSums(into, out, names, np.zeros(groups))


def _with_bursts(cells: Cells) -> tuple[Numbers, Numbers]:
    """Sent and lost of each cell, with what bursts found."""
    sent, lost, bursts = cells.sent, cells.lost, cells.bursts
    if bursts is not None and len(bursts.cell):
        sent, lost = sent.copy(), lost.copy()
        np.add.at(sent, bursts.cell, bursts.sent.astype(sent.dtype))
        np.add.at(lost, bursts.cell, bursts.lost.astype(lost.dtype))
    return sent, lost


def _add(sums: Sums, key: Ints, *columns: Floats) -> None:
    for total, column in zip(sums, columns, strict=True):
        total[:] += np.bincount(key, column, total.size).reshape(total.shape)
