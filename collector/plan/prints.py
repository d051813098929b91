"""A number for the plan of every vantage, equal where two plans are the same: told from arrays, without making a plan. Pure.

In: who sends what to whom, and what each target is. Out: 64 bits for each vantage. They hold in one process only, since they
rest on its own hashes, and two plans that differ have the same with a chance of 1 in 2^64.
"""

from collections.abc import Hashable, Iterable

import numpy as np
from numpy.typing import NDArray

from collector.discovery.snapshot import Vantage
from collector.plan.assignment import Assignment
from collector.plan.edges import Edges
from collector.plan.matching import Ints
from collector.plan.population import Population
from collector.plan.targets import Item, aimed_at

Prints = NDArray[np.uint64]
_MASK = 2**64 - 1
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Printer:
    """Made once for a snapshot. `all_share` is what the plan of everybody depends on, `easing` the factor of each target."""

    def __init__(
        self,
        population: Population,
        assignment: Assignment,
        items: list[Item],
        *,
        all_share: Hashable,
        easing: NDArray[np.float64],
    ) -> None:
        self._targets = _mixed(
            _numbers(
                [
                    *map(_content, population.vantages),
                    *((node.name, node.addresses) for node in population.nodes),
                    *(item.aims for item in items),
                ]
            )
            + easing.view(np.uint64)
        )
        own = _numbers(
            (all_share, one.name, one.node, population.zone(number), _content(one))
            for number, one in enumerate(population.vantages)
        )
        # Of a service the family is not to be seen in the edges: one over IPv4 costs as much as one over IPv6.
        rows, shares = assignment.items_of.pairs
        item, family = np.divmod(shares, max(1, len(population.families)))
        first = len(population) + len(population.nodes)
        self._own = _added(own, rows, self._targets[first + item] + family.astype(np.uint64))

    def of(self, edges: Edges) -> Prints:
        """The prints of plans with these edges."""
        words = self._targets[edges.targets] + _mixed(edges.paths.astype(np.uint64) + _mixed(edges.packets.view(np.uint64)))
        return _added(self._own, edges.vantages, words)


def _content(one: Vantage) -> Hashable:
    """What is asked of others about a vantage; not why it is excluded, unless they let it go for that."""
    return one.namespace, one.pod, one.node, one.addresses, one.uid, one.port, one.networks, aimed_at(one)


def _numbers(values: Iterable[Hashable]) -> Prints:
    return np.array([hash(value) & _MASK for value in values], np.uint64)


def _added(start: Prints, rows: Ints, words: Prints) -> Prints:
    """The start of each row and the words of it, in any order."""
    total = start.copy()
    np.add.at(total, rows, _mixed(words))
    return total


def _mixed(words: Prints) -> Prints:
    """Each bit of the result depends on all bits, so that sums differ: the finalizer of SplitMix64 (Steele et al., 2014)."""
    words = words + _GOLDEN
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
