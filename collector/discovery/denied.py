"""Addresses and hosts that nobody may ask us to probe.

A first look at what people write; the agent looks again at the final address when it connects.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

_NEVER: dict[str, tuple[str, ...]] = {
    "unspecified": ("0.0.0.0/8", "::/128"),
    "multicast": ("224.0.0.0/4", "ff00::/8"),
    "broadcast": ("255.255.255.255/32",),
    "link-local": ("169.254.0.0/16", "fe80::/10"),
    "cloud metadata": ("168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "fd00:ec2::254/128", "fd00:ec2::23/128"),
    "an IPv4 address inside of an IPv6 one": ("::ffff:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32"),
}
_LOOPBACK = ("127.0.0.0/8", "::1/128")


def _networks(texts: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(text) for text in texts)


_DENIED = {word: _networks(texts) for word, texts in _NEVER.items()}
_OWN = _networks(_LOOPBACK)
_HOSTS = ("localhost", "metadata", "metadata.google.internal", "instance-data")


def denied_address(address: IPv4Address | IPv6Address, *, loopback: bool) -> str | None:
    """Why an address is not to be probed, in a few words; None where it may be. `loopback` permits loopback addresses."""
    for word, networks in _DENIED.items():
        if any(address.version == network.version and address in network for network in networks):
            return word
    if not loopback and any(address.version == network.version and address in network for network in _OWN):
        return "loopback"
    return None


def denied_host(host: str) -> str | None:
    """Why a host name is not to be probed, in a few words; None where it may be."""
    name = host.lower().rstrip(".")
    if name in _HOSTS or name.endswith(".localhost"):
        return "a name of the machine itself or of its cloud"
    return None
