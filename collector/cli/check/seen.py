"""All that is looked at, gathered once, so that what is said of it follows from values."""

from collections.abc import Callable
from typing import Any, Final

from msgspec import Struct

from collector.cli.check.finding import Missing
from collector.cli.check.kube import Kube, Object
from collector.cli.client import Client, RefusedError, UnreachableError
from collector.cli.passage import PORT, SERVICE
from collector.discovery.cluster.rights import RIGHTS, Right, Scope

SELECTOR: Final = "app.kubernetes.io/name=netmatrix"
ACCOUNT: Final = "netmatrix-collector"

Items = list[Object] | Missing


class Page(Struct, frozen=True):
    """What the collector says."""

    itself: Object | Missing
    """`/api/v1/self`."""
    agents: Items
    layers: Items
    """The matrix by layer."""


class Installation(Struct, frozen=True):
    """What the API server says."""

    namespace: str
    version: Object | Missing
    may_ask: bool | Missing
    """Whether whoever runs this may ask the collector."""
    deployment: Object | Missing
    daemonset: Object | Missing
    nodes: Items
    namespaces: Items
    pods: Items
    """Those of netmatrix, wherever they are."""
    events: Items
    """Warnings in its namespace."""
    denied: tuple[str, ...] | Missing
    """Rights that the collector uses and does not have."""
    policies: dict[str, Items]
    """NetworkPolicies of its namespace and of each with vantages."""


def page_of(client: Client) -> Page:
    """What a collector says; never raises."""
    return Page(
        itself=_asked(lambda: client.ask("self")),
        agents=_asked(lambda: client.ask("agents")["agents"]),
        layers=_asked(lambda: client.ask("matrix", by="layer")["cells"]),
    )


def installation_of(kube: Kube, namespace: str) -> Installation:
    """What the API server says; raises UnreachableError."""
    own = f"/api/v1/namespaces/{namespace}"
    version = kube.get("/version")
    pods = kube.items("/api/v1/pods", labelSelector=SELECTOR)
    if isinstance(pods, Missing):
        pods = kube.items(f"{own}/pods", labelSelector=SELECTOR)
    spaces = sorted({namespace, *_with_pods(pods)})
    return Installation(
        namespace=namespace,
        version=version,
        may_ask=kube.review(
            "SelfSubjectAccessReview", {"resourceAttributes": _attributes("get", "", "services/proxy", namespace, _DOOR)}
        ),
        deployment=kube.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/netmatrix-collector"),
        daemonset=kube.get(f"/apis/apps/v1/namespaces/{namespace}/daemonsets/netmatrix-agent"),
        nodes=kube.items("/api/v1/nodes"),
        namespaces=kube.items("/api/v1/namespaces"),
        pods=pods,
        events=kube.items(f"{own}/events", fieldSelector="type=Warning"),
        denied=_denied(kube, namespace, spaces),
        policies={one: kube.items(f"/apis/networking.k8s.io/v1/namespaces/{one}/networkpolicies") for one in spaces},
    )


_DOOR: Final = f"http:{SERVICE}:{PORT}"


def _asked(ask: Callable[[], Any]) -> Any:  # noqa: ANN401 - as the collector answers
    try:
        return ask()
    except (RefusedError, UnreachableError) as error:
        return Missing(str(error))


def _with_pods(pods: Items) -> set[str]:
    return set() if isinstance(pods, Missing) else {pod["metadata"]["namespace"] for pod in pods}


def asks(namespace: Object) -> bool:
    """Whether a namespace asks for vantages."""
    return (namespace["metadata"].get("labels") or {}).get("netmatrix.io/vantage") == "true"


def _denied(kube: Kube, namespace: str, spaces: list[str]) -> tuple[str, ...] | Missing:
    """Which rights the collector lacks, each as `list nodes` or `get configmaps/netmatrix-ca in team-a`."""
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    who = {"user": f"system:serviceaccount:{namespace}:{ACCOUNT}", "groups": groups}
    denied = []
    for right in RIGHTS:
        for where in _where(right, namespace, spaces):
            for verb in right.verbs:
                for name in right.names or ("",):
                    attributes = _attributes(verb, right.group, right.resource, where, name)
                    allowed = kube.review("SubjectAccessReview", {**who, "resourceAttributes": attributes})
                    if isinstance(allowed, Missing):
                        return allowed
                    if not allowed:
                        denied.append(f"{verb} {right.resource}{f'/{name}' if name else ''}{f' in {where}' if where else ''}")
    return tuple(denied)


def _where(right: Right, namespace: str, spaces: list[str]) -> list[str]:
    return {Scope.CLUSTER: [""], Scope.OWN: [namespace], Scope.VANTAGES: spaces}[right.scope]


def _attributes(verb: str, group: str, resource: str, namespace: str, name: str) -> Object:
    plural, _, sub = resource.partition("/")
    return {
        "verb": verb,
        "group": group,
        "resource": plural,
        **({"subresource": sub} if sub else {}),
        **({"namespace": namespace} if namespace else {}),
        **({"name": name} if name else {}),
    }
