"""A live cluster of the tests does with pods and Services what nodes do: that is what the journeys stand on."""

import json
import os
import socket
from collections.abc import Iterator
from functools import partial

import pytest

from lab.namespaces import call_inside
from lab.roles import Role
from lab.shape import Shape
from tests.cluster.api import Object
from tests.cluster.kubelet import is_ready
from tests.cluster.live import LiveCluster, live
from tests.cluster.machines import fetch
from tests.cluster.plane import Plane, eventually
from tests.cluster.tokens import claims
from tests.conftest import what_the_lab_lacks

BACKEND_PORT = 8080
NO_CAPABILITY = "CapEff:\t0000000000000000"
SCRIPT = """
echo "node $NODE"; echo "greeting $GREETING"; id -g; grep CapEff /proc/self/status; touch /etc/mark /mark; cat /etc/resolv.conf
cat /var/run/own/greeting; while sleep 0.1; do cat /var/run/own/later 2>/dev/null; done
"""


@pytest.fixture(scope="module")
def cluster(own_plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveCluster]:
    """Two nodes with a place for an agent on each, and two places for backends in the namespace shop."""
    if why := what_the_lab_lacks():
        pytest.skip(why)
    shape = Shape(nodes=2, zones=1, namespaces=("shop",))
    with live(own_plane, shape, f"live{os.getpid()}", tmp_path_factory.mktemp("pods")) as cluster:
        for name in ("shop", "netmatrix"):
            own_plane.api.apply(f"/api/v1/namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace"})
            eventually(partial(own_plane.api.items, f"/api/v1/namespaces/{name}/serviceaccounts"))
        yield cluster


def test_a_service_reaches_its_ready_pods_from_every_node_and_is_refused_without_any(
    own_plane: Plane, cluster: LiveCluster
) -> None:
    labels = {"app": "web"}
    own_plane.api.create(
        "/apis/apps/v1/namespaces/shop/deployments",
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 2,
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "terminationGracePeriodSeconds": 1,
                        "containers": [{"name": "web", "image": "example.test/lab:1"}],
                    },
                },
            },
        },
    )
    service = own_plane.api.create(
        "/api/v1/namespaces/shop/services",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {
                "selector": labels,
                "ipFamilyPolicy": "RequireDualStack",
                "ports": [{"port": 80, "targetPort": BACKEND_PORT}],
            },
        },
    )
    callers = [pod.netns for pod in cluster.lab.topology.pods if pod.role in {Role.AGENT, Role.BACKEND}]

    def answering() -> set[str]:
        """Names of backends that answer somebody."""
        found = set()
        for address in service["spec"]["clusterIPs"]:
            for netns in callers:
                try:
                    found.add(fetch(netns, address, 80, "/")[1].split()[0].decode())
                except OSError as error:  # nowhere, until the nodes have heard of the service
                    found.add("refused" if isinstance(error, ConnectionRefusedError) else "nowhere")
        return found

    eventually(lambda: answering() == {"web-0.shop", "web-1.shop"}, what="answers of two backends and of nobody else")
    own_plane.api.merge("/apis/apps/v1/namespaces/shop/deployments/web", {"spec": {"replicas": 0}})
    eventually(lambda: answering() == {"refused"}, what="a refusal, since there is no endpoint")


def test_pods_reach_the_api_server_at_its_address_in_the_cluster(own_plane: Plane, cluster: LiveCluster) -> None:
    context = own_plane.credentials.context()

    def version() -> Object:
        with (
            socket.create_connection(("10.96.0.1", 443), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="kubernetes.default.svc") as connection,
        ):
            connection.sendall(b"GET /version HTTP/1.0\r\n\r\n")
            content = b"".join(iter(lambda: connection.recv(65536), b""))
        found: Object = json.loads(content.partition(b"\r\n\r\n")[2])
        return found

    agent = cluster.lab.topology.agent_on("n2")
    assert eventually(lambda: call_inside(agent.netns, version))["gitVersion"] == own_plane.api.get("/version")["gitVersion"]


def test_a_container_has_what_its_specification_says_and_no_rights(own_plane: Plane, cluster: LiveCluster) -> None:
    space = "/api/v1/namespaces/netmatrix"
    own_plane.api.create(
        f"{space}/configmaps",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "own"}, "data": {"greeting": "hello\n"}},
    )
    sources = [
        {"serviceAccountToken": {"path": "token", "audience": "somebody", "expirationSeconds": 600}},
        {"configMap": {"name": "own"}},
        {"configMap": {"name": "absent", "optional": True}},
    ]
    own_plane.api.create(
        f"{space}/pods",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "one", "labels": {"app.kubernetes.io/component": "agent"}},
            "spec": {
                "nodeName": "n2",
                "terminationGracePeriodSeconds": 1,
                "volumes": [{"name": "own", "projected": {"sources": sources}}],
                "containers": [
                    {
                        "name": "main",
                        "image": "example.test/none:1",
                        "command": ["sh", "-c", SCRIPT],
                        "env": [
                            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
                            {"name": "GREETING", "value": "to $(NODE)"},
                        ],
                        "volumeMounts": [{"name": "own", "mountPath": "/var/run/own"}],
                    }
                ],
            },
        },
    )

    def lines() -> list[str]:
        return cluster.machines.log(cluster.machines.tenant("n2")).splitlines()

    eventually(lambda: is_ready(own_plane.api.get(f"{space}/pods/one")))
    said = eventually(lambda: lines() if "hello" in lines() else [], what="what the container prints")
    assert said[:4] == ["node n2", "greeting to n2", "65532", NO_CAPABILITY]
    assert sum("Read-only file system" in line or "Permission denied" in line for line in said) == 2
    assert f"nameserver {cluster.machines.name_server}" in said
    assert "search netmatrix.svc.cluster.local svc.cluster.local cluster.local" in said
    tenant = cluster.machines.tenant("n2")
    token = claims((tenant.folder / "volumes" / "own" / "token").read_text())
    assert token["aud"] == ["somebody"]
    assert token["kubernetes.io"]["pod"]["uid"] == tenant.pod["metadata"]["uid"]
    own_plane.api.merge(f"{space}/configmaps/own", {"data": {"later": "it changed\n"}})
    eventually(lambda: "it changed" in lines(), what="the change of a mounted ConfigMap")
    own_plane.api.delete(f"{space}/pods/one")
    eventually(lambda: not own_plane.api.items(f"{space}/pods"), what="the end of the pod")
