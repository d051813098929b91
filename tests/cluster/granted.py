"""A user of the API with the rights of the collector and no others, as the table in the code has them."""

from collections.abc import Iterable
from pathlib import Path

from collector.discovery.cluster.rights import RIGHTS, Right, Scope
from tests.cluster.api import Object
from tests.cluster.plane import Plane

_RBAC = "/apis/rbac.authorization.k8s.io/v1"


def collector_of(plane: Plane, namespace: str, *, vantages: Iterable[str] = ()) -> Path:
    """A kubeconfig of a collector in `namespace`, where agents and those vantages are; the namespaces exist already."""
    user = f"collector-of-{namespace}"
    _grant(plane, f"{_RBAC}/clusterroles", f"{_RBAC}/clusterrolebindings", user, Scope.CLUSTER)
    for space, scope in ((namespace, Scope.OWN), *((one, Scope.VANTAGES) for one in (namespace, *vantages))):
        path = f"{_RBAC}/namespaces/{space}"
        _grant(plane, f"{path}/roles", f"{path}/rolebindings", user, scope)
    return plane.credentials.user(user)


def _grant(plane: Plane, roles: str, bindings: str, user: str, scope: Scope) -> None:
    name = f"{user}-{scope}"
    kind = "ClusterRole" if scope is Scope.CLUSTER else "Role"
    rules = [_rule(one) for one in RIGHTS if one.scope is scope]
    api = "rbac.authorization.k8s.io"
    plane.api.apply(f"{roles}/{name}", {"apiVersion": f"{api}/v1", "kind": kind, "rules": rules})
    plane.api.apply(
        f"{bindings}/{name}",
        {
            "apiVersion": f"{api}/v1",
            "kind": f"{kind}Binding",
            "roleRef": {"apiGroup": api, "kind": kind, "name": name},
            "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
        },
    )


def _rule(right: Right) -> Object:
    rule: Object = {"apiGroups": [right.group], "resources": [right.resource], "verbs": list(right.verbs)}
    return rule | ({"resourceNames": list(right.names)} if right.names else {})
