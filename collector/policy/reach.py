"""Who reaches whom among all pods at once, by classes of pods that no policy can tell apart.

In: policies and the pods of the pod network. Out: a code for each class of sources and each point, a point being a port that a
class of targets declares. The codes are the answers that `Policies.decide` gives for any two pods of the classes, found for
whole vectors at a time; when policies change, only for the pods that these are about.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import cached_property
from typing import Final

import numpy as np

from collector.policy.classes import Classes, Features, Point
from collector.policy.course import ANSWERS, CODE, Bits, Codes, Course, Matches, hits
from collector.policy.ends import Connection, ContainerPort, Pod
from collector.policy.evaluate import Answer, Policies
from collector.policy.isolation import UNMARKED, isolation_of, isolation_says
from collector.policy.rules import BlockPeer, Direction, Policy, Rule, Side, Tier, is_port
from collector.policy.vectors import Vectors
from wire.path import Family

__all__ = ["ANSWERS", "Reach"]

_INGRESS: Final = 2
_ISOLATION: Final = 4
"""Where the code of a side begins in the bits that are kept of a pair; that of egress is the lowest two."""
_LOW: Final = 3


class Reach:
    """The answers among pods, for one address family."""

    def __init__(self, policies: Policies, pods: Iterable[Pod], family: Family = Family.IPV4) -> None:
        self._begin(policies, Classes(Features.of(policies), pods, family))
        self._sides: Codes = np.zeros((len(self.classes), len(self.points)), dtype=np.uint8)
        for place in range(len(self.classes)):
            self._take_source(place)
        for place in range(len(self.points)):
            self._take_point(place)
        self._isolate()

    def _begin(self, policies: Policies, grouped: Classes) -> None:
        self._policies = policies
        self._grouped = grouped
        self._family = grouped.family
        self._vectors = Vectors(grouped.speakers, grouped.family)
        self._class_of_point = np.array([place for place, _ in grouped.points], dtype=np.int64)

    @property
    def pods(self) -> Sequence[Pod]:
        """All pods that take part: those on the pod network with an address of the family."""
        return self._grouped.pods

    @property
    def class_of(self) -> Sequence[int]:
        """The class of each pod, in the order of `pods`."""
        return self._grouped.class_of

    @property
    def classes(self) -> Sequence[Pod]:
        """One pod of each class, which speaks for all of it."""
        return self._grouped.speakers

    @property
    def points(self) -> Sequence[Point]:
        """Class of targets and port of theirs."""
        return self._grouped.points

    @cached_property
    def codes(self) -> Codes:
        """Class of sources by point: places in ANSWERS."""
        low = np.uint8(_LOW)
        codes: Codes = self._sides & low
        for shift in (_INGRESS, _ISOLATION):
            np.maximum(codes, (self._sides >> np.uint8(shift)) & low, out=codes)
        return codes

    def after(self, policies: Policies) -> "Reach":
        """The answers under other policies for the same pods: only what these are about is asked again.

        With another profile, or other policies that cannot be read, that is everything.
        """
        before = self._policies
        if policies.profile != before.profile or policies.opaque != before.opaque:
            return Reach(policies, self.pods, self._family)
        changed = _changed(before.policies, policies.policies)
        fresh = object.__new__(Reach)
        fresh._begin(policies, self._grouped.finer(Features.of(policies)))
        fresh._sides = self._spread(fresh._grouped)
        fresh._ask_again(changed)
        return fresh

    def _spread(self, finer: Classes) -> Codes:
        """What is kept of each pair, for classes of which some are parts of former ones."""
        if finer is self._grouped:
            return self._sides.copy()
        former = np.zeros(len(finer.speakers), np.int64)
        former[np.array(finer.class_of, np.int64)] = np.array(self.class_of, np.int64)
        numbers = {point: number for number, point in enumerate(self.points)}
        points = np.array([numbers[int(former[place]), port] for place, port in finer.points], np.int64)
        spread: Codes = self._sides[former[:, None], points[None, :]]
        return spread

    def _ask_again(self, changed: Sequence[Policy]) -> None:
        for place, pod in enumerate(self.classes):
            if any(Direction.EGRESS in one.rules and one.subject.selects(pod) for one in changed):
                self._take_source(place)
        about = {
            place
            for place, pod in enumerate(self.classes)
            if any(Direction.INGRESS in one.rules and one.subject.selects(pod) for one in changed)
        }
        for number, (place, _) in enumerate(self.points):
            if place in about:
                self._take_point(number)

    def _connection(self, port: ContainerPort) -> Connection:
        return Connection(port.protocol, port.port, self._family)

    def _take_source(self, place: int) -> None:
        self._sides[place] = (self._sides[place] & ~np.uint8(_LOW)) | self._of_source(place)

    def _take_point(self, number: int) -> None:
        kept = self._sides[:, number] & ~np.uint8(_LOW << _INGRESS)
        self._sides[:, number] = kept | (self._of_point(number) << np.uint8(_INGRESS))

    def _of_source(self, place: int) -> Codes:
        """What the policies of a class of sources say of every point."""
        subject = self.classes[place]

        def ask(point: int) -> Side:
            target, port = self.points[point]
            return Side(Direction.EGRESS, subject, self.classes[target], self._connection(port))

        return self._side(subject, Direction.EGRESS, self._matches_point, len(self.points), ask)

    def _of_point(self, place: int) -> Codes:
        """What the policies of a point's pods say of every class of sources."""
        target, port = self.points[place]
        subject = self.classes[target]
        connection = self._connection(port)

        def matches(rule: Rule, tier: Tier) -> tuple[Bits, Bits]:
            if rule.ports is not None and not any(is_port(one, subject, connection) for one in rule.ports):
                return self._vectors.none, self._vectors.none
            return self._matches_peers(rule, tier)

        def ask(source: int) -> Side:
            return Side(Direction.INGRESS, subject, self.classes[source], connection)

        return self._side(subject, Direction.INGRESS, matches, len(self.classes), ask)

    def _matches_point(self, rule: Rule, tier: Tier) -> tuple[Bits, Bits]:
        """By point: whether a rule for egress matches, and whether it may."""
        certain, perhaps = (found[self._class_of_point] for found in self._matches_peers(rule, tier))
        if rule.ports is None:
            return certain, perhaps
        ports = self._vectors.once(("ports", rule.ports), lambda: self._points_of(rule.ports or ()))
        return certain & ports, perhaps & ports

    def _points_of(self, ports: Sequence[object]) -> Bits:
        return np.array(
            [
                any(is_port(one, self.classes[target], self._connection(port)) for one in ports)  # type: ignore[arg-type]
                for target, port in self.points
            ],
            dtype=np.bool_,
        )

    def _matches_peers(self, rule: Rule, tier: Tier) -> tuple[Bits, Bits]:
        """By class: whether one of the peers of a rule matches, and whether one may."""
        vectors = self._vectors
        if rule.peers is None:
            return vectors.every, vectors.none
        certain, perhaps = vectors.none.copy(), vectors.none.copy()
        for peer in rule.peers:
            match: bool | None = True
            if isinstance(peer, BlockPeer) and tier is Tier.NETWORK_POLICY:
                match = self._policies.profile.blocks_match_pods
            if match is not False:
                (certain if match else perhaps).__ior__(vectors.of_peer(peer))
        return certain, perhaps

    def _side(
        self,
        subject: Pod,
        direction: Direction,
        matches: Matches,
        size: int,
        ask: Callable[[int], Side],
    ) -> Codes:
        """The codes of one direction for every other end, as `Policies.decided` finds them one by one."""
        if self._policies.unreadable(subject):
            return np.full(size, CODE[Answer.UNKNOWN], dtype=np.uint8)
        course = Course(size)
        for tier in Tier:
            if tier is not Tier.NETWORK_POLICY:
                groups = [[one for one in group if one.subject.selects(subject)] for group in self._policies.ranked(tier)]
                course.rank([[hits(one.rules[direction], tier, matches) for one in group] for group in groups])
            elif selecting := self._policies.selecting(subject, direction):
                rules = [rule for policy in selecting for rule in policy.rules[direction]]
                if self._policies.profile.exceptions_deny is not False and any(map(_has_exceptions, rules)):
                    course.doubtful |= course.undecided
                course.isolate(matches(rule, tier) for rule in rules)
        for place in np.flatnonzero(course.doubtful):
            reasons = self._policies.decided(ask(int(place)))
            course.codes[place] = CODE[reasons[0].answer] if reasons else CODE[Answer.ALLOW]
        return course.codes

    def _isolate(self) -> None:
        """Close what namespace isolation closes, by pairs of what it sees of pods."""
        kinds: dict[Hashable, list[int]] = {}
        for place, pod in enumerate(self.classes):
            kinds.setdefault((pod.namespace.name, isolation_of(pod)), []).append(place)
        marked = {key for key, places in kinds.items() if isolation_of(self.classes[places[0]]) != UNMARKED}
        for one, sources in kinds.items():
            for other, targets in kinds.items():
                if not marked & {one, other}:
                    continue
                source, target = self.classes[sources[0]], self.classes[targets[0]]
                said = isolation_says(source, target, Connection("TCP", 1, self._family), self._policies.profile)
                if said:
                    block = np.ix_(np.array(sources), np.flatnonzero(np.isin(self._class_of_point, targets)))
                    self._sides[block] |= np.uint8(CODE[Answer(said[0])] << _ISOLATION)


def _has_exceptions(rule: Rule) -> bool:
    return any(isinstance(peer, BlockPeer) and bool(peer.exceptions) for peer in rule.peers or ())


def _changed(before: Iterable[Policy], after: Iterable[Policy]) -> list[Policy]:
    """The policies that are in one of both sets and not in the other as they are."""
    one, other = ({(each.kind, each.namespace, each.name): each for each in every} for every in (before, after))
    return [
        policy
        for key in one.keys() | other.keys()
        for policy in (one.get(key), other.get(key))
        if policy is not None and one.get(key) != other.get(key)
    ]
