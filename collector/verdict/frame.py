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


class Words(NamedTuple):
    """What is derived from two tables of ends."""

    nodes: Sides
    zones: Sides
    namespaces: Sides
    names: Codes
    labels: Mapping[str, Ints]
    called: tuple[Called, Called]
    behind: Called


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
    nodes: Sides
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
    words = _words(sources, targets)
    return Frame(
        words=words.nodes[0].words,
        node_of_source=words.nodes[0].codes,
        node_of_target=words.nodes[1].codes,
        nodes=words.nodes,
        zones=words.zones,
        namespaces=words.namespaces,
        names=words.names.words,
        name_of_target=words.names.codes,
        grouping=grouping_of(sources, targets),
        labels=words.labels,
        called=words.called,
        behind=words.behind,
    )


def _words(sources: Ends, targets: Ends) -> Words:
    """Nodes, zones and namespaces of both tables with numbers in common, the names of targets, and nodes by label."""
    nodes, zones, namespaces = (_both(sources, targets, field) for field in ("node", "zone", "namespace"))
    place = {name: number for number, name in enumerate(nodes[0].words)}
    members: dict[str, set[int]] = {}
    for end in sources.all:
        for label in end.groups:
            if end.node in place:
                members.setdefault(label, set()).add(place[end.node])
    labels = {label: np.array(sorted(numbers), np.int64) for label, numbers in sorted(members.items())}
    names = coded([end.name for end in targets.all])
    called = tuple(_called([{end.name, end.node} for end in ends.all]) for ends in (sources, targets))
    behind = _called([set(end.behind) for end in targets.all])
    return Words(nodes, zones, namespaces, names, labels, (called[0], called[1]), behind)


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
