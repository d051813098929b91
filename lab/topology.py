"""What a lab consists of: nodes, pods, services, an external host, and every name and address of them.

In: a shape, a few numbers and names that a person writes. Out: a topology, computed and never discovered, so that any process
that knows the shape and the lab's name knows the whole cluster. Nothing here touches the machine.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from uuid import NAMESPACE_URL, uuid5

from lab.attachment import Attachment, attachments, device
from lab.policies import NAMESPACE_NAME
from lab.roles import BACKEND_PORT, DNS_PORT, PORTS, SERVICE_PORT, ContainerPort, Role
from lab.shape import DEFAULT_NETWORK, DNS_NAMESPACE, MONITORING_NAMESPACE, OWN_NAMESPACE, Fabric, Shape
from wire.path import Family

EXTERNAL_HOST = "www.example.test"
DOMAIN = "test"

BACKENDS_PER_SERVICE = 2

UNDERLAY = {Family.IPV4: "172.30.0.0/24", Family.IPV6: "fd30::/64"}
PODS = {Family.IPV4: "10.30.0.0/16", Family.IPV6: "fd31::/16"}
ROUTER_INSIDE = {Family.IPV4: "172.30.0.254", Family.IPV6: "fd30::fe"}
ROUTER_OUTSIDE = {Family.IPV4: "198.51.100.1", Family.IPV6: "2001:db8:1::1"}
MTU = 1500
"""Of every cable."""
TUNNEL_OVERHEAD = {Family.IPV4: 50, Family.IPV6: 70}
"""Outer IP, UDP, VXLAN and inner Ethernet header, by the family outside (RFC 7348 section 5)."""
EXTERNAL = {Family.IPV4: "198.51.100.10", Family.IPV6: "2001:db8:1::10"}

_LAB_NAME = re.compile(r"[a-z0-9]{1,16}")


@dataclass(frozen=True, slots=True)
class Node:
    """A machine: a network namespace with an uplink to the underlay bridge and a bridge for its pods."""

    name: str
    zone: str
    number: int
    """From 1; it stands in every address of the node and its pods."""
    netns: str
    port: str
    """Name of its port on the underlay bridge, in the fabric's namespace."""
    mac: str
    """Of its uplink."""
    addresses: Mapping[Family, str]
    gateways: Mapping[Family, str]
    """Its own addresses on the pod bridge."""
    pod_networks: Mapping[Family, str]
    tunnel_mac: str
    """Of its end of the tunnels, where there are any."""
    tunnel_addresses: Mapping[Family, str]


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod: a network namespace with one interface, and one more for each further network."""

    namespace: str
    name: str
    node: str
    role: Role
    netns: str
    interface: str
    """Name of its port on the node's pod bridge."""
    addresses: Mapping[Family, str]
    uid: str
    vantage: str = ""
    """Name of the vantage, for agents."""
    attachments: tuple[Attachment, ...] = ()
    """Its further networks; only pods with an agent have any."""
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def ports(self) -> tuple[ContainerPort, ...]:
        """What it listens on."""
        return PORTS[self.role]

    @property
    def networks(self) -> Mapping[str, Mapping[Family, str]]:
        """Its addresses by network."""
        return {DEFAULT_NETWORK: self.addresses, **{further.network: further.addresses for further in self.attachments}}


@dataclass(frozen=True, slots=True)
class Service:
    """A ClusterIP, made by DNAT on every node."""

    namespace: str
    name: str
    addresses: Mapping[Family, str]
    port: int
    protocols: tuple[str, ...]
    """`tcp`, or `udp` and `tcp`."""
    target_port: int
    backends: tuple[Pod, ...]


@dataclass(frozen=True, slots=True)
class External:
    """The host outside, and the router in front of it."""

    host: str
    addresses: Mapping[Family, str]
    netns: str
    router_netns: str
    ports: tuple[int, ...] = (80, 443)


