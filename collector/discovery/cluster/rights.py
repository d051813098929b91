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
    optional: bool = False
    """Whether everything else works without it."""


_FOLLOWED = ("list", "watch")

OF_POLICIES = (
    ("networking.k8s.io", ("networkpolicies",), _FOLLOWED, "what should be reachable"),
    *(
        (group, resources, _FOLLOWED, "whether something else than NetworkPolicies has a say in that")
        for group, resources in (
            ("policy.networking.k8s.io", ("clusternetworkpolicies", "adminnetworkpolicies", "baselineadminnetworkpolicies")),
            ("cilium.io", ("ciliumnetworkpolicies", "ciliumclusterwidenetworkpolicies")),
            ("crd.projectcalico.org", ("networkpolicies", "globalnetworkpolicies")),
            ("projectcalico.org", ("networkpolicies", "globalnetworkpolicies")),
            ("crd.antrea.io", ("networkpolicies", "clusternetworkpolicies")),
        )
    ),
    (
        "netmatrix.io",
        ("reachabilityexpectations", "clusterreachabilityexpectations"),
        _FOLLOWED,
        "what people say that should be reachable",
    ),
    (
        "netmatrix.io",
        ("reachabilityexpectations/status", "clusterreachabilityexpectations/status"),
        ("patch",),
        "saying there whether it is so",
    ),
)
"""API group, kinds, verbs and why: without any of these everything else works, and something is unknown."""

RIGHTS: tuple[Right, ...] = (
    Right("", "nodes", _FOLLOWED, Scope.CLUSTER, "zones and addresses of nodes, and which are cordoned"),
    Right("", "namespaces", _FOLLOWED, Scope.CLUSTER, "which ask for vantages, and the labels that policies ask for"),
    Right(
        "",
        "pods",
        _FOLLOWED,
        Scope.CLUSTER,
        "by their labels: the agents and vantages, those behind services that are probed, those that somebody expects "
        "something of, and one of each network plugin, to see which one it is",
    ),
    Right("", "services", _FOLLOWED, Scope.CLUSTER, "the addresses of services that are probed"),
    Right("discovery.k8s.io", "endpointslices", _FOLLOWED, Scope.CLUSTER, "which endpoints are behind them"),
    *(
        Right(group, resource, verbs, Scope.CLUSTER, why, optional=True)
        for group, resources, verbs, why in OF_POLICIES
        for resource in resources
    ),
    Right("", "events", ("create",), Scope.CLUSTER, "saying at an object why it is not probed"),
    Right("authentication.k8s.io", "tokenreviews", ("create",), Scope.CLUSTER, "whose token an agent shows"),
    Right(
        "authorization.k8s.io", "subjectaccessreviews", ("create",), Scope.CLUSTER, "whether somebody may have paths probed now"
    ),
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
