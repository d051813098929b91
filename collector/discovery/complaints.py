"""What is wrong with an inventory that has the right form: names that stand twice, addresses that are none, and so on."""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address

from collector.denied import address_complaint
from collector.discovery.denied import external_complaints
from collector.discovery.name_servers import complaints_of
from collector.discovery.probes import service_asks
from collector.discovery.snapshot import (
    Attachment,
    Backed,
    Backend,
    DnsServer,
    Door,
    Existing,
    Node,
    Pod,
    Service,
    Vantage,
)
from collector.policy.profile import PROFILES
from collector.settings import LEAST_MTU
from wire.address import DNS_PORT
from wire.text import MAX_NAME

MIN_KEY = 32
"""Shortest key of a vantage in characters: 128 bits in hexadecimal."""

MAX_ADDRESSES = 16
"""Most addresses of one owner, as many as a plan's identity takes."""

DEFAULT_NETWORK = "default"
"""What nobody may call a further network."""

Complaint = tuple[str, str]
"""Path in the file and sentence."""


def complaints(snapshot: Existing) -> Iterator[Complaint]:
    """All that is wrong, the first to be said first."""
    yield from _of_names(snapshot)
    yield from _of_cluster(snapshot)
    nodes = {node.name for node in snapshot.nodes}
    keys: dict[str, int] = {}
    for place, vantage in enumerate(snapshot.vantages):
        yield from _of_vantage(f"vantages[{place}]", vantage, nodes)
        if keys.setdefault(vantage.key, place) != place:
            yield f"vantages[{place}].key", f"the same as that of vantages[{keys[vantage.key]}]; every vantage needs its own"
        yield from _of_networks(f"vantages[{place}]", vantage)
    seen: dict[str, str] = {}
    groups: list[tuple[str, Sequence[Node | Pod | Service], bool]] = [
        ("nodes", snapshot.nodes, True),
        ("pods", [pod for pod in snapshot.pods if not pod.host_network], True),
        ("services", snapshot.services, False),
    ]
    for group, owners, loopback in groups:
        for place, owner in enumerate(owners):
            yield from _of_addresses(f"{group}[{place}]", owner, seen, loopback=loopback)
    for place, backed in enumerate(snapshot.backed):
        yield from _of_backed(f"backed[{place}]", backed)
    for place, server in enumerate(snapshot.dns):
        # NodeLocal DNSCache listens on 169.254.20.10; agents ask there only where their own resolv.conf says so.
        yield from _of_addresses(f"dns[{place}]", server, {}, loopback=False, link_local=server.port == DNS_PORT)
        yield from complaints_of(f"dns[{place}]", server)
    for place, service in enumerate(snapshot.services):
        try:
            service_asks(service, service.port)
        except ValueError as error:
            yield f"services[{place}].probe", str(error)
        yield from _of_doors(f"services[{place}].doors", service)
    for place, external in enumerate(snapshot.external):
        yield from external_complaints(f"external[{place}]", external)


def _of_cluster(snapshot: Existing) -> Iterator[Complaint]:
    """What is said of all of it."""
    if snapshot.profile not in PROFILES:
        yield "profile", f"{snapshot.profile} is not allowed; allowed are {', '.join(PROFILES)}"
    if snapshot.secret and len(snapshot.secret) < MIN_KEY:
        yield "secret", f"shorter than {MIN_KEY} characters"
    yield from _of_mtu("mtu", snapshot.mtu)


def _of_names(snapshot: Existing) -> Iterator[Complaint]:
    """Names are unique, and short enough for the name of the target that they become."""
    groups = {
        "nodes": ("name", "node", [node.name for node in snapshot.nodes]),
        "vantages": ("pod", "pod", [f"{vantage.namespace}/{vantage.pod}" for vantage in snapshot.vantages]),
        "pods": ("name", "pod", [f"{pod.namespace}/{pod.name}" for pod in snapshot.pods]),
        "backed": ("name", "service", [f"{backed.namespace}/{backed.name}" for backed in snapshot.backed]),
        "namespaces": ("name", "namespace", [namespace.name for namespace in snapshot.namespaces]),
        "services": ("name", "service", [f"{service.namespace}/{service.name}" for service in snapshot.services]),
        "external": ("name", "external", [external.name for external in snapshot.external]),
        "dns": ("name", "dns", [server.name for server in snapshot.dns]),
    }
    yield from _doubles("vantages", "name", [vantage.name for vantage in snapshot.vantages])
    for group, (key, prefix, names) in groups.items():
        yield from _doubles(group, key, names)
        for place, name in enumerate(names):
            if len(f"{prefix}/{name}") > MAX_NAME:
                yield f"{group}[{place}].{key}", f"{prefix}/{name} is longer than {MAX_NAME} characters"


