"""From the state of the cluster to a whole snapshot. Pure: the same state, settings and time give the same snapshot."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from collector.discovery.cluster.addresses import usable
from collector.discovery.cluster.behind_services import backed_in, pods_in
from collector.discovery.cluster.canaries import canaries_of
from collector.discovery.cluster.endpoints import Owner, behind, slices_of
from collector.discovery.cluster.interests import Interests, expected_services, interests_in
from collector.discovery.cluster.kept import Service
from collector.discovery.cluster.policies import Unreadable
from collector.discovery.cluster.services import API_SERVER, services_of
from collector.discovery.cluster.vantages import vantages_of
from collector.discovery.cluster.world import Refused, World, not_understood
from collector.discovery.snapshot import DnsServer, External, Namespace, Node, Snapshot
from collector.expectation.document import Declared
from collector.policy.labels import NAME_LABEL, namespace_labels
from collector.policy.rules import Opaque, Policy
from collector.settings import DiscoverySettings
from wire.text import MAX_NAME

T = TypeVar("T")
INGRESS = "ingress"
"""Name of netmatrix's own echo through the cluster's ingress, as an external target."""
DNS_SERVERS = 50
"""Most endpoints of one DNS service that are asked directly."""


class Assembled(Struct, frozen=True):
    """A snapshot, and what is to be said of it."""

    snapshot: Snapshot
    refused: tuple[Refused, ...] = ()
    settled: float | None = None
    """Unix seconds at which another snapshot follows from the same state; None where none does."""
    looked_behind: frozenset[Owner] = frozenset()
    """The services whose endpoints matter."""
    interests: Interests = Interests()
    """The pods that matter besides our own."""


def assemble(
    world: World, settings: DiscoverySettings, *, external: tuple[External, ...] = (), mtu: int = 0, now: float
) -> Assembled:
    """The snapshot of a state, with the hosts outside that the configuration names; `now` is in Unix seconds."""
    vantages, services = vantages_of(world, settings, now), services_of(world, settings)
    canaries = canaries_of(world, settings, now)
    servers = _servers(world, settings)
    owners = {*services.looked_behind, *servers, *expected_services(world)}
    unread = [one for one in world.expectations if isinstance(one, Unreadable)]
    snapshot = Snapshot(
        nodes=tuple(
            Node(node.name, node.zone, usable(node.addresses)[0], "cordoned" if node.cordoned else "", node.labels)
            for node in sorted(world.nodes, key=lambda node: node.name)
        ),
        vantages=vantages.vantages,
        services=services.services,
        external=tuple({one.name: one for one in (*services.external, *ingress_of(settings), *external)}.values()),
        dns=tuple(_dns(world, settings, servers)),
        mtu=settings.mtu or mtu,
        domain=settings.cluster_domain,
        namespaces=tuple(_namespaces(world)),
        pods=(*pods_in(world), *canaries.pods),
        backed=tuple(backed_in(world, owners)),
        profile=world.profile,
        policies=_ordered(one for one in world.policies if isinstance(one, Policy)),
        opaque=_ordered(one for one in world.policies if isinstance(one, Opaque)),
        policies_read=world.policies_read,
        expectations=_ordered(one for one in world.expectations if isinstance(one, Declared)),
    )
    return Assembled(
        snapshot,
        (*vantages.refused, *services.refused, *map(not_understood, unread)),
        min((one for one in (vantages.settled, canaries.settled) if one is not None), default=None),
        frozenset(owners),
        interests_in(world, owners),
    )


def _ordered(found: Iterable[T]) -> tuple[T, ...]:
    return tuple(sorted(found, key=str))


def _namespaces(world: World) -> Iterator[Namespace]:
    for one in sorted(world.namespaces, key=lambda one: one.name):
        labels = one.labels if NAME_LABEL in one.labels else namespace_labels(one.name, one.labels)
        yield Namespace(one.name, labels, one.annotations)


def ingress_of(settings: DiscoverySettings) -> Iterator[External]:
    """The cluster's ingress, where there is one."""
    if settings.ingress_url:
        host = urlsplit(settings.ingress_url).hostname or ""
        address = host if ":" in host or host.replace(".", "").isdigit() else ""
        yield External(INGRESS, (settings.ingress_url,), host="" if address else host, address=address)


def _servers(world: World, settings: DiscoverySettings) -> Mapping[Owner, Service]:
    """The services of the cluster's name servers."""
    return {
        (one.namespace, one.name): one
        for one in world.services
        if one.dns or f"{one.namespace}/{one.name}" in settings.dns_services
    }


def _dns(world: World, settings: DiscoverySettings, servers: Mapping[Owner, Service]) -> Iterator[DnsServer]:
    """The cluster's name servers: each through its service, and each server behind that."""
    api_server = next((one for one in world.services if (one.namespace, one.name) == API_SERVER), None)
    answers = usable(api_server.addresses)[0] if api_server else ()
    names = tuple(name for name in (f"kubernetes.default.svc.{settings.cluster_domain}.", settings.external_name) if name)
    slices = slices_of(servers, world.slices)
    for owner, service in sorted(servers.items()):
        port = next((port for port in service.ports if port.protocol == "UDP"), None)
        if port is None:
            continue
        full = f"{service.namespace}/{service.name}"
        contains = answers[0] if answers else ""
        if addresses := usable(service.addresses)[0]:
            yield DnsServer(full, addresses, names, port.port, contains, critical=True)
        found = behind(slices[owner], port.name, protocol="UDP", link_local=True)
        for place in found.places[:DNS_SERVERS]:
            name = place.name if len(f"dns/{full}/{place.name}") <= MAX_NAME else place.addresses[0]
            yield DnsServer(f"{full}/{name}".rstrip(":"), tuple(place.addresses), names, place.port, contains)
