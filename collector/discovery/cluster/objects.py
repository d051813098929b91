"""From the JSON of an object of the cluster to what is kept of it.

Fields that nobody asks for are skipped by the decoder and take no memory. A ValueError says, in a sentence, why an object is
not one; its message may hold what the object's owner wrote.
"""

from collections.abc import Mapping
from sys import intern
from typing import Annotated

from msgspec import Meta, Struct, field

from collector.discovery.cluster.kept import Endpoint, Namespace, Node, Service, ServicePort, Slice, SlicePort
from collector.discovery.cluster.metadata import (
    MAX_ANNOTATION,
    VANTAGE,
    ZONE,
    Annotations,
    Condition,
    Labelled,
    Labels,
    Metadata,
    fit,
    shared,
    told_by,
)
from collector.discovery.cluster.resource import Resource, reading
from wire.text import OptionalName

# What the API sends, as far as it is read. Names are those of the API.


class _Address(Struct):
    type: str = ""
    address: str = ""


class _NodeSpec(Struct):
    unschedulable: bool = False


class _NodeStatus(Struct):
    addresses: list[_Address] = []
    conditions: list[Condition] = []


class _Node(Struct):
    metadata: Labelled
    spec: _NodeSpec = field(default_factory=_NodeSpec)
    status: _NodeStatus = field(default_factory=_NodeStatus)


class _Namespace(Struct):
    metadata: Labelled


class _ServiceSpec(Struct):
    type: str = "ClusterIP"
    addresses: list[str] = field(default_factory=list, name="clusterIPs")
    ports: list[ServicePort] = []
    external_name: Annotated[str, Meta(max_length=253)] = field(default="", name="externalName")
    external_policy: str = field(default="", name="externalTrafficPolicy")
    selector: dict[str, str] | None = None


class _Ingress(Struct):
    ip: str = ""
    hostname: str = ""


class _Balancer(Struct):
    ingress: list[_Ingress] = []


class _ServiceStatus(Struct):
    balancer: _Balancer | None = field(default=None, name="loadBalancer")


class _Service(Struct):
    metadata: Metadata
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
    metadata: Metadata
    family: str = field(default="", name="addressType")
    ports: list[SlicePort] | None = None
    endpoints: list[_Endpoint] | None = None


def _node(seen: _Node) -> Node:
    ready = next((one for one in seen.status.conditions if one.type == "Ready"), None)
    labels = shared(seen.metadata.labels)
    return Node(
        name=intern(seen.metadata.name),
        zone=_zone(labels),
        addresses=tuple(dict.fromkeys(one.address for one in seen.status.addresses if one.type == "InternalIP")),
        cordoned=seen.spec.unschedulable,
        ready=ready is not None and ready.status == "True",
        labels=labels,
    )


def _zone(labels: Mapping[str, str]) -> str:
    zone = labels.get(ZONE, "")
    if zone and not fit(zone):
        raise ValueError(f"its zone is {zone[:80]!r}")
    return zone


def _namespace(seen: _Namespace) -> Namespace:
    meta = seen.metadata
    labels = shared(meta.labels)
    return Namespace(intern(meta.name), labels.get(VANTAGE) == "true", labels, told_by(meta.annotations))


def _is_name_server(namespace: str, labels: Labels) -> bool:
    """Whether a service is that of the cluster's name servers, which anybody's own namespace is not the place for."""
    return (namespace == "kube-system" and labels.app == "kube-dns") or (
        namespace == "openshift-dns" and bool(labels.openshift_dns)
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
        probe=(meta.annotations or Annotations()).probe[:MAX_ANNOTATION],
        dns=_is_name_server(meta.namespace, meta.labels or Labels()),
        selector=shared(spec.selector),
    )


def _slice(seen: _Slice) -> Slice:
    return Slice(
        namespace=intern(seen.metadata.namespace),
        name=seen.metadata.name,
        service=(seen.metadata.labels or Labels()).service,
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


NODES: Resource[Node] = Resource("", "nodes", reading(_Node, _node))
NAMESPACES: Resource[Namespace] = Resource("", "namespaces", reading(_Namespace, _namespace))
SERVICES: Resource[Service] = Resource("", "services", reading(_Service, _service))
SLICES: Resource[Slice] = Resource("discovery.k8s.io", "endpointslices", reading(_Slice, _slice))
