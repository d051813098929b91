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


def address_complaint(text: str, *, loopback: bool = False, link_local: bool = False) -> str | None:
    """What is wrong with an address that somebody wrote, in a sentence; None where it may be probed."""
    try:
        ip_address(text)
    except ValueError:
        return f"{text} is not an IP address" if text.isprintable() else "not an IP address"
    if "%" in text:
        return f"{text} has a zone index, which names an interface of one machine only"
    denied = denied_address(text, loopback=loopback, link_local=link_local)
    return f"{text} is never probed: {denied}" if denied else None


def host_complaint(host: str) -> str | None:
    """Why a name is not to be probed, or is none; None where it may be."""
    denied = denied_host(host)
    if denied:
        return denied
    try:
        ip_address(host)
    except ValueError:
        # `127.1` and `2130706433` are addresses to inet_aton, and no name ends in a number (RFC 3696 section 2).
        last = host.rstrip(".").rpartition(".")[2]
        return "a number is not a name" if last.isdigit() or last.lower().startswith("0x") else None
    return "an address; it stands under the key address"
