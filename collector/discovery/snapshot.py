"""A snapshot: everything that is known to exist at one moment, whole or not at all.

Every source of discovery yields this one type. It is a value: a stage that gets one needs to ask nobody anything.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from collector.discovery.backed import Address, Backed, Backend, ServicePort
from collector.expectation.document import Declared
from collector.external import External, HttpOptions, HttpProbe
from collector.policy.rules import Opaque, Policy
from wire.path import Port
from wire.text import Name, OptionalName

__all__ = [
    "Attachment",
    "Backed",
    "Backend",
    "DnsServer",
    "Door",
    "Existing",
    "External",
    "HttpOptions",
    "HttpProbe",
    "Namespace",
    "Node",
    "Pod",
    "PodPort",
    "Service",
    "ServicePort",
    "Snapshot",
    "Vantage",
]


LabelKey = Annotated[str, Meta(min_length=1, max_length=317)]
Labels = Annotated[Mapping[LabelKey, Annotated[str, Meta(max_length=63)]], Meta(max_length=256)]
"""Labels as Kubernetes has them: a prefix of 253 and a name of 63 characters, a value of 63."""
Annotations = Annotated[Mapping[LabelKey, Annotated[str, Meta(max_length=2048)]], Meta(max_length=256)]
"""Annotations, as far as anything is made of them."""


class Node(Struct, frozen=True, forbid_unknown_fields=True):
    """A machine of the cluster."""

    name: Name
    """Name, unique among nodes."""
    zone: OptionalName = ""
    """Zone, empty where there are none."""
    addresses: tuple[Address, ...] = ()
    """Its own addresses, not those of its pods; probed on the host layer."""
    excluded: Literal["", "cordoned"] = ""
    """`cordoned` where it is about to be taken away, so that nothing bad that is seen of it is a fault."""
    labels: Labels = {}
    """Labels, which policies and expectations select it by."""


class Namespace(Struct, frozen=True, forbid_unknown_fields=True):
    """A namespace. One that is named elsewhere and not listed exists as well, with nothing but its name."""

    name: Name
    """Name, unique among namespaces; one that is not listed has no labels but the one that the API server sets."""
    labels: Labels = {}
    """Labels, which policies select it by; `kubernetes.io/metadata.name` is always there."""
    annotations: Annotations = {}
    """Annotations that say something of reachability, such as `opencontrail.org/isolation`."""


class PodPort(Struct, frozen=True, forbid_unknown_fields=True):
    """A port that a container declares."""

    port: Port
    """Number."""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    """`TCP`, which is the default, `UDP` or `SCTP`."""
    name: OptionalName = ""
    """Name that a policy may ask for."""


class Pod(Struct, frozen=True, forbid_unknown_fields=True):
    """A pod without an agent in it: one that somebody expects something of or that is behind a service, or a canary."""

    namespace: Name
    """Kubernetes namespace."""
    name: Name
    """Name, unique in its namespace."""
    addresses: tuple[Address, ...]
    """Addresses, at least one."""
    node: OptionalName = ""
    """Node that it is on, empty where not known."""
    labels: Labels = {}
    """Labels, which policies and expectations select it by."""
    ports: Annotated[tuple[PodPort, ...], Meta(max_length=64)] = ()
    """Ports that its containers declare, which a policy may name."""
    uid: OptionalName = ""
    """UID; empty where not known."""
    host_network: bool = False
    """`true` where it is in the network of its node."""
    ready: bool = True
    """`false` where nothing bad that is seen of it is a fault."""
    probed_ports: Annotated[tuple[Port, ...], Meta(max_length=64)] = ()
    """Ports that the kubelet has a readiness probe on: it is ready, so something listens there."""
    annotations: Annotations = {}
    """Annotations that say something of reachability, such as `opencontrail.org/network`."""
    canary: bool = False
    """`true` for a canary of netmatrix's own: a policy closes its port 8620, and leaves 9620 open, so that the agent of its
    node sees whether policies are enforced there."""


Mtu = Annotated[int, Meta(ge=0, le=65535)]
"""Longest IP packet in bytes that a pod network carries whole; 0 where not known."""


class Attachment(Struct, frozen=True, forbid_unknown_fields=True):
    """A further network of a pod, beside the cluster's default one."""

    name: Name
    """Name of a further network of the pod, the same for all pods on it; each is probed between its vantages and measured
    apart."""
    addresses: tuple[Address, ...]
    """Addresses of the pod on it."""
    mtu: Mtu = 0
    """Longest IP packet in bytes that it carries whole, 576 or more; 0, which is the default, where not known."""


class Vantage(Struct, frozen=True, forbid_unknown_fields=True):
    """A place that probes leave from, with an agent in it."""

    name: Name
    """Name, unique among vantages; often that of the node."""
    node: Name
    """One of the nodes."""
    namespace: Name
    """Kubernetes namespace."""
    pod: Name
    """Pod, unique in its namespace."""
    addresses: tuple[Address, ...]
    """Addresses of the pod, at least one; probed on the pod layer."""
    uid: OptionalName = ""
    """UID that the pod must prove when it answers; empty where not known."""
    port: Port = 8620
    """Port where its agent answers, 8620 unless given."""
    key: Annotated[str, Meta(min_length=32, max_length=512)] = field(default="")
    """Bearer token of its agent, 32 to 512 printable characters, another one for each vantage."""
    networks: Annotated[tuple[Attachment, ...], Meta(max_length=8)] = ()
    """Further networks of its pod; each is probed between the vantages that are on it, and measured apart."""
    excluded: Literal["", "terminating", "not_ready", "settling"] = ""
    """`terminating`, `not_ready` or `settling` where nothing bad that is seen of it is a fault; one that is terminating is
    probed by nobody."""
    labels: Labels = {}
    """Labels of the pod, which policies and expectations select it by."""
    annotations: Annotations = {}
    """Annotations of the pod that say something of reachability, such as `opencontrail.org/network`."""
    ports: Annotated[tuple[PodPort, ...], Meta(max_length=64)] = ()
    """Ports that its containers declare, which a policy may name; its own port over TCP and UDP unless given."""
    host_network: bool = False
    """`true` where it is in the network of its node, so that no policy selects it."""

    def __repr__(self) -> str:
        """Everything but the key, so that no log ever holds it."""
        return f"Vantage({self.name!r}, node={self.node!r}, namespace={self.namespace!r}, pod={self.pod!r})"


