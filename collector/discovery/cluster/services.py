"""Which services are probed, and through which doors. Pure.

Without being asked for: netmatrix's own echo, and the service of the API server through its ClusterIP alone. By annotation:
any other, as far as it leads to where something may be sent.
"""

import re
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from ipaddress import ip_address

from msgspec import Struct

from collector.discovery.cluster.addresses import usable
from collector.discovery.cluster.endpoints import Behind, Owner, Socket, behind, slices_of, spread
from collector.discovery.cluster.kept import Node, Service, ServicePort, Slice
from collector.discovery.cluster.world import Because, Refused, World, refused
from collector.discovery.denied import external_complaints
from collector.discovery.probes import service_asks
from collector.discovery.snapshot import Door, External
from collector.discovery.snapshot import Service as Probed
from collector.settings import DiscoverySettings
from wire.path import Family
from wire.text import MAX_NAME, NAME_PATTERN

API_SERVER: Owner = ("default", "kubernetes")
ECHO = "netmatrix-echo"
ECHO_PORT_NAME = "http-echo"
ECHO_PROBES = ("tcp", "http:/echo")
NODE_PORTS = frozenset({2379, 2380, 2381, 10248, 10249, 10250, 10255, 10256, 10257, 10258, 10259})
"""Of etcd, kubelet, kube-proxy and the controllers, as Kubernetes' page on ports and protocols lists them, and their health."""
_PROBE = re.compile(r"(tcp|http:/[!-~]{0,1023})\Z")
_NAME = re.compile(NAME_PATTERN)


class Found(Struct, frozen=True):
    """What is probed."""

    services: tuple[Probed, ...]
    external: tuple[External, ...]
    """Services that are only a name, or whose load balancer is."""
    refused: tuple[Refused, ...]
    looked_behind: frozenset[Owner] = frozenset()
    """The services whose endpoints matter, also those that are refused."""


class _RefusedError(Exception):
    """A service that is left out."""

    def __init__(self, because: Because, sentence: str) -> None:
        super().__init__(sentence)
        self.because = because


def services_of(world: World, settings: DiscoverySettings) -> Found:
    """All services that are probed, each with its doors."""
    annotated = [one for one in world.services if one.probe and (one.namespace, one.name) not in _own(settings)]
    chosen = _fairly(annotated)
    by_owner = {(one.namespace, one.name): one for one in [*chosen[: settings.services], *_unasked(world, settings)]}
    slices = slices_of({*by_owner, API_SERVER}, world.slices)
    finder = _Finder(world.nodes, settings, _api_server(world, slices[API_SERVER]))
    found: list[Probed] = []
    names: list[External] = []
    complaints = [
        refused(one, Because.TOO_MANY, f"{settings.services} services are probed already, the most that may be")
        for one in chosen[settings.services :]
    ]
    for owner, service in sorted(by_owner.items()):
        try:
            if owner in _own(settings):
                found.append(_unasked_one(service, slices[owner], settings))
                continue
            if service.type != "ExternalName":
                found.append(finder.probed(service, slices[owner]))
            names += _external(service, settings.cluster_domain)
        except _RefusedError as error:
            complaints.append(refused(service, error.because, str(error)))
    return Found(tuple(found), tuple(names), tuple(complaints), frozenset(slices))


def _own(settings: DiscoverySettings) -> tuple[Owner, Owner]:
    return (settings.namespace, ECHO), API_SERVER


def _unasked(world: World, settings: DiscoverySettings) -> Iterator[Service]:
    own = _own(settings)
    return (one for one in world.services if (one.namespace, one.name) in own and usable(one.addresses)[0])


def _fairly(services: Sequence[Service]) -> list[Service]:
    """The first of every namespace, then the second of each: nobody has all places by asking for many."""
    place: dict[str, int] = {}
    ranked = []
    for one in sorted(services, key=lambda one: (one.namespace, one.name)):
        place[one.namespace] = place.get(one.namespace, -1) + 1
        ranked.append((place[one.namespace], one.namespace, one.name, one))
    return [one for *_, one in sorted(ranked, key=lambda entry: entry[:3])]


def _api_server(world: World, slices: Sequence[Slice]) -> frozenset[Socket]:
    """Where the API server answers: behind its service, and at the addresses of that itself."""
    service = next((one for one in world.services if (one.namespace, one.name) == API_SERVER), None)
    ports = service.ports if service else (ServicePort(443, "https"),)
    itself = {(address, port.port) for port in ports for address in usable(service.addresses if service else ())[0]}
    return frozenset(itself.union(*(behind(slices, port.name).sockets for port in ports)))


def _unasked_one(service: Service, slices: Sequence[Slice], settings: DiscoverySettings) -> Probed:
    echo = service.name == ECHO and service.namespace == settings.namespace
    wanted = ECHO_PORT_NAME if echo else "https"
    port = next((port for port in service.ports if port.name == wanted), None) or _port(service, "tcp")
    return Probed(
        name=service.name,
        namespace=service.namespace,
        addresses=usable(service.addresses)[0],
        port=port.port,
        probe=ECHO_PROBES[0],
        also=ECHO_PROBES[1:] if echo else (),
        endpoints=behind(slices, port.name).ready if echo else None,
        critical=echo,  # broken service routing is a matter of one node, so that every node looks
    )


