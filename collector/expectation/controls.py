"""Who proves of a target that it listens: somebody who may reach it, and stays the same while he is there.

In: expectations, the places that probes leave from, and a target. Out: a place, or none.
"""

from bisect import bisect
from collections.abc import Hashable, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from collector.expectation.expected import Expectations
from collector.expectation.reaches import Goal
from collector.policy.ends import Connection, End, Pod, address_of
from collector.policy.evaluate import Answer
from wire.path import Family

MOST_NEAR: Final = 64
"""Most vantages of a target's own namespace and node that are asked one by one whether they may reach it."""

MOST_CLASSES: Final = 64
"""Most classes of vantages that are, those with most of them."""


class Place(Struct, frozen=True, dict=True):
    """A place that probes leave from."""

    name: str
    pod: Pod
    port: int
    """Where its agent answers."""
    uid: str = ""

    @cached_property
    def families(self) -> frozenset[Family]:
        """Of which it has an address."""
        return frozenset(family for family in Family if address_of(self.pod, family) is not None)


class Controls:
    """See the module. What is found is known for all targets that nothing tells apart."""

    def __init__(self, expectations: Expectations, places: Sequence[Place]) -> None:
        self._expectations = expectations
        self._in: dict[str, list[Place]] = {}
        """By namespace."""
        classes: dict[Hashable, list[Place]] = {}
        for place in places:
            self._in.setdefault(place.pod.namespace.name, []).append(place)
            classes.setdefault(expectations.class_key(place.pod), []).append(place)
        self._hosted = [place for place in places if place.pod.host_network]
        self._rings = [Ring(alike) for alike in sorted(classes.values(), key=len, reverse=True)[:MOST_CLASSES]]
        self._letting: dict[Hashable, list[Ring]] = {}

    def of(self, goal: Goal, family: Family) -> Place | None:
        """Whoever may reach it, by what is declared or else by the policies.

        The nearest are asked first: those of its namespace, then whoever is in the network of its own node, which no policy
        keeps out, and then anybody.
        """
        connection = Connection(goal.asked.protocol, goal.asked.port, family, via_service=goal.through)
        if isinstance(target := goal.end, Pod):
            near: list[Place] = [
                *self._in.get(target.namespace.name, ()),
                *(one for one in self._hosted if one.pod.node == target.node),
            ]
            for place in near[:MOST_NEAR]:
                if str(place.pod) != str(target) and family in place.families and self._may(place, goal, connection):
                    return place
        number = number_of(f"{goal.end} {goal.asked.port}")
        for ring in self._rings_to(goal, connection):
            if (found := ring.after(number, goal.end, family)) is not None:
                return found
        return None

    def _rings_to(self, goal: Goal, connection: Connection) -> list["Ring"]:
        key = (self._expectations.class_key(goal.end), connection, goal.service)
        found = self._letting.get(key)
        if found is None:
            found = self._letting[key] = [ring for ring in self._rings if self._may(ring.speaker, goal, connection)]
        return found

    def _may(self, place: Place, goal: Goal, connection: Connection) -> bool:
        return self._expectations.of(place.pod, goal.end, connection, goal.service).answer is Answer.ALLOW


class Ring:
    """Places that nothing tells apart, on a circle of numbers: who comes or goes changes what is drawn for his neighbour."""

    def __init__(self, places: Sequence[Place]) -> None:
        numbered = sorted(((number_of(place.name), place) for place in places), key=lambda one: one[0])
        self._numbers = [number for number, _ in numbered]
        self._places = [place for _, place in numbered]
        self.speaker = self._places[0]

    def after(self, number: int, target: End, family: Family) -> Place | None:
        """The first one from a number on that is not the target itself and has the family."""
        start, count = bisect(self._numbers, number), len(self._places)
        around = (self._places[place % count] for place in range(start, start + count))
        return next((one for one in around if family in one.families and str(one.pod) != str(target)), None)


def number_of(words: str) -> int:
    """A number of 64 bits that looks drawn by chance, and is always the same for the same words."""
    return int.from_bytes(blake2b(words.encode(), digest_size=8).digest(), "little")
