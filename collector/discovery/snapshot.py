"""A snapshot: everything that is known to exist at one moment, whole or not at all.

Every source of discovery yields this one type. It is a value: a stage that gets one needs to ask nobody anything.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from wire.path import Port
from wire.text import Name, OptionalName

Address = Annotated[str, Meta(min_length=2, max_length=45)]
"""An IP address in text, in its shortest form."""


class Node(Struct, frozen=True, forbid_unknown_fields=True):
    """A machine of the cluster."""

    name: Name
    zone: OptionalName = ""
    addresses: tuple[Address, ...] = ()
    """Its own addresses (not those of its pods); probed on the host layer."""


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

    def __repr__(self) -> str:
        """Everything but the key, so that no log ever holds it."""
        return f"Vantage({self.name!r}, node={self.node!r}, namespace={self.namespace!r}, pod={self.pod!r})"


class HttpOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked and expected over HTTP beyond the path; each as in `wire.path.Http`, and its default where left out."""

    method: str | None = None
    host: str | None = None
    """Name for the Host header, for SNI and for verifying the certificate."""
    authority: str | None = None
    """Host header where it must differ from `host`."""
    expect_status: str | None = None
    """Such as `200,3xx`."""
    body_contains: str | None = None
    """Text that must stand in the first 64 KiB of the body."""
    verify: bool | None = None
    """Verify the certificate chain and name."""


class HttpProbe(HttpOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A probe of an external target over HTTP, in full."""

    url: Annotated[str, Meta(max_length=1200)]


class Service(Struct, frozen=True, forbid_unknown_fields=True):
    """A ClusterIP service to be probed."""

    name: Name
    namespace: Name
    addresses: tuple[Address, ...]
    port: Port
    probe: Annotated[str, Meta(pattern=r"^(tcp|http:/[!-~]*)\Z")] = "tcp"
    """`tcp`, or `http:` and a path."""
    http: HttpOptions = HttpOptions()
    """Only where it is probed over HTTP."""
    endpoints: Annotated[int, Meta(ge=0)] | None = None
    """Ready endpoints behind it, None where not known."""
    critical: bool = False
    """Probed from every vantage, also where there are so many that the others are shared out."""


class External(Struct, frozen=True, forbid_unknown_fields=True):
    """A host outside of the cluster. Either `host`, which agents resolve by themselves, or `address`."""

    name: Name
    probes: Annotated[tuple[Annotated[str, Meta(max_length=1200)] | HttpProbe, ...], Meta(min_length=1, max_length=16)]
    """Each of `icmp`, `tcp:PORT`, an http or https URL, or such a URL with options."""
    host: OptionalName = ""
    address: Annotated[str, Meta(max_length=45)] = ""
    critical: bool = False
    """As of a service."""


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
