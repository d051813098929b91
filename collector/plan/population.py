"""Vantages and nodes as arrays, in the order of their names whatever the order of the snapshot. Pure."""

from collections.abc import Iterable, Sequence

import numpy as np

from collector.discovery.snapshot import Snapshot
from collector.plan.hashing import hashes
from collector.plan.matching import Ints
from collector.plan.targets import aimed_at
from wire.path import Family


class Population:
    """Who there is. Element i of every array of vantages belongs to `vantages[i]`, and of nodes to `nodes[i]`."""

    def __init__(self, snapshot: Snapshot, families: Sequence[Family]) -> None:
        self.vantages = sorted(snapshot.vantages, key=lambda vantage: vantage.name)
        self.nodes = sorted(snapshot.nodes, key=lambda node: node.name)
        self.names = tuple(vantage.name for vantage in self.vantages)
        self.number = {name: number for number, name in enumerate(self.names)}
        self.hashes = hashes(self.names)
        places = {node.name: number for number, node in enumerate(self.nodes)}
        zones = sorted({node.zone for node in self.nodes})
        of_node = [zones.index(node.zone) for node in self.nodes]
        self.node_of = _numbers(places[vantage.node] for vantage in self.vantages)
        self.zones = _numbers(of_node)[self.node_of]
        """Number of each vantage's zone."""
        self.families = tuple(families)
        self.has = self.table(self.which(vantage.addresses) for vantage in self.vantages)
        """1 where a vantage has a family, else 0: of shape (vantages, families)."""
        self.probed = _numbers(map(aimed_at, self.vantages))[:, None]
        """1 for each vantage that others probe, 0 for those that are let go: of shape (vantages, 1)."""
        self.aimed = self.has * self.probed
        self.node_addresses = self.table(self.count(node.addresses) for node in self.nodes)
        """How many addresses each node has in each family."""

    def __len__(self) -> int:
        """Number of vantages."""
        return len(self.vantages)

    def zone(self, vantage: int) -> str:
        """Name of a vantage's zone."""
        zone: str = self.nodes[self.node_of[vantage]].zone
        return zone

    def count(self, addresses: Sequence[str]) -> list[int]:
        """How many addresses there are of each family."""
        found = [Family.of(address) for address in addresses]
        return [found.count(family) for family in self.families]

    def which(self, addresses: Sequence[str]) -> list[int]:
        """1 for each family of which there is an address, else 0."""
        return [min(1, count) for count in self.count(addresses)]

    def table(self, rows: Iterable[list[int]]) -> Ints:
        """Such numbers by family as an array, a row for each."""
        return np.array(list(rows), np.int64).reshape(-1, len(self.families))


def _numbers(numbers: Iterable[int]) -> Ints:
    return np.array(list(numbers), np.int64)
