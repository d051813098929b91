"""Words that many cells share, each kept once: whom a path asks, how it asks, and the places at both ends.

A cell holds numbers into these lists. Numbers of what no cell holds any more are given out again, so the lists are as long as
what there is to name and never as long as the history of a cluster.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from collector.discovery.snapshot import Snapshot
from collector.matrix.exclusions import Codes, Exclusions, codes
from collector.matrix.histograms import Ints, Mask, Numbers
from collector.matrix.places import Place, natural, source_places, target_places
from wire.path import Ask, Dns, Family, Icmp, Kind, Layer, Path, Target, Udp

NETWORK_KINDS: Final = frozenset({Kind.ICMP, Kind.UDP, Kind.TCP})
"""Kinds whose latency is the network's alone; an answer over HTTP or DNS also takes a server's time."""
NOWHERE: Final = Place()
MAX_REMEMBERED: Final = 64
"""Filters and dimensions whose numbers are remembered until the next plan."""


class Aim(NamedTuple):
    """Whom a path asks. `address` is the name of a host that agents resolve by themselves where there is none."""

    name: str
    address: str
    network: str


class Asked(NamedTuple):
    """How a path asks."""

    layer: Layer
    kind: Kind
    family: Family
    ask: Ask

    @property
    def port(self) -> int | None:
        """The port that it asks, None for ICMP."""
        return None if isinstance(self.ask, Icmp) else self.ask.port

    @property
    def measures(self) -> tuple[object, ...]:
        """What two ways of asking share that measure the same."""
        match self.ask:
            case Icmp(packet_bytes=packet_bytes) | Udp(packet_bytes=packet_bytes):
                own: tuple[object, ...] = (packet_bytes,)
            case Dns(name=name, record=record, tcp=tcp):
                own = (name, record, tcp)
            case _:
                own = ()
        return (self.layer, self.kind, self.family, self.port, *own)


class Words(NamedTuple):
    """A dimension of one side: its words as people sort them, and the place of each number's word among them, -1 for none."""

    words: Sequence[str]
    codes: Ints
    """One more than there are numbers; the last, for numbers given out later, is -1."""


