"""The form that every kind of policy is brought into: subjects, directions, rules of peers and ports.

A match is True, False, or None where the APIs leave open whether it is one: what follows from None is never guessed.
"""

from collections.abc import Iterable
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network

from msgspec import Struct

from collector.policy.ends import Address, Connection, End, Host, Node, Pod, Protocol, address_of, node_of
from collector.policy.labels import EVERYTHING, Selector
from collector.policy.profile import Profile
from wire.path import Family

VERSIONS = {Family.IPV4: 4, Family.IPV6: 6}
Match = bool | None
Network = IPv4Network | IPv6Network


class Direction(StrEnum):
    """As seen from the pod that a policy selects."""

    INGRESS = "ingress"
    EGRESS = "egress"


class Action(StrEnum):
    """What a rule does with what it matches. A NetworkPolicy has nothing but ACCEPT."""

    ACCEPT = "Accept"
    DENY = "Deny"
    PASS = "Pass"  # noqa: S105 - the word of the API


class Tier(StrEnum):
    """In the order in which they are asked."""

    ADMIN = "Admin"
    NETWORK_POLICY = "NetworkPolicy"
    BASELINE = "Baseline"


class Side(Struct, frozen=True):
    """A connection as the policies of one of its ends see it."""

    direction: Direction
    subject: Pod
    other: End
    connection: Connection

    @property
    def target(self) -> End:
        """Where the connection goes to, which is whose ports are named."""
        return self.subject if self.direction is Direction.INGRESS else self.other


class PodPeer(Struct, frozen=True):
    """Pods by their labels and those of their namespace. Nothing but a pod is ever matched."""

    pods: Selector = EVERYTHING
    namespaces: Selector = EVERYTHING
    namespace: str = ""
    """Only this namespace, where not empty."""

    def selects(self, pod: Pod) -> bool:
        """Whether the labels fit, whatever network the pod is on."""
        if self.namespace and pod.namespace.name != self.namespace:
            return False
        return self.pods.selects(pod.labels) and self.namespaces.selects(pod.namespace.labels)

    def matches(self, side: Side, tier: Tier, profile: Profile) -> Match:
        """ClusterNetworkPolicy leaves pods on the host network out; NetworkPolicy does not say."""
        end = side.other
        if not isinstance(end, Pod) or not self.selects(end):
            return False
        if end.host_network:
            return profile.selects_host_network if tier is Tier.NETWORK_POLICY else False
        return True


class BlockPeer(Struct, frozen=True):
    """Addresses. Each family is matched by its own blocks only. An exception narrows this block and denies nothing."""

    network: Network
    exceptions: tuple[Network, ...] = ()

    def holds(self, address: Address) -> bool:
        """Whether the address is in the block and in no exception."""
        return _within(address, self.network) and not self.leaves_out(address)

    def leaves_out(self, address: Address) -> bool:
        """Whether the address is in an exception."""
        return any(_within(address, one) for one in self.exceptions)

    def matches(self, side: Side, tier: Tier, profile: Profile) -> Match:
        """ClusterNetworkPolicy matches every address; what NetworkPolicy does with those of the cluster is the plugin's."""
        address = address_of(side.other, side.connection.family)
        if address is None:
            return self._may_hold(side)
        if not self.holds(address):
            return False
        if tier is not Tier.NETWORK_POLICY or isinstance(side.other, Host):
            return True
        return profile.blocks_match_nodes if node_of(side.other) else profile.blocks_match_pods

    def _may_hold(self, side: Side) -> Match:
        """Of a host that is known by its name alone: a block that is all of its family holds it, and another one may."""
        if not isinstance(side.other, Host) or self.network.version != VERSIONS[side.connection.family]:
            return False
        return True if self.network.prefixlen == 0 and not self.exceptions else None


class NodePeer(Struct, frozen=True):
    """Nodes by their labels, which is their addresses: those of pods on the host network too."""

    nodes: Selector

    def matches(self, side: Side, _tier: Tier, _profile: Profile) -> Match:
        """None for a pod on the host network, the labels of whose node are not known here."""
        if isinstance(side.other, Node):
            return self.nodes.selects(side.other.labels)
        if not node_of(side.other):
            return False
        return True if self.nodes == EVERYTHING else None


