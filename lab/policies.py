"""Kubernetes policies as people write them, read strictly: NetworkPolicy v1 and ClusterNetworkPolicy v1alpha2.

In: one document, as plain values. Out: a value in the words of the API, or one sentence that names the field. Whom a policy
selects is decided here, and what nftables makes of it in `lab.enforcement`. The lab shares no code with the collector's own
evaluator and never may: two readings of one text are what makes a mistake in either of them show.
"""

from collections.abc import Mapping, Sequence
from ipaddress import ip_network
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

Labels = Mapping[str, str]
Document = dict[str, Any]
NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Label that the API server sets on every namespace."""
Number = Annotated[int, Meta(ge=1, le=65535)]
Protocol = Literal["TCP", "UDP", "SCTP"]
Direction = Literal["ingress", "egress"]


class Expression(Struct, frozen=True, forbid_unknown_fields=True):
    """One of a selector's `matchExpressions`."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError where the API would refuse it."""
        if (self.operator in {"In", "NotIn"}) != bool(self.values):
            raise ValueError(f"values go with In and NotIn, and with nothing else: {self.operator} has {len(self.values)}")

    def holds(self, labels: Labels) -> bool:
        """A key that is absent fulfils NotIn, and never In."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels


class Selector(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A label selector; an empty one selects everything."""

    match_labels: dict[str, str] = field(default_factory=dict)
    match_expressions: tuple[Expression, ...] = ()

    def selects(self, labels: Labels) -> bool:
        """Whether all of it holds."""
        return all(labels.get(key) == value for key, value in self.match_labels.items()) and all(
            expression.holds(labels) for expression in self.match_expressions
        )


class IpBlock(Struct, frozen=True, forbid_unknown_fields=True, rename={"exceptions": "except"}):
    """Addresses of one family; `except` only narrows this block and denies nothing by itself."""

    cidr: str
    exceptions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError where it is no network. Host bits are taken, as the API does, and masked."""
        for text in (self.cidr, *self.exceptions):
            ip_network(text, strict=False)


class Peer(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Who is at the other end: pods, by one or both selectors, or addresses."""

    pod_selector: Selector | None = None
    namespace_selector: Selector | None = None
    ip_block: IpBlock | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where the API would refuse it."""
        if (self.pod_selector is None and self.namespace_selector is None) == (self.ip_block is None):
            raise ValueError("a peer is podSelector, namespaceSelector or both, or else ipBlock")


class Port(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A port by number or name, a range of them, or all of a protocol."""

    protocol: Protocol = "TCP"
    port: Number | str | None = None
    end_port: Number | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where the API would refuse it."""
        if self.end_port is not None and (not isinstance(self.port, int) or self.end_port < self.port):
            raise ValueError("endPort goes with a port number that is not above it")


class Ingress(Struct, frozen=True, forbid_unknown_fields=True, rename={"peers": "from"}):
    """One rule for what comes in. Without peers it is anybody, without ports it is everything."""

    peers: tuple[Peer, ...] = ()
    ports: tuple[Port, ...] = ()


class Egress(Struct, frozen=True, forbid_unknown_fields=True, rename={"peers": "to"}):
    """One rule for what goes out."""

    peers: tuple[Peer, ...] = ()
    ports: tuple[Port, ...] = ()


class NetworkPolicySpec(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Whom it isolates, in which direction, and what passes all the same."""

    pod_selector: Selector = field(default_factory=Selector)
    ingress: tuple[Ingress, ...] | None = None
    egress: tuple[Egress, ...] | None = None
    policy_types: tuple[Literal["Ingress", "Egress"], ...] | None = None

    def isolates(self, direction: Direction) -> bool:
        """As `policyTypes` says; where it is missing, always ingress, and egress where there is a rule for it."""
        if self.policy_types:
            return direction.capitalize() in self.policy_types
        return direction == "ingress" or bool(self.egress)

    def rules(self, direction: Direction) -> Sequence[Ingress | Egress]:
        """Those of one direction."""
        return (self.ingress if direction == "ingress" else self.egress) or ()


class Metadata(Struct, frozen=True):
    """What of an object's metadata matters here."""

    name: Annotated[str, Meta(min_length=1, max_length=253)]
    namespace: str = ""


class NetworkPolicy(Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="kind", tag="NetworkPolicy"):
    """networking.k8s.io/v1."""

    api_version: Literal["networking.k8s.io/v1"]
    metadata: Metadata
    spec: NetworkPolicySpec = field(default_factory=NetworkPolicySpec)

    @property
    def name(self) -> str:
        """Such as `pay/deny-all`."""
        return f"{self.metadata.namespace or 'default'}/{self.metadata.name}"


