"""NetworkPolicy (networking.k8s.io/v1) in the common form.

In: an object as the API or a file has it. Out: a Policy. A file does not carry what the API server fills in, so that the same
defaults are taken here. A list that is missing and one that is empty are the same: no rules, or any peer, or any port.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from collector.policy.labels import EVERYTHING, Selector
from collector.policy.rules import (
    BlockPeer,
    Direction,
    NamedPort,
    Peer,
    PodPeer,
    Policy,
    PortRange,
    Rule,
    Tier,
    UnknownPeer,
    network,
)

PortNumber = Annotated[int, Meta(ge=1, le=65535)]


class _Block(Struct, frozen=True):
    cidr: str
    exceptions: tuple[str, ...] | None = field(name="except", default=None)

    def __post_init__(self) -> None:
        for text in (self.cidr, *(self.exceptions or ())):
            network(text)


class _Peer(Struct, frozen=True, rename="camel"):
    pod_selector: Selector | None = None
    namespace_selector: Selector | None = None
    ip_block: _Block | None = None

    def __post_init__(self) -> None:
        if self.ip_block is not None and (self.pod_selector is not None or self.namespace_selector is not None):
            raise ValueError("a peer has an ipBlock or selectors, not both")


class _Port(Struct, frozen=True, rename="camel"):
    protocol: Literal["TCP", "UDP", "SCTP"] | None = None
    port: PortNumber | str | None = None
    end_port: PortNumber | None = None

    def __post_init__(self) -> None:
        if self.end_port is not None and (not isinstance(self.port, int) or self.end_port < self.port):
            raise ValueError("an endPort needs a port that is a number, and is not below it")


class _Ingress(Struct, frozen=True):
    peers: tuple[_Peer, ...] | None = field(name="from", default=None)
    ports: tuple[_Port, ...] | None = None


class _Egress(Struct, frozen=True):
    peers: tuple[_Peer, ...] | None = field(name="to", default=None)
    ports: tuple[_Port, ...] | None = None


class Spec(Struct, frozen=True, rename="camel"):
    """What stands under `spec`."""

    pod_selector: Selector | None = None
    policy_types: tuple[Literal["Ingress", "Egress"], ...] | None = None
    ingress: tuple[_Ingress, ...] | None = None
    egress: tuple[_Egress, ...] | None = None


class _Metadata(Struct, frozen=True):
    name: str
    namespace: str = "default"


class _NetworkPolicy(Struct, frozen=True):
    metadata: _Metadata
    spec: Spec = Spec()


def network_policy(document: Mapping[str, Any]) -> Policy:
    """The policy that an object describes; raises ValueError with one sentence where it cannot be one."""
    read = msgspec.convert(document, _NetworkPolicy)
    namespace, spec = read.metadata.namespace, read.spec
    types = spec.policy_types or (("Ingress", "Egress") if spec.egress else ("Ingress",))
    rules = {}
    if "Ingress" in types:
        rules[Direction.INGRESS] = tuple(_rule(rule, namespace) for rule in spec.ingress or ())
    if "Egress" in types:
        rules[Direction.EGRESS] = tuple(_rule(rule, namespace) for rule in spec.egress or ())
    subject = PodPeer(pods=spec.pod_selector or EVERYTHING, namespace=namespace)
    return Policy("NetworkPolicy", read.metadata.name, Tier.NETWORK_POLICY, subject, rules, namespace)


def _rule(rule: _Ingress | _Egress, namespace: str) -> Rule:
    return Rule(
        peers=tuple(_peer(peer, namespace) for peer in rule.peers) if rule.peers else None,
        ports=tuple(_port(port) for port in rule.ports) if rule.ports else None,
    )


def _peer(peer: _Peer, namespace: str) -> Peer:
    """An item with both selectors is their intersection; with the pods' alone it is of the policy's own namespace."""
    if peer.ip_block is not None:
        exceptions = tuple(network(text) for text in peer.ip_block.exceptions or ())
        return BlockPeer(network(peer.ip_block.cidr), exceptions)
    if peer.namespace_selector is not None:
        return PodPeer(pods=peer.pod_selector or EVERYTHING, namespaces=peer.namespace_selector)
    return UnknownPeer() if peer.pod_selector is None else PodPeer(pods=peer.pod_selector, namespace=namespace)


def _port(port: _Port) -> PortRange | NamedPort:
    """A missing protocol is TCP, and not any; a missing number is every port of the protocol."""
    protocol = port.protocol or "TCP"
    if isinstance(port.port, str):
        return NamedPort(port.port, protocol)
    if port.port is None:
        return PortRange(protocol)
    return PortRange(protocol, port.port, port.end_port or port.port)
