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
    zone: OptionalName = ""
    addresses: tuple[Address, ...] = ()
    """Its own addresses (not those of its pods); probed on the host layer."""
    excluded: Literal["", "cordoned"] = ""
    """Why nothing bad that is seen of it is a fault: it is about to be taken away. It is probed as before."""


Mtu = Annotated[int, Meta(ge=0, le=65535)]
"""Longest IP packet in bytes that a pod network carries whole; 0 where not known."""


class Attachment(Struct, frozen=True, forbid_unknown_fields=True):
    """A further network of a pod, beside the cluster's default one."""

    name: Name
    """Name of the network, the same for all pods on it."""
    addresses: tuple[Address, ...]
    mtu: Mtu = 0


class Vantage(Struct, frozen=True, forbid_unknown_fields=True):
    """A place that probes leave from, with an agent in it."""

    name: Name
    node: Name
    namespace: Name
    pod: Name
    addresses: tuple[Address, ...]
    uid: OptionalName = ""
    port: Port = 8620
    """Where it answers its peers' UDP, TCP and HTTP probes."""
    key: Annotated[str, Meta(min_length=32, max_length=512)] = field(default="")
    """Static mode: the bearer token of its agent."""
    networks: Annotated[tuple[Attachment, ...], Meta(max_length=8)] = ()
    """Further networks of its pod; each is probed between the vantages that are on it, and measured apart."""
    excluded: Literal["", "terminating", "not_ready", "settling"] = ""
    """Why nothing bad that is seen of it is a fault. It is probed as before, but for one that is terminating."""

    def __repr__(self) -> str:
        """Everything but the key, so that no log ever holds it."""
        return f"Vantage({self.name!r}, node={self.node!r}, namespace={self.namespace!r}, pod={self.pod!r})"


ServiceProbe = Annotated[str, Meta(max_length=1029, pattern=r"^(tcp|http:/[!-~]*)\Z")]
"""`tcp`, or `http:` and a path."""


class Door(Struct, frozen=True, forbid_unknown_fields=True):
    """Another way to a service than its ClusterIP, so that a bad endpoint and bad service routing are told apart."""

    kind: Literal["endpoint", "node_port", "load_balancer"]
    name: Name
    """Of the endpoint's pod, of the node, or the address: unique among the doors of its kind."""
    addresses: tuple[Address, ...]
    port: Port
    node: OptionalName = ""
    """Where it leads to, where that is known."""


class Service(Struct, frozen=True, forbid_unknown_fields=True):
    """A service to be probed, through its ClusterIP and its other doors."""

    name: Name
    namespace: Name
    addresses: tuple[Address, ...]
    """ClusterIPs; none where it is headless."""
    port: Port
    probe: ServiceProbe = "tcp"
    """`tcp`, or `http:` and a path."""
    also: Annotated[tuple[ServiceProbe, ...], Meta(max_length=4)] = ()
    """Further probes of the same addresses."""
    doors: Annotated[tuple[Door, ...], Meta(max_length=256)] = ()
    http: HttpOptions = HttpOptions()
    """Only where it is probed over HTTP."""
    endpoints: Annotated[int, Meta(ge=0)] | None = None
    """Ready endpoints behind it, None where not known."""
    critical: bool = False
    """Probed from every vantage, also where there are so many that the others are shared out."""


class DnsServer(Struct, frozen=True, forbid_unknown_fields=True):
    """A name server: the cluster's service, one server behind it, or one outside."""

    name: Name
    addresses: tuple[Address, ...]
    names: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=254)], ...], Meta(min_length=1, max_length=8)]
    """What it is asked for, fully qualified with the last dot: A and AAAA over UDP, and the first one over TCP as well."""
    port: Port = 53
    contains: Annotated[str, Meta(max_length=45)] = ""
    """Address that must be among the answers to the first name."""
    critical: bool = False
    """As of a service."""


class Snapshot(Struct, frozen=True, forbid_unknown_fields=True):
    """All of it. Names are unique within their kind, and every vantage's node exists."""

    nodes: tuple[Node, ...] = ()
    vantages: tuple[Vantage, ...] = ()
    services: tuple[Service, ...] = ()
    external: tuple[External, ...] = ()
    dns: tuple[DnsServer, ...] = ()
    mtu: Mtu = 0
    """Of the default pod network."""
    secret: Annotated[str, Meta(max_length=512)] = ""
    """Static mode: what the group keys follow from; from the keys of all vantages where empty."""

    def __repr__(self) -> str:
        """Sizes only, so that no log ever holds a secret."""
        sizes = (f"{name}={len(getattr(self, name))}" for name in ("nodes", "vantages", "services", "external", "dns"))
        return f"Snapshot({', '.join(sizes)})"
