"""Who reaches whom among all pods at once, by classes of pods that no policy can tell apart.

In: policies and the pods of the pod network. Out: a code for each class of sources and each point, a point being a port that a
class of targets declares. Pods are in one class where namespace, labels, ports and the blocks that hold their addresses are the
same. The codes are the answers that `Policies.decide` gives for any two pods of the classes, found for whole vectors at a time.
"""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from collector.policy.ends import Connection, ContainerPort, Pod, address_of
from collector.policy.evaluate import Answer, Policies
from collector.policy.isolation import UNMARKED, isolation_of, isolation_says
from collector.policy.labels import Selector
from collector.policy.rules import Action, BlockPeer, Direction, Network, Peer, PodPeer, Policy, Rule, Side, Tier, is_port
from wire.path import Family

Bits = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]

ANSWERS: Final = (Answer.ALLOW, Answer.UNSPECIFIED, Answer.UNKNOWN, Answer.DENY)
"""By code; of two directions the higher one holds."""
_CODE: Final = {answer: code for code, answer in enumerate(ANSWERS)}
_DIRECTIONS: Final = (Direction.EGRESS, Direction.INGRESS)


class Reach:
    """The answers among pods, for one address family."""

    def __init__(self, policies: Policies, pods: Iterable[Pod], family: Family = Family.IPV4) -> None:
        self._policies = policies
        self._family = family
        everything = [policy for direction in _DIRECTIONS for policy in _all(policies, direction)]
        kept = [pod for pod in pods if not pod.host_network and address_of(pod, family) is not None]
        blocks = {peer for policy in everything for peer in _peers(policy) if isinstance(peer, BlockPeer)}
        held = _holders(sorted(blocks, key=str), kept, family)
        places: dict[Hashable, int] = {}
        self.class_of: list[int] = [
            places.setdefault(
                (pod.namespace.name, tuple(sorted(pod.labels.items())), pod.ports, isolation_of(pod), row), len(places)
            )
            for pod, row in zip(kept, held, strict=True)
        ]
        """The class of each pod, in the order of `pods`."""
        self.pods: Sequence[Pod] = kept
        """All pods that take part: those on the pod network with an address of the family."""
        first: dict[int, Pod] = {}
        for pod, place in zip(kept, self.class_of, strict=True):
            first.setdefault(place, pod)
        self.classes: Sequence[Pod] = [first[place] for place in range(len(first))]
        """One pod of each class, which speaks for all of it."""
        self.points: Sequence[tuple[int, ContainerPort]] = [
            (place, port) for place, pod in enumerate(self.classes) for port in dict.fromkeys(pod.ports)
        ]
        """Class of targets and port of theirs."""
        self._vectors = _Vectors(self.classes, family)
        self._class_of_point = np.array([place for place, _ in self.points], dtype=np.int64)
        self.codes: Codes = self._all_codes()
        """Class of sources by point: places in ANSWERS."""

    def _connection(self, port: ContainerPort) -> Connection:
        return Connection(port.protocol, port.port, self._family)

    def _all_codes(self) -> Codes:
        codes = np.empty((len(self.classes), len(self.points)), dtype=np.uint8)
        for place in range(len(self.classes)):
            codes[place] = self._of_source(place)
        for place in range(len(self.points)):
            np.maximum(codes[:, place], self._of_point(place), out=codes[:, place])
        self._isolate(codes)
        return codes

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
        matches: Callable[[Rule, Tier], tuple[Bits, Bits]],
        size: int,
        ask: Callable[[int], Side],
    ) -> Codes:
        """The codes of one direction for every other end, as `Policies.decided` finds them one by one."""
        if self._policies.unreadable(subject):
            return np.full(size, _CODE[Answer.UNKNOWN], dtype=np.uint8)
        course = _Course(size)
        for tier in Tier:
            if tier is not Tier.NETWORK_POLICY:
                groups = [[one for one in group if one.subject.selects(subject)] for group in self._policies.ranked(tier)]
                course.rank([[_hits(one.rules[direction], tier, matches) for one in group] for group in groups])
            elif selecting := self._policies.selecting(subject, direction):
                rules = [rule for policy in selecting for rule in policy.rules[direction]]
                if self._policies.profile.exceptions_deny is not False and any(map(_has_exceptions, rules)):
                    course.doubtful |= course.undecided
                course.isolate(matches(rule, tier) for rule in rules)
        for place in np.flatnonzero(course.doubtful):
            reasons = self._policies.decided(ask(int(place)))
            course.codes[place] = _CODE[reasons[0].answer] if reasons else _CODE[Answer.ALLOW]
        return course.codes

    def _isolate(self, codes: Codes) -> None:
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
                    codes[block] = np.maximum(codes[block], _CODE[Answer(said[0])])


def _hits(rules: Sequence[Rule], tier: Tier, matches: Callable[[Rule, Tier], tuple[Bits, Bits]]) -> list[tuple[Action, Bits]]:
    """What the rules of one policy do, in their order. Among pods no rule of an admin tier is in doubt."""
    return [(rule.action, matches(rule, tier)[0]) for rule in rules]


def _has_exceptions(rule: Rule) -> bool:
    return any(isinstance(peer, BlockPeer) and bool(peer.exceptions) for peer in rule.peers or ())