ServiceProbe = Annotated[str, Meta(max_length=1029, pattern=r"^(tcp|http:/[!-~]*)\Z")]
"""`tcp`, or `http:` and a path."""


class Door(Struct, frozen=True, forbid_unknown_fields=True):
    """Another way to a service than its ClusterIP, so that a bad endpoint and bad service routing are told apart."""

    kind: Literal["endpoint", "node_port", "load_balancer"]
    """`endpoint`, `node_port` or `load_balancer`: another way to the service, probed as its ClusterIP is."""
    name: Name
    """Its pod, node or address, unique among the doors of its kind."""
    addresses: tuple[Address, ...]
    """Addresses, at least one."""
    port: Port
    """Port."""
    node: OptionalName = ""
    """Node that it leads to, empty where not known."""


class Service(Struct, frozen=True, forbid_unknown_fields=True):
    """A service to be probed, through its ClusterIP and its other doors."""

    name: Name
    """Name, unique in its namespace."""
    namespace: Name
    """Kubernetes namespace."""
    addresses: tuple[Address, ...]
    """ClusterIPs, at least one unless there are doors."""
    port: Port
    """Port."""
    probe: ServiceProbe = "tcp"
    """`tcp`, or `http:` and a path."""
    also: Annotated[tuple[ServiceProbe, ...], Meta(max_length=4)] = ()
    """Further probes of the same addresses, four at most."""
    doors: Annotated[tuple[Door, ...], Meta(max_length=256)] = ()
    http: HttpOptions = HttpOptions()
    """Only where it is probed over HTTP."""
    endpoints: Annotated[int, Meta(ge=0)] | None = None
    """Ready endpoints behind it, absent where not known; with 0 a refusal means `no_endpoints`."""
    critical: bool = False
    """`true` to probe it from every vantage, also where there are so many that services are shared out."""


class DnsServer(Struct, frozen=True, forbid_unknown_fields=True):
    """A name server: the cluster's service, one server behind it, or one outside."""

    name: Name
    """Name, unique among name servers."""
    addresses: tuple[Address, ...]
    """Addresses of the service, or of one server behind it, at least one; a link-local one only over IPv4 and on port 53."""
    names: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=254)], ...], Meta(min_length=1, max_length=8)]
    """What it is asked for, fully qualified with the last dot: A and AAAA over UDP and one of them over TCP for the first
    name, A over UDP for others."""
    port: Port = 53
    """Port, 53 unless given."""
    contains: Annotated[str, Meta(max_length=45)] = ""
    """Address that must be among the answers to the first name, or they are a `dns_error`."""
    critical: bool = False
    """`true` to ask it from every vantage, as with services."""


class Existing(Struct, frozen=True, forbid_unknown_fields=True):
    """What exists, in the words that an inventory has for it too."""

    nodes: tuple[Node, ...] = ()
    vantages: tuple[Vantage, ...] = ()
    services: tuple[Service, ...] = ()
    external: tuple[External, ...] = ()
    dns: tuple[DnsServer, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    pods: tuple[Pod, ...] = ()
    backed: tuple[Backed, ...] = ()
    profile: Annotated[str, Meta(max_length=64)] = "generic"
    """Network plugin: `calico`, `cilium`, `antrea`, `kube-router`, `kube-network-policies`, `tungsten-fabric`, or `none` for
    one that enforces nothing; `strict` drops whatever is not allowed, and `generic`, which is the default, may be any."""
    mtu: Mtu = 0
    """Longest IP packet in bytes that the default pod network carries whole, 576 or more, which is then tested between the
    zones; 0, which is the default, where not known."""
    domain: OptionalName = "cluster.local"
    """Domain of the cluster's own names, by which a service is asked for with `via: name`; `cluster.local` unless given."""
    secret: Annotated[str, Meta(max_length=512)] = ""
    """What the keys of the group follow from, 32 to 512 characters; without it they follow from the keys of all vantages, and
    change when a collector starts with other vantages than before."""

    def __repr__(self) -> str:
        """Sizes only, so that no log ever holds a secret."""
        sizes = (f"{name}={len(getattr(self, name))}" for name in _COUNTED)
        return f"{type(self).__name__}({', '.join(sizes)})"


class Snapshot(Existing, frozen=True, forbid_unknown_fields=True):
    """All of it. Names are unique within their kind, and every vantage's node exists."""

    policies: tuple[Policy, ...] = ()
    opaque: tuple[Opaque, ...] = ()
    """Policies that cannot be read: whatever they may be about is unknown."""
    policies_read: bool = True
    """Whether we may look at policies: where we may not, nothing follows from there being none."""
    expectations: tuple[Declared, ...] = ()
    """What people declared."""


_COUNTED = ("nodes", "vantages", "services", "external", "dns", "namespaces", "pods", "policies", "expectations")
