"""From the JSON of an object of the cluster to what is kept of it.

Fields that nobody asks for are skipped by the decoder and take no memory. A ValueError says, in a sentence, why an object is
not one; its message may hold what the object's owner wrote.
"""

from collections.abc import Callable
from datetime import datetime
from sys import intern
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from collector.discovery.cluster.kept import Endpoint, Namespace, Node, Pod, Service, ServicePort, Slice, SlicePort
from wire.text import Name, OptionalName

MAX_ANNOTATION = 2048
"""Longest annotation that is looked at; a longer one is nonsense, and is cut so that it shows as such."""
MAX_NETWORKS_TEXT = 65_536
"""The same for the list of a pod's networks, which others write."""

ZONE = "topology.kubernetes.io/zone"
SERVICE_NAME = "kubernetes.io/service-name"
PROBE = "netmatrix.io/probe"
VANTAGE = "netmatrix.io/vantage"
NETWORKS = "k8s.v1.cni.cncf.io/network-status"
COMPONENT = "app.kubernetes.io/component"

T = TypeVar("T")


class Resource(Struct, Generic[T], frozen=True):
    """A sort of objects that is followed."""

    group: str
    """API group; empty for the core."""
    name: str
    """Its plural, as it stands in paths."""
    read: Callable[[bytes | msgspec.Raw], T]
    """What is kept of one object; raises ValueError."""
    labels: str = ""
    """Which objects: a label selector."""

    @property
    def path(self) -> str:
        """Where all of them are."""
        return f"/apis/{self.group}/v1/{self.name}" if self.group else f"/api/v1/{self.name}"


# What the API sends, as far as it is read. Names are those of the API.


class _Labels(Struct):
    zone: OptionalName = field(default="", name=ZONE)
    service: OptionalName = field(default="", name=SERVICE_NAME)
    vantage: str = field(default="", name=VANTAGE)
    component: str = field(default="", name=COMPONENT)
    app: str = field(default="", name="k8s-app")


class _Annotations(Struct):
    probe: str = field(default="", name=PROBE)
    networks: str = field(default="", name=NETWORKS)


class _Metadata(Struct):
    name: Name
    namespace: OptionalName = ""
    uid: OptionalName = ""
    labels: _Labels | None = None
    annotations: _Annotations | None = None
    created: str = field(default="", name="creationTimestamp")
    deleted: str | None = field(default=None, name="deletionTimestamp")


class _Condition(Struct):
    type: str
    status: str
    since: str | None = field(default=None, name="lastTransitionTime")


class _Address(Struct):
    type: str = ""
    address: str = ""


class _NodeSpec(Struct):
    unschedulable: bool = False


class _NodeStatus(Struct):
    addresses: list[_Address] = []
    conditions: list[_Condition] = []


class _Node(Struct):
    metadata: _Metadata
    spec: _NodeSpec = field(default_factory=_NodeSpec)
    status: _NodeStatus = field(default_factory=_NodeStatus)


class _Namespace(Struct):
    metadata: _Metadata


class _ContainerPort(Struct):
    port: int = field(default=0, name="containerPort")
    name: str = ""


class _Container(Struct):
    ports: list[_ContainerPort] = []


class _PodSpec(Struct):
    node: OptionalName = field(default="", name="nodeName")
    host_network: bool = field(default=False, name="hostNetwork")
    containers: list[_Container] = []


class _PodAddress(Struct):
    ip: str = ""


class _PodStatus(Struct):
    phase: str = ""
    addresses: list[_PodAddress] = field(default_factory=list, name="podIPs")
    conditions: list[_Condition] = []


class _Pod(Struct):
    metadata: _Metadata
    spec: _PodSpec = field(default_factory=_PodSpec)
    status: _PodStatus = field(default_factory=_PodStatus)


class _ServiceSpec(Struct):
    type: str = "ClusterIP"
    addresses: list[str] = field(default_factory=list, name="clusterIPs")
    ports: list[ServicePort] = []
    external_name: Annotated[str, Meta(max_length=253)] = field(default="", name="externalName")
    external_policy: str = field(default="", name="externalTrafficPolicy")


class _Ingress(Struct):
    ip: str = ""
    hostname: str = ""


class _Balancer(Struct):
    ingress: list[_Ingress] = []


class _ServiceStatus(Struct):
    balancer: _Balancer | None = field(default=None, name="loadBalancer")


class _Service(Struct):
    metadata: _Metadata
    spec: _ServiceSpec = field(default_factory=_ServiceSpec)
    status: _ServiceStatus = field(default_factory=_ServiceStatus)


class _EndpointConditions(Struct):
    ready: bool | None = None


class _Reference(Struct):
    kind: str = ""
    name: OptionalName = ""