def _doubles(group: str, key: str, names: Sequence[str]) -> Iterator[Complaint]:
    first: dict[str, int] = {}
    for place, name in enumerate(names):
        if first.setdefault(name, place) != place:
            yield f"{group}[{place}].{key}", f"{name} is also {group}[{first[name]}]"


def _of_vantage(path: str, vantage: Vantage, nodes: set[str]) -> Iterator[Complaint]:
    if vantage.node not in nodes:
        yield f"{path}.node", f"{vantage.node} is not one of the nodes"
    if len(vantage.key) < MIN_KEY:
        yield f"{path}.key", "missing" if not vantage.key else f"shorter than {MIN_KEY} characters"
    if not all("!" <= c <= "~" for c in vantage.key):
        yield f"{path}.key", "has other characters than printable ASCII without blanks"


def _of_networks(path: str, vantage: Vantage) -> Iterator[Complaint]:
    """All addresses of a vantage. The default network is not listed, since its addresses stand with the vantage itself."""
    seen: dict[str, str] = {}
    yield from _of_addresses(path, vantage, seen, loopback=True)
    yield from _doubles(f"{path}.networks", "name", [attachment.name for attachment in vantage.networks])
    for place, attachment in enumerate(vantage.networks):
        where = f"{path}.networks[{place}]"
        if attachment.name == DEFAULT_NETWORK:
            yield f"{where}.name", f"{attachment.name} is the network of {path}.addresses"
        yield from _of_mtu(f"{where}.mtu", attachment.mtu)
        yield from _of_addresses(where, attachment, seen, loopback=True)


def _of_doors(path: str, service: Service) -> Iterator[Complaint]:
    """Doors may share addresses: those of a node are the same for all services."""
    named: dict[tuple[str, str], int] = {}
    for place, door in enumerate(service.doors):
        where = f"{path}[{place}]"
        yield from _of_addresses(where, door, {}, loopback=False)
        if named.setdefault((door.kind, door.name), place) != place:
            yield f"{where}.name", f"{door.name} is also {path}[{named[door.kind, door.name]}]"
        if len(name := f"{door.kind}/{service.namespace}/{service.name}/{door.name}") > MAX_NAME:
            yield f"{where}.name", f"{name} is longer than {MAX_NAME} characters"


def _of_backed(path: str, backed: Backed) -> Iterator[Complaint]:
    """Backends may share addresses: one has an entry for each of the service's ports."""
    for place, text in enumerate(backed.addresses):
        if sentence := address_complaint(text, loopback=False):
            yield f"{path}.addresses[{place}]", sentence
    ports = {port.port for port in backed.ports}
    for place, backend in enumerate(backed.backends):
        where = f"{path}.backends[{place}]"
        yield from _of_addresses(where, backend, {}, loopback=True)
        if backend.port not in ports:
            yield f"{where}.port", f"{backend.port} is not one of the ports of the service"


def _of_mtu(path: str, mtu: int) -> Iterator[Complaint]:
    if 0 < mtu < LEAST_MTU:
        yield path, f"{mtu} is less than the {LEAST_MTU} bytes that every host takes; 0 where it is not known"


def _of_addresses(
    path: str,
    owner: Node | Vantage | Pod | Service | Door | DnsServer | Attachment | Backend,
    seen: dict[str, str],
    *,
    loopback: bool,
    link_local: bool = False,
) -> Iterator[Complaint]:
    if not owner.addresses and not isinstance(owner, Node) and not getattr(owner, "doors", ()):
        yield f"{path}.addresses", "needs at least one address"
    if len(owner.addresses) > MAX_ADDRESSES:
        yield f"{path}.addresses", f"more than {MAX_ADDRESSES}"
    for place, text in enumerate(owner.addresses):
        where = f"{path}.addresses[{place}]"
        sentence = address_complaint(text, loopback=loopback, link_local=link_local)
        if sentence:
            yield where, sentence
            continue
        first = seen.setdefault(str(ip_address(text)), where)
        if first != where:
            yield where, f"{text} is also {first}"
