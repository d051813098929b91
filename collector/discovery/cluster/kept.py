"""What is kept of the cluster's objects: a few small values each, whatever the API sends.

Two equal values of one object mean that nothing happened to it that matters here.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from collector.discovery.snapshot import PodPort

NOTHING: Final[Mapping[str, str]] = {}
"""Of labels and annotations that are not there."""


class Node(Struct, frozen=True, gc=False):
    """A machine."""

    name: str
    zone: str
    addresses: tuple[str, ...]
    cordoned: bool
    ready: bool
    labels: Mapping[str, str] = NOTHING


class Namespace(Struct, frozen=True, gc=False):
    """A namespace."""

    name: str
    vantages: bool
    """Whether it asks for vantages."""
    labels: Mapping[str, str] = NOTHING
    annotations: Mapping[str, str] = NOTHING
    """Those that say something of reachability."""


class Pod(Struct, frozen=True, gc=False):
    """An agent, a vantage or a canary, or a pod that somebody expects something of or which is behind a service."""

    namespace: str
    name: str
    uid: str
    component: str
    """`agent`, `vantage` or `canary`, or empty where it is none of ours."""
    node: str
    """Empty while it has none."""
    addresses: tuple[str, ...]
    host_network: bool
    ready: bool
    ready_since: float
    """Unix seconds by the clock of its node; 0 where it is not ready."""
    created: float
    """Unix seconds by the clock of the API server."""
    terminating: bool
    ended: bool
    port: int
    """Where it answers its peers; 0 where it does not say."""
    networks: str
    """The JSON that says on which further networks it is; empty for none."""
    labels: Mapping[str, str] = NOTHING
    annotations: Mapping[str, str] = NOTHING
    """Those that say something of reachability."""
    ports: tuple[PodPort, ...] = ()
    probed_ports: tuple[int, ...] = ()
    """Ports that the kubelet asks before it calls the pod ready."""


class ServicePort(Struct, frozen=True, gc=False):
    """A port of a service."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str = field(default="", name="appProtocol")
    node_port: int = field(default=0, name="nodePort")


class Service(Struct, frozen=True, gc=False):
    """A service."""

    namespace: str
    name: str
    uid: str
    type: str
    addresses: tuple[str, ...]
    """ClusterIPs; none where it is headless or a name only."""
    ports: tuple[ServicePort, ...]
    external_name: str
    balancers: tuple[str, ...]
    """Addresses of its load balancer, or a host name where it has none."""
    local: bool
    """Whether only nodes with an endpoint take traffic from outside."""
    probe: str
    dns: bool
    """Whether it is labelled as the cluster's name server."""
    selector: Mapping[str, str] = NOTHING
    """Which pods are behind it; empty where somebody else says so."""


class Endpoint(Struct, frozen=True, gc=False):
    """One place behind a service."""

    address: str
    ready: bool
    node: str
    pod: str
    """Empty where it is none."""


class SlicePort(Struct, frozen=True, gc=False):
    """A port that endpoints answer on."""

    name: str | None = ""
    port: int | None = None
    protocol: str | None = "TCP"


class Slice(Struct, frozen=True, gc=False):
    """Some of the endpoints of a service."""

    namespace: str
    name: str
    service: str
    family: str
    ports: tuple[SlicePort, ...]
    endpoints: tuple[Endpoint, ...]


Kept = Node | Namespace | Pod | Service | Slice
