"""A path: the unit that is scheduled, measured and judged, with a name that outlives every plan.

A path is a vantage, a target, a layer, a family and how to ask. Its `id` is the 64-bit BLAKE2b of a canonical text, so that
agent and collector compute the same number from the same words, whatever the order of a plan. A parameter added later only
enters that text where it differs from its default: old paths keep their names.
"""

from enum import StrEnum
from functools import cache, cached_property, lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from typing import Annotated

from msgspec import Meta, Struct, structs

from wire.text import Name, OptionalName

Port = Annotated[int, Meta(ge=1, le=65535)]
Size = Annotated[int, Meta(ge=0, le=65507)]
PacketBytes = Annotated[int, Meta(ge=0, le=65535)]
"""Length of the whole IP packet with all headers, which then must not be fragmented (DF, RFC 8899). 0: short, and no matter."""
LONGEST_PACKET_BYTES = 9216
"""What the switches with the longest frames carry. No agent sends more in one packet, whatever its plan says."""

MAX_REMEMBERED = 16_384
"""Targets whose words are kept, some 6 MB: as many as a cluster of 5,000 nodes has. An agent has a few hundred."""

_LABEL = "[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"

_fields = cache(structs.fields)
"""Looking up the fields of a type takes longer than all else about an id, and a mesh has hundreds of thousands of those."""


class Kind(StrEnum):
    """How a probe asks."""

    ICMP = "icmp"
    UDP = "udp"
    TCP = "tcp"
    HTTP = "http"
    DNS = "dns"

    # An enumeration hashes its name, in Python; the agent looks members up several times for every probe.
    __hash__ = str.__hash__


class Layer(StrEnum):
    """Which part of the network a path crosses."""

    POD = "pod"
    """Pod to pod address: no NAT, as the Kubernetes network model promises."""
    HOST = "host"
    """To a node's own address."""
    SERVICE = "service"
    """Through a ClusterIP, so through the node's service routing."""
    DNS = "dns"
    """To a name server, through its ClusterIP or directly."""
    EXTERNAL = "external"
    """To a host outside of the cluster."""
    MTU = "mtu"
    """Pod to pod with a packet of a certain length that must not be fragmented."""


class Family(StrEnum):
    """The two address families; each is a path of its own and never falls back to the other."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"

    # An enumeration hashes its name, in Python; the agent looks members up several times for every probe.
    __hash__ = str.__hash__

    @classmethod
    def of(cls, address: str) -> "Family":
        """The family of an IP address in text; raises ValueError where it is none."""
        return cls.IPV4 if _version(address) == 4 else cls.IPV6  # noqa: PLR2004 - IP versions


@lru_cache(maxsize=MAX_REMEMBERED)
def _version(address: str) -> int:
    """IP version of an address; every path asks for that of its target, and parsing takes longer than all else about it."""
    return ip_address(address).version


class Icmp(Struct, frozen=True, tag="icmp", omit_defaults=True, forbid_unknown_fields=False):
    """ICMP echo (RFC 792, RFC 4443) answered by the target's kernel."""

    size: Size = 56
    """Payload in bytes after the ICMP header, where `packet_bytes` is 0."""
    packet_bytes: PacketBytes = 0


class Udp(Struct, frozen=True, tag="udp", omit_defaults=True):
    """STAMP (RFC 8762) to the reflector of another agent."""

    port: Port
    padding: Size = 0
    """Bytes of Extra Padding TLV (RFC 8972 section 4.1), where `packet_bytes` is 0."""
    packet_bytes: PacketBytes = 0


class Tcp(Struct, frozen=True, tag="tcp", omit_defaults=True):
    """A TCP handshake, closed with RST; not a byte of payload is sent."""

    port: Port


class Http(Struct, frozen=True, tag="http", omit_defaults=True):
    """One GET or HEAD without a body, on a new connection; redirects are answers and not followed."""

    port: Port
    tls: bool = False
    method: Annotated[str, Meta(pattern=r"^(GET|HEAD)\Z")] = "GET"
    path: Annotated[str, Meta(min_length=1, max_length=1024, pattern=r"^/[!-~]*\Z")] = "/"
    host: OptionalName = ""
    """Name for the Host header, for SNI and for verifying the certificate; the address where empty."""
    authority: Annotated[str, Meta(max_length=300, pattern=r"^[!-~]*\Z")] = ""
    """Host header where it must differ from `host`."""
    expect_status: Annotated[str, Meta(max_length=64, pattern=r"^([1-5]([0-9]{2}|xx)(,[1-5]([0-9]{2}|xx))*)?\Z")] = ""
    """Accepted status codes such as `200,3xx`; below 500 where empty, since anything else was answered by the target."""
    body_contains: Annotated[str, Meta(max_length=256)] = ""
    """Text that must stand in the first 64 KiB of the body."""
    verify: bool = True
    """Verify the certificate chain and name."""


class Record(StrEnum):
    """What a name server is asked for."""

    A = "A"
    AAAA = "AAAA"
    BOTH = "A+AAAA"
    """Two questions that leave one socket at once, as a C library's do; answered when both are."""


class Dns(Struct, frozen=True, tag="dns", omit_defaults=True):
    """One question (RFC 1035), or two, to a name server that is named by its address; no search list, no retry, no cache."""

    name: Annotated[str, Meta(min_length=1, max_length=254, pattern=rf"^(\.|({_LABEL}\.)+)\Z")]
    """Fully qualified, with its last dot."""
    record: Record = Record.A
    port: Port = 53
    tcp: bool = False
    """Over TCP from the start. Over UDP a truncated answer is asked for again over TCP (RFC 7766)."""
    contains: Annotated[str, Meta(max_length=45)] = ""
    """Address, in its shortest form, that must be among the answers."""

    def __post_init__(self) -> None:
        """Raise ValueError where what must be among the answers is no address, or not in its shortest form."""
        if self.contains and ("%" in self.contains or shortest(self.contains) != self.contains):
            msg = f"contains {self.contains!r} is no address in its shortest form"
            raise ValueError(msg)


