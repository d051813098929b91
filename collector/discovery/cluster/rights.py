"""Which rights the collector uses in the cluster: the one table that its requests and the manifests' RBAC are compared with."""

from enum import StrEnum

from msgspec import Struct


class Scope(StrEnum):
    """Where a right is needed."""

    CLUSTER = "cluster"
    """In all namespaces, or of objects that are in none: a ClusterRole."""
    OWN = "own"
    """In the collector's own namespace: a Role."""
    VANTAGES = "vantages"
    """In every namespace with agents or vantages: a Role in each, which comes with them."""


class Right(Struct, frozen=True):
    """A rule of RBAC."""

    group: str
    """API group; empty for the core."""
    resource: str
    verbs: tuple[str, ...]
    scope: Scope
    why: str
    names: tuple[str, ...] = ()
    """The only objects that it is for; all where empty."""


_FOLLOWED = ("list", "watch")

RIGHTS: tuple[Right, ...] = (
    Right("", "nodes", _FOLLOWED, Scope.CLUSTER, "zones and addresses of nodes, and which are cordoned"),
    Right("", "namespaces", _FOLLOWED, Scope.CLUSTER, "which namespaces ask for vantages"),
    Right("", "pods", _FOLLOWED, Scope.CLUSTER, "the agents and vantages, by their labels; no other pod is asked for"),
    Right("", "services", _FOLLOWED, Scope.CLUSTER, "the addresses of services that are probed"),
    Right("discovery.k8s.io", "endpointslices", _FOLLOWED, Scope.CLUSTER, "which endpoints are behind them"),
    Right("", "events", ("create",), Scope.CLUSTER, "saying at an object why it is not probed"),
    Right("authentication.k8s.io", "tokenreviews", ("create",), Scope.CLUSTER, "whose token an agent shows"),
    Right(
        "",
        "secrets",
        ("get", "update"),
        Scope.OWN,
        "the authority's key and the secret of the group keys",
        names=("netmatrix-authority",),
    ),
    Right("", "configmaps", ("get",), Scope.OWN, "saying at our own configuration why it is refused", names=("netmatrix",)),
    Right("", "configmaps", ("get", "patch"), Scope.VANTAGES, "the authority's certificate", names=("netmatrix-ca",)),
)


def right(group: str, resource: str, *verbs: str) -> Right:
    """The right on a resource that the code is about to use; raises KeyError where the table lacks it."""
    for one in RIGHTS:
        if (one.group, one.resource) == (group, resource) and set(verbs) <= set(one.verbs):
            return one
    raise KeyError(f"{' '.join(verbs)} {resource}.{group}".rstrip("."))
