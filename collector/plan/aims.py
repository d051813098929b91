"""What one vantage probes: its numbers of the assignment turned into targets and asks. Pure."""

from collections.abc import Iterator

import numpy as np

from collector.plan.assignment import Assignment
from collector.plan.edges import rotating_kinds
from collector.plan.matching import Ints
from collector.plan.population import Population
from collector.plan.targets import Aim, Intervals, Item, mtu_aims, node_aims, pod_aims, pod_targets
from wire.path import Family, Kind, Target


class Aims:
    """Made once for a snapshot; targets are made when they are first aimed at, and shared by all vantages."""

    def __init__(
        self, population: Population, assignment: Assignment, items: list[Item], intervals: Intervals, mtu: int
    ) -> None:
        self._population = population
        self._assignment = assignment
        self._items = items
        self._intervals = intervals
        self._mtu = mtu
        self._pods: dict[int, dict[Family, Target]] = {}
        self._static: dict[int, tuple[Aim, ...]] = {}
        self._rotating: dict[int, tuple[Aim, ...]] = {}
        self._hosts: dict[int, tuple[Aim, ...]] = {}

    def of(self, vantage: int, slot: int) -> Iterator[tuple[int, Aim]]:
        """Everything that a vantage is asked to probe in a slot, each with the number of its target (see `edges`)."""
        own = {family for family, has in zip(self._population.families, self._population.has[vantage], strict=True) if has}
        for target, aim in self._pods_and_nodes(vantage, slot):
            if aim.family in own:
                yield target, aim
        yield from self._shared(vantage)
        yield from self._further(vantage)

    def _pods_and_nodes(self, vantage: int, slot: int) -> Iterator[tuple[int, Aim]]:
        population, assignment = self._population, self._assignment
        static: list[int] = assignment.peers[vantage].tolist()
        nodes = set(population.node_of[static].tolist()) if assignment.sparse else set(range(len(population.nodes)))
        yield from self._by_kinds(static, self._intervals.kinds, self._static)
        yield from self._by_host(nodes)
        for peer in assignment.mtu_peers.of(vantage):
            for aim in mtu_aims(self._pod(peer), population.vantages[peer].port, self._mtu, self._intervals.mtu):
                yield peer, aim
        rotating: list[int] = assignment.rotation.of(np.array([vantage]), slot)[0].tolist()
        known = {*static, *self._also(assignment.also_pods, vantage, len(population))}
        fresh = [peer for peer in rotating if peer not in known]
        yield from self._by_kinds(fresh, rotating_kinds(self._intervals), self._rotating)
        nodes |= self._also(assignment.also_nodes, vantage, len(population.nodes))
        yield from self._by_host(set(population.node_of[rotating].tolist()) - nodes)

    @staticmethod
    def _also(pairs: Ints, vantage: int, count: int) -> set[int]:
        first, last = np.searchsorted(pairs, (vantage * count, (vantage + 1) * count))
        return set((pairs[first:last] - vantage * count).tolist())

    def _by_kinds(
        self, peers: list[int], kinds: dict[Kind, int], made: dict[int, tuple[Aim, ...]]
    ) -> Iterator[tuple[int, Aim]]:
        for peer in peers:
            if peer not in made:
                made[peer] = tuple(pod_aims(self._pod(peer), self._population.vantages[peer].port, kinds))
            for aim in made[peer]:
                yield peer, aim

    def _by_host(self, nodes: set[int]) -> Iterator[tuple[int, Aim]]:
        for node in sorted(nodes):
            if node not in self._hosts:
                self._hosts[node] = node_aims(self._population.nodes[node], self._intervals.host)
            for aim in self._hosts[node]:
                yield len(self._population) + node, aim

    def _shared(self, vantage: int) -> Iterator[tuple[int, Aim]]:
        families = self._population.families
        first = len(self._population) + len(self._population.nodes)
        for share in self._assignment.items_of.of(vantage):
            number, family = divmod(share, len(families))
            for aim in self._items[number].aims:
                if aim.family is families[family]:
                    yield first + number, aim

    def _further(self, vantage: int) -> Iterator[tuple[int, Aim]]:
        """On further networks, each over the families that both ends have on it."""
        for network in self._assignment.networks:
            if vantage not in network.place:
                continue
            families = self._population.families
            own = {family for family, has in zip(families, network.has[network.place[vantage]], strict=True) if has}
            for peer in network.peers[network.place[vantage]].tolist():
                other = self._population.vantages[peer]
                targets = {f: t for f, t in pod_targets(other, network.attachments[peer]).items() if f in own}
                for aim in pod_aims(targets, other.port, self._intervals.kinds):
                    yield peer, aim
                if peer in network.mtu_peers.of(vantage):
                    for aim in mtu_aims(targets, other.port, network.mtu(vantage, peer), self._intervals.mtu):
                        yield peer, aim

    def _pod(self, number: int) -> dict[Family, Target]:
        if number not in self._pods:
            self._pods[number] = pod_targets(self._population.vantages[number])
        return self._pods[number]
