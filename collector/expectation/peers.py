"""The ends of an expectation, as people write them: selectors in the spelling of NetworkPolicy, and names and addresses."""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from collector.denied import address_complaint, host_complaint
from collector.policy.labels import EVERYTHING, Selector
from wire.text import Name, OptionalName

WorkloadKind = Literal["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"]

CLUSTER_WIDE: Final = ("nodes", "cidr", "host")
"""Ends that belong to no namespace, so that only a cluster-scoped expectation may name them."""


class Pods(Struct, frozen=True, rename="camel"):
    """Pods by labels. Without a namespaceSelector those of the expectation's own namespace, or of all where it has none."""

    namespace_selector: Selector | None = None
    pod_selector: Selector | None = None


class Nodes(Struct, frozen=True):
    """Nodes by labels, which is their own addresses."""

    selector: Selector = EVERYTHING


class Cidr(Struct, frozen=True):
    """One address outside of the cluster, with or without its full prefix length."""

    address: Annotated[str, Meta(min_length=2, max_length=49)]

    @property
    def alone(self) -> str:
        """The address in its shortest form."""
        return str(ip_network(self.address).network_address)


class Host(Struct, frozen=True):
    """A host by a name that agents resolve by themselves."""

    name: Name


class Workload(Struct, frozen=True):
    """The pods of one workload; in the expectation's own namespace unless another is named."""

    kind: WorkloadKind
    name: Name
    namespace: OptionalName = ""


class Service(Struct, frozen=True):
    """A service; in the expectation's own namespace unless another is named."""

    name: Name
    namespace: OptionalName = ""
    via: Literal["clusterIP", "endpoints", "name"] = "clusterIP"
    """Through its ClusterIP, to each ready endpoint by its address, or by its name in DNS."""


class Source(Struct, frozen=True):
    """Where connections come from; exactly one key."""

    pods: Pods | None = None
    nodes: Nodes | None = None
    cidr: Cidr | None = None
    host: Host | None = None
    workload: Workload | None = None

    @property
    def selectors(self) -> Iterator[tuple[str, Selector]]:
        """The label selectors in it, with their paths."""
        if self.nodes is not None:
            yield "nodes.selector", self.nodes.selector
        if self.pods is not None and self.pods.namespace_selector is not None:
            yield "pods.namespaceSelector", self.pods.namespace_selector
        if self.pods is not None and self.pods.pod_selector is not None:
            yield "pods.podSelector", self.pods.pod_selector


class Destination(Source, frozen=True):
    """Where connections go to; exactly one key."""

    service: Service | None = None


def peer_complaints(peer: Source, own: str, *, asks: bool) -> Iterator[tuple[str, str]]:
    """What is wrong with one end: the path in it, and a sentence.

    `own` is the namespace of the expectation, empty for a cluster-scoped one; `asks` is whether connections come from this end.
    """
    keys = [key for key in peer.__struct_fields__ if getattr(peer, key) is not None]
    if len(keys) != 1:
        yield "", f"needs exactly one of {', '.join(peer.__struct_fields__)}"
    for key in keys:
        if own and key in CLUSTER_WIDE:
            yield key, "needs the kind ClusterReachabilityExpectation"
    if peer.cidr is not None and (sentence := _address_complaint(peer.cidr.address)):
        yield "cidr.address", sentence
    if peer.host is not None and (said := host_complaint(peer.host.name)):
        yield "host.name", f"{peer.host.name} is never probed: {said}"
    if peer.workload is not None:
        yield from _of_namespace("workload.namespace", peer.workload.namespace, own, asks=asks)
    if isinstance(peer, Destination) and peer.service is not None and not (own or peer.service.namespace):
        yield "service.namespace", "missing"
    for path, selector in peer.selectors:
        yield from _of_selector(path, selector)


def _address_complaint(text: str) -> str | None:
    try:
        network = ip_network(text)
    except ValueError:
        return address_complaint(text.partition("/")[0]) or f"{text} is not one address"
    if network.num_addresses != 1:
        return f"{text} is {network.num_addresses} addresses, and an expectation is about one"
    return address_complaint(str(network.network_address))


def _of_namespace(path: str, named: str, own: str, *, asks: bool) -> Iterator[tuple[str, str]]:
    if not named and not own:
        yield path, "missing"
    if asks and own and named not in {"", own}:
        yield path, f"{named} is not the expectation's own namespace; that needs the kind ClusterReachabilityExpectation"


def _of_selector(path: str, selector: Selector) -> Iterator[tuple[str, str]]:
    for place, one in enumerate(selector.match_expressions or ()):
        if (one.operator in {"In", "NotIn"}) != bool(one.values):
            needs = "needs a value or more" if one.operator in {"In", "NotIn"} else "takes no values"
            yield f"{path}.matchExpressions[{place}].values", f"{one.operator} {needs}"
