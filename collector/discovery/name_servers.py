"""What the inventory may ask name servers for."""

from collections.abc import Iterator
from ipaddress import ip_address

import msgspec

from collector.discovery.snapshot import DnsServer
from wire.path import Dns


def complaints_of(path: str, server: DnsServer) -> Iterator[tuple[str, str]]:
    """What is wrong with a server's names and expected address: the path in the file, and a sentence."""
    for place, name in enumerate(server.names):
        try:
            msgspec.convert({"type": "dns", "name": name}, Dns)
        except msgspec.ValidationError:
            yield f"{path}.names[{place}]", "expected a fully qualified name with its last dot, such as www.example.test."
        if name.lower() in (earlier.lower() for earlier in server.names[:place]):
            yield f"{path}.names[{place}]", f"{name} stands twice"
    if server.contains:
        try:
            ip_address(server.contains)
        except ValueError:
            yield f"{path}.contains", "not an IP address"
        if "%" in server.contains:
            yield f"{path}.contains", "has a zone index, which no answer has"
