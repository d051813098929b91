"""The control plane of the tests is real: it refuses, forgets, restarts and looks after workloads as one in a cluster does."""

import http.client
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cluster import tokens
from tests.cluster.api import Api, Object, RefusedError
from tests.cluster.kubectl import Kubectl
from tests.cluster.kubelet import Kubelet, is_ready, node, path_of
from tests.cluster.plane import ADMINISTRATOR, Plane, eventually
from tests.cluster.workloads import daemon_set, service

SPACE = "plane-itself"
ONLY_HERE = {"pool": SPACE}
NODES = ("plane-1", "plane-2")
TWO_FAMILIES = 2
LEEWAY_SECONDS = 120
"""Longer than the minute by which the API server lets clocks differ."""


@pytest.fixture
def space(plane: Plane) -> Iterator[str]:
    """A namespace with a ServiceAccount, and two nodes; nodes and workloads go with the test."""
    plane.api.apply(f"/api/v1/namespaces/{SPACE}", {"apiVersion": "v1", "kind": "Namespace"})
    for number, name in enumerate(NODES, 1):
        plane.api.create("/api/v1/nodes", node(name, [f"192.0.2.{number}"], zone="z1", labels=ONLY_HERE))
    eventually(lambda: plane.api.items(f"/api/v1/namespaces/{SPACE}/serviceaccounts"), what="the default ServiceAccount")
    yield SPACE
    for kind in ("daemonsets", "deployments"):
        plane.api.delete(f"/apis/apps/v1/namespaces/{SPACE}/{kind}")
    kubelet = Kubelet(plane.api, frozenset({SPACE}))
    eventually(lambda: not kubelet.play() and not pods(plane.api), what="the end of all pods")
    for name in NODES:
        plane.api.delete(f"/api/v1/nodes/{name}")


def pods(api: Api) -> list[Object]:
    return api.items(f"/api/v1/namespaces/{SPACE}/pods")


def run_on_both(plane: Plane, name: str = "agent") -> list[Object]:
    """Pods of a DaemonSet, one on each node, ready."""
    plane.api.create(f"/apis/apps/v1/namespaces/{SPACE}/daemonsets", daemon_set(SPACE, name, selector=ONLY_HERE))
    kubelet = Kubelet(plane.api, frozenset({SPACE}))

    def ready() -> list[Object]:
        kubelet.play()
        found = [pod for pod in pods(plane.api) if is_ready(pod)]
        return found if len(found) == len(NODES) else []

    return eventually(ready, what="a ready pod on each node")


def test_its_version_is_the_one_that_the_assets_pin(plane: Plane) -> None:
    pinned = (Path(__file__).parent / "assets" / "go.mod").read_text()
    version = plane.api.get("/version")
    assert f"k8s.io/kubernetes {version['gitVersion']}" in pinned
    assert (version["major"], version["minor"]) == ("1", version["gitVersion"].split(".")[1])


def test_whoever_has_no_right_is_refused_until_it_is_given(plane: Plane, space: str) -> None:
    token = tokens.token(plane.api, space, "default")
    somebody = plane.client(token=token)
    with pytest.raises(RefusedError, match="cannot list") as refused:
        somebody.get("/api/v1/nodes")
    assert (refused.value.status, refused.value.reason) == (http.client.FORBIDDEN, "Forbidden")
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    rule = {"apiGroups": [""], "resources": ["nodes"], "verbs": ["list"]}
    plane.api.apply(
        f"{rbac}/clusterroles/{space}",
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": [rule]},
    )
    plane.api.apply(
        f"{rbac}/clusterrolebindings/{space}",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": space},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": space}],
        },
    )
    eventually(lambda: allowed(somebody, "/api/v1/nodes"), what="the right to list nodes")
    with pytest.raises(RefusedError, match="cannot list resource"):
        somebody.get("/api/v1/pods")
    plane.api.delete(f"{rbac}/clusterrolebindings/{space}")
    eventually(lambda: not allowed(somebody, "/api/v1/nodes"), what="the end of the right to list nodes")


def allowed(api: Api, path: str) -> bool:
    try:
        api.get(path)
    except RefusedError as refused:
        if refused.status != http.client.FORBIDDEN:
            raise
        return False
    return True


