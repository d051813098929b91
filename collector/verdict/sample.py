"""The matrix at one moment as verdicts see it: a copy that nobody changes, and the tables that its numbers stand for."""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.discovery.snapshot import Snapshot
from collector.matrix.catalogue import Asked, Catalogue
from collector.matrix.histograms import EMPTY, Histograms, Ids, Numbers
from collector.matrix.places import Place
from collector.matrix.store import Span
from collector.verdict.cells import FAMILIES, KINDS, LAYERS, End, Ends, Ints, Mask, Small

GROUPS: Final = (
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/rack",
    "rack",
    "pool",
)
"""Labels of nodes that a common cause may have: the pool, the kind of machine, the rack."""


class Words(NamedTuple):
    """What rarely happens: so often was there a code (of `wire.outcome`, or a measure's) in a cell."""

    cell: Ints
    code: Ints
    value: Ints


class Windows(NamedTuple):
    """What some cells did over windows of their own, such as objectives have; one element a cell and window."""

    paths: Ids
    asked_ns: Ints
    """The window that was asked for, which may be longer than what is kept."""
    start_ns: Ints
    """When it began indeed."""
    sent: Ints
    lost: Ints
    latency: Histograms
    """Its groups are elements."""


_NONE: Final = np.zeros(0, np.int64)
NO_WINDOWS: Final = Windows(np.zeros(0, np.uint64), _NONE, _NONE, _NONE, _NONE, EMPTY)


@dataclass(frozen=True, slots=True)
class Tables:
    """Both ends of cells by their numbers in the matrix, and what is known of them without any probe."""

    version: tuple[int, int]
    sources: Ends
    targets: Ends
    vantage: Ints
    """Of each target the source in the same pod, -1 for none."""
    named: Ints
    """Of each target the first one of the same name: a target may have several addresses."""
    asks: tuple[Asked, ...]
    layer: Small
    """By the number of how a path asks, as the next two."""
    kind: Small
    family: Small


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The matrix at one moment; one element a cell."""

    now_ns: int
    snapshot: Snapshot
    tables: Tables
    spans: tuple[Span, ...]
    causal: tuple[int, ...]
    """Which of the spans causes are looked for in: the shortest one, one of a round, and a long one, where they are kept."""
    heard_ns: Ints
    """By source: when its last report arrived, UNHEARD where none is expected."""
    leaving: Mask
    """By source: whether its agent said farewell."""
    excluded: tuple[Small, Small]
    """Reasons by source and by target."""
    paths: Ids
    """The ids of their paths."""
    source: Numbers
    target: Numbers
    ask: Numbers
    reason: Small
    """By the cell's own windows alone."""
    sent: tuple[Numbers, ...]
    """By span."""
    lost: tuple[Numbers, ...]
    words: tuple[Words, ...]
    """By span: how probes failed."""
    place: NDArray[np.float32]
    """A mean latency of the shortest span, as a place of the histogram plus one; 0 where nothing was answered."""
    windows: Windows
    """Of the paths that were asked for."""
    nat: Ints
    """The cells whose peer has just seen another source address than the agent's own."""

    @property
    def round(self) -> int:
        """The span whose probes are one round: a control of that age proves that a target listens."""
        return self.causal[min(1, len(self.causal) - 1)]

    def part(self, cells: Ints) -> "Sample":
        """Some of its cells, in ascending order."""
        place = np.full(len(self), -1, np.int32)
        place[cells] = np.arange(len(cells), dtype=np.int32)
        return replace(
            self,
            paths=self.paths[cells],
            source=self.source[cells],
            target=self.target[cells],
            ask=self.ask[cells],
            reason=self.reason[cells],
            sent=tuple(column[cells] for column in self.sent),
            lost=tuple(column[cells] for column in self.lost),
            words=tuple(_placed(words, place) for words in self.words),
            place=self.place[cells],
            nat=np.flatnonzero(np.isin(cells, self.nat)),
        )

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.source)


def _placed(words: Words, place: NDArray[np.int32]) -> Words:
    cell = place[words.cell].astype(np.int64)
    there = cell >= 0
    return Words(cell[there], words.code[there], words.value[there])


def tables_of(catalogue: Catalogue, snapshot: Snapshot, version: tuple[int, int]) -> Tables:
    """The tables of this moment."""
    uids = {one.name: one.uid for one in snapshot.vantages}
    behind = behind_of(snapshot)
    groups = {node.name: tuple(f"{key}={node.labels[key]}" for key in GROUPS if key in node.labels) for node in snapshot.nodes}
    numbers = {place.vantage: number for number, place in enumerate(catalogue.sources) if place.vantage}
    first: dict[str, int] = {}
    return Tables(
        version,
        Ends(
            _end(place, place.vantage, uids.get(place.vantage or "", ""))._replace(groups=groups.get(place.node or "", ()))
            for place in catalogue.sources
        ),
        Ends(
            _end(place, place.target, uids.get(place.vantage or "", ""), network=aim.network)._replace(
                behind=behind.get(place.target or "", ())
            )
            for aim, place in zip(catalogue.aims, catalogue.targets, strict=True)
        ),
        np.array([numbers.get(place.vantage or "", -1) for place in catalogue.targets], np.int64),
        np.array([first.setdefault(aim.name, number) for number, aim in enumerate(catalogue.aims)], np.int64),
        tuple(catalogue.asks),
        np.array([LAYERS.index(asked.layer) for asked in catalogue.asks], np.uint8),
        np.array([KINDS.index(asked.kind) for asked in catalogue.asks], np.uint8),
        np.array([FAMILIES.index(asked.family) for asked in catalogue.asks], np.uint8),
    )


def behind_of(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """Nodes of the ready backends of each service and of each name server, by its name as a target."""
    at = {address: node.name for node in snapshot.nodes for address in node.addresses}
    at |= {address: pod.node for pod in snapshot.pods for address in pod.addresses}
    at |= {address: one.node for one in snapshot.vantages for address in one.addresses}
    pods = {f"{pod.namespace}/{pod.name}": pod.node for pod in snapshot.pods}
    pods |= {f"{one.namespace}/{one.pod}": one.node for one in snapshot.vantages}
    found: dict[str, set[str]] = {}
    through: dict[str, set[str]] = {}
    for service in snapshot.services:
        mine = {door.node for door in service.doors if door.kind == "endpoint"}
        found[f"service/{service.namespace}/{service.name}"] = mine
    for backed in snapshot.backed:
        hosts = (at.get(one.addresses[0], "") if one.addresses else "" for one in backed.backends if not one.pod)
        mine = {*hosts, *(pods.get(f"{backed.namespace}/{one.pod}", "") for one in backed.backends if one.pod)}
        found.setdefault(f"service/{backed.namespace}/{backed.name}", set()).update(mine)
        through.update(dict.fromkeys(backed.addresses, mine))
    for server in snapshot.dns:
        each = (through.get(address) or {at.get(address, "")} for address in server.addresses)
        found[f"dns/{server.name}"] = set().union(*each)
    return {name: tuple(sorted(mine - {""})) for name, mine in found.items() if mine - {""}}


def _end(place: Place, name: str | None, uid: str, *, network: str = "") -> End:
    return End(name or "", place.node or "", place.zone or "", place.namespace or "", network, uid)
