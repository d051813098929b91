"""The deny list: which final addresses no probe may go to, whatever a plan, a name server or a tenant asks for.

In: an IP address in text. Out: a word why it is refused, or None. An address is judged by where its packets would end up: an
IPv4 address that is wrapped into IPv6 (mapped, compatible, translated, NAT64, 6to4, Teredo, ISATAP) counts as itself.
"""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

DNS_PORT = 53

_METADATA = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",  # nearly every cloud
        "168.63.129.16",  # Azure's wire server, which is also its resolver
        "100.100.100.200",  # Alibaba
        "192.0.0.192",  # Oracle
        "fd00:ec2::254",  # Amazon: instance metadata
        "fd00:ec2::23",  # Amazon: credentials of EKS pods
        "fd20:ce::254",  # Google
        "fd00:c1::a9fe:a9fe",  # Oracle
        "fd00:42::42",  # Scaleway
    )
)
_TASK_METADATA = IPv4Network("169.254.170.0/23")
"""Amazon: credentials of ECS tasks and EKS pods, which share this network."""
_THIS_NETWORK = IPv4Network("0.0.0.0/8")
"""RFC 1122 section 3.2.1.3. Linux connects 0.0.0.0 to itself."""
_BROADCAST = IPv4Address("255.255.255.255")
_LOW_32_BITS = (
    IPv6Network("::/96"),  # IPv4-compatible, RFC 4291 section 2.5.5.1
    IPv6Network("::ffff:0:0/96"),  # IPv4-mapped, section 2.5.5.2
    IPv6Network("::ffff:0:0:0/96"),  # IPv4-translated, RFC 2765
    IPv6Network("64:ff9b::/96"),  # NAT64, RFC 6052
)
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
"""RFC 8215. Each operator picks a length of RFC 6052 section 2.2 in it, so that every reading is tried."""
_LOCAL_NAT64_BYTES = ((6, 7, 9, 10), (7, 9, 10, 11), (9, 10, 11, 12), (12, 13, 14, 15))
_ISATAP = (b"\x00\x00\x5e\xfe", b"\x02\x00\x5e\xfe")
"""First half of the interface identifier, RFC 5214 section 6.1."""
_RESOLVER_MAY_BE = frozenset({"loopback", "link-local", "metadata"})
"""A cluster's resolver may be NodeLocal DNSCache on 169.254.20.10, a stub on 127.0.0.53, or Azure's wire server."""


def refusal(
    address: str,
    *,
    allow_loopback: bool = False,
    resolvers: frozenset[str] = frozenset(),
    port: int | None = None,
) -> str | None:
    """Why nothing may be sent to this address, in a word; None where it may.

    One of `malformed`, `scoped`, `unspecified`, `loopback`, `link-local`, `metadata`, `multicast`, `broadcast`.
    `resolvers` are the name servers of resolv.conf; they are excepted on `port` 53 and on no other.
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return "malformed"
    if isinstance(parsed, IPv6Address) and parsed.scope_id is not None:
        return "scoped"
    word = _word(parsed)
    if word == "loopback" and allow_loopback:
        return None
    if word in _RESOLVER_MAY_BE and port == DNS_PORT and str(parsed) in resolvers:
        return None
    return word


def _word(address: IPv4Address | IPv6Address) -> str | None:
    if isinstance(address, IPv4Address):
        found = {"broadcast": address == _BROADCAST, "unspecified": address in _THIS_NETWORK}
        found |= {"metadata": address in _METADATA or address in _TASK_METADATA}
    else:
        found = {"unspecified": address.is_unspecified, "metadata": address in _METADATA}
    found |= {"loopback": address.is_loopback, "link-local": address.is_link_local, "multicast": address.is_multicast}
    word = next((word for word, is_so in found.items() if is_so), None)
    # `::` and `::1` look like IPv4-compatible addresses, which is why what an address is itself comes first.
    return word or next((word for inner in _wrapped(address) if (word := _word(inner))), None)


def _wrapped(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address]:
    """Every IPv4 address that a packet to this one could be sent on to."""
    if isinstance(address, IPv4Address):
        return
    packed = address.packed
    if any(address in network for network in _LOW_32_BITS):
        yield IPv4Address(packed[12:])
    if address in _LOCAL_NAT64:
        readings = [IPv4Address(bytes(packed[place] for place in places)) for places in _LOCAL_NAT64_BYTES]
        # The readings with another length than the operator's are mostly zeros; if all are, it is 0.0.0.0 indeed.
        yield from [inner for inner in readings if inner not in _THIS_NETWORK] or readings
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield from address.teredo
    if packed[8:12] in _ISATAP:
        yield IPv4Address(packed[12:])
