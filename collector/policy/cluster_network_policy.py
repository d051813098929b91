"""ClusterNetworkPolicy (policy.networking.k8s.io/v1alpha2) in the common form.

A rule with a peer that has none of the fields known here is of a newer version and fails closed, as its API asks: an Accept
rule matches nothing, and another one denies everything.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from collector.policy.ends import Protocol  # noqa: TC001 - of a table, not of a signature
from collector.policy.labels import Selector
from collector.policy.network_policy import PortNumber
from collector.policy.rules import (
    Action,
    BlockPeer,
    Direction,
    DomainPeer,
    NamedPort,
    NodePeer,
    Peer,
    PodPeer,
    Policy,
    PortRange,
    Rule,
    Tier,
    UnknownPeer,
    network,
)


class _Pods(Struct, frozen=True, rename="camel"):
    pod_selector: Selector = Selector()
    namespace_selector: Selector = Selector()


class _Peer(Struct, frozen=True, rename="camel"):
    namespaces: Selector | None = None
    pods: _Pods | None = None
    nodes: Selector | None = None
    networks: tuple[str, ...] | None = None
    domain_names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for text in self.networks or ():
            network(text)


class _Range(Struct, frozen=True):
    start: PortNumber
    end: PortNumber


class _Port(Struct, frozen=True):
    number: PortNumber | None = None
    range: _Range | None = None


class _Ports(Struct, frozen=True, rename="camel"):
    destination_port: _Port | None = None


class _Protocol(Struct, frozen=True, rename="camel"):
    tcp: _Ports | None = None
    udp: _Ports | None = None
    sctp: _Ports | None = None
    destination_named_port: str | None = None


class _Rule(Struct, frozen=True):
    action: Action
    name: str = ""
    sources: tuple[_Peer, ...] = field(name="from", default=())
    targets: tuple[_Peer, ...] = field(name="to", default=())
    protocols: tuple[_Protocol, ...] | None = None


class Spec(Struct, frozen=True):
    """What stands under `spec`."""

    tier: Literal["Admin", "Baseline"]
    priority: Annotated[int, Meta(ge=0, le=1000)]
    subject: _Peer
    ingress: tuple[_Rule, ...] | None = None
    egress: tuple[_Rule, ...] | None = None


class _Metadata(Struct, frozen=True):
    name: str


class _ClusterNetworkPolicy(Struct, frozen=True):
    metadata: _Metadata
    spec: Spec


def cluster_network_policy(document: Mapping[str, Any]) -> Policy:
    """The policy that an object describes; raises ValueError with one sentence where it cannot be one."""
    read = msgspec.convert(document, _ClusterNetworkPolicy)
    spec = read.spec
    subject = _pods(spec.subject)
    if subject is None:
        raise ValueError("the subject of a ClusterNetworkPolicy is namespaces or pods")
    rules = {
        Direction.INGRESS: tuple(_rule(rule, rule.sources) for rule in spec.ingress or ()),
        Direction.EGRESS: tuple(_rule(rule, rule.targets) for rule in spec.egress or ()),
    }
    return Policy("ClusterNetworkPolicy", read.metadata.name, Tier(spec.tier), subject, rules, priority=spec.priority)


def _rule(rule: _Rule, ends: Sequence[_Peer]) -> Rule:
    peers = tuple(one for peer in ends for one in _peers(peer))
    if not any(isinstance(peer, UnknownPeer) for peer in peers):
        ports = tuple(_port(protocol) for protocol in rule.protocols) if rule.protocols else None
        return Rule(peers, ports, rule.action, rule.name)
    if rule.action is Action.ACCEPT:
        return Rule((), None, rule.action, rule.name)
    return Rule(None, None, Action.DENY, rule.name)


def _peers(peer: _Peer) -> Sequence[Peer]:
    pods = _pods(peer)
    if pods is not None:
        return (pods,)
    if peer.nodes is not None:
        return (NodePeer(peer.nodes),)
    if peer.networks is not None:
        return [BlockPeer(network(text)) for text in peer.networks]
    return (UnknownPeer(),) if peer.domain_names is None else (DomainPeer(peer.domain_names),)


def _pods(peer: _Peer) -> PodPeer | None:
    if peer.namespaces is not None:
        return PodPeer(namespaces=peer.namespaces)
    return None if peer.pods is None else PodPeer(pods=peer.pods.pod_selector, namespaces=peer.pods.namespace_selector)


def _port(protocol: _Protocol) -> PortRange | NamedPort:
    kinds: tuple[tuple[Protocol, _Ports | None], ...] = (("TCP", protocol.tcp), ("UDP", protocol.udp), ("SCTP", protocol.sctp))
    for word, ports in kinds:
        if ports is not None:
            port = ports.destination_port or _Port()
            if port.range is not None:
                return PortRange(word, port.range.start, port.range.end)
            return PortRange(word) if port.number is None else PortRange(word, port.number, port.number)
    if protocol.destination_named_port is None:
        raise ValueError("a protocol is one of tcp, udp, sctp and destinationNamedPort")
    return NamedPort(protocol.destination_named_port)
