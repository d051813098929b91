"""Pods in classes that no policy can tell apart: with the same namespace, ports, and what selectors and blocks ask of them.

In: policies and pods. Out: the class of each pod, and one pod that speaks for each class. Labels that nobody asks for make no
class: each pod of a stateful set has one of its own.
"""

from collections.abc import Hashable, Iterable, Sequence
from typing import Self

from msgspec import Struct

from collector.policy.ends import ContainerPort, Pod, address_of
from collector.policy.evaluate import Policies
from collector.policy.isolation import isolation_of
from collector.policy.labels import Selector
from collector.policy.rules import BlockPeer, PodPeer
from collector.policy.vectors import holders
from wire.path import Family

Point = tuple[int, ContainerPort]
"""A class of targets and a port of theirs."""


class Features(Struct, frozen=True):
    """What policies ask of pods."""

    labels: frozenset[str]
    """Keys."""
    blocks: frozenset[BlockPeer]
    """An exception by itself too, since not to be in a block and to be left out of it may be different things."""

    @classmethod
    def of(cls, policies: Policies) -> Self:
        """All of a set of policies."""
        peers = [
            peer
            for policy in policies.policies
            for rules in policy.rules.values()
            for rule in rules
            for peer in rule.peers or ()
        ]
        pods = [policy.subject for policy in policies.policies]
        pods += [peer for peer in peers if isinstance(peer, PodPeer)]
        pods += [subject for one in policies.opaque for subject in one.subjects]
        blocks = [peer for peer in peers if isinstance(peer, BlockPeer)]
        return cls(
            frozenset(key for peer in pods for key in _keys(peer.pods)),
            frozenset((*blocks, *(BlockPeer(inner) for block in blocks for inner in block.exceptions))),
        )

    def __or__(self, other: "Features") -> "Features":
        """What either asks for."""
        return Features(self.labels | other.labels, self.blocks | other.blocks)


class Classes:
    """See the module. `pods` on the network of their node, and those without an address of the family, take no part."""

    def __init__(self, features: Features, pods: Iterable[Pod], family: Family) -> None:
        self.features = features
        self.family = family
        self.pods: Sequence[Pod] = [pod for pod in pods if not pod.host_network and address_of(pod, family) is not None]
        held = holders(sorted(features.blocks, key=str), self.pods, family)
        places: dict[Hashable, int] = {}
        self.class_of: list[int] = [
            places.setdefault(self._key(pod, row), len(places)) for pod, row in zip(self.pods, held, strict=True)
        ]
        """The class of each pod, in the order of `pods`."""
        first: dict[int, Pod] = {}
        for pod, place in zip(self.pods, self.class_of, strict=True):
            first.setdefault(place, pod)
        self.speakers: Sequence[Pod] = [first[place] for place in range(len(first))]
        """One pod of each class."""
        self.points: Sequence[Point] = [
            (place, port) for place, pod in enumerate(self.speakers) for port in dict.fromkeys(pod.ports)
        ]

    def finer(self, features: Features) -> "Classes":
        """These classes where they tell apart what these features ask for as well, else finer ones."""
        if features.labels <= self.features.labels and features.blocks <= self.features.blocks:
            return self
        return Classes(self.features | features, self.pods, self.family)

    def _key(self, pod: Pod, held: bytes) -> Hashable:
        asked = tuple(sorted((key, value) for key, value in pod.labels.items() if key in self.features.labels))
        return (pod.namespace.name, asked, pod.ports, isolation_of(pod), held)


def _keys(selector: Selector) -> Iterable[str]:
    return [*(selector.match_labels or {}), *(one.key for one in selector.match_expressions or ())]
