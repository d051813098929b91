"""What a person says of a lab: how large it is, what is in it, and how its pods are connected."""

import re
from dataclasses import dataclass
from enum import StrEnum

from wire.path import Family

OWN_NAMESPACE = "netmatrix"
"""Kubernetes namespace of the node agents and the collector."""
DNS_NAMESPACE = "kube-system"
DEFAULT_NETWORK = "default"
"""Name of the network that every pod is on."""
BOTH_FAMILIES = (Family.IPV4, Family.IPV6)

MAX_NODES = 60
MAX_NAMESPACES = 20
MAX_NETWORKS = 4

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")
_NETWORK = re.compile(r"[a-z][a-z0-9]{0,7}")


class Fabric(StrEnum):
    """How packets of the default pod network get from node to node."""

    FLAT = "flat"
    """Routed as they are."""
    VXLAN = "vxlan"
    """Inside of UDP packets between the nodes' own addresses (RFC 7348)."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How large a lab is and what is in it. Raises ValueError, in one sentence, where it cannot be built."""

    nodes: int = 6
    zones: int = 3
    """Nodes are shared out over the zones in blocks."""
    namespaces: tuple[str, ...] = ("shop", "pay")
    """Namespaces of applications; each has a vantage in it. netmatrix's own comes on top."""
    families: tuple[Family, ...] = BOTH_FAMILIES
    services: tuple[str, ...] | None = None
    """Each `namespace/name`, with two backends; None stands for a service `web` in every namespace."""
    external: bool = True
    """Whether there is a host outside, behind a router that does NAT."""
    fabric: Fabric = Fabric.FLAT
    networks: tuple[str, ...] = (DEFAULT_NETWORK,)
    """Networks of the agents' pods, `default` first; each further one has cables and switches of its own."""

    def __post_init__(self) -> None:
        """Raise ValueError where it cannot be built."""
        if not 1 <= self.nodes <= MAX_NODES:
            raise ValueError(f"nodes is {self.nodes}, allowed are 1 to {MAX_NODES}")
        if not 1 <= self.zones <= self.nodes:
            raise ValueError(f"zones is {self.zones}, allowed are 1 to the number of nodes, {self.nodes}")
        if len(self.namespaces) > MAX_NAMESPACES or len(set(self.namespaces)) < len(self.namespaces):
            raise ValueError(f"namespaces must be at most {MAX_NAMESPACES} different names")
        for namespace in self.namespaces:
            if not _LABEL.fullmatch(namespace) or namespace in {OWN_NAMESPACE, DNS_NAMESPACE}:
                raise ValueError(f"namespaces: {namespace!r} is not a DNS label, or is the lab's own")
        if not self.families or len(set(self.families)) < len(self.families):
            raise ValueError("families must be ipv4, ipv6 or both")
        for service in self.services or ():
            namespace, _, name = service.partition("/")
            if namespace not in self.namespaces or not _LABEL.fullmatch(name):
                raise ValueError(f"services: {service!r} is not one of {', '.join(self.namespaces)}, a slash and a DNS label")
        if self.services is not None and len(set(self.services)) < len(self.services):
            raise ValueError("services must be different")
        self._check_networks()

    def _check_networks(self) -> None:
        if self.networks[:1] != (DEFAULT_NETWORK,) or len(set(self.networks)) < len(self.networks):
            raise ValueError(f"networks must be different names, and the first one {DEFAULT_NETWORK}")
        if len(self.networks) > MAX_NETWORKS:
            raise ValueError(f"networks must be at most {MAX_NETWORKS}")
        for network in self.networks:
            if not _NETWORK.fullmatch(network):
                raise ValueError(f"networks: {network!r} is not 1 to 8 of a-z and 0-9 that begin with a letter")

    @property
    def further_networks(self) -> tuple[str, ...]:
        """Networks beside the default one."""
        return self.networks[1:]
