"""The two ends of a connection, and the connection.

Values made from a snapshot: what a policy can see of a pod, a node, or anything else that has an address.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from msgspec import Struct

from collector.policy.labels import Labels
from wire.path import Family

MAX_REMEMBERED = 32_768
"""Addresses that are kept as numbers, some 6 MB: those of a large cluster."""

Address = IPv4Address | IPv6Address
Protocol = Literal["TCP", "UDP", "SCTP", "ICMP"]


class ContainerPort(Struct, frozen=True):
    """A port that a container, or an init container that goes on running, declares (core/v1 ContainerPort)."""

    port: int
    protocol: Protocol = "TCP"
    name: str = ""


class Namespace(Struct, frozen=True):
    """A namespace; its labels hold the one that the API server sets."""

    name: str
    labels: Labels
    annotations: Mapping[str, str] = {}


class Pod(Struct, frozen=True):
    """A pod that runs and has an address: another is neither subject nor peer, and its address may be somebody else's."""

    namespace: Namespace
    name: str
    labels: Labels
    addresses: tuple[str, ...]
    ports: tuple[ContainerPort, ...] = ()
    node: str = ""
    host_network: bool = False
    annotations: Mapping[str, str] = {}

    def __str__(self) -> str:
        """As in a sentence."""
        return f"{self.namespace.name}/{self.name}"


class Node(Struct, frozen=True):
    """A node by its own addresses."""

    name: str
    addresses: tuple[str, ...]
    labels: Labels = {}

    def __str__(self) -> str:
        """As in a sentence."""
        return f"node {self.name}"


class Host(Struct, frozen=True):
    """An address that is neither a pod's nor a node's; `name` where it was found by one."""

    addresses: tuple[str, ...]
    name: str = ""

    def __str__(self) -> str:
        """As in a sentence."""
        return self.name or ", ".join(self.addresses)


End = Pod | Node | Host


class Connection(Struct, frozen=True):
    """What is asked for. With `ICMP`, `port` is 0. A service is asked for by each of its endpoints, with the target port."""

    protocol: Protocol
    port: int = 0
    family: Family = Family.IPV4
    via_service: bool = False


def address_of(end: End, family: Family) -> Address | None:
    """Its address of a family; None where it has none."""
    for text in end.addresses:
        address = _parsed(text)
        if (address.version == 4) == (family is Family.IPV4):  # noqa: PLR2004 - IPv4
            return address
    return None


@lru_cache(maxsize=MAX_REMEMBERED)
def _parsed(text: str) -> Address:
    """Every pair of ends asks for the addresses of both, and parsing takes longer than all else about them."""
    return ip_address(text)


def is_name_alone(end: End) -> bool:
    """Whether it is a host whose address only those know who resolve its name."""
    return isinstance(end, Host) and not end.addresses and bool(end.name)


def node_of(end: End) -> str:
    """The node whose own network an end is in, empty for none: a node, or a pod on the host network."""
    if isinstance(end, Node):
        return end.name
    return end.node if isinstance(end, Pod) and end.host_network else ""