def test_nobody_gets_in_without_a_name(plane: Plane) -> None:
    for token, status in (("", http.client.FORBIDDEN), ("wrong", http.client.UNAUTHORIZED)):
        nobody = Api(plane.url, plane.credentials.context(), token=token)
        with closing(nobody), pytest.raises(RefusedError) as refused:
            nobody.get("/api/v1/nodes")
        assert refused.value.status == status


def test_a_token_of_a_pod_is_reviewed_with_the_pod_and_its_node(plane: Plane, space: str) -> None:
    pod = run_on_both(plane)[0]
    token = tokens.token_for_pod(plane.api, pod)
    found = tokens.review(plane.api, token, tokens.AUDIENCE)
    assert found["authenticated"] is True
    assert found["audiences"] == [tokens.AUDIENCE]
    assert found["user"]["username"] == f"system:serviceaccount:{space}:default"
    extra = {key.removeprefix("authentication.kubernetes.io/"): value for key, value in found["user"]["extra"].items()}
    there = plane.api.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")
    assert extra["pod-name"] == [pod["metadata"]["name"]]
    assert extra["pod-uid"] == [pod["metadata"]["uid"]]
    assert extra["node-name"] == [there["metadata"]["name"]]
    assert extra["node-uid"] == [there["metadata"]["uid"]]


def test_a_token_counts_for_its_audience_its_time_and_its_pod_only(plane: Plane, space: str) -> None:
    assert space
    pod = run_on_both(plane)[0]
    token = tokens.token_for_pod(plane.api, pod)
    assert "authenticated" not in tokens.review(plane.api, token, "somebody-else")
    key = plane.credentials.signing_key
    assert tokens.review(plane.api, tokens.signed_again(token, key), tokens.AUDIENCE)["authenticated"] is True
    expired = tokens.signed_again(token, key, exp=tokens.claims(token)["iat"] - LEEWAY_SECONDS)
    assert "expired" in tokens.review(plane.api, expired, tokens.AUDIENCE)["error"]
    plane.api.delete(path_of(pod), grace=0)
    eventually(lambda: "authenticated" not in tokens.review(plane.api, token, tokens.AUDIENCE), what="the end of the token")


def test_a_daemon_set_has_a_pod_on_each_node_and_follows_nodes_that_come_and_go(plane: Plane, space: str) -> None:
    first = run_on_both(plane)
    assert {pod["spec"]["nodeName"] for pod in first} == set(NODES)
    assert all(len(pod["status"]["podIPs"]) == TWO_FAMILIES for pod in first)
    kubelet = Kubelet(plane.api, frozenset({space}))
    plane.api.delete(f"/api/v1/nodes/{NODES[1]}")
    (lost,) = (pod for pod in first if pod["spec"]["nodeName"] == NODES[1])
    plane.api.delete(path_of(lost), grace=0)  # what the garbage collector of pods does after a minute
    assert [pod["spec"]["nodeName"] for pod in pods(plane.api)] == [NODES[0]]
    plane.api.create("/api/v1/nodes", node(NODES[1], ["192.0.2.2"], labels=ONLY_HERE))

    def back() -> list[Object]:
        kubelet.play()
        return [pod for pod in pods(plane.api) if is_ready(pod) and pod["spec"]["nodeName"] == NODES[1]]

    (second,) = eventually(back, what="a pod on the node that is back")
    assert second["metadata"]["uid"] not in {pod["metadata"]["uid"] for pod in first}


def test_a_rollout_replaces_each_pod_and_waits_for_the_kubelet(plane: Plane, space: str) -> None:
    before = {pod["metadata"]["uid"] for pod in run_on_both(plane)}
    change = {"spec": {"template": {"metadata": {"annotations": {"version": "2"}}}}}
    plane.api.merge(f"/apis/apps/v1/namespaces/{space}/daemonsets/agent", change)

    def terminating() -> list[Object]:
        return [pod for pod in pods(plane.api) if "deletionTimestamp" in pod["metadata"]]

    assert len(eventually(terminating, what="a pod that is told to end")) == 1
    kubelet = Kubelet(plane.api, frozenset({space}), ended=lambda _: False)
    kubelet.play()
    assert len(terminating()) == 1  # its container has not ended, so it is still there
    kubelet = Kubelet(plane.api, frozenset({space}))

    def replaced() -> bool:
        kubelet.play()
        found = pods(plane.api)
        return len(found) == len(NODES) and all(is_ready(pod) and pod["metadata"]["uid"] not in before for pod in found)

    assert eventually(replaced, what="two other pods")


