"""What declared expectations want, as items of the plan with those who probe them, and without what they probe anyway. Pure."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from collector.expectation.wants import Want
from collector.plan.assignment import Also, Assignment
from collector.plan.edges import rotating_kinds
from collector.plan.matching import Ints
from collector.plan.population import Population
from collector.plan.targets import Aim, Intervals, Item, aim, aimed_at, node_aims, pod_aims, pod_targets
from wire.path import Family, Layer


def wanted_items(
    wants: Iterable[Want], population: Population, assignment: Assignment, shared: Iterable[Item], intervals: Intervals
) -> tuple[list[Item], Also]:
    """The items that wants come to. A vantage that is not there any more wants nothing.

    What might also rotate is in the plan whole, in all families of both, so that the rotation can leave the pair out.
    """
    known = _Known(population, assignment, shared, intervals)
    by_aim: dict[Aim, set[int]] = {}
    pods: set[int] = set()
    nodes: set[int] = set()
    peers: dict[int, set[str]] = {}
    for want in wants:
        number = population.number.get(want.vantage)
        if number is None or want.family not in population.families or not known.able(number, want.family):
            continue
        one = aim(want.layer, want.family, want.target, want.ask, _interval(want, intervals))
        if known.probes(number, one):
            continue
        rotating = known.rotating(number, one)
        for part in rotating or [one]:
            by_aim.setdefault(part, set()).add(number)
        if rotating and want.layer is Layer.POD:
            pods.add(number * len(population) + known.pods[want.target.name])
        elif rotating:
            nodes.add(number * len(population.nodes) + known.nodes[want.target.name])
        peers.setdefault(number, set()).add(want.target.peer)
    distinct = np.zeros(len(population), np.int64)
    distinct[list(peers)] = [len(names) for names in peers.values()]
    return [Item(one.target.name, critical=False, aims=(one,)) for one in by_aim], Also(
        shares=[
            [_array(numbers if family is one.family else ()) for family in population.families]
            for one, numbers in by_aim.items()
        ],
        pods=_array(pods),
        nodes=_array(nodes),
        peers=distinct,
    )


def _array(numbers: Iterable[int]) -> Ints:
    return np.array(sorted(numbers), np.int64)


def _interval(want: Want, intervals: Intervals) -> int:
    by_layer = {
        Layer.HOST: intervals.host,
        Layer.SERVICE: intervals.service,
        Layer.DNS: intervals.dns,
        Layer.EXTERNAL: intervals.external,
    }
    return by_layer.get(want.layer, intervals.pod)


class _Known:
    """What is probed anyway, by whom."""

    def __init__(self, population: Population, assignment: Assignment, shared: Iterable[Item], intervals: Intervals) -> None:
        self._population, self._assignment, self._intervals = population, assignment, intervals
        self.pods = {f"pod/{one.namespace}/{one.pod}": number for number, one in enumerate(population.vantages)}
        self.nodes = {f"node/{node.name}": number for number, node in enumerate(population.nodes)}
        self._found: dict[str, Mapping[bytes, Aim]] = {}
        self._shared = {one.words: number for number, item in enumerate(shared) for one in item.aims}

    def able(self, vantage: int, family: Family) -> bool:
        """Whether it has an address of the family."""
        return bool(self._population.has[vantage, self._population.families.index(family)])

    def probes(self, vantage: int, one: Aim) -> bool:
        """Whether a vantage has this path in every plan already."""
        peers = self._assignment.peers[vantage]
        if one.words in self._anyway(one.target.name):
            if (peer := self.pods.get(one.target.name)) is not None:
                return bool((peers == peer).any())
            node = self.nodes[one.target.name]
            return not self._assignment.sparse or bool((self._population.node_of[peers] == node).any())
        number = self._shared.get(one.words)
        if number is None:
            return False
        family = self._population.families.index(one.family)
        return bool((self._assignment.shares[number][family] == vantage).any())

    def rotating(self, vantage: int, one: Aim) -> list[Aim]:
        """All that a slot of the rotation would ask of the same target, where this is part of it."""
        if not self._assignment.sparse:
            return []
        every = self._anyway(one.target.name)
        if (peer := self.pods.get(one.target.name)) is not None:
            own = self._population.vantages[peer]
            parts = list(pod_aims(pod_targets(own), own.port, rotating_kinds(self._intervals)))
        else:
            parts = list(every.values())
        able = [part for part in parts if part.family in self._population.families and self.able(vantage, part.family)]
        return able if one.words in {part.words for part in parts} else []

    def _anyway(self, name: str) -> Mapping[bytes, Aim]:
        """What is asked of a target that is our own, by words."""
        found = self._found.get(name)
        if found is None:
            found = self._found[name] = {one.words: one for one in self._own_aims(name)}
        return found

    def _own_aims(self, name: str) -> Iterator[Aim]:
        if (peer := self.pods.get(name)) is not None and aimed_at(one := self._population.vantages[peer]):
            yield from pod_aims(pod_targets(one), one.port, self._intervals.kinds)
        elif (node := self.nodes.get(name)) is not None:
            yield from node_aims(self._population.nodes[node], self._intervals.host)