@dataclass(frozen=True)
class Topology:
    """A whole lab, by name and address."""

    lab: str
    shape: Shape
    nodes: tuple[Node, ...]
    pods: tuple[Pod, ...]
    services: tuple[Service, ...]
    dns: Service
    external: External | None
    fabric_netns: str = field(default="")

    @classmethod
    def of(cls, shape: Shape, lab: str) -> "Topology":
        """Lay out a lab; raises ValueError where its name is not 1 to 16 of a-z 0-9."""
        if not _LAB_NAME.fullmatch(lab):
            # Without a dash, so that no lab's namespaces start with the prefix of another lab's.
            raise ValueError(f"name {lab!r} of a lab is not 1 to 16 characters of a-z 0-9")
        return _Layout(shape, lab).topology()

    @cached_property
    def node(self) -> Mapping[str, Node]:
        """Nodes by name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def zones(self) -> Mapping[str, tuple[Node, ...]]:
        """Nodes by zone."""
        return {zone: tuple(n for n in self.nodes if n.zone == zone) for zone in dict.fromkeys(n.zone for n in self.nodes)}

    @cached_property
    def vantages(self) -> tuple[Pod, ...]:
        """Pods with an agent in them, node agents first."""
        return tuple(pod for pod in self.pods if pod.vantage)

    @cached_property
    def collector(self) -> Pod:
        """The collector's pod."""
        return next(pod for pod in self.pods if pod.role is Role.COLLECTOR)

    @cached_property
    def monitoring(self) -> Pod | None:
        """The pod that is told of incidents, where there is one."""
        return next((pod for pod in self.pods if pod.role is Role.MONITORING), None)

    @cached_property
    def outer(self) -> Family:
        """Which family tunnels run over."""
        return Family.IPV4 if Family.IPV4 in self.shape.families else Family.IPV6

    @property
    def mtu(self) -> int:
        """Longest IP packet that the default pod network carries whole."""
        return MTU if self.shape.fabric is Fabric.FLAT else MTU - TUNNEL_OVERHEAD[self.outer]

    def port(self, node: Node, network: str = DEFAULT_NETWORK) -> str:
        """Name of a node's port on the switch of a network, in the fabric's namespace."""
        return node.port if network == DEFAULT_NETWORK else f"{node.port}_{device(self.shape, network)}"

    def macs(self, node: Node, network: str = DEFAULT_NETWORK) -> tuple[str, ...]:
        """Source addresses of all frames that a node sends on a network."""
        if network == DEFAULT_NETWORK:
            return (node.mac,)
        return tuple(
            attachment.mac for pod in self.pods_on(node.name) for attachment in pod.attachments if attachment.network == network
        )

    def pods_on(self, node: str) -> tuple[Pod, ...]:
        """Pods of one node."""
        return tuple(pod for pod in self.pods if pod.node == node)

    def agent_on(self, node: str) -> Pod:
        """The node agent's pod."""
        return next(pod for pod in self.pods if pod.node == node and pod.role is Role.AGENT)

    def namespace_labels(self, namespace: str) -> Mapping[str, str]:
        """Of a Kubernetes namespace; the API server gives each of them its name."""
        return {**self.shape.labels.get(namespace, {}), NAMESPACE_NAME: namespace}

    @cached_property
    def namespaces(self) -> tuple[str, ...]:
        """Every Linux network namespace of the lab."""
        outside = (self.external.router_netns, self.external.netns) if self.external else ()
        return (self.fabric_netns, *(node.netns for node in self.nodes), *(pod.netns for pod in self.pods), *outside)


def netns_prefix(lab: str) -> str:
    """What the names of all network namespaces of a lab start with, and those of no other lab."""
    return f"nmx-{lab}-"


