"""What a declaration can name: pods, nodes and services, as they were at one moment."""

from collections.abc import Iterator
from functools import cached_property

from msgspec import Struct

from collector.policy.ends import Node, Pod, Protocol


class ServicePort(Struct, frozen=True):
    """A port of a service."""

    port: int
    protocol: Protocol = "TCP"
    name: str = ""


class Backing(Struct, frozen=True):
    """A ready endpoint behind one port of a service, with the port that it has there."""

    pod: Pod
    port: ServicePort
    target_port: int


class Service(Struct, frozen=True):
    """A service and what is behind it."""

    namespace: str
    name: str
    ports: tuple[ServicePort, ...] = ()
    backings: tuple[Backing, ...] = ()
    addresses: tuple[str, ...] = ()
    """Its ClusterIPs."""

    def __str__(self) -> str:
        """As in a sentence, and as a key."""
        return f"{self.namespace}/{self.name}"


class Cluster(Struct, frozen=True, dict=True):
    """All that there is. Names are unique within their kind."""

    pods: tuple[Pod, ...] = ()
    nodes: tuple[Node, ...] = ()
    services: tuple[Service, ...] = ()

    @cached_property
    def service(self) -> dict[str, Service]:
        """Services by namespace and name."""
        return {str(service): service for service in self.services}

    @cached_property
    def pods_of(self) -> dict[str, list[Pod]]:
        """Pods by namespace."""
        found: dict[str, list[Pod]] = {}
        for pod in self.pods:
            found.setdefault(pod.namespace.name, []).append(pod)
        return found

    @cached_property
    def behind(self) -> dict[str, list[tuple[Service, Backing]]]:
        """Services by what is behind them: namespace and name of a pod."""
        found: dict[str, list[tuple[Service, Backing]]] = {}
        for service, backing in self._backings():
            found.setdefault(str(backing.pod), []).append((service, backing))
        return found

    def _backings(self) -> Iterator[tuple[Service, Backing]]:
        for service in self.services:
            for backing in service.backings:
                yield service, backing
