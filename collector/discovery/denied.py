"""Addresses and hosts that nobody may ask us to probe.

A first look at what people write, so that they hear of it at once; the agent looks again at the final address when it connects.
"""

from ipaddress import IPv6Address, ip_address

from wire.address import refusal

_HOSTS = ("localhost", "metadata", "metadata.google.internal", "instance-data")


def denied_address(address: str, *, loopback: bool, link_local: bool = False) -> str | None:
    """Why an IP address is not to be probed, in a few words; None where it may be.

    `loopback` permits loopback addresses, `link_local` IPv4 link-local ones, of which metadata services stay denied.
    """
    parsed = ip_address(address)
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return "an IPv4 address inside of an IPv6 one"
    word = refusal(address, allow_loopback=loopback)
    return None if link_local and word == "link-local" and parsed.version == 4 else word  # noqa: PLR2004 - IP versions


def denied_host(host: str) -> str | None:
    """Why a host name is not to be probed, in a few words; None where it may be."""
    name = host.lower().rstrip(".")
    if name in _HOSTS or name.endswith(".localhost"):
        return "a name of the machine itself or of its cloud"
    return None