class _Endpoint(Struct):
    addresses: list[str] = []
    conditions: _EndpointConditions | None = None
    node: OptionalName | None = field(default=None, name="nodeName")
    target: _Reference | None = field(default=None, name="targetRef")


class _Slice(Struct):
    metadata: _Metadata
    family: str = field(default="", name="addressType")
    ports: list[SlicePort] | None = None
    endpoints: list[_Endpoint] | None = None


def _read(type_: type[Any], keep: Callable[[Any], T]) -> Callable[[bytes | msgspec.Raw], T]:
    decoder = msgspec.json.Decoder(type_)
    return lambda content: keep(decoder.decode(content))


def _node(seen: _Node) -> Node:
    ready = next((one for one in seen.status.conditions if one.type == "Ready"), None)
    return Node(
        name=intern(seen.metadata.name),
        zone=intern((seen.metadata.labels or _Labels()).zone),
        addresses=tuple(dict.fromkeys(one.address for one in seen.status.addresses if one.type == "InternalIP")),
        cordoned=seen.spec.unschedulable,
        ready=ready is not None and ready.status == "True",
    )


def _namespace(seen: _Namespace) -> Namespace:
    return Namespace(intern(seen.metadata.name), (seen.metadata.labels or _Labels()).vantage == "true")


def _pod(seen: _Pod) -> Pod:
    meta, status = seen.metadata, seen.status
    ready = next((one for one in status.conditions if one.type == "Ready" and one.status == "True"), None)
    ports = [port.port for container in seen.spec.containers for port in container.ports if port.name == "stamp"]
    return Pod(
        namespace=intern(meta.namespace),
        name=meta.name,
        uid=meta.uid,
        component=intern((meta.labels or _Labels()).component),
        node=intern(seen.spec.node),
        addresses=tuple(dict.fromkeys(one.ip for one in status.addresses if one.ip)),
        host_network=seen.spec.host_network,
        ready=ready is not None,
        ready_since=_seconds(ready.since) if ready else 0.0,
        created=_seconds(meta.created),
        terminating=meta.deleted is not None,
        ended=status.phase in {"Succeeded", "Failed"},
        port=ports[0] if ports else 0,
        networks=(meta.annotations or _Annotations()).networks[:MAX_NETWORKS_TEXT],
    )


def _service(seen: _Service) -> Service:
    meta, spec = seen.metadata, seen.spec
    ways = seen.status.balancer.ingress if seen.status.balancer else []
    addresses = tuple(way.ip for way in ways if way.ip)
    return Service(
        namespace=intern(meta.namespace),
        name=meta.name,
        uid=meta.uid,
        type=intern(spec.type),
        addresses=tuple(address for address in spec.addresses if address not in {"", "None"}),
        ports=tuple(spec.ports),
        external_name=spec.external_name if spec.type == "ExternalName" else "",
        balancers=addresses or tuple(way.hostname for way in ways if way.hostname),
        local=spec.external_policy == "Local",
        probe=(meta.annotations or _Annotations()).probe[:MAX_ANNOTATION],
        dns=(meta.labels or _Labels()).app == "kube-dns",
    )


def _slice(seen: _Slice) -> Slice:
    return Slice(
        namespace=intern(seen.metadata.namespace),
        name=seen.metadata.name,
        service=(seen.metadata.labels or _Labels()).service,
        family=intern(seen.family),
        ports=tuple(seen.ports or ()),
        endpoints=tuple(
            Endpoint(
                address=one.addresses[0],
                # An absent condition means ready (KEP-752), and who is terminating is not.
                ready=one.conditions is None or one.conditions.ready is not False,
                node=intern(one.node or ""),
                pod=one.target.name if one.target and one.target.kind == "Pod" else "",
            )
            for one in seen.endpoints or ()
            if one.addresses  # the first stands for all: they are said to be interchangeable
        ),
    )


def _seconds(time: str | None) -> float:
    """Unix seconds of a time of the API (RFC 3339); 0 where there is none."""
    try:
        return datetime.fromisoformat(time).timestamp() if time else 0.0
    except ValueError:
        return 0.0


NODES: Resource[Node] = Resource("", "nodes", _read(_Node, _node))
NAMESPACES: Resource[Namespace] = Resource("", "namespaces", _read(_Namespace, _namespace))
PODS: Resource[Pod] = Resource(
    "", "pods", _read(_Pod, _pod), f"app.kubernetes.io/name=netmatrix,{COMPONENT} in (agent,vantage)"
)
SERVICES: Resource[Service] = Resource("", "services", _read(_Service, _service))
SLICES: Resource[Slice] = Resource("discovery.k8s.io", "endpointslices", _read(_Slice, _slice))
RESOURCES: tuple[Resource[Any], ...] = (NODES, NAMESPACES, PODS, SERVICES, SLICES)