class Catalogue:
    """See the module. Sources are numbered by whoever has rows; aims and asks are numbered here."""

    def __init__(self) -> None:
        self.sources: list[Place] = []
        self.aims: list[Aim] = []
        self.targets: list[Place] = []
        """Of each aim."""
        self.asks: list[Asked] = []
        self.names: list[int] = []
        """Of each aim, the number of its name: aims of one name are one target."""
        self.measures: list[int] = []
        """Of each ask, the number of what it measures."""
        self._aim_of: dict[Aim, int] = {}
        self._ask_of: dict[Asked, int] = {}
        self._name_of: dict[str, int] = {}
        self._next_name = 0
        self._measure_of: dict[tuple[object, ...], int] = {}
        self._free_aims: list[int] = []
        self._free_sources: list[int] = []
        self._places: Mapping[str, Place] = {}
        self._source_places: Mapping[str, Place] = {}
        self._words: dict[tuple[str, str], Words] = {}
        self._masks: dict[tuple[str, str], Mask] = {}
        self._layers: Ints = np.zeros(0, np.int64)
        self._subjects: tuple[Ints, Ints] | None = None
        self._nodes: tuple[Ints, Ints] | None = None
        self._exclusions = Exclusions(Snapshot())
        self._excluded: tuple[Codes, Codes] | None = None
        self.changes = 0
        """Goes up when a number gets another meaning."""

    def replan(self, snapshot: Snapshot, used: Mask) -> Mask:
        """Take the places of a snapshot. `used` says which aims cells hold; the answer, which of all are of a target that is.

        Numbers of unused aims and of vanished targets may be given out again.
        """
        self._source_places, self._places = source_places(snapshot), target_places(snapshot)
        self.exclude(snapshot)
        self._forget()
        there = np.array([aim.name in self._places for aim in self.aims], np.bool_)
        self._free_aims = np.flatnonzero(~(there & used)).tolist()
        free = set(self._free_aims)
        self._aim_of = {aim: number for number, aim in enumerate(self.aims) if number not in free}
        self._name_of = {name: number for name, number in self._name_of.items() if name in self._places}
        self.targets = [self._places.get(aim.name, NOWHERE) for aim in self.aims]
        return there

    def source(self, vantage: str) -> int:
        """A number for a vantage that has a row now."""
        place = self._source_places.get(vantage) or Place(vantage=vantage)
        if self._free_sources:
            self.sources[number := self._free_sources.pop()] = place
        else:
            number = len(self.sources)
            self.sources.append(place)
        self._forget()
        return number

    def name_source(self, number: int, vantage: str) -> None:
        """Take the place of a vantage that is where it was, or has moved."""
        self.sources[number] = self._source_places.get(vantage) or Place(vantage=vantage)
        self.changes += 1

    def release_source(self, number: int) -> None:
        """Give a number back."""
        self.sources[number] = NOWHERE
        self._free_sources.append(number)
        self._forget()

    def aim(self, target: Target) -> int:
        """The number of whom a path asks."""
        aim = Aim(target.name, target.address or target.host, target.network)
        number = self._aim_of.get(aim)
        return self._add(aim) if number is None else number

    def _add(self, aim: Aim) -> int:
        if aim.name not in self._name_of:
            self._name_of[aim.name] = self._next_name
            self._next_name += 1
        name = self._name_of[aim.name]
        place = self._places.get(aim.name) or Place(target=aim.name)
        if self._free_aims:
            number = self._free_aims.pop()
            self.aims[number], self.targets[number], self.names[number] = aim, place, name
        else:
            number = len(self.aims)
            self.aims.append(aim)
            self.targets.append(place)
            self.names.append(name)
        self._aim_of[aim] = number
        self._forget()
        return number

    def ask(self, path: Path) -> int:
        """The number of how a path asks."""
        asked = Asked(path.layer, path.kind, path.family, path.ask)
        number = self._ask_of.get(asked)
        if number is None:
            number = self._ask_of[asked] = len(self.asks)
            self.asks.append(asked)
            self.measures.append(self._measure_of.setdefault(asked.measures, len(self._measure_of)))
            self._forget()
        return number

    def subjects(self) -> tuple[Ints, Ints]:
        """The number of each aim's name, and of what each ask measures."""
        if self._subjects is None:
            self._subjects = np.array(self.names, np.int64), np.array(self.measures, np.int64)
        return self._subjects

    def same_node(self, sources: Ints, aims: Ints) -> Mask:
        """Whether the two ends of each path are on one node."""
        if self._nodes is None:
            number: dict[str, int] = {}
            of_sources = [-1 if one.node is None else number.setdefault(one.node, len(number)) for one in self.sources]
            of_aims = [-2 if one.node is None else number.setdefault(one.node, len(number)) for one in self.targets]
            self._nodes = np.array(of_sources, np.int64), np.array(of_aims, np.int64)
        same: Mask = self._nodes[0].take(sources) == self._nodes[1].take(aims)
        return same

    def exclude(self, snapshot: Snapshot) -> None:
        """Take which ends are excluded, and why."""
        self._exclusions, self._excluded = Exclusions(snapshot), None

    @property
    def excluded(self) -> tuple[Codes, Codes]:
        """Why each source and each aim is excluded, as numbers of `exclusions`: 0 where it is not."""
        if self._excluded is None:
            known = self._exclusions
            self._excluded = (
                codes((place.vantage for place in self.sources), known.sources),
                codes((aim.name for aim in self.aims), known.targets),
            )
        return self._excluded

    def left_out(self, sources: Numbers, aims: Numbers) -> Mask | None:
        """Which cells have an excluded end, so that exported counters do not hear of them; None where none may have."""
        if not (self._exclusions.sources or self._exclusions.targets):
            return None
        by_source, by_aim = self.excluded
        result: Mask = np.maximum(by_source.take(sources, mode="clip"), by_aim.take(aims, mode="clip")).astype(np.bool_)
        return result

    def _forget(self) -> None:
        self._words.clear()
        self._masks.clear()
        self._subjects = self._nodes = self._excluded = None
        self.changes += 1

    def words(self, dimension: str, *, side: str) -> Words:
        """The words of a dimension. Codes are by source for the side `from`, by aim for `to`; of layer, kind, family by ask."""
        found = self._words.get((dimension, side))
        if found is None:
            found = self._words[dimension, side] = _coded(self._column(dimension, side))
        return found

    def _column(self, dimension: str, side: str) -> list[str | None]:
        if dimension in {"layer", "kind", "family"}:
            return [str(getattr(asked, dimension)) for asked in self.asks]
        return [place.group(dimension) for place in (self.sources if side == "from" else self.targets)]

    def places(self) -> Iterator[Place]:
        """Every end that a path may have, whether one has or not."""
        yield from self._source_places.values()
        yield from self._places.values()

    def named(self, name: str, *, side: str) -> Mask:
        """Which sources (`from`) or aims (`to`) a person may call so."""
        return self._mask(
            (side, name), lambda: (name in place.names() for place in (self.sources if side == "from" else self.targets))
        )

    def networked(self, network: str) -> Mask:
        """Which aims are on a network; `default` is the cluster's own."""
        own = "" if network == "default" else network
        return self._mask(("network", own), lambda: (aim.network == own for aim in self.aims))

    def _mask(self, key: tuple[str, str], which: Callable[[], Iterable[bool]]) -> Mask:
        if key not in self._masks:
            if len(self._masks) >= MAX_REMEMBERED:
                self._masks.clear()
            self._masks[key] = np.array([*which(), False], np.bool_)
        return self._masks[key]

    @property
    def layers(self) -> Ints:
        """Number of each ask's layer, in the order of wire.path.Layer."""
        if len(self._layers) != len(self.asks):
            numbers = {layer: number for number, layer in enumerate(Layer)}
            self._layers = np.array([numbers[asked.layer] for asked in self.asks], np.int64)
        return self._layers

    @property
    def by_network(self) -> Mask:
        """Of each ask, whether its latency is the network's alone."""
        return np.array([*(asked.kind in NETWORK_KINDS for asked in self.asks), False], np.bool_)


def _coded(column: Sequence[str | None]) -> Words:
    words = sorted({word for word in column if word is not None}, key=natural)
    places = {word: place for place, word in enumerate(words)}
    return Words(words, np.array([*(-1 if word is None else places[word] for word in column), -1], np.int64))
