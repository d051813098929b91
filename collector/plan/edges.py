"""What every vantage sends to every target, as arrays: for budgets and counts, without a single path. Pure.

Targets are numbered: first the pods of all vantages, then all nodes, then all items that are shared out.
"""

from collections.abc import Iterable
from typing import Self

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from collector.plan.assignment import Assignment, rows_of
from collector.plan.matching import Ints, Mask
from collector.plan.packet_sizes import mtu_asks
from collector.plan.population import Population
from collector.plan.targets import Intervals, Item, pod_ask
from wire.path import Kind, packets

Floats = NDArray[np.float64]


class Edges(Struct, frozen=True):
    """Element i of all arrays is one vantage and one target."""

    vantages: Ints
    targets: Ints
    paths: Ints
    """Paths between them."""
    packets: Floats
    """Packets a second that they cost together."""

    @classmethod
    def of(cls, parts: Iterable[Self]) -> "Edges":
        """All of them together."""
        several = list(parts)
        return Edges(
            np.concatenate([np.zeros(0, np.int64), *(part.vantages for part in several)]),
            np.concatenate([np.zeros(0, np.int64), *(part.targets for part in several)]),
            np.concatenate([np.zeros(0, np.int64), *(part.paths for part in several)]),
            np.concatenate([np.zeros(0), *(part.packets for part in several)]),
        )


class EdgeMaker:
    """Makes the edges of one assignment."""

    def __init__(
        self, population: Population, assignment: Assignment, items: list[Item], intervals: Intervals, mtu: int
    ) -> None:
        self._population = population
        self._assignment = assignment
        self._items = items
        self._intervals = intervals
        self._mtu = mtu
        self._pods = len(population)
        self._nodes = len(population.nodes)

    def static(self) -> Edges:
        """Of what is in every plan."""
        population, assignment = self._population, self._assignment
        rows, peers = rows_of(assignment.peers), assignment.peers.ravel()
        match = (population.has[rows] * population.aimed[peers]).sum(axis=1)
        if assignment.sparse:
            pairs = np.unique(rows * self._nodes + population.node_of[peers])
            hosts = self._hosts(pairs // self._nodes, pairs % self._nodes)
        else:
            every = np.arange(self._pods * self._nodes)
            hosts = self._hosts(every // max(self._nodes, 1), every % max(self._nodes, 1))
        one, other = assignment.mtu_pairs[:, 0], assignment.mtu_pairs[:, 1]
        long = (population.has[one] * population.aimed[other]).sum(axis=1)
        return Edges.of(
            [
                self._by_kinds(rows, peers, match, self._intervals.kinds),
                hosts,
                self._long(one, other, long * len(mtu_asks(self._mtu, 1))),
                *self._further(),
                *self._shared(),
            ]
        )

    def rotating(self, slot: int) -> Edges:
        """Of the peers of a slot, but for what is in every plan anyway."""
        population, assignment = self._population, self._assignment
        everybody = np.arange(self._pods)
        peers = assignment.rotation.of(everybody, slot)
        static = assignment.peers
        rows = rows_of(peers)
        fresh = ~_in_row(peers, static).ravel() & ~np.isin(rows * self._pods + peers.ravel(), assignment.also_pods)
        pods = self._by_kinds(
            rows[fresh],
            peers.ravel()[fresh],
            (population.has[rows] * population.aimed[peers.ravel()]).sum(axis=1)[fresh],
            rotating_kinds(self._intervals),
        )
        nodes, before = population.node_of[peers], population.node_of[static]
        far = ~_in_row(nodes, before).ravel()
        pairs = np.setdiff1d((rows * max(self._nodes, 1) + nodes.ravel())[far], assignment.also_nodes)
        return Edges.of([pods, self._hosts(pairs // max(self._nodes, 1), pairs % max(self._nodes, 1))])

    def most_rotating(self) -> tuple[Floats, Floats]:
        """The most that a slot adds to any vantage, and to any target: so that budgets do not depend on the slot."""
        population, most = self._population, self._assignment.rotation.peers
        families = population.has.sum(axis=1)
        pod = sum(packets(pod_ask(kind, 1)) * 1000 / every for kind, every in rotating_kinds(self._intervals).items())
        host = 1000 / self._intervals.host
        widest = population.node_addresses.max(axis=0, initial=0)
        vantages = most * (pod * families + host * (population.has * widest).sum(axis=1))
        per_node = np.bincount(population.node_of, minlength=self._nodes)
        nodes = most * host * per_node * population.node_addresses.sum(axis=1)
        return vantages, np.concatenate((most * pod * families, nodes, np.zeros(len(self._items))))

    def _by_kinds(self, rows: Ints, pods: Ints, match: Ints, kinds: dict[Kind, int]) -> Edges:
        cost = sum(packets(pod_ask(kind, 1)) * 1000 / interval_ms for kind, interval_ms in kinds.items())
        return Edges(rows, pods, match * len(kinds), (match * float(cost)).astype(np.float64))

    def _hosts(self, rows: Ints, nodes: Ints) -> Edges:
        match = (self._population.has[rows] * self._population.node_addresses[nodes]).sum(axis=1)
        return Edges(rows, nodes + self._pods, match, match * 1000 / self._intervals.host)

    def _long(self, rows: Ints, pods: Ints, paths: Ints) -> Edges:
        return Edges(rows, pods, paths, paths * 1000 / self._intervals.mtu)

    def _further(self) -> Iterable[Edges]:
        for network in self._assignment.networks:
            rows, peers = rows_of(network.peers), network.peers.ravel()
            has = np.zeros_like(self._population.has)
            has[network.members] = network.has
            aimed = has * self._population.probed
            match = (has[network.members[rows]] * aimed[peers]).sum(axis=1)
            yield self._by_kinds(network.members[rows], peers, match, self._intervals.kinds)
            one, other = network.mtu_pairs[:, 0], network.mtu_pairs[:, 1]
            asks = [len(mtu_asks(network.mtu(*pair), 1)) for pair in network.mtu_pairs.tolist()]
            yield self._long(one, other, (has[one] * aimed[other]).sum(axis=1) * np.array(asks, np.int64))

    def _shared(self) -> Iterable[Edges]:
        first = self._pods + self._nodes
        for number, (item, by_family) in enumerate(zip(self._items, self._assignment.shares, strict=True)):
            for family, vantages in zip(self._population.families, by_family, strict=True):
                aims = [aim for aim in item.aims if aim.family is family]
                cost = sum(packets(aim.ask) * 1000 / aim.interval_ms for aim in aims)
                same = np.ones(len(vantages), np.int64)
                yield Edges(vantages, same * (first + number), same * len(aims), np.full(len(vantages), float(cost)))


def rotating_kinds(intervals: Intervals) -> dict[Kind, int]:
    """Kinds by which the peers of a slot are asked, and how often: udp alone, which finds a pair that cannot talk."""
    return {Kind.UDP: intervals.pod} if Kind.UDP in intervals.kinds else {}


def _in_row(these: Ints, those: Ints) -> Mask:
    """Which elements are in the same row of the other table."""
    found = np.zeros(these.shape, np.bool_)
    for column in range(those.shape[1]):
        found |= these == those[:, column, None]
    return found