class _Layout:
    """Gives out names and addresses, each pod of a node the next number."""

    def __init__(self, shape: Shape, lab: str) -> None:
        self._shape = shape
        self._lab = lab
        self._taken = dict.fromkeys(range(1, shape.nodes + 1), 1)

    def topology(self) -> Topology:
        shape = self._shape
        nodes = tuple(self._node(number) for number in range(1, shape.nodes + 1))
        pods = [self._pod(node.number, OWN_NAMESPACE, f"agent-{node.name}", Role.AGENT, vantage=node.name) for node in nodes]
        pods.append(self._pod(1, OWN_NAMESPACE, "collector", Role.COLLECTOR))
        if shape.canaries:
            pods += [self._pod(node.number, OWN_NAMESPACE, f"canary-{node.name}", Role.CANARY) for node in nodes]
        dns_pod = self._pod(self._place(1), DNS_NAMESPACE, "dns", Role.DNS)
        pods.append(dns_pod)
        for index, namespace in enumerate(shape.namespaces):
            node = nodes[self._place(index + 1) - 1]
            pods.append(
                self._pod(node.number, namespace, f"vantage-{namespace}", Role.VANTAGE, vantage=f"{namespace}-{node.name}")
            )
        services = []
        names = shape.services if shape.services is not None else tuple(f"{name}/web" for name in shape.namespaces)
        for index, service in enumerate(names):
            namespace, _, name = service.partition("/")
            backends = tuple(
                self._pod(self._place(2 + index * BACKENDS_PER_SERVICE + replica), namespace, f"{name}-{replica}", Role.BACKEND)
                for replica in range(BACKENDS_PER_SERVICE)
            )
            pods.extend(backends)
            addresses = self._addresses(f"10.96.0.{10 + index}", f"fd96::{10 + index:x}")
            services.append(Service(namespace, name, addresses, SERVICE_PORT, ("tcp",), BACKEND_PORT, backends))
        if shape.alerting != "none":
            pods.append(self._pod(1, MONITORING_NAMESPACE, "monitoring", Role.MONITORING))
        dns_addresses = self._addresses("10.96.0.253", "fd96::fd")
        external = External(EXTERNAL_HOST, self._families(EXTERNAL), self._netns("external"), self._netns("router"))
        return Topology(
            lab=self._lab,
            shape=shape,
            nodes=nodes,
            pods=tuple(pods),
            services=tuple(services),
            dns=Service(DNS_NAMESPACE, "dns", dns_addresses, DNS_PORT, ("udp", "tcp"), DNS_PORT, (dns_pod,)),
            external=external if shape.external else None,
            fabric_netns=self._netns("fabric"),
        )

    def _place(self, index: int) -> int:
        """Number of a node, from an index that may go round."""
        return index % self._shape.nodes + 1

    def _netns(self, suffix: str) -> str:
        return f"{netns_prefix(self._lab)}{suffix}"

    def _families(self, addresses: Mapping[Family, str]) -> dict[Family, str]:
        return {family: addresses[family] for family in self._shape.families}

    def _addresses(self, ipv4: str, ipv6: str) -> dict[Family, str]:
        return self._families({Family.IPV4: ipv4, Family.IPV6: ipv6})

    def _node(self, number: int) -> Node:
        return Node(
            name=f"n{number}",
            zone=f"z{(number - 1) * self._shape.zones // self._shape.nodes + 1}",
            number=number,
            netns=self._netns(f"n{number}"),
            port=f"n{number}",
            mac=f"02:6e:6d:78:00:{number:02x}",
            addresses=self._addresses(f"172.30.0.{number}", f"fd30::{number:x}"),
            gateways=self._addresses(f"10.30.{number}.1", f"fd31:{number:x}::1"),
            pod_networks=self._addresses(f"10.30.{number}.0/24", f"fd31:{number:x}::/64"),
            tunnel_mac=f"02:6e:6d:77:00:{number:02x}",
            tunnel_addresses=self._addresses(f"10.30.{number}.254", f"fd31:{number:x}::fe"),
        )

    def _pod(self, node: int, namespace: str, name: str, role: Role, *, vantage: str = "") -> Pod:
        self._taken[node] += 1
        app = name.rpartition("-")[0] if role is Role.BACKEND else role.value
        place = self._taken[node]
        short = "agent" if role is Role.AGENT else name if namespace == OWN_NAMESPACE else f"{namespace}-{name}"
        netns = self._netns(f"n{node}-{short}")
        return Pod(
            namespace=namespace,
            name=name,
            node=f"n{node}",
            role=role,
            netns=netns,
            interface=f"pod{place}",
            addresses=self._addresses(f"10.30.{node}.{place}", f"fd31:{node:x}::{place:x}"),
            uid=str(uuid5(NAMESPACE_URL, f"{netns}/{namespace}/{name}")),
            vantage=vantage,
            attachments=attachments(self._shape, node, place) if vantage else (),
            labels={"app": app, **self._shape.labels.get(f"{namespace}/{app}", {})},
        )
