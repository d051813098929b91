"""From the JSON of policies and expectations to what is kept of them.

Everything works without them: a kind need not exist in a cluster, and we need not be allowed to see it. A policy that cannot be
read is kept as one that is not understood, since whatever it may be about is unknown then.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from msgspec import Struct

from collector.discovery.cluster.resource import Resource
from collector.expectation.document import CLUSTER_SCOPED, NAMESPACED, Declared, declared
from collector.policy.document import opaque_of, policy_of
from collector.policy.rules import Opaque, Policy

POLICY_GROUP: Final = "policy.networking.k8s.io"
OWN_GROUP: Final = "netmatrix.io"
MIRRORED: Final = ("knp.default.", "kanp.adminnetworkpolicy.", "kbanp.baselineadminnetworkpolicy.", "kcnp.")
"""Calico shows the policies of Kubernetes among its own, under names of these beginnings; we read the originals."""
LONGEST_REASON: Final = 200
MAX_POLICY_BYTES: Final = 262_144
"""Longest policy that is read, some 5,000 addresses. The API takes one six times as long, which would take us most of a second
at each change, and whoever owns a namespace may change it as often as they like."""

Key = tuple[str, str, str]
"""Kind, namespace and name of an expectation."""


class Unreadable(Struct, frozen=True):
    """An expectation that the API server took and we cannot: somebody has to be told."""

    kind: str
    namespace: str
    name: str
    uid: str
    because: str


@dataclass(frozen=True, slots=True)
class Expected:
    """An expectation, and what its status said when we first saw it: that it says something else then is no change."""

    said: Declared | Unreadable
    generation: int
    since: Mapping[str, tuple[str, str]] = field(compare=False)
    """Status of each condition, and the time at which it became that."""


class _Condition(Struct):
    type: str
    status: str
    since: str = msgspec.field(name="lastTransitionTime")


class _Status(Struct):
    conditions: list[_Condition] | None = None


class _Metadata(Struct):
    uid: str = ""
    generation: int = 0


class _Head(Struct):
    metadata: _Metadata
    status: _Status = msgspec.field(default_factory=_Status)


_head = msgspec.json.Decoder(_Head)


def _object(group: str, version: str, kind: str, content: bytes | msgspec.Raw) -> Mapping[str, Any]:
    """An object as a document; in a list, built-in kinds are sent without their kind."""
    document = msgspec.json.decode(content, type=dict[str, Any])
    return {**document, "apiVersion": f"{group}/{version}", "kind": kind}


def _policies(group: str, name: str, kind: str, *versions: str) -> Resource[Policy | Opaque]:
    def read(content: bytes | msgspec.Raw) -> Policy | Opaque:
        document = _object(group, versions[0], kind, content)
        if (length := len(memoryview(content))) > MAX_POLICY_BYTES:
            return opaque_of(document, f"not read: {length} bytes, more than {MAX_POLICY_BYTES}")
        try:
            return policy_of(document)
        except ValueError as error:
            return opaque_of(document, f"not understood: {str(error)[:LONGEST_REASON]}")

    return Resource(group, name, read, versions=versions, optional=True, wanted=lambda one: not one.name.startswith(MIRRORED))


def _expectations(name: str, kind: str) -> Resource[Expected]:
    def read(content: bytes | msgspec.Raw) -> Expected:
        document = _object(OWN_GROUP, "v1alpha1", kind, content)
        head = _head.decode(content)
        since = {one.type: (one.status, one.since) for one in head.status.conditions or ()}
        try:
            said: Declared | Unreadable = declared(document)
        except ValueError as error:
            unread = opaque_of(document)  # raises where it is no object at all
            said = Unreadable(kind, unread.namespace, unread.name, head.metadata.uid, str(error)[:LONGEST_REASON])
        return Expected(said, head.metadata.generation, since)

    return Resource(OWN_GROUP, name, read, versions=("v1alpha1",), optional=True)


POLICIES: Final[tuple[Resource[Policy | Opaque], ...]] = (
    _policies("networking.k8s.io", "networkpolicies", "NetworkPolicy", "v1"),
    _policies(POLICY_GROUP, "clusternetworkpolicies", "ClusterNetworkPolicy", "v1alpha2", "v1beta1"),
    _policies(POLICY_GROUP, "adminnetworkpolicies", "AdminNetworkPolicy", "v1alpha1"),
    _policies(POLICY_GROUP, "baselineadminnetworkpolicies", "BaselineAdminNetworkPolicy", "v1alpha1"),
    _policies("cilium.io", "ciliumnetworkpolicies", "CiliumNetworkPolicy", "v2"),
    _policies("cilium.io", "ciliumclusterwidenetworkpolicies", "CiliumClusterwideNetworkPolicy", "v2"),
    _policies("crd.projectcalico.org", "networkpolicies", "NetworkPolicy", "v1"),
    _policies("crd.projectcalico.org", "globalnetworkpolicies", "GlobalNetworkPolicy", "v1"),
    _policies("projectcalico.org", "networkpolicies", "NetworkPolicy", "v3"),
    _policies("projectcalico.org", "globalnetworkpolicies", "GlobalNetworkPolicy", "v3"),
    _policies("crd.antrea.io", "networkpolicies", "NetworkPolicy", "v1beta1", "v1alpha1"),
    _policies("crd.antrea.io", "clusternetworkpolicies", "ClusterNetworkPolicy", "v1beta1", "v1alpha1"),
)
"""All kinds that select pods; those that are not understood make their pods unknown."""

EXPECTATIONS: Final[Mapping[str, Resource[Expected]]] = {
    NAMESPACED: _expectations("reachabilityexpectations", NAMESPACED),
    CLUSTER_SCOPED: _expectations("clusterreachabilityexpectations", CLUSTER_SCOPED),
}
"""By kind."""
