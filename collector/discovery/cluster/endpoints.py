"""What is behind services: their ready endpoints, gathered from all of their slices. Pure."""

from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b

from msgspec import Struct

from collector.discovery.cluster.addresses import checked
from collector.discovery.cluster.kept import Slice

Owner = tuple[str, str]
"""Namespace and name of a service."""
Socket = tuple[str, int]
"""Address and port."""


class Place(Struct):
    """One ready endpoint: a pod, or an address that is none's."""

    name: str
    node: str
    addresses: list[str]
    port: int


class Behind(Struct, frozen=True):
    """What is behind one port of a service."""

    ready: int
    """Endpoints that are ready, whatever their address."""
    places: tuple[Place, ...]
    """Those that may be probed, in an order that follows from their names alone and favours nobody."""
    nodes: frozenset[str]
    """Where they are, as far as it is known."""
    wrong: tuple[str, ...]
    """Why others never are, a sentence each."""
    sockets: frozenset[Socket] = frozenset()
    """Every address and port that anything may be sent on to, ready or not."""


def slices_of(wanted: Collection[Owner], slices: Iterable[Slice]) -> Mapping[Owner, list[Slice]]:
    """The slices of each service that is asked for."""
    found: dict[Owner, list[Slice]] = {owner: [] for owner in wanted}
    for one in slices:
        owner = one.namespace, one.service
        if owner in found:
            found[owner].append(one)
    return found


def behind(slices: Iterable[Slice], port: str, *, protocol: str = "TCP", link_local: bool = False) -> Behind:
    """What is behind the port of this name."""
    places: dict[str, Place] = {}
    ready: set[str] = set()
    wrong: list[str] = []
    reached: set[Socket] = set()
    for one in slices:
        numbers = [p.port for p in one.ports if (p.name or "") == port and (p.protocol or "TCP") == protocol and p.port]
        for endpoint in one.endpoints:
            name = endpoint.pod or endpoint.address
            address, complaint = checked(endpoint.address, link_local=link_local)
            reached.update((address, number) for number in numbers)
            if not endpoint.ready or one.family == "FQDN":
                continue
            ready.add(name)
            if complaint:
                wrong.append(complaint)
            elif numbers:
                place = places.setdefault(name, Place(name, endpoint.node, [], numbers[0]))
                if address not in place.addresses and place.port == numbers[0]:
                    place.addresses.append(address)
    return Behind(
        ready=len(ready),
        places=tuple(sorted(places.values(), key=lambda place: spread(place.name))),
        nodes=frozenset(place.node for place in places.values() if place.node),
        wrong=tuple(wrong),
        sockets=frozenset(reached),
    )


def spread(name: str) -> bytes:
    """Where a name stands in an order that has nothing to do with the alphabet."""
    return blake2b(name.encode(), digest_size=8).digest()