def shortest(address: str) -> str:
    """An IP address in its one shortest form (RFC 5952); raises ValueError where it is none.

    Python writes IPv4-mapped addresses in mixed notation (RFC 5952 section 5) only since 3.13, and ids must not depend on that.
    """
    parsed = ip_address(address)
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return f"::ffff:{mapped}" if mapped else str(parsed)


Ask = Icmp | Udp | Tcp | Http | Dns
KIND_OF: dict[type[Struct], Kind] = {Icmp: Kind.ICMP, Udp: Kind.UDP, Tcp: Kind.TCP, Http: Kind.HTTP, Dns: Kind.DNS}


def packets(ask: Ask) -> int:
    """Packets that one probe sends.

    TCP is SYN, ACK, RST; HTTP adds the request, acknowledgements and the end; DNS is its questions, or a TCP connection.
    """
    match ask:
        case Tcp():
            return 3
        case Http() | Dns(tcp=True):
            return 6
        case Dns(record=Record.BOTH):
            return 2
        case _:
            return 1


class Target(Struct, frozen=True, omit_defaults=True):
    """What is probed. Either `address`, or for external targets `host`, which the agent resolves by itself."""

    name: Name
    """Stable name such as `pod/shop/cart-0`, `node/n3`, `service/shop/cart`, `external/example`."""
    peer: Name
    """Node or host behind it, whatever its addresses: the unit of the budget of distinct peers."""
    address: Annotated[str, Meta(max_length=45)] = ""
    host: OptionalName = ""
    uid: OptionalName = ""
    """UID of the pod that should answer; empty where the target has no identity of ours."""
    network: OptionalName = ""
    """Which of a pod's networks the address belongs to; empty for the cluster's default network."""

    def __post_init__(self) -> None:
        """Raise ValueError unless there is an address in its shortest form and without a zone, or a host."""
        if "%" in self.address:  # what follows is free text, and means something on one machine only (RFC 4007)
            msg = f"address {self.address!r} has a zone"
            raise ValueError(msg)
        if self.address and shortest(self.address) != self.address:
            msg = f"address {self.address!r} is not in its shortest form, {shortest(self.address)}"
            raise ValueError(msg)
        if bool(self.address) == bool(self.host):
            msg = f"target {self.name} needs either an address or a host"
            raise ValueError(msg)


class Path(Struct, frozen=True, omit_defaults=True, dict=True):
    """One path. Equal paths have equal ids, on every machine and in every version."""

    vantage: Name
    target: Target
    layer: Layer
    family: Family
    ask: Ask

    def __post_init__(self) -> None:
        """Raise ValueError where the target's address is of another family."""
        if self.target.address and Family.of(self.target.address) is not self.family:
            msg = f"{self.target.address} is not an {self.family} address"
            raise ValueError(msg)

    @cached_property
    def kind(self) -> Kind:
        """How this path asks."""
        return KIND_OF[type(self.ask)]

    @cached_property
    def packets(self) -> int:
        """Packets that one probe of this path sends."""
        return packets(self.ask)

    @cached_property
    def id(self) -> int:
        """64-bit name of the path, in 0 to 2^64 - 1."""
        return int.from_bytes(blake2b(self.canonical.encode(), digest_size=8).digest(), "little")

    @property
    def canonical(self) -> str:
        """The text that the id is computed from: one `key=length:value` a line, defaults left out."""
        return _origin(self.vantage) + words(self.layer, self.family, self.target, self.ask)


class Paths:
    """Makes the paths of one vantage, whose ids begin with the same words, from parts that many vantages have in common."""

    def __init__(self, vantage: str) -> None:
        self._vantage = vantage
        self._begun = blake2b(_origin(vantage).encode(), digest_size=8)

    def path(self, target: Target, layer: Layer, family: Family, ask: Ask, rest: bytes) -> Path:
        """A path that knows its id already; `rest` is its `words` encoded, kept by whoever makes thousands of such paths."""
        made = Path(self._vantage, target, layer, family, ask)
        digest = self._begun.copy()
        digest.update(rest)
        known = made.__dict__  # where cached properties keep what they have computed
        known["id"] = int.from_bytes(digest.digest(), "little")
        known["kind"] = KIND_OF[type(ask)]
        return made


def words(layer: Layer, family: Family, target: Target, ask: Ask) -> str:
    """The canonical text of a path but for its first line, which is the vantage."""
    kind = KIND_OF[type(ask)]
    start = f"\nlayer={len(layer)}:{layer}\nfamily={len(family)}:{family}\nkind={len(kind)}:{kind}"
    return start + _described("target", target) + _described("ask", ask)


def _origin(vantage: str) -> str:
    return f"vantage={len(vantage)}:{vantage}"


@lru_cache(maxsize=MAX_REMEMBERED)
def _described(prefix: str, value: Target | Ask) -> str:
    """The lines of a part of a path, which a plan has in several paths, one after the other."""
    given = ((field, getattr(value, field.name)) for field in _fields(type(value)))
    words = [(field.name, str(word)) for field, word in given if field.required or word != field.default]
    return "".join(f"\n{prefix}.{name}={len(word)}:{word}" for name, word in words)
