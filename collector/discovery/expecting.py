"""What is expected in a cluster, from its snapshot and the settings."""

from collections.abc import Iterator
from typing import Final

from msgspec import structs

from collector.derivation import ExpectSettings
from collector.discovery.alike import alike
from collector.discovery.ends import Ends, profile_in
from collector.discovery.snapshot import Snapshot
from collector.expectation.cluster import Backing, Cluster, Service, ServicePort
from collector.expectation.expected import Expectations
from collector.policy.ends import Pod
from collector.policy.evaluate import Policies

LISTED: Final = ("nodes", "vantages", "pods", "services")
WHOLE: Final = tuple(name for name in Snapshot.__struct_fields__ if name not in {*LISTED, "secret"})
"""Parts of a snapshot of which everything is looked at."""


def expects_the_same(before: Snapshot, after: Snapshot) -> bool:
    """Whether the expectations of two snapshots are the same: whether somebody is ready, comes or goes says nothing of them."""
    return before is after or (
        all(getattr(before, name) == getattr(after, name) for name in WHOLE)
        and alike(before.nodes, after.nodes, lambda one: structs.replace(one, excluded=""))
        and alike(before.vantages, after.vantages, lambda one: structs.replace(one, excluded=""))
        and alike(before.pods, after.pods, lambda one: structs.replace(one, ready=True, probed_ports=()))
        and alike(before.services, after.services, lambda one: structs.replace(one, endpoints=None))
    )


def expectations_in(snapshot: Snapshot, settings: ExpectSettings, ends: Ends | None = None) -> Expectations:
    """The expectations of a snapshot; `ends` are those of the same one, where they have been made already."""
    ends = ends or Ends(snapshot)
    cluster = Cluster(tuple(ends.pods.values()), tuple(ends.nodes.values()), tuple(_services(snapshot, ends)))
    policies = Policies(snapshot.policies, snapshot.opaque, profile_in(snapshot, settings))
    return Expectations(policies, snapshot.expectations, cluster, settings=settings, read=snapshot.policies_read)


def _services(snapshot: Snapshot, ends: Ends) -> Iterator[Service]:
    """Services with the pods behind them; one that is probed and not among those has the endpoints that are probed."""
    known = set()
    for backed in snapshot.backed:
        name = f"{backed.namespace}/{backed.name}"
        known.add(name)
        ports = tuple(ServicePort(one.port, one.protocol, one.name) for one in backed.ports)
        yield Service(
            backed.namespace,
            backed.name,
            ports,
            tuple(backing for port in ports for backing in _backings(ends, name, port)),
            backed.addresses,
        )
    for service in snapshot.services:
        name = f"{service.namespace}/{service.name}"
        if name not in known:
            port = ServicePort(service.port)
            behind = (
                landing
                for door in service.doors
                if door.kind == "endpoint"
                for landing in ends.target(f"endpoint/{name}/{door.name}")
            )
            backings = (Backing(one.end, port, one.port) for one in behind if isinstance(one.end, Pod) and one.port)
            yield Service(service.namespace, service.name, (port,), tuple(backings), service.addresses)


def _backings(ends: Ends, name: str, port: ServicePort) -> Iterator[Backing]:
    for landing in ends.backends(name, port.port):
        if isinstance(landing.end, Pod) and landing.port is not None:
            yield Backing(landing.end, port, landing.port)