def test_endpoints_follow_what_the_kubelet_says(plane: Plane, space: str) -> None:
    plane.api.create(f"/api/v1/namespaces/{space}/services", service(space, "agent", 8620))
    addresses = {entry["ip"] for pod in run_on_both(plane) for entry in pod["status"]["podIPs"]}

    def endpoints() -> set[str]:
        slices = plane.api.items(f"/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices")
        return {
            address
            for found in slices
            for endpoint in found["endpoints"] or []
            if endpoint["conditions"]["ready"]
            for address in endpoint["addresses"]
        }

    assert eventually(lambda: endpoints() == addresses, what="the endpoints of both families")
    plane.api.delete(f"/api/v1/namespaces/{space}/services/agent")


def test_a_page_and_a_watch_of_forgotten_history_are_refused_with_410(plane: Plane, space: str) -> None:
    names = "/api/v1/namespaces"
    page = plane.api.get(names, limit=1)
    assert page["metadata"]["continue"]
    plane.api.merge(f"{names}/{space}", {"metadata": {"annotations": {"changed": "yes"}}})
    assert plane.api.get(names, limit=1, **{"continue": page["metadata"]["continue"]})["items"]
    plane.forget_history()
    with pytest.raises(RefusedError) as refused:
        plane.api.get(names, limit=1, **{"continue": page["metadata"]["continue"]})
    assert (refused.value.status, refused.value.reason) == (http.client.GONE, "Expired")
    events = plane.api.watch(names, resourceVersion=page["metadata"]["resourceVersion"], timeoutSeconds=1)
    assert [(event["type"], event["object"].get("code")) for event in events] == [("ERROR", http.client.GONE)]


def test_it_keeps_its_objects_its_address_and_its_tokens_over_a_restart(plane: Plane, space: str) -> None:
    token, before = tokens.token(plane.api, space, "default"), plane.api_server.pid
    plane.restart_api_server()
    assert plane.api_server.pid != before
    assert {found["metadata"]["name"] for found in plane.api.items("/api/v1/nodes")} >= set(NODES)
    assert tokens.review(plane.api, token)["authenticated"] is True
    assert plane.url.endswith(f":{plane.port}")


def test_while_it_is_away_nobody_answers_and_while_it_stands_still_nobody_says_anything(plane: Plane) -> None:
    with plane.without_api_server(), pytest.raises(ConnectionRefusedError):
        plane.client().get("/version")
    with plane.paused_api_server(), pytest.raises(TimeoutError):
        plane.client(patience=0.5).get("/version")
    assert plane.api.get("/version")


def test_kubectl_is_the_real_one_and_is_whoever_a_file_says(plane: Plane, kubectl: Kubectl, space: str) -> None:
    assert kubectl.objects("namespace", space)[0]["metadata"]["name"] == space
    assert kubectl.run("auth", "whoami", "--output=jsonpath={.status.userInfo.username}") == ADMINISTRATOR
    file = plane.credentials.bearer("somebody", tokens.token(plane.api, space, "default"))
    somebody = Kubectl(plane, file)
    name = somebody.run("auth", "whoami", "--output=jsonpath={.status.userInfo.username}")
    assert name == f"system:serviceaccount:{space}:default"
    with pytest.raises(RuntimeError, match="Forbidden"):
        somebody.run("get", "nodes")


def test_it_leaves_no_process_behind(plane: Plane, tmp_path: Path) -> None:
    with Plane(plane.programs, tmp_path / "another") as other:
        pids = [child.pid for child in (other.etcd, other.api_server, other.controllers)]
        assert other.api.get("/version")
    left = subprocess.run(["ps", "-o", "pid=", "-p", ",".join(map(str, pids))], capture_output=True, text=True, check=False)
    assert left.stdout == ""
