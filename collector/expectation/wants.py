"""What declared expectations want probed: paths without which nobody could say whether they hold.

In: expectations, and the places that probes leave from. Out: paths, with what proves of each closed one that its target
listens, and a sentence for each declaration of which something is not probed. Who probes the same already is not known here.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from collector.expectation.asks import DNS_PORT, PortAsk
from collector.expectation.cluster import Service
from collector.expectation.controls import Controls, Place, number_of
from collector.expectation.declared import One
from collector.expectation.document import Declared
from collector.expectation.expected import Expectations
from collector.expectation.reaches import Goal, goals_of
from collector.policy.ends import Host, Node, Pod, address_of
from wire.path import Ask, Dns, Family, Http, Icmp, Layer, Target, Tcp, Udp
from wire.text import MAX_NAME

MOST_PATHS: Final = 500
"""Most paths of one declaration."""
MOST_OF_VANTAGE: Final = 2000
"""Most paths of one vantage for all declarations together: a plan that has too many for one is refused for all."""

_MASK: Final = 2**64 - 1

Proof = Literal["vantage", "kubelet", "none"]
"""What proves that a target listens: a vantage that may reach it, the kubelet's readiness probe, or nothing."""


class Want(Struct, frozen=True):
    """One path."""

    vantage: str
    target: Target
    layer: Layer
    family: Family
    ask: Ask


class Wants(Struct, frozen=True):
    """All of them, in an order that depends on nothing but names."""

    paths: tuple[Want, ...] = ()
    proofs: Mapping[str, Proof] = {}
    """By target and port, as in `pod/shop/db-0:5432`: what will prove of a target of a closed path that it listens."""
    notes: tuple[tuple[str, str], ...] = ()
    """Name of a declaration, and what of it is not probed and why."""


