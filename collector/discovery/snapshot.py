"""A snapshot: everything that is known to exist at one moment, whole or not at all.

Every source of discovery yields this one type. It is a value: a stage that gets one needs to ask nobody anything.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from collector.external import External, HttpOptions, HttpProbe
from wire.path import Port
from wire.text import Name, OptionalName

__all__ = [
    "Attachment",
    "DnsServer",
    "Door",
    "External",
    "HttpOptions",
    "HttpProbe",
    "Node",
    "Service",
    "Snapshot",
    "Vantage",
]

Address = Annotated[str, Meta(min_length=2, max_length=45)]
"""An IP address in text, in its shortest form."""


class Node(Struct, frozen=True, forbid_unknown_fields=True):
    """A machine of the cluster."""

    name: Name
    """Name, unique among nodes."""
    zone: OptionalName = ""
    """Zone, empty where there are none."""
    addresses: tuple[Address, ...] = ()
    """Its own addresses, not those of its pods; probed on the host layer."""
    excluded: Literal["", "cordoned"] = ""
    """`cordoned` where it is about to be taken away, so that nothing bad that is seen of it is a fault."""


Mtu = Annotated[int, Meta(ge=0, le=65535)]
"""Longest IP packet in bytes that a pod network carries whole; 0 where not known."""


class Attachment(Struct, frozen=True, forbid_unknown_fields=True):
    """A further network of a pod, beside the cluster's default one."""

    name: Name
    """Name of a further network of the pod, the same for all pods on it; each is probed between its vantages and measured
    apart."""
    addresses: tuple[Address, ...]
    """Addresses of the pod on it."""
    mtu: Mtu = 0
    """Longest IP packet in bytes that it carries whole, 576 or more; 0, which is the default, where not known."""


class Vantage(Struct, frozen=True, forbid_unknown_fields=True):
    """A place that probes leave from, with an agent in it."""

    name: Name
    """Name, unique among vantages; often that of the node."""
    node: Name
    """One of the nodes."""
    namespace: Name
    """Kubernetes namespace."""
    pod: Name
    """Pod, unique in its namespace."""
    addresses: tuple[Address, ...]
    """Addresses of the pod, at least one; probed on the pod layer."""
    uid: OptionalName = ""
    """UID that the pod must prove when it answers; empty where not known."""
    port: Port = 8620
    """Port where its agent answers, 8620 unless given."""
    key: Annotated[str, Meta(min_length=32, max_length=512)] = field(default="")
    """Bearer token of its agent, 32 to 512 printable characters, another one for each vantage."""
    networks: Annotated[tuple[Attachment, ...], Meta(max_length=8)] = ()
    """Further networks of its pod; each is probed between the vantages that are on it, and measured apart."""
    excluded: Literal["", "terminating", "not_ready", "settling"] = ""
    """`terminating`, `not_ready` or `settling` where nothing bad that is seen of it is a fault; one that is terminating is
    probed by nobody."""

    def __repr__(self) -> str:
        """Everything but the key, so that no log ever holds it."""
        return f"Vantage({self.name!r}, node={self.node!r}, namespace={self.namespace!r}, pod={self.pod!r})"


ServiceProbe = Annotated[str, Meta(max_length=1029, pattern=r"^(tcp|http:/[!-~]*)\Z")]
"""`tcp`, or `http:` and a path."""


class Door(Struct, frozen=True, forbid_unknown_fields=True):
    """Another way to a service than its ClusterIP, so that a bad endpoint and bad service routing are told apart."""

    kind: Literal["endpoint", "node_port", "load_balancer"]
    """`endpoint`, `node_port` or `load_balancer`: another way to the service, probed as its ClusterIP is."""
    name: Name
    """Its pod, node or address, unique among the doors of its kind."""
    addresses: tuple[Address, ...]
    """Addresses, at least one."""
    port: Port
    """Port."""
    node: OptionalName = ""
    """Node that it leads to, empty where not known."""


class Service(Struct, frozen=True, forbid_unknown_fields=True):
    """A service to be probed, through its ClusterIP and its other doors."""

    name: Name
    """Name, unique in its namespace."""
    namespace: Name
    """Kubernetes namespace."""
    addresses: tuple[Address, ...]
    """ClusterIPs, at least one unless there are doors."""
    port: Port
    """Port."""
    probe: ServiceProbe = "tcp"
    """`tcp`, or `http:` and a path."""
    also: Annotated[tuple[ServiceProbe, ...], Meta(max_length=4)] = ()
    """Further probes of the same addresses, four at most."""
    doors: Annotated[tuple[Door, ...], Meta(max_length=256)] = ()
    http: HttpOptions = HttpOptions()
    """Only where it is probed over HTTP."""
    endpoints: Annotated[int, Meta(ge=0)] | None = None
    """Ready endpoints behind it, absent where not known; with 0 a refusal means `no_endpoints`."""
    critical: bool = False
    """`true` to probe it from every vantage, also where there are so many that services are shared out."""


class DnsServer(Struct, frozen=True, forbid_unknown_fields=True):
    """A name server: the cluster's service, one server behind it, or one outside."""

    name: Name
    """Name, unique among name servers."""
    addresses: tuple[Address, ...]
    """Addresses of the service, or of one server behind it, at least one; a link-local one only over IPv4 and on port 53."""
    names: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=254)], ...], Meta(min_length=1, max_length=8)]
    """What it is asked for, fully qualified with the last dot: A and AAAA over UDP and one of them over TCP for the first
    name, A over UDP for others."""
    port: Port = 53
    """Port, 53 unless given."""
    contains: Annotated[str, Meta(max_length=45)] = ""
    """Address that must be among the answers to the first name, or they are a `dns_error`."""
    critical: bool = False
    """`true` to ask it from every vantage, as with services."""


class Snapshot(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it. Names are unique within their kind, and every vantage's node exists."""

    nodes: tuple[Node, ...] = ()
    vantages: tuple[Vantage, ...] = ()
    services: tuple[Service, ...] = ()
    external: tuple[External, ...] = ()
    dns: tuple[DnsServer, ...] = ()
    mtu: Mtu = 0
    """Longest IP packet in bytes that the default pod network carries whole, 576 or more, which is then tested between the
    zones; 0, which is the default, where not known."""
    secret: Annotated[str, Meta(max_length=512)] = ""
    """What the keys of the group follow from, 32 to 512 characters; without it they follow from the keys of all vantages, and
    change when a collector starts with other vantages than before."""

    def __repr__(self) -> str:
        """Sizes only, so that no log ever holds a secret."""
        sizes = (f"{name}={len(getattr(self, name))}" for name in ("nodes", "vantages", "services", "external", "dns"))
        return f"Snapshot({', '.join(sizes)})"
