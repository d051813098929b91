"""Who probes whom, as numbers: tables of peers, and shares of what is not probed by all. Pure.

Up to `full_mesh_nodes` vantages everybody probes everything. Above, a vantage has its static peers in the mesh and their nodes,
the peers of the slot, and its share of services, name servers and external hosts. A vantage is a vertex of its own, also
where several are on one node: it is the vantage that sends, has a budget and can be cut off.
"""

import numpy as np
from msgspec import Struct

from collector.discovery.snapshot import Attachment, Snapshot
from collector.plan.matching import Ints
from collector.plan.mesh import static_peers
from collector.plan.population import Population
from collector.plan.rotation import Rotation
from collector.plan.shares import one_of_each_zone, sharers
from collector.plan.targets import Item
from collector.settings import SECOND, PlanSettings

MAX_PEERS = 256
"""Distinct peers a minute that an agent probes at most, unless its environment says otherwise."""
MINUTE = 60 * SECOND


class Lists:
    """Numbers by row, made of pairs (row, number)."""

    def __init__(self, pairs: Ints) -> None:
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        self._rows, self._numbers = pairs[:, 0].copy(), pairs[:, 1].copy()

    @property
    def pairs(self) -> tuple[Ints, Ints]:
        """All rows, ascending, and the numbers."""
        return self._rows, self._numbers

    def of(self, row: int) -> list[int]:
        """The numbers of a row, ascending."""
        first, last = np.searchsorted(self._rows, (row, row + 1))
        numbers: list[int] = self._numbers[first:last].tolist()
        return numbers


class Network:
    """A further pod network: its members, and whom of them each one probes, as numbers of vantages."""

    def __init__(self, name: str, population: Population, settings: PlanSettings, *, sparse: bool) -> None:
        self.name = name
        self.attachments: dict[int, Attachment] = {
            number: attachment
            for number, vantage in enumerate(population.vantages)
            for attachment in vantage.networks
            if attachment.name == name
        }
        self.members: Ints = np.array(list(self.attachments), np.int64)
        self.place = {number: place for place, number in enumerate(self.attachments)}
        names = [population.names[number] for number in self.attachments]
        zones = [population.zone(number) for number in self.attachments]
        self.peers: Ints = self.members[static_peers(names, zones, settings.peers) if sparse else everybody_else(len(names))]
        """A row for each member."""
        self.mtu_pairs: Ints = self.members[
            one_of_each_zone(
                np.searchsorted(self.members, self.peers),
                hashes=population.hashes[self.members],
                zones=population.zones[self.members],
            )
        ]
        """Who sends long packets to whom: an array of shape (n, 2)."""
        self.mtu_peers = Lists(self.mtu_pairs)
        self.has = population.table(population.which(attachment.addresses) for attachment in self.attachments.values())

    def mtu(self, one: int, other: int) -> int:
        """What two members can send each other, 0 where it is not known."""
        return min((self.attachments[member].mtu for member in (one, other) if self.attachments[member].mtu), default=0)


class Also(Struct, frozen=True, eq=False):
    """What is probed because somebody wants it, besides all that is planned anyway."""

    shares: list[list[Ints]]
    """For each further item and each family of the population the vantages that probe it."""
    pods: Ints
    nodes: Ints
    peers: Ints
    """How many distinct peers each vantage gets by it."""


class Assignment:
    """See the module. Everything here is of numbers of vantages in the order of their names."""

    def __init__(self, snapshot: Snapshot, population: Population, items: list[Item], settings: PlanSettings) -> None:
        count = len(population)
        self.sparse = count > settings.full_mesh_nodes
        zones = [population.zone(number) for number in range(count)]
        self.peers: Ints = static_peers(population.names, zones, settings.peers) if self.sparse else everybody_else(count)
        """Static peers of each vantage, a row for each."""
        self.networks = [
            Network(name, population, settings, sparse=self.sparse)
            for name in sorted({network.name for vantage in snapshot.vantages for network in vantage.networks})
        ]
        self.mtu_pairs = one_of_each_zone(self.peers, hashes=population.hashes, zones=population.zones)
        self.mtu_peers = Lists(self.mtu_pairs)
        self._items = len(items)
        self.shares = [self._shares(item, population, settings) for item in items]
        """For each item and each family of the population the vantages that probe it."""
        self.also_pods: Ints = np.zeros(0, np.int64)
        """Pairs that are probed over UDP in every plan, though not as static peers: vantage times their number, plus peer."""
        self.also_nodes: Ints = np.zeros(0, np.int64)
        """The same of nodes by their addresses: vantage times the number of nodes, plus node."""
        self._settle(population, settings, distinct=0)

    def take(self, also: Also, population: Population, settings: PlanSettings) -> None:
        """Also what is probed by whom because it is wanted, as further items behind all others."""
        self.shares += also.shares
        self.also_pods, self.also_nodes = also.pods, also.nodes
        self._settle(population, settings, distinct=also.peers)

    def _settle(self, population: Population, settings: PlanSettings, *, distinct: int | Ints) -> None:
        families = len(population.families)
        shares = [
            np.stack((vantages, np.full(len(vantages), number * families + family)), axis=1)
            for number, by_family in enumerate(self.shares)
            for family, vantages in enumerate(by_family)
        ]
        self.items_of = Lists(np.concatenate([np.zeros((0, 2), np.int64), *shares]))
        """What each vantage has a share in: number of the item times the number of families, plus that of the family."""
        self.distinct_peers = self._distinct_peers(population) + distinct
        """Peers of each vantage in any minute, but for the rotation."""
        turns = 1 + -(-MINUTE // settings.rotation.slot)
        room = (MAX_PEERS - int(self.distinct_peers.max(initial=0))) // turns
        self.rotation = Rotation(population.hashes, max(0, min(settings.rotation.peers, room)) if self.sparse else 0)

    def _shares(self, item: Item, population: Population, settings: PlanSettings) -> list[Ints]:
        asked = {aim.family for aim in item.aims}
        shares = []
        for family in range(len(population.families)):
            able = (population.has[:, family] > 0) & (population.families[family] in asked)
            shares.append(
                sharers(
                    item.name,
                    vantages=population.hashes,
                    zones=population.zones,
                    able=able,
                    each=settings.vantages_per_zone,
                )
                if self.sparse and not item.critical
                else np.flatnonzero(able)
            )
        return shares

    def _distinct_peers(self, population: Population) -> Ints:
        rows, columns = [rows_of(self.peers)], [self.peers.ravel()]
        for network in self.networks:
            rows.append(np.repeat(network.members, network.peers.shape[1]))
            columns.append(network.peers.ravel())
        nodes = len(population.nodes)
        pairs = np.unique(np.concatenate(rows) * max(nodes, 1) + population.node_of[np.concatenate(columns)])
        peers = np.bincount(pairs // max(nodes, 1), minlength=len(population))
        if not self.sparse:
            peers = np.full(len(population), int((population.node_addresses.sum(axis=1) > 0).sum()) if nodes else 0)
        for by_family in self.shares[: self._items]:
            peers[np.unique(np.concatenate(by_family))] += 1
        return peers


def everybody_else(count: int) -> Ints:
    """All others for each of so many, in the order of their numbers."""
    if not count:
        return np.zeros((0, 0), np.int64)
    others: Ints = np.arange(count - 1)[None, :].repeat(count, axis=0)
    return others + (others >= np.arange(count)[:, None])


def rows_of(table: Ints) -> Ints:
    """The row of each element of a table, as they stand when it is made flat."""
    return np.repeat(np.arange(len(table)), table.shape[1])
