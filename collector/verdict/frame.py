"""What the cells of a pass are, as numbers: nodes, zones, namespaces and names of both ends. The spans of a pass share it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from collector.verdict.cells import LAYERS, Codes, Ends, Ints, Numbers, Small, coded

Sides = tuple[Codes, Codes]
"""A property of sources and of targets, with numbers in common."""


class Called(NamedTuple):
    """A table of ends by what they are called."""

    size: int
    places: Mapping[str, Sequence[int]]
    """Of a name or a node: numbers of ends."""


class Grouping(NamedTuple):
    """What each end and layer adds to the number of the layer and directed zone pair of a cell, in 0 to `size - 1`."""

    ahead: Ints
    behind: Ints
    layers: Ints
    size: int

    def of(self, source: Numbers, target: Numbers, layer: Ints | Small) -> Ints:
        """Of some cells."""
        result: Ints = self.ahead.take(source)
        result += self.behind.take(target)
        result += self.layers.take(layer)
        return result


def grouping_of(sources: Ends, targets: Ends) -> Grouping:
    """That of cells between these ends."""
    ahead, behind = sources.zones, targets.zones
    wide = len(behind.words) + 1
    per_layer = (len(ahead.words) + 1) * wide
    return Grouping((ahead.codes + 1) * wide, behind.codes + 1, np.arange(len(LAYERS)) * per_layer, per_layer * len(LAYERS))


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """`node_of_source` and the like have one element an end, -1 where it has no such thing."""

    words: tuple[str, ...]
    """Nodes."""
    node_of_source: Ints
    node_of_target: Ints
    zones: Sides
    namespaces: Sides
    names: tuple[str, ...]
    """Of targets."""
    name_of_target: Ints
    grouping: Grouping
    labels: Mapping[str, Ints]
    """Numbers of the nodes that have each label."""
    called: tuple[Called, Called]
    """Sources and targets by their names and nodes."""
    behind: Called
    """Services by the nodes of their backends."""


@lru_cache(maxsize=1)
def framed(sources: Ends, targets: Ends) -> Frame:
    """The frame of cells between these ends."""
    (near, far), zones, namespaces = (_both(sources, targets, field) for field in ("node", "zone", "namespace"))
    names = coded([end.name for end in targets.all])
    called = tuple(_called([{end.name, end.node} for end in ends.all]) for ends in (sources, targets))
    return Frame(
        words=near.words,
        node_of_source=near.codes,
        node_of_target=far.codes,
        zones=zones,
        namespaces=namespaces,
        names=names.words,
        name_of_target=names.codes,
        grouping=grouping_of(sources, targets),
        labels=_by_label(sources, near.words),
        called=(called[0], called[1]),
        behind=_called([set(end.behind) for end in targets.all]),
    )


def _by_label(sources: Ends, nodes: Sequence[str]) -> dict[str, Ints]:
    place = {name: number for number, name in enumerate(nodes)}
    members: dict[str, set[int]] = {}
    for end in sources.all:
        for label in end.groups:
            if end.node in place:
                members.setdefault(label, set()).add(place[end.node])
    return {label: np.array(sorted(numbers), np.int64) for label, numbers in sorted(members.items())}


def _called(names: Sequence[set[str]]) -> Called:
    places: dict[str, list[int]] = {}
    for number, mine in enumerate(names):
        for name in sorted(mine - {""}):
            places.setdefault(name, []).append(number)
    return Called(len(names), places)


def _both(sources: Ends, targets: Ends, field: str) -> Sides:
    words = sorted({word for end in (*sources.all, *targets.all) if (word := getattr(end, field))})
    one, other = (coded([getattr(end, field) for end in ends.all], words) for ends in (sources, targets))
    return one, other