def _port(service: Service, probe: str) -> ServicePort:
    """The port that a probe asks: for http the first that is called so, else the first over TCP."""
    ports = [port for port in service.ports if port.protocol == "TCP"]
    if probe.startswith("http:"):
        ports.sort(key=lambda port: not (port.app_protocol == "http" or re.match(r"http(-|\Z)", port.name)))
    if not ports:
        raise _RefusedError(Because.PORT, "it has no TCP port")
    return ports[0]


def _probe(service: Service) -> str:
    if not _PROBE.match(service.probe):
        raise _RefusedError(
            Because.ANNOTATION, f"netmatrix.io/probe is {service.probe[:80]!r}; expected tcp, or http: and a path"
        )
    return service.probe


class _Finder:
    """Turns services that ask for it into services that are probed."""

    def __init__(self, nodes: Collection[Node], settings: DiscoverySettings, api_server: frozenset[Socket]) -> None:
        self._settings = settings
        self._api_server = api_server
        self._ring = sorted((spread(node.name), node) for node in nodes if node.ready and not node.cordoned)
        self._of_nodes = {address for node in nodes for address in node.addresses}

    def probed(self, service: Service, slices: Sequence[Slice]) -> Probed:
        """The service with its doors; raises _RefusedError."""
        probe = _probe(service)
        port = _port(service, probe)
        found = behind(slices, port.name)
        addresses, wrong = usable(service.addresses)
        for complaint in (*wrong, *found.wrong):
            raise _RefusedError(Because.ADDRESS, complaint)
        if found.sockets & self._api_server:
            raise _RefusedError(Because.API_SERVER, "it leads to the API server")
        if theirs := [one for one in found.sockets if one[1] in NODE_PORTS and one[0] in self._of_nodes]:
            address, number = min(theirs)
            raise _RefusedError(Because.ADDRESS, f"{address} is a node, and port {number} of one is Kubernetes' own")
        doors = (*self._endpoints(service, found), *self._node_ports(service, port, found), *_balancers(service, port))
        made = Probed(service.name, service.namespace, addresses, port.port, probe, doors=doors, endpoints=found.ready)
        try:
            service_asks(made, port.port)
        except ValueError as error:
            raise _RefusedError(Because.ANNOTATION, str(error)) from None
        return made

    def _endpoints(self, service: Service, found: Behind) -> Iterator[Door]:
        """A few of them; one at the address of a node is only probed through the service, for who knows who else listens."""
        for place in found.places[: self._settings.endpoints]:
            addresses = tuple(address for address in place.addresses if address not in self._of_nodes)
            if addresses:
                name = place.name if _fits("endpoint", service, place.name) else addresses[0]
                name = name.rstrip(":")  # as in fd00::
                yield Door("endpoint", name, addresses, place.port, place.node if _NAME.match(place.node) else "")

    def _node_ports(self, service: Service, port: ServicePort, found: Behind) -> Iterator[Door]:
        if not (port.node_port and self._ring):
            return
        families = {Family.of(address) for address in usable(service.addresses)[0]}
        start = bisect_left(self._ring, (spread(f"{service.namespace}/{service.name}"),))
        left = self._settings.node_ports
        for place in range(len(self._ring)):
            node = self._ring[(start + place) % len(self._ring)][1]
            addresses = tuple(one for one in usable(node.addresses)[0] if Family.of(one) in families)
            if left and addresses and (not service.local or node.name in found.nodes):
                left -= 1
                yield Door("node_port", node.name, addresses, port.node_port, node.name)
            if not left:
                return


def _fits(kind: str, service: Service, name: str) -> bool:
    return len(f"{kind}/{service.namespace}/{service.name}/{name}") <= MAX_NAME


def _balancers(service: Service, port: ServicePort) -> Iterator[Door]:
    addresses, wrong = usable(one for one in service.balancers if _is_address(one))
    for complaint in wrong:
        raise _RefusedError(Because.ADDRESS, complaint)
    for address in addresses:
        yield Door("load_balancer", address.rstrip(":"), (address,), port.port)


def _external(service: Service, domain: str) -> Iterator[External]:
    """A service that is only a name, or the name of its load balancer: agents resolve it, and look at the address again."""
    hosts = (
        [service.external_name]
        if service.type == "ExternalName"
        else [one for one in service.balancers if not _is_address(one)]
    )
    for host in hosts[:1]:
        probe = _probe(service)
        scheme, _, path = probe.partition(":")
        port = _port(service, probe).port if service.ports or scheme == "tcp" else 80
        name = host.rstrip(".")
        if not _NAME.match(name) or len(name) > MAX_NAME:
            raise _RefusedError(Because.ADDRESS, f"{name[:80]!r} is no name of a host")
        if name.lower() in {"kubernetes.default.svc", f"kubernetes.default.svc.{domain}".rstrip(".").lower()}:
            raise _RefusedError(Because.API_SERVER, "it leads to the API server")
        asked = f"tcp:{port}" if scheme == "tcp" else f"http://{name}:{port}{path}"
        made = External(f"{service.namespace}/{service.name}", (asked,), host=name)
        for path_in, complaint in external_complaints("", made):
            because = Because.ADDRESS if path_in == ".host" else Because.ANNOTATION
            raise _RefusedError(because, complaint)
        yield made


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