class Wanting:
    """Makes the wants of one moment. `probed` are the ports that the kubelet has readiness probes on, by pod, of ready ones."""

    def __init__(
        self,
        expectations: Expectations,
        places: Sequence[Place],
        *,
        probed: Mapping[str, Sequence[int]] | None = None,
        domain: str,
    ) -> None:
        self._expectations = expectations
        self._places = sorted(places, key=lambda place: place.name)
        self._own = {str(place.pod): place for place in self._places}
        self._in: dict[str, list[Place]] = {}
        """By namespace."""
        for place in self._places:
            self._in.setdefault(place.pod.namespace.name, []).append(place)
        self._controls = Controls(expectations, self._places)
        self._probed = probed or {}
        self._domain = domain
        self._proofs: dict[str, Proof] = {}
        self._notes: list[tuple[str, str]] = []

    def wants(self) -> Wants:
        """Everything that declarations want, each path once."""
        found: dict[Want, None] = {}
        taken: Counter[str] = Counter()
        for one in self._expectations.declarations.every:
            left = 0
            for want in self._of(one):
                if want in found:
                    continue
                if taken[want.vantage] < MOST_OF_VANTAGE:
                    taken[want.vantage] += 1
                    found[want] = None
                else:
                    left += 1
            if left:
                said = f"{left} paths are not probed, since {MOST_OF_VANTAGE} are the most of one vantage for all declarations"
                self._notes.append((one.declared.name, said))
        paths = sorted(found, key=lambda want: (want.target.name, want.layer, want.family, str(want.ask), want.vantage))
        return Wants(tuple(paths), self._proofs, tuple(self._notes))

    def _of(self, one: One) -> Iterator[Want]:
        own, name = one.declared.namespace, one.declared.name
        near = self._in.get(own, ()) if own else self._places
        sources = [place for place in near if any(selection.selects(place.pod) for selection in one.sources)]
        every = list(goals_of(one, self._expectations.cluster))
        if not sources and every:
            self._notes.append((name, "no vantage is among its sources, so that nothing measures it"))
            return
        unasked = sorted({str(goal.asked.protocol) for goal in every if self._ask(goal) is None})
        if unasked:
            self._notes.append((name, f"{' and '.join(unasked)} is not probed but towards our own agents"))
        pairs, count = self._pairs(name, sources, every)
        if count > len(pairs):
            self._notes.append((name, f"{MOST_PATHS} of {count} paths are probed, which are the most of one declaration"))
        wanted = [(place, want, goal) for place, goal in pairs for want in self._paths(place, one, goal)][:MOST_PATHS]
        yield from (want for _, want, _ in wanted)
        if one.declared.spec.expect == "deny":
            for goal, want in {(want.target.name, want.ask, want.family): (goal, want) for _, want, goal in wanted}.values():
                yield from self._control(goal, want)

    def _pairs(self, name: str, sources: Sequence[Place], goals: Sequence[Goal]) -> tuple[list[tuple[Place, Goal]], int]:
        """Who asks what of whom, and how many pairs there are; of too many the same ones, whoever comes or goes."""
        if len(sources) * len(goals) <= MOST_PATHS:
            every = [(place, goal) for goal in goals for place in sources if str(place.pod) != str(goal.end)]
            return every, len(every)
        column = {str(place.pod): number for number, place in enumerate(sources)}
        ranks = _ranks([number_of(place.name) for place in sources], [number_of(f"{name} {_words(goal)}") for goal in goals])
        itself = [(row, column[str(goal.end)]) for row, goal in enumerate(goals) if str(goal.end) in column]
        for row, place in itself:
            ranks[row, place] = _MASK
        count = ranks.size - len(itself)
        least = np.sort(np.argpartition(ranks, min(MOST_PATHS, count) - 1, axis=None)[: min(MOST_PATHS, count)])
        return [(sources[number % len(sources)], goals[number // len(sources)]) for number in least.tolist()], count

    def _paths(self, place: Place, one: One, goal: Goal) -> Iterator[Want]:
        ask = self._ask(goal)
        for family in Family:
            target = self._target(goal, family)
            if ask is None or target is None or len(target.name) > MAX_NAME:
                continue
            if family.value in one.families and family in place.families:
                yield Want(place.name, target, self._layer(goal, ask), family, ask)

    def _ask(self, goal: Goal) -> Ask | None:
        """How it is asked; None where no probe can: UDP of those who are not ours has no answer that means anything."""
        asked, by = goal.asked, goal.asked.by
        port = self._service_port(goal) if goal.through else asked.port
        if by is not None and by.protocol == "HTTP":
            return Http(port=port, path=by.path or "/", expect_status=_statuses(by))
        if by is not None and by.protocol == "DNS":
            return Dns(name=by.name.rstrip(".") + ".", port=port or DNS_PORT)
        match asked.protocol:
            case "TCP":
                return Tcp(port=port)
            case "ICMP" if not goal.through:
                return Icmp()
            case "UDP" if not goal.through and (place := self._own.get(str(goal.end))) is not None and place.port == port:
                return Udp(port=port)
        return None

    def _service_port(self, goal: Goal) -> int:
        service = self._expectations.cluster.service[goal.service]
        return next(
            one.port.port
            for one in service.backings
            if str(one.pod) == str(goal.end) and (one.port.protocol, one.target_port) == (goal.asked.protocol, goal.asked.port)
        )

    def _target(self, goal: Goal, family: Family) -> Target | None:
        if goal.through:
            return self._of_service(self._expectations.cluster.service[goal.service], goal, family)
        address = address_of(goal.end, family)
        match goal.end:
            case Pod() as pod if address is not None:
                own = self._own.get(str(pod))
                name = f"pod/{pod}"
                return Target(name=name, peer=pod.node or name, address=str(address), uid=own.uid if own else "")
            case Node(name=name) if address is not None:
                return Target(name=f"node/{name}", peer=name, address=str(address))
            case Host(addresses=(), name=host) if host:
                return Target(name=f"external/{host}", peer=f"external/{host}", host=host)
            case Host() if address is not None:
                return Target(name=f"external/{address}", peer=f"external/{address}", address=str(address))
        return None

    def _of_service(self, service: Service, goal: Goal, family: Family) -> Target | None:
        name = f"service/{service}"
        if goal.by_name:
            host = f"{service.name}.{service.namespace}.svc.{self._domain}"
            return Target(name=name, peer=name, host=host)
        address = next((one for one in service.addresses if Family.of(one) is family), None)
        return None if address is None else Target(name=name, peer=name, address=address)

    def _layer(self, goal: Goal, ask: Ask) -> Layer:
        if isinstance(ask, Dns):
            return Layer.DNS
        if goal.through:
            return Layer.SERVICE
        if isinstance(goal.end, Pod):
            return Layer.POD
        return Layer.HOST if isinstance(goal.end, Node) else Layer.EXTERNAL

    def _control(self, goal: Goal, want: Want) -> Iterator[Want]:
        """A path that proves that the target of a closed one listens, from the one who is the likeliest to be let through."""
        key = f"{want.target.name}:{goal.asked.port}" if goal.asked.port else want.target.name
        place = self._controls.of(goal, want.family)
        if place is not None:
            self._proofs[key] = "vantage"
            yield Want(place.name, want.target, want.layer, want.family, want.ask)
        else:
            ready = goal.asked.port in self._probed.get(str(goal.end), ())
            self._proofs[key] = "kubelet" if ready else "none"


def outside(declared: Iterable[Declared]) -> Iterator[str]:
    """The names of targets outside of the cluster that declarations name."""
    for one in declared:
        for peer in one.spec.to:
            if peer.cidr is not None:
                yield f"external/{peer.cidr.alone}"
            if peer.host is not None:
                yield f"external/{peer.host.name}"


def _words(goal: Goal) -> str:
    return f"{goal.end} {goal.asked.protocol} {goal.asked.port} {goal.service}"


def _ranks(columns: Sequence[int], rows: Sequence[int]) -> npt.NDArray[np.uint64]:
    """A number for each pair that looks drawn by chance, and is always the same for the same pair (SplitMix64)."""
    value = np.array(rows, np.uint64)[:, None] ^ np.array(columns, np.uint64)[None, :]
    value += np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    ranks: npt.NDArray[np.uint64] = value ^ (value >> np.uint64(27))
    return ranks


def _statuses(ask: PortAsk) -> str:
    return "" if ask.status is None else str(ask.status)
