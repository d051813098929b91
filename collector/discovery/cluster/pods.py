"""From the JSON of a pod to what is kept of it: of our own, of those behind services, and of those that expectations name."""

from collections.abc import Iterable
from functools import lru_cache
from sys import intern
from typing import Final, Literal, cast

from msgspec import Struct, field

from collector.discovery.cluster.kept import Pod
from collector.discovery.cluster.metadata import (
    APP,
    COMPONENT,
    MAX_NETWORKS_TEXT,
    OWN_APP,
    REMEMBERED,
    Annotations,
    Condition,
    Labelled,
    fit,
    seconds_of,
    shared,
    told_by,
)
from collector.discovery.cluster.resource import Resource, reading
from collector.discovery.snapshot import PodPort
from wire.text import OptionalName

ECHO: Final = "stamp"
"""Name of the port where an agent answers."""
MAX_PORTS: Final = 64
LAST_PORT: Final = 65_535
Protocol = Literal["TCP", "UDP", "SCTP"]
PROTOCOLS: Final = {"TCP", "UDP", "SCTP"}


# What the API sends, as far as it is read. Names are those of the API.


class _ContainerPort(Struct):
    port: int = field(default=0, name="containerPort")
    name: str = ""
    protocol: str = "TCP"


class _Asked(Struct):
    """A probe's question, of which only the port matters."""

    port: int | str = 0


class _Readiness(Struct):
    tcp: _Asked | None = field(default=None, name="tcpSocket")
    http: _Asked | None = field(default=None, name="httpGet")
    grpc: _Asked | None = None


class _Container(Struct):
    ports: list[_ContainerPort] = []
    readiness: _Readiness | None = field(default=None, name="readinessProbe")
    restarts: str = field(default="", name="restartPolicy")


class _PodSpec(Struct):
    node: OptionalName = field(default="", name="nodeName")
    host_network: bool = field(default=False, name="hostNetwork")
    containers: list[_Container] = []
    first: list[_Container] = field(default_factory=list, name="initContainers")


class _PodAddress(Struct):
    ip: str = ""


class _PodStatus(Struct):
    phase: str = ""
    addresses: list[_PodAddress] = field(default_factory=list, name="podIPs")
    conditions: list[Condition] = []


class _Pod(Struct):
    metadata: Labelled
    spec: _PodSpec = field(default_factory=_PodSpec)
    status: _PodStatus = field(default_factory=_PodStatus)


def _pod(seen: _Pod) -> Pod:
    meta, status = seen.metadata, seen.status
    ready = next((one for one in status.conditions if one.type == "Ready" and one.status == "True"), None)
    # An init container that is restarted goes on beside the others (KEP-753).
    running = [*seen.spec.containers, *(one for one in seen.spec.first if one.restarts == "Always")]
    ports = _ports(running)
    labels = shared(meta.labels)
    return Pod(
        namespace=intern(meta.namespace),
        name=meta.name,
        uid=meta.uid,
        component=labels.get(COMPONENT, "") if labels.get(APP) == OWN_APP else "",
        node=intern(seen.spec.node),
        addresses=tuple(dict.fromkeys(one.ip for one in status.addresses if one.ip)),
        host_network=seen.spec.host_network,
        ready=ready is not None,
        ready_since=seconds_of(ready.since) if ready else 0.0,
        created=seconds_of(meta.created),
        terminating=meta.deleted is not None,
        ended=status.phase in {"Succeeded", "Failed"},
        port=next((port.port for port in ports if port.name == ECHO), 0),
        labels=labels,
        annotations=told_by(meta.annotations),
        ports=ports,
        probed_ports=_probed(running, ports),
        networks=(meta.annotations or Annotations()).networks[:MAX_NETWORKS_TEXT],
    )


def _ports(containers: Iterable[_Container]) -> tuple[PodPort, ...]:
    """What containers declare, each once; names that are none of the API's are left out with their port."""
    found = {
        (port.port, port.protocol, port.name): None
        for container in containers
        for port in container.ports
        if 0 < port.port <= LAST_PORT and port.protocol in PROTOCOLS and fit(port.name) == port.name
    }
    return _shared_ports(tuple(found)[:MAX_PORTS])


@lru_cache(maxsize=REMEMBERED)
def _shared_ports(found: tuple[tuple[int, str, str], ...]) -> tuple[PodPort, ...]:
    return tuple(PodPort(port, cast("Protocol", protocol), name) for port, protocol, name in found)


def _probed(containers: Iterable[_Container], ports: Iterable[PodPort]) -> tuple[int, ...]:
    """The ports that the kubelet asks before it calls the pod ready."""
    names = {port.name: port.port for port in ports if port.name}
    asked = [
        one.port
        for container in containers
        if container.readiness
        for one in (container.readiness.tcp, container.readiness.http, container.readiness.grpc)
        if one
    ]
    numbers = [names.get(port, 0) if isinstance(port, str) else port for port in asked]
    return tuple(dict.fromkeys(number for number in numbers if 0 < number <= LAST_PORT))[:MAX_PORTS]


PODS: Resource[Pod] = Resource("", "pods", reading(_Pod, _pod), f"{APP}={OWN_APP},{COMPONENT} in (agent,vantage,canary)")
"""The agents, vantages and canaries."""