class _Course:
    """One direction of one class on its way through the tiers."""

    def __init__(self, size: int) -> None:
        self.codes: Codes = np.zeros(size, dtype=np.uint8)
        self.undecided: Bits = np.ones(size, dtype=np.bool_)
        self.doubtful: Bits = np.zeros(size, dtype=np.bool_)
        """Where equal priorities contradict each other: to be asked one by one."""

    def isolate(self, matches: Iterable[tuple[Bits, Bits]]) -> None:
        """Deny what no rule matches, finally."""
        certain, perhaps = np.zeros_like(self.undecided), np.zeros_like(self.undecided)
        for found in matches:
            certain |= found[0]
            perhaps |= found[1]
        denied = self.undecided & ~certain
        self.codes[denied] = _CODE[Answer.DENY]
        self.codes[denied & perhaps] = _CODE[Answer.UNSPECIFIED]
        self.undecided[:] = False

    def rank(self, groups: Iterable[Sequence[Sequence[tuple[Action, Bits]]]]) -> None:
        """Let the first match decide, group by group; within one, every policy has a say."""
        passed = np.zeros_like(self.undecided)
        for group in groups:
            taken = {action: np.zeros_like(self.undecided) for action in Action}
            for rules in group:
                left = self.undecided & ~passed
                for action, bits in rules:
                    taken[action] |= bits & left
                    left &= ~bits
            accepted, denied = taken[Action.ACCEPT], taken[Action.DENY]
            self.doubtful |= (accepted & denied) | ((accepted | denied) & taken[Action.PASS])
            self.codes[denied] = _CODE[Answer.DENY]
            self.undecided &= ~(accepted | denied)
            passed |= taken[Action.PASS]


class _Vectors:
    """What peers and selectors match among the classes, each found once."""

    def __init__(self, classes: Sequence[Pod], family: Family) -> None:
        self._classes = classes
        self._family = family
        self._numbers = _numbers(classes, family)
        self._known: dict[Hashable, Bits] = {}
        self._members: dict[str, list[int]] = {}
        for place, pod in enumerate(classes):
            self._members.setdefault(pod.namespace.name, []).append(place)
        self.none = np.zeros(len(classes), dtype=np.bool_)
        self.every = np.ones(len(classes), dtype=np.bool_)

    def once(self, key: Hashable, find: Callable[[], Bits]) -> Bits:
        """A vector by its key, found when it is first asked for."""
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = find()
        return found

    def of_peer(self, peer: Peer) -> Bits:
        """By class: whether a peer is about its pods."""
        if isinstance(peer, BlockPeer):
            return self.once(("block", peer), lambda: self._held(peer))
        if not isinstance(peer, PodPeer):
            return self.none
        if peer.namespace:
            found = self.none.copy()
            members = [place for place in self._members.get(peer.namespace, ()) if peer.selects(self._classes[place])]
            found[members] = True
            return found
        pods = self.once(("pods", msgspec.json.encode(peer.pods)), lambda: self._selected(peer.pods))
        return pods & self.once(("namespaces", msgspec.json.encode(peer.namespaces)), lambda: self._within(peer.namespaces))

    def _held(self, peer: BlockPeer) -> Bits:
        return _inside(self._numbers, peer, self._family)

    def _selected(self, selector: Selector) -> Bits:
        return np.array([selector.selects(pod.labels) for pod in self._classes], dtype=np.bool_)

    def _within(self, selector: Selector) -> Bits:
        found = self.none.copy()
        for places in self._members.values():
            found[places] = selector.selects(self._classes[places[0]].namespace.labels)
        return found


def _all(policies: Policies, direction: Direction) -> Iterable[Policy]:
    return [policy for policy in policies.policies if policy.rules.get(direction)]


def _peers(policy: Policy) -> Iterable[Peer]:
    return [peer for rules in policy.rules.values() for rule in rules for peer in rule.peers or ()]


def _holders(blocks: Sequence[BlockPeer], pods: Sequence[Pod], family: Family) -> list[bytes]:
    """For each pod, which of the blocks hold its address, as bits."""
    numbers = _numbers(pods, family)
    rows = np.zeros((len(pods), len(blocks)), dtype=np.bool_)
    for place, block in enumerate(blocks):
        rows[:, place] = _inside(numbers, block, family)
    return [row.tobytes() for row in np.packbits(rows, axis=1)]


def _numbers(pods: Sequence[Pod], family: Family) -> npt.NDArray[np.uint64]:
    """The addresses of pods as numbers, in two halves of 64 bits."""
    found = [int(address_of(pod, family) or 0) for pod in pods]
    return np.array([(one >> 64, one & (2**64 - 1)) for one in found], dtype=np.uint64).reshape(-1, 2)


def _inside(numbers: npt.NDArray[np.uint64], block: BlockPeer, family: Family) -> Bits:
    """Which addresses of a family a block holds; none where it is of the other family."""
    version = 4 if family is Family.IPV4 else 6
    if block.network.version != version:
        return np.zeros(len(numbers), dtype=np.bool_)
    held = _between(numbers, block.network)
    for one in block.exceptions:
        if one.version == version:
            held &= ~_between(numbers, one)
    return held


def _between(numbers: npt.NDArray[np.uint64], network: Network) -> Bits:
    first, last = (divmod(int(one), 2**64) for one in (network.network_address, network.broadcast_address))
    high, low = numbers[:, 0], numbers[:, 1]
    from_first = (high > np.uint64(first[0])) | ((high == np.uint64(first[0])) & (low >= np.uint64(first[1])))
    to_last = (high < np.uint64(last[0])) | ((high == np.uint64(last[0])) & (low <= np.uint64(last[1])))
    inside: Bits = from_first & to_last
    return inside
