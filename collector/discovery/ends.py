"""What a policy can see of everything in a snapshot: vantages, targets and addresses as ends of connections. Pure.

Policies are about what is behind a service and the port that it has there, never about a ClusterIP: so a target is where a
connection to it may land.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address

from msgspec import Struct

from collector.derivation import ExpectSettings
from collector.discovery.snapshot import Backed, Door, PodPort, Service, Snapshot, Vantage
from collector.discovery.snapshot import Pod as OtherPod
from collector.expectation.derived import profile_in_force
from collector.expectation.wants import outside
from collector.policy.ends import ContainerPort, End, Host, Namespace, Node, Pod
from collector.policy.labels import namespace_labels
from collector.policy.profile import Profile

Socket = tuple[str, int]
"""Name of a service, with its namespace, and a port of it."""


class Landing(Struct, frozen=True):
    """Where a connection to a target may land."""

    end: End | None
    """None where it is not known what is there: whatever holds of it is unknown."""
    port: int | None = None
    """The port that policies see; None for the one that is asked for."""
    via_service: bool = False
    rewritten: bool = False
    """Whether the source may not be seen as it is, as behind node ports and load balancers."""


class Ends:
    """The ends of one snapshot. Names are those of vantages and targets."""

    def __init__(self, snapshot: Snapshot) -> None:
        listed = {one.name: one for one in snapshot.namespaces}
        self._namespaces: dict[str, Namespace] = {
            name: Namespace(name, namespace_labels(name, one.labels), one.annotations) for name, one in listed.items()
        }
        self.vantages: dict[str, Pod] = {one.name: self._pod(one, one.pod, _ports(one)) for one in snapshot.vantages}
        """By name."""
        own = [(one.uid, self.vantages[one.name]) for one in snapshot.vantages]
        others = [(one.uid, self._pod(one, one.name, _container_ports(one.ports))) for one in snapshot.pods]
        self.pods: dict[str, Pod] = {str(pod): pod for _, pod in (*others, *own)}
        """All that are known, by namespace and name."""
        self.uids: dict[str, str] = {str(pod): uid for uid, pod in (*others, *own)}
        """The UID of each, empty where it is not known."""
        self.nodes: dict[str, Node] = {one.name: Node(one.name, one.addresses, one.labels) for one in snapshot.nodes}
        """By name."""
        self._of_address: dict[str, End] = {
            address: end
            for ends in (self.nodes.values(), (pod for pod in self.pods.values() if not pod.host_network))
            for end in ends
            for address in end.addresses
        }
        self._backends: dict[Socket, list[Landing]] = defaultdict(list)
        for backed in snapshot.backed:
            self._back(backed)
        self._targets = dict(self._all_targets(snapshot))

    def target(self, name: str) -> Sequence[Landing]:
        """Where a connection to a target may land; nothing where that is not known at all."""
        return self._targets.get(name, ())

    def address(self, text: str) -> End:
        """What has an address; a host outside of the cluster where nothing in it has."""
        shortest = str(ip_address(text))
        return self._of_address.get(shortest) or Host((shortest,))

    def backends(self, service: str, port: int) -> Sequence[Landing]:
        """What is behind a port of a service, which is named with its namespace."""
        return self._backends.get((service, port), ())

    def namespace(self, name: str) -> Namespace:
        """A namespace; one that is not listed has nothing but its name."""
        found = self._namespaces.get(name)
        if found is None:
            found = self._namespaces[name] = Namespace(name, namespace_labels(name, {}))
        return found

    def _pod(self, one: Vantage | OtherPod, name: str, ports: tuple[ContainerPort, ...]) -> Pod:
        return Pod(
            namespace=self.namespace(one.namespace),
            name=name,
            labels=one.labels,
            addresses=one.addresses,
            ports=ports,
            node=one.node,
            host_network=one.host_network,
            annotations=one.annotations,
        )

    def _back(self, backed: Backed) -> None:
        for backend in backed.backends:
            end = self._behind(backed.namespace, backend.pod, backend.addresses)
            landing = Landing(end, backend.target_port, via_service=True)
            self._backends[f"{backed.namespace}/{backed.name}", backend.port].append(landing)

    def _behind(self, namespace: str, pod: str, addresses: Sequence[str]) -> End | None:
        """A pod that is said to be there and is not known is nobody: not a host, though it has an address."""
        if pod:
            return self.pods.get(f"{namespace}/{pod}")
        return self.address(addresses[0]) if addresses else None

    def _all_targets(self, snapshot: Snapshot) -> Iterator[tuple[str, Sequence[Landing]]]:
        yield from ((f"pod/{name}", (Landing(pod),)) for name, pod in self.pods.items())
        yield from ((f"node/{name}", (Landing(node),)) for name, node in self.nodes.items())
        for service in snapshot.services:
            yield from self._of_service(service)
        for host in snapshot.external:
            address = (str(ip_address(host.address)),) if host.address else ()
            end: End = Host(address, host.host)
            if address and not host.host:
                end = self.address(address[0])
            yield f"external/{host.name}", (Landing(end),)
        for server in snapshot.dns:
            behind = self.backends(server.name, server.port)
            lone = self._of_address.get(server.addresses[0]) if server.addresses else None
            yield f"dns/{server.name}", behind or (Landing(lone),)
        for name in outside(snapshot.expectations):
            yield name, (Landing(_outside(name.partition("/")[2])),)

    def _of_service(self, service: Service) -> Iterator[tuple[str, Sequence[Landing]]]:
        full = f"{service.namespace}/{service.name}"
        behind = self.backends(full, service.port)
        endpoints = {door.name: self._door(service, door) for door in service.doors if door.kind == "endpoint"}
        if not behind:
            behind = [Landing(one.end, one.port, via_service=True) for one in endpoints.values()]
        yield f"service/{full}", behind
        for name, landing in endpoints.items():
            yield f"endpoint/{full}/{name}", (landing,)
        for door in service.doors:
            if door.kind != "endpoint":
                through = [Landing(one.end, one.port, via_service=True, rewritten=True) for one in behind]
                yield f"{door.kind}/{full}/{door.name}", through

    def _door(self, service: Service, door: Door) -> Landing:
        pod = self.pods.get(f"{service.namespace}/{door.name}")
        return Landing(pod or next((self._of_address.get(address) for address in door.addresses), None), door.port)


def ends(snapshot: Snapshot) -> Ends:
    """The ends of a snapshot."""
    return Ends(snapshot)


def profile_in(snapshot: Snapshot, settings: ExpectSettings) -> Profile:
    """What the network plugin does: the one that was found, unless the settings name another."""
    return profile_in_force(snapshot.profile, settings)


def _outside(name: str) -> Host:
    """A host that somebody expects something of, by its address or its name."""
    try:
        return Host((str(ip_address(name)),))
    except ValueError:
        return Host((), name)


def _ports(vantage: Vantage) -> tuple[ContainerPort, ...]:
    if vantage.ports:
        return _container_ports(vantage.ports)
    return (ContainerPort(vantage.port, "TCP"), ContainerPort(vantage.port, "UDP"))


def _container_ports(ports: Iterable[PodPort]) -> tuple[ContainerPort, ...]:
    return tuple(ContainerPort(one.port, one.protocol, one.name) for one in ports)
