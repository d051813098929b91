"""What a person says of a lab: how large it is, what is in it, and how its pods are connected."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from msgspec import Struct

from wire.path import Family

OWN_NAMESPACE = "netmatrix"
"""Kubernetes namespace of the node agents and the collector."""
DNS_NAMESPACE = "kube-system"
MONITORING_NAMESPACE = "monitoring"
DEFAULT_NETWORK = "default"
"""Name of the network that every pod is on."""
BOTH_FAMILIES = (Family.IPV4, Family.IPV6)

VANTAGE_APP = "vantage"
"""Name of the application that a namespace's own vantage is."""

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


class Cni(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the lab enforces policies, where plugins differ."""

    answer: Literal["drop", "reject", "prohibit", "reset"] = "drop"
    """To what is not allowed: silence, an ICMP error (port unreachable, or prohibited), or a reset of TCP and an error else."""
    established: Literal["kept", "cut"] = "kept"
    """Whether connections go on that a policy would no longer allow to begin."""
    icmp: Literal["rules", "always"] = "rules"
    """Pings pass rules without ports, as with Calico; or all of them pass, as with kube-router."""
    blocks_match_pods: bool = True
    """Whether an ipBlock also means the pods whose addresses are in it; with Cilium it does not."""


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
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Of a namespace, such as `shop`, or of the pods of an application in it, such as `shop/vantage` or `shop/web`."""
    cni: Cni = field(default_factory=Cni)
    canaries: bool = False
    """Whether every node has a canary, with the policy that closes one of its two ports."""
    alerting: Literal["none", "webhook", "prometheus"] = "none"
    """Who is told of incidents: nobody, a receiver by the collector itself, or the same one by Prometheus and Alertmanager."""

    def __post_init__(self) -> None:
        """Raise ValueError where it cannot be built."""
        if not 1 <= self.nodes <= MAX_NODES:
            raise ValueError(f"nodes is {self.nodes}, allowed are 1 to {MAX_NODES}")
        if not 1 <= self.zones <= self.nodes:
            raise ValueError(f"zones is {self.zones}, allowed are 1 to the number of nodes, {self.nodes}")
        if len(self.namespaces) > MAX_NAMESPACES or len(set(self.namespaces)) < len(self.namespaces):
            raise ValueError(f"namespaces must be at most {MAX_NAMESPACES} different names")
        for namespace in self.namespaces:
            if not _LABEL.fullmatch(namespace) or namespace in {OWN_NAMESPACE, DNS_NAMESPACE, MONITORING_NAMESPACE}:
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
        self._check_labels()

    def _check_networks(self) -> None:
        if self.networks[:1] != (DEFAULT_NETWORK,) or len(set(self.networks)) < len(self.networks):
            raise ValueError(f"networks must be different names, and the first one {DEFAULT_NETWORK}")
        if len(self.networks) > MAX_NETWORKS:
            raise ValueError(f"networks must be at most {MAX_NETWORKS}")
        for network in self.networks:
            if not _NETWORK.fullmatch(network):
                raise ValueError(f"networks: {network!r} is not 1 to 8 of a-z and 0-9 that begin with a letter")

    def _check_labels(self) -> None:
        services = self.services if self.services is not None else [f"{name}/web" for name in self.namespaces]
        known = [*self.namespaces, *(f"{name}/{VANTAGE_APP}" for name in self.namespaces), *services]
        for owner in self.labels:
            if owner not in known:
                raise ValueError(f"labels: there is no {owner!r}, there are {', '.join(known) or 'none'}")

    @property
    def further_networks(self) -> tuple[str, ...]:
        """Networks beside the default one."""
        return self.networks[1:]