class DomainPeer(Struct, frozen=True):
    """Hosts by their names; `*.` in front stands for one label or more."""

    names: tuple[str, ...]

    def matches(self, side: Side, _tier: Tier, _profile: Profile) -> Match:
        """None for an address without a name, which may belong to any."""
        if not isinstance(side.other, Host):
            return False
        own = side.other.name.rstrip(".").lower()
        return any(_is_named(own, pattern.rstrip(".").lower()) for pattern in self.names) if own else None


class UnknownPeer(Struct, frozen=True):
    """A peer with none of the fields that this version knows."""

    def matches(self, _side: Side, _tier: Tier, _profile: Profile) -> Match:
        """Nothing."""
        return False


Peer = PodPeer | BlockPeer | NodePeer | DomainPeer | UnknownPeer


class PortRange(Struct, frozen=True):
    """Numbers of one protocol, both ends included."""

    protocol: Protocol
    first: int = 0
    last: int = 65535


class NamedPort(Struct, frozen=True):
    """A port of the destination pod by its name; a pod that has none of that name and protocol has no such port."""

    name: str
    protocol: Protocol | None = None
    """None for whichever it has."""


class Rule(Struct, frozen=True):
    """What matches one of the peers and one of the ports; None stands for any."""

    peers: tuple[Peer, ...] | None = None
    ports: tuple[PortRange | NamedPort, ...] | None = None
    action: Action = Action.ACCEPT
    name: str = ""


class Policy(Struct, frozen=True):
    """A policy of any kind. `rules` has an entry for each direction that it says something of, an empty one included."""

    kind: str
    name: str
    tier: Tier
    subject: PodPeer
    rules: dict[Direction, tuple[Rule, ...]]
    namespace: str = ""
    priority: int = 0

    def __str__(self) -> str:
        """As in a sentence."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


class Opaque(Struct, frozen=True):
    """A policy that this version cannot read, and the pods that it may be about."""

    kind: str
    name: str
    namespace: str = ""
    subjects: tuple[PodPeer, ...] = (PodPeer(),)
    because: str = "of a kind that is not understood"

    def selects(self, pod: Pod) -> bool:
        """Whether it may be about a pod."""
        return any(subject.selects(pod) for subject in self.subjects)

    def __str__(self) -> str:
        """As in a sentence."""
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


def rule_matches(rule: Rule, side: Side, tier: Tier, profile: Profile) -> Match:
    """Whether a rule is about a connection."""
    if not has_port(rule, side):
        return False
    return True if rule.peers is None else any_of(peer.matches(side, tier, profile) for peer in rule.peers)


def has_port(rule: Rule, side: Side) -> bool:
    """Whether a rule is about the port of a connection; one with ports is never about ICMP, which has none."""
    return rule.ports is None or any(is_port(port, side.target, side.connection) for port in rule.ports)


def is_port(port: PortRange | NamedPort, target: End, connection: Connection) -> bool:
    """Whether a port of a rule is the one that a connection goes to; a named one is looked up on the target."""
    if isinstance(port, PortRange):
        return port.protocol == connection.protocol and port.first <= connection.port <= port.last
    if not isinstance(target, Pod) or port.protocol not in {None, connection.protocol}:
        return False
    return any(
        own.name == port.name and own.port == connection.port and own.protocol == connection.protocol for own in target.ports
    )


def any_of(matches: Iterable[Match]) -> Match:
    """True where one is, else None where one is, else False."""
    found: Match = False
    for match in matches:
        if match:
            return True
        if match is None:
            found = None
    return found


def network(cidr: str) -> Network:
    """The network of a CIDR, of which bits of the host are dropped; raises ValueError."""
    try:
        return ip_network(cidr, strict=False)
    except ValueError:
        raise ValueError(f"{cidr[:64]!r} is not a CIDR") from None


def _within(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network


def _is_named(name: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) > len(pattern) - 1
    return name == pattern