class Pods(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Pods by two selectors, both of which are required."""

    namespace_selector: Selector
    pod_selector: Selector


class Subject(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a ClusterNetworkPolicy is about."""

    namespaces: Selector | None = None
    pods: Pods | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where the API would refuse it."""
        if (self.namespaces is None) == (self.pods is None):
            raise ValueError("it is either namespaces or pods")


class ClusterPeer(Struct, frozen=True, forbid_unknown_fields=True):
    """The other end of a rule of a ClusterNetworkPolicy; networks only of egress."""

    namespaces: Selector | None = None
    pods: Pods | None = None
    networks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError unless it is exactly one of them."""
        if [self.namespaces is not None, self.pods is not None, bool(self.networks)].count(True) != 1:
            raise ValueError("a peer is one of namespaces, pods and networks")
        for text in self.networks:
            ip_network(text, strict=False)


class Range(Struct, frozen=True, forbid_unknown_fields=True):
    """From one port to another."""

    start: Number
    end: Number


class DestinationPort(Struct, frozen=True, forbid_unknown_fields=True):
    """A number or a range."""

    number: Number | None = None
    range: Range | None = None


class PortOf(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Ports of one protocol; all of them where none is named."""

    destination_port: DestinationPort | None = None


class ClusterProtocol(Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One of a rule's `protocols`."""

    tcp: PortOf | None = None
    udp: PortOf | None = None
    sctp: PortOf | None = None
    destination_named_port: str = ""


class ClusterIngress(Struct, frozen=True, forbid_unknown_fields=True, rename={"peers": "from"}):
    """One rule of a tier; the first that fits decides."""

    action: Literal["Accept", "Deny", "Pass"]
    peers: Annotated[tuple[ClusterPeer, ...], Meta(min_length=1)]
    protocols: tuple[ClusterProtocol, ...] = ()
    name: str = ""


class ClusterEgress(Struct, frozen=True, forbid_unknown_fields=True, rename={"peers": "to"}):
    """The same for what goes out."""

    action: Literal["Accept", "Deny", "Pass"]
    peers: Annotated[tuple[ClusterPeer, ...], Meta(min_length=1)]
    protocols: tuple[ClusterProtocol, ...] = ()
    name: str = ""


class ClusterNetworkPolicySpec(Struct, frozen=True, forbid_unknown_fields=True):
    """Rules of a tier, in order; between policies the lower priority comes first."""

    tier: Literal["Admin", "Baseline"]
    priority: Annotated[int, Meta(ge=0, le=1000)]
    subject: Subject
    ingress: tuple[ClusterIngress, ...] = ()
    egress: tuple[ClusterEgress, ...] = ()

    def rules(self, direction: Direction) -> Sequence[ClusterIngress | ClusterEgress]:
        """Those of one direction."""
        return self.ingress if direction == "ingress" else self.egress


class ClusterNetworkPolicy(
    Struct, frozen=True, forbid_unknown_fields=True, rename="camel", tag_field="kind", tag="ClusterNetworkPolicy"
):
    """policy.networking.k8s.io/v1alpha2."""

    api_version: Literal["policy.networking.k8s.io/v1alpha2"]
    metadata: Metadata
    spec: ClusterNetworkPolicySpec

    @property
    def name(self) -> str:
        """It is in no namespace."""
        return self.metadata.name


Policy = NetworkPolicy | ClusterNetworkPolicy


def parse(document: Mapping[str, Any]) -> Policy:
    """The policy in a document; raises ValueError with one sentence where it is none that the lab enforces."""
    try:
        policy: Policy = msgspec.convert(dict(document), Policy)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(" - at `$.")
        raise ValueError(f"policy: {place.rstrip('`')}: {what}" if place else f"policy: {what}") from None
    return policy


def name_of(document: Mapping[str, Any]) -> str:
    """What a document is called, such as `pay/deny-all`; raises ValueError where it is no policy."""
    return parse(document).name


def applied(documents: Sequence[Document], document: Document) -> tuple[Document, ...]:
    """All of them with one more, in the place of the one of its kind and name where there is one."""
    return (*(other for other in documents if _key(other) != _key(document)), document)


def deleted(documents: Sequence[Document], name: str) -> tuple[Document, ...]:
    """All of them but those of a name."""
    return tuple(other for other in documents if name_of(other) != name)


def _key(document: Document) -> tuple[str, str]:
    return str(document.get("kind")), name_of(document)
