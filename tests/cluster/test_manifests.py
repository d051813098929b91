"""A real API server takes everything under manifests/, lets its pods in and gives its accounts the rights that they use."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from collector.discovery.cluster.rights import RIGHTS, Right, Scope
from tests.cluster import tokens
from tests.cluster.api import Object
from tests.cluster.kubectl import Kubectl
from tests.cluster.kubelet import Kubelet, is_ready, node
from tests.cluster.plane import Plane, eventually

MANIFESTS = Path(__file__).parents[2] / "manifests"
OVERLAYS = sorted((MANIFESTS / "overlays").iterdir())
SPACE = "netmatrix"
TEAM = "team"
NODES = ("m1", "m2", "m3")
COLLECTOR = f"system:serviceaccount:{SPACE}:netmatrix-collector"
AGENTS = {f"system:serviceaccount:{SPACE}:netmatrix-agent": SPACE, f"system:serviceaccount:{TEAM}:netmatrix-vantage": TEAM}
OPERATOR_KINDS = {"PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules", "ServiceMonitor": "servicemonitors"}
UPDATED = ("updatedNumberScheduled", "updatedReplicas")
LABELLED = "app.kubernetes.io/part-of=netmatrix"


@pytest.fixture(scope="module")
def installed(own_plane: Plane) -> Iterator[Kubectl]:
    """install.yaml, and a vantage in a namespace that is as restricted as can be, on three nodes."""
    api = own_plane.api
    for number, name in enumerate(NODES, 1):
        api.create("/api/v1/nodes", node(name, [f"192.0.2.{number}"], zone=f"z{number % 2}"))
    kubectl = Kubectl(own_plane)
    restricted = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "audit", "warn")}
    api.apply(f"/api/v1/namespaces/{TEAM}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"labels": restricted}})
    kubectl.apply(MANIFESTS / "install.yaml")
    kubectl.run("apply", "--server-side", "-n", TEAM, "-k", str(MANIFESTS / "components" / "vantage"))
    with Kubelet(own_plane.client()).playing():
        yield kubectl


def pods(plane: Plane, namespace: str, component: str) -> list[Object]:
    """The pods of a component that run and are not about to end."""
    found = plane.api.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=f"app.kubernetes.io/component={component}")
    return [pod for pod in found if is_ready(pod) and "deletionTimestamp" not in pod["metadata"]]


def is_whole(plane: Plane) -> bool:
    """Whether there is an agent on each node and a collector, all of the latest specification."""
    agents, collectors = pods(plane, SPACE, "agent"), pods(plane, SPACE, "collector")
    workloads = [
        plane.api.get(f"/apis/apps/v1/namespaces/{SPACE}/{name}")
        for name in ("daemonsets/netmatrix-agent", "deployments/netmatrix-collector")
    ]
    seen = all(found["status"].get("observedGeneration") == found["metadata"]["generation"] for found in workloads)
    settled = [found["status"].get(key) for found, key in zip(workloads, UPDATED, strict=True)] == [len(NODES), 1]
    return seen and settled and {pod["spec"]["nodeName"] for pod in agents} == set(NODES) and len(collectors) == 1


@pytest.mark.usefixtures("installed")
def test_installing_runs_an_agent_on_every_node_a_collector_and_the_vantage_under_restricted_pod_security(
    own_plane: Plane,
) -> None:
    eventually(partial(is_whole, own_plane), what="agents on each node and a collector")
    (vantage,) = eventually(lambda: pods(own_plane, TEAM, "vantage"), what="the vantage")
    assert vantage["metadata"]["name"] == "netmatrix-vantage-0"
    enforced = own_plane.api.get(f"/api/v1/namespaces/{SPACE}")["metadata"]["labels"]
    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"


def test_installing_again_changes_nothing(own_plane: Plane, installed: Kubectl) -> None:
    eventually(partial(is_whole, own_plane))

    def versions() -> dict[str, str]:
        kinds = "configmaps,secrets,services,serviceaccounts,roles,rolebindings,networkpolicies"
        found = installed.objects(kinds, "-n", SPACE) + installed.objects("clusterroles,clusterrolebindings", "-l", LABELLED)
        return {f"{item['kind']}/{item['metadata']['name']}": item["metadata"]["resourceVersion"] for item in found}

    before = versions()
    installed.apply(MANIFESTS / "install.yaml")
    assert versions() == before


def test_the_collector_has_every_right_that_it_uses(own_plane: Plane, installed: Kubectl) -> None:
    assert installed
    missing = [
        f"{verb} {right.resource} in {namespace or 'all namespaces'}"
        for right in RIGHTS
        for verb in right.verbs
        for namespace in where(right)
        for name in right.names or ("",)
        if not may(own_plane, right, verb, namespace=namespace, name=name)
    ]
    assert missing == []


def where(right: Right) -> tuple[str, ...]:
    match right.scope:
        case Scope.CLUSTER:
            return ("",)
        case Scope.OWN:
            return (SPACE,)
        case Scope.VANTAGES:
            return (SPACE, TEAM)


def may(plane: Plane, right: Right, verb: str, *, namespace: str, name: str) -> bool:
    """What the API server's authorizers say of the collector."""
    asked = {"group": right.group, "resource": right.resource, "verb": verb, "namespace": namespace, "name": name}
    body: Object = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": COLLECTOR, "groups": ["system:serviceaccounts", "system:authenticated"], "resourceAttributes": asked},
    }
    answer = plane.api.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    return bool(answer["status"]["allowed"])


