"""Which cells there are: one per path, with the places that it leads from and to, as words and as codes for grouping.

In: a snapshot, the plans made from it, and the table of before. Out: a table, and where each cell of the old one went.
A cell whose path left the plan stays, unsampled, while its vantage and target exist and no other path measures the same.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import numpy as np
from msgspec import Struct

from collector.discovery.snapshot import Snapshot
from collector.matrix.histograms import Ids, Ints, Mask
from wire.path import Icmp, Path
from wire.plan import Plan, PlannedPath

MILLISECOND: Final = 1_000_000

DIMENSIONS: Final = ("vantage", "node", "zone", "namespace", "service", "target", "layer", "kind", "family")
"""What cells can be grouped by, on either side."""


class Place(Struct, frozen=True, omit_defaults=False):
    """One end of a path; None where it has no such thing."""

    vantage: str | None = None
    target: str | None = None
    node: str | None = None
    zone: str | None = None
    namespace: str | None = None
    pod: str | None = None
    service: str | None = None

    def names(self) -> Iterator[str]:
        """Every name that a person may call it by."""
        if self.namespace and (own := self.pod or self.service):
            yield f"{self.namespace}/{own}"
        for name in (self.vantage, self.target, self.node, self.pod, self.service):
            if name:
                yield name
        if self.target and self.target.startswith("external/"):
            yield self.target.removeprefix("external/")

    def group(self, dimension: str) -> str | None:
        """Its name in a group-by; a service is named with its namespace."""
        if dimension == "service":
            return f"{self.namespace}/{self.service}" if self.service else None
        word: str | None = getattr(self, dimension)
        return word


class Table:
    """Cells by number. `paths[i]`, `sources[i]`, `targets[i]` and element `i` of every array belong together."""

    def __init__(self) -> None:
        self.paths: list[Path] = []
        self.sources: list[Place] = []
        self.targets: list[Place] = []
        self.ids: Ids = np.zeros(0, np.uint64)
        self.planned: Mask = np.zeros(0, np.bool_)
        self.interval_ns: Ints = np.zeros(0, np.int64)
        """Of the plan in force."""
        self.shortest_ns: Ints = np.zeros(0, np.int64)
        """Shortest interval ever planned."""
        self.longest_ns: Ints = np.zeros(0, np.int64)
        """Longest waiting time ever planned."""
        self.cells_of: dict[str, Ints] = {}
        """Cells of each vantage, in ascending order of their ids."""

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.paths)

    def words(self, dimension: str, *, side: str) -> list[str | None]:
        """The word of every cell in one dimension; `side` is `from` or `to`. Raises KeyError for another dimension."""
        if dimension not in DIMENSIONS:
            raise KeyError(dimension)
        if dimension in {"layer", "kind", "family"}:
            return [str(getattr(path, dimension)) for path in self.paths]
        return [place.group(dimension) for place in (self.sources if side == "from" else self.targets)]


def codes(words: Iterable[str | None], known: dict[str, int]) -> Ints:
    """The number of each word, -1 for None; a word not yet in `known` is added to it with the next number."""
    return np.array([-1 if word is None else known.setdefault(word, len(known)) for word in words], np.int64)


def replanned(before: Table, snapshot: Snapshot, plans: Mapping[str, Plan]) -> tuple[Table, Ints]:
    """The table of the new plans, and for each old cell its new number or -1. Cells that stay keep their order."""
    planned = {item.path.id: item for plan in plans.values() for item in plan.paths}
    sources, targets = _places(snapshot)
    taken = {_same(item.path) for item in planned.values()}
    spare = max(1000, len(planned))
    stay: list[int] = []
    for number, path in enumerate(before.paths):
        if path.id in planned:
            stay.append(number)
        elif path.vantage in sources and path.target.name in targets and _same(path) not in taken and spare:
            spare -= 1
            stay.append(number)
    kept = np.array(stay, np.int64)
    moved = np.full(len(before), -1, np.int64)
    moved[kept] = np.arange(len(kept))
    known = {before.paths[number].id for number in stay}
    added = [item for key, item in planned.items() if key not in known]
    table = Table()
    table.paths = [before.paths[number] for number in stay] + [item.path for item in added]
    _fill(table, planned, [before.shortest_ns[kept], before.longest_ns[kept]])
    table.sources = [sources.get(path.vantage) or Place(vantage=path.vantage) for path in table.paths]
    table.targets = [targets.get(path.target.name) or Place(target=path.target.name) for path in table.paths]
    return table, moved


def _fill(table: Table, planned: Mapping[int, PlannedPath], limits: list[Ints]) -> None:
    """Set the arrays of a table that has its paths; `limits` are those of the cells that stay, which come first."""
    items = [planned.get(path.id) for path in table.paths]
    intervals = np.array([item.interval_ms if item else 0 for item in items], np.int64) * MILLISECOND
    timeouts = np.array([item.timeout_ms if item else 0 for item in items], np.int64) * MILLISECOND
    table.ids = np.array([path.id for path in table.paths], np.uint64)
    table.planned = np.array([item is not None for item in items], np.bool_)
    table.interval_ns = intervals
    old = len(limits[0])
    table.shortest_ns, table.longest_ns = intervals.copy(), timeouts.copy()
    table.shortest_ns[:old] = np.where(table.planned[:old], np.minimum(intervals[:old], limits[0]), limits[0])
    table.longest_ns[:old] = np.maximum(timeouts[:old], limits[1])
    vantages: dict[str, list[int]] = {}
    for number, path in enumerate(table.paths):
        vantages.setdefault(path.vantage, []).append(number)
    for vantage, numbers in vantages.items():
        cells = np.array(numbers, np.int64)
        table.cells_of[vantage] = cells[np.argsort(table.ids[cells])]


def _same(path: Path) -> tuple[object, ...]:
    """What two paths share that measure the same, though one asks for another address or pod of the same name."""
    return (path.vantage, path.target.name, path.layer, path.kind, path.family, port_of(path))


def port_of(path: Path) -> int | None:
    """The port that a path asks, None for ICMP."""
    return None if isinstance(path.ask, Icmp) else path.ask.port


def _places(snapshot: Snapshot) -> tuple[dict[str, Place], dict[str, Place]]:
    """The places of all vantages by name, and of all targets by the name that paths have for them."""
    zones = {node.name: node.zone for node in snapshot.nodes}
    sources: dict[str, Place] = {}
    targets: dict[str, Place] = {
        f"node/{node.name}": Place(target=f"node/{node.name}", node=node.name, zone=node.zone) for node in snapshot.nodes
    }
    for one in snapshot.vantages:
        own = {"node": one.node, "zone": zones.get(one.node, ""), "namespace": one.namespace, "pod": one.pod}
        sources[one.name] = Place(vantage=one.name, **own)
        name = f"pod/{one.namespace}/{one.pod}"
        targets[name] = Place(vantage=one.name, target=name, **own)
    for service in snapshot.services:
        name = f"service/{service.namespace}/{service.name}"
        targets[name] = Place(target=name, namespace=service.namespace, service=service.name)
    for host in snapshot.external:
        targets[f"external/{host.name}"] = Place(target=f"external/{host.name}")
    return sources, targets