@pytest.mark.usefixtures("installed")
def test_the_collector_may_change_nothing_but_its_own(own_plane: Plane) -> None:
    forbidden = (
        (Right("", "secrets", ("list",), Scope.CLUSTER, ""), SPACE, ""),
        (Right("", "secrets", ("get",), Scope.CLUSTER, ""), "kube-system", "netmatrix-authority"),
        (Right("", "pods", ("delete", "create", "patch"), Scope.CLUSTER, ""), SPACE, ""),
        (Right("", "pods/exec", ("create",), Scope.CLUSTER, ""), SPACE, ""),
        (Right("", "nodes", ("patch", "delete"), Scope.CLUSTER, ""), "", ""),
        (Right("", "configmaps", ("patch",), Scope.CLUSTER, ""), TEAM, "something-else"),
        (Right("apps", "daemonsets", ("patch",), Scope.CLUSTER, ""), SPACE, "netmatrix-agent"),
    )
    allowed = [
        f"{verb} {right.resource} {name} in {namespace}"
        for right, namespace, name in forbidden
        for verb in right.verbs
        if may(own_plane, right, verb, namespace=namespace, name=name)
    ]
    assert allowed == []


@pytest.mark.usefixtures("installed")
def test_agents_and_vantages_have_no_more_rights_than_any_account(own_plane: Plane) -> None:
    own_plane.api.apply(f"/api/v1/namespaces/{TEAM}/serviceaccounts/nobody", {"apiVersion": "v1", "kind": "ServiceAccount"})

    def rules(namespace: str, account: str) -> list[str]:
        client = own_plane.client(token=tokens.token(own_plane.api, namespace, account))
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectRulesReview",
            "spec": {"namespace": namespace},
        }
        status = client.create("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body)["status"]
        return sorted(json.dumps(rule) for rule in (*status["resourceRules"], *status["nonResourceRules"]))

    nobody = rules(TEAM, "nobody")
    for user, namespace in AGENTS.items():
        assert rules(namespace, user.rpartition(":")[2]) == nobody


@pytest.fixture(scope="module")
def _operator(own_plane: Plane) -> None:
    """The kinds of the Prometheus operator, with any content; and the namespace that kube-prometheus has."""
    own_plane.api.apply("/api/v1/namespaces/monitoring", {"apiVersion": "v1", "kind": "Namespace"})
    group = "monitoring.coreos.com"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    for kind, plural in OPERATOR_KINDS.items():
        version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
        own_plane.api.apply(
            f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{group}",
            {
                "apiVersion": "apiextensions.k8s.io/v1",
                "kind": "CustomResourceDefinition",
                "spec": {
                    "group": group,
                    "scope": "Namespaced",
                    "names": {"plural": plural, "kind": kind, "singular": kind.lower()},
                    "versions": [version],
                },
            },
        )

    def served() -> bool:
        return plural_names(own_plane) >= set(OPERATOR_KINDS.values())

    eventually(served, what="the kinds of the operator")


def plural_names(plane: Plane) -> set[str]:
    found = plane.api.items("/apis/apiextensions.k8s.io/v1/customresourcedefinitions")
    return {
        item["spec"]["names"]["plural"]
        for item in found
        if any(
            one["type"] == "Established" and one["status"] == "True" for one in item.get("status", {}).get("conditions") or ()
        )
    }


@pytest.mark.usefixtures("_operator")
@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda overlay: overlay.name)
def test_an_overlay_is_taken_in_place_of_what_was_installed_and_rolls_out(
    overlay: Path, own_plane: Plane, installed: Kubectl
) -> None:
    installed.apply(overlay)
    eventually(partial(is_whole, own_plane), what=f"{overlay.name} rolled out")


def test_agents_in_the_nodes_own_network_are_let_into_a_namespace_of_their_own(own_plane: Plane, installed: Kubectl) -> None:
    installed.apply(MANIFESTS / "components" / "host-network")

    def there() -> bool:
        found = [pod for pod in pods(own_plane, "netmatrix-host", "vantage") if pod["spec"]["hostNetwork"]]
        return {pod["status"]["podIP"] for pod in found} == {f"192.0.2.{number}" for number in range(1, len(NODES) + 1)}

    eventually(there, what="an agent in the network of each node")


def test_the_canary_runs_beside_the_agent_of_every_node_under_the_policy_that_closes_it(
    own_plane: Plane, installed: Kubectl
) -> None:
    installed.apply(MANIFESTS / "components" / "canary")

    def there() -> bool:
        return {pod["spec"]["nodeName"] for pod in pods(own_plane, SPACE, "canary")} == set(NODES)

    eventually(there, what="a canary on each node")
    (policy,) = (one for one in installed.objects("networkpolicies", "-n", SPACE) if one["metadata"]["name"].endswith("canary"))
    assert policy["spec"]["ingress"] == [{"ports": [{"port": "open", "protocol": "TCP"}]}]


def test_removing_it_leaves_nothing_of_it(own_plane: Plane, installed: Kubectl) -> None:
    installed.run("delete", "--ignore-not-found", "--wait=false", "-f", str(MANIFESTS / "install.yaml"))
    left = "clusterroles,clusterrolebindings,priorityclasses"
    eventually(
        lambda: not own_plane.api.items("/api/v1/namespaces", fieldSelector=f"metadata.name={SPACE}"),
        what="the namespace's end",
    )
    assert [item["metadata"]["name"] for item in installed.objects(left) if "netmatrix" in item["metadata"]["name"]] == []
