"""An installation by `kubectl apply` measures, and goes on measuring the truth whatever happens to the control plane.

The API server, its controllers and kubectl are real, and so are the collector with the rights of its manifest, the agents with
their tokens, and every packet.
"""

import base64
import os
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network

import pytest

from lab import namespaces
from lab.faults import Blackhole
from lab.shape import Shape
from tests.cluster import tokens
from tests.cluster.api import Object
from tests.cluster.installation import SPACE, TEAM, becomes_well, cells, install, shown, silent
from tests.cluster.kubectl import Kubectl
from tests.cluster.kubelet import is_ready, path_of
from tests.cluster.live import LiveCluster, live
from tests.cluster.plane import SERVICE_NETWORKS, Plane, eventually
from tests.conftest import what_the_lab_lacks

pytestmark = pytest.mark.timeout(300)
NODES = ("n1", "n2", "n3")
VANTAGE = f"{TEAM}/netmatrix-vantage-0"
REST_SECONDS = 10.0
BACK_OFF_SECONDS = 150.0
"""More than the longest pause of the collector between two attempts to follow the cluster."""
SHORT_WORD = 15
"""A word as long as this is in no text by chance; lines of a key are longer."""
BINDING = "netmatrix-collector"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture(scope="module")
def everything(own_plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveCluster, Kubectl]]:
    if why := what_the_lab_lacks():
        pytest.skip(why)
    shape = Shape(nodes=len(NODES), zones=2, namespaces=(TEAM,))
    with live(own_plane, shape, f"jour{os.getpid()}", tmp_path_factory.mktemp("pods")) as cluster:
        yield cluster, install(cluster)


@pytest.fixture
def cluster(everything: tuple[LiveCluster, Kubectl]) -> LiveCluster:
    """With netmatrix installed, and every path of it well."""
    becomes_well(everything[0])
    return everything[0]


@pytest.fixture
def kubectl(everything: tuple[LiveCluster, Kubectl]) -> Kubectl:
    return everything[1]


def agent_on(plane: Plane, node: str) -> Object:
    """The agent's pod on a node that is not about to end; raises ValueError where there is none."""
    found = plane.api.items(f"/api/v1/namespaces/{SPACE}/pods", labelSelector="app.kubernetes.io/component=agent")
    (pod,) = (pod for pod in found if pod["spec"]["nodeName"] == node and "deletionTimestamp" not in pod["metadata"])
    return pod


def sent(cluster: LiveCluster) -> dict[str, int]:
    """Probes since the collector began of the paths that have one every second."""
    return {cell["path"]: cell["sent"] for cell in cluster.ask("/api/v1/matrix?totals=true&layer=pod&kind=udp")["cells"]}


def test_the_matrix_has_every_pair_and_layer_and_nothing_is_lost(cluster: LiveCluster) -> None:
    becomes_well(cluster, also=lambda: vantages(cluster) == {*NODES, VANTAGE} and "web" in services_of(cluster))
    found = cells(cluster)
    pods = {
        (cell["from"]["vantage"], cell["to"]["node"], cell["kind"], cell["family"])
        for cell in found
        if cell["layer"] == "pod" and cell["to"]["namespace"] == SPACE
    }
    wanted = {
        (one, other, kind, family)
        for one in NODES
        for other in NODES
        if one != other
        for kind in ("icmp", "udp", "tcp")
        for family in ("ipv4", "ipv6")
    }
    assert wanted <= pods
    services = {cell["to"]["service"] for cell in found if cell["layer"] == "service"}
    assert {"netmatrix-echo", "kubernetes", "web"} <= services
    assert {"pod", "host", "service", "dns"} <= {cell["layer"] for cell in found}
    networks = [ip_network(network) for network in SERVICE_NETWORKS]
    pinged = {cell["to"]["address"] for cell in found if cell["kind"] == "icmp"}
    assert not [address for address in pinged if any(ip_address(address) in network for network in networks)]


def test_at_rest_the_collector_lists_nothing_and_asks_seldom_and_agents_ask_nothing_ever(cluster: LiveCluster) -> None:
    def of_collector() -> list[Object]:
        return cluster.plane.asked(f"{SPACE}:netmatrix-collector")

    assert of_collector(), "it is written down"

    def rests() -> bool:
        """Whether nothing is listed in a while: kinds that need not exist are asked for again, and are not there."""
        before = len(of_collector())
        time.sleep(REST_SECONDS)
        after = of_collector()[before:]
        lists = [one["requestURI"] for one in after if one["verb"] == "list" and one["responseStatus"]["code"] == 200]
        return not lists and len(after) <= REST_SECONDS

    eventually(rests, patience=120, what="no list and at most a request a second")
    assert cluster.plane.asked(f"{SPACE}:netmatrix-agent", f"{TEAM}:netmatrix-vantage") == []


def test_whoever_may_have_tokens_of_the_operators_account_has_paths_probed_now(
    own_plane: Plane, cluster: LiveCluster, kubectl: Kubectl
) -> None:
    words = ("create", "token", "netmatrix-operator", f"--namespace={SPACE}", f"--audience={tokens.AUDIENCE}", "--duration=10m")
    asked = {"token": kubectl.run(*words).strip(), "from": "n2", "to": "n3", "layer": "pod", "count": 3}
    status, answer = cluster.post("/api/v1/actions/probe", asked)
    assert status == 200, answer
    assert {(path["state"], path["sent"]) for path in answer["paths"]} == {("answered", 3)}
    assert {(path["kind"], path["family"]) for path in answer["paths"]} == {
        (kind, family) for kind in ("icmp", "udp", "tcp") for family in ("ipv4", "ipv6")
    }
    agent = tokens.token_for_pod(own_plane.api, agent_on(own_plane, "n2"))
    assert cluster.post("/api/v1/actions/probe", asked | {"token": agent})[0] == 403
    assert cluster.post("/api/v1/actions/probe", {"from": "n2", "to": "n3"})[0] == 401
    assert cluster.figures("netmatrix_operator_reviews_total")['{outcome="valid"}'] == 2


def test_a_fault_between_two_nodes_is_seen_there_and_nowhere_else(cluster: LiveCluster) -> None:
    cluster.lab._apply(Blackhole(from_="n2", to="n3"))  # neither is the collector's node

    def struck() -> set[tuple[str, str]]:
        return {
            (cell["from"]["node"], cell["to"]["node"])
            for cell in cells(cluster, "&layer=pod")
            if cell["kind"] == "udp" and cell["loss"] and cell["loss"] > 0.9
        }

    try:
        # What n2 sends is lost, and so are its answers to n3.
        eventually(lambda: {("n2", "n3"), ("n3", "n2")} <= struck(), patience=20, what="the loss between n2 and n3")
        others = [cell for cell in cells(cluster, "&layer=pod") if {cell["from"]["node"], cell["to"]["node"]} != {"n2", "n3"}]
        assert [shown(cell) for cell in others if cell["loss"]] == []
    finally:
        cluster.lab._clear(None)
    becomes_well(cluster)


def goes_on(cluster: LiveCluster, *, seconds: float) -> None:
    """After a while nothing is lost or silent, and everywhere more is measured.

    What fails with the control plane stays failed for as long as that is away. What comes and goes is the machine's, on which
    all nodes are.
    """
    before = sent(cluster)
    time.sleep(seconds)
    becomes_well(cluster)
    after = sent(cluster)
    assert [path for path in before if after[path] <= before[path]] == []


def test_survive_13_without_an_api_server_everything_goes_on_and_only_an_age_grows(cluster: LiveCluster) -> None:
    with cluster.plane.without_api_server():
        goes_on(cluster, seconds=8)
        assert max(cluster.figures("netmatrix_kube_sync_age_seconds").values()) > 5
        assert cluster.text("/readyz")
    looks_again(cluster)
    goes_on(cluster, seconds=2)


def test_survive_15_an_api_server_that_stands_still_changes_nothing(cluster: LiveCluster) -> None:
    with cluster.plane.paused_api_server():
        goes_on(cluster, seconds=8)
    goes_on(cluster, seconds=2)


def test_survive_14_a_history_that_is_gone_costs_no_cell_and_no_news(cluster: LiveCluster) -> None:
    plane = cluster.plane
    plane.forget_history()
    goes_on(cluster, seconds=3)
    service = f"/api/v1/namespaces/{TEAM}/services/web"
    plane.api.merge(service, {"metadata": {"annotations": {"netmatrix.io/probe": None}}})
    eventually(lambda: "web" not in services_of(cluster), patience=BACK_OFF_SECONDS, what="the service to leave")
    plane.api.merge(service, {"metadata": {"annotations": {"netmatrix.io/probe": "http:/"}}})
    eventually(lambda: "web" in services_of(cluster), what="the service to come back")


def vantages(cluster: LiveCluster) -> set[str]:
    return {agent["vantage"] for agent in cluster.ask("/api/v1/agents")["agents"]}


def looks_again(cluster: LiveCluster) -> None:
    """Wait until the collector has heard of every kind of object since now."""
    began = time.monotonic()
    eventually(
        lambda: max(cluster.figures("netmatrix_kube_sync_age_seconds").values()) < time.monotonic() - began - 1,
        patience=BACK_OFF_SECONDS,
        what="a look at the cluster since then",
    )


def services_of(cluster: LiveCluster) -> set[str]:
    return {cell["to"]["service"] for cell in cells(cluster, "&layer=service") if cell["state"] != "unsampled"}


def test_rights_that_are_revoked_leave_the_last_plan_in_force_until_they_are_back(cluster: LiveCluster) -> None:
    plane = cluster.plane
    binding = plane.api.get(f"{RBAC}/clusterrolebindings/{BINDING}")
    plane.api.delete(f"{RBAC}/clusterrolebindings/{BINDING}")
    plane.restart_api_server()  # the watches end, and new ones are refused
    goes_on(cluster, seconds=6)
    plane.api.apply(f"{RBAC}/clusterrolebindings/{BINDING}", {key: binding[key] for key in ("roleRef", "subjects")} | KIND)
    looks_again(cluster)
    goes_on(cluster, seconds=2)


KIND = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding"}


def is_silence_of_n1(cluster: LiveCluster) -> bool:
    """Whether n1 is silent, nobody else, and that is unknown and no loss."""
    return silent(cluster) == ["n1 is silent"] and not [cell for cell in cells(cluster, "&layer=pod") if cell["loss"]]


@pytest.mark.parametrize("how", ["of another pod", "expired", "of another audience", "torn"])
def test_survive_47_a_token_that_does_not_count_silences_its_agent_alone_until_it_is_right_again(
    how: str, cluster: LiveCluster
) -> None:
    tenant = cluster.machines.tenant("n1")
    file = tenant.folder / "volumes" / "identity" / "token"
    right = file.read_text()
    wrong = {
        "of another pod": tokens.token_for_pod(cluster.plane.api, agent_on(cluster.plane, "n2")),
        "expired": tokens.signed_again(right, cluster.plane.credentials.signing_key, exp=tokens.claims(right)["iat"] - 300),
        "of another audience": tokens.token_for_pod(cluster.plane.api, tenant.pod, audience="somebody-else"),
        "torn": right[: len(right) // 2],
    }[how]
    file.write_text(wrong)
    eventually(lambda: is_silence_of_n1(cluster), what="n1 to be silent, and nobody else, and nothing to be lost for it")
    file.write_text(right)
    becomes_well(cluster)


def test_survive_64_an_agent_whose_token_is_empty_or_away_runs_on_and_reports_again_when_there_is_one(
    cluster: LiveCluster,
) -> None:
    tenant = cluster.machines.tenant("n1")
    file = tenant.folder / "volumes" / "identity" / "token"
    right, before = file.read_text(), namespaces.processes([tenant.place.netns])
    file.write_text("")
    eventually(lambda: is_silence_of_n1(cluster), what="n1 to be silent, and nobody else, and nothing to be lost for it")
    file.unlink()  # its node mounts another one
    becomes_well(cluster)
    assert file.read_text() != right
    assert namespaces.processes([tenant.place.netns]) == before


def test_survive_62_nothing_that_the_operators_port_says_has_a_secret_in_it(cluster: LiveCluster) -> None:
    kept = cluster.plane.api.get(f"/api/v1/namespaces/{SPACE}/secrets/netmatrix-authority")["data"]
    words = {word for text in kept.values() for word in base64.b64decode(text).decode().split() if len(word) > SHORT_WORD}
    words -= set(base64.b64decode(kept.get("ca.crt", "")).decode().split())
    words |= {(cluster.machines.tenant(name).folder / "volumes" / "identity" / "token").read_text() for name in NODES}
    assert len(words) > len(NODES)
    for page in ("/metrics", "/api/v1/self", "/api/v1/plan", "/api/v1/plan?vantage=n1", "/api/v1/matrix", "/api/v1/agents"):
        text = cluster.text(page)
        assert [page for word in words if word in text] == []


def test_survive_18_an_agents_pod_that_is_replaced_at_the_same_address_keeps_its_row(cluster: LiveCluster) -> None:
    plane = cluster.plane
    old = agent_on(plane, "n2")
    plane.api.delete(path_of(old))

    def replaced() -> bool:
        found = plane.api.items(f"/api/v1/namespaces/{SPACE}/pods", labelSelector="app.kubernetes.io/component=agent")
        here = [pod for pod in found if pod["spec"].get("nodeName") == "n2" and is_ready(pod)]
        return [pod["metadata"]["uid"] for pod in here] not in ([], [old["metadata"]["uid"]])

    eventually(replaced, what="another pod on n2")
    assert agent_on(plane, "n2")["status"]["podIPs"] == old["status"]["podIPs"]
    becomes_well(cluster)
    assert vantages(cluster) == {*NODES, VANTAGE}


def excluded_at(cluster: LiveCluster) -> set[str]:
    """Nodes that have an end in a cell that is excluded since a node is cordoned."""
    return {
        cell[end]["node"]
        for cell in cells(cluster, "&layer=pod")
        if cell["state"] == "excluded" and cell["because"].split("; ")[0].endswith("its node is cordoned")
        for end in ("from", "to")
    }


def test_survive_19_a_cordoned_node_is_measured_on_and_excluded_for_that_reason(cluster: LiveCluster, kubectl: Kubectl) -> None:
    kubectl.run("cordon", "n3")
    try:
        eventually(lambda: excluded_at(cluster) == set(NODES), what="the cells from and to n3 to be excluded")
        goes_on(cluster, seconds=4)
        beside = [cell for cell in cells(cluster) if "n3" not in {cell["from"]["node"], cell["to"]["node"]}]
        assert [shown(cell) for cell in beside if cell["state"] == "excluded"] == []
    finally:
        kubectl.run("uncordon", "n3")
    eventually(lambda: not excluded_at(cluster), what="the cells to be measured again")


def test_survive_19_and_23_a_node_that_is_gone_leaves_the_matrix_and_comes_back_under_its_name(
    cluster: LiveCluster, kubectl: Kubectl
) -> None:
    plane = cluster.plane
    kubectl.run("drain", "n3", "--ignore-daemonsets", "--force", "--delete-emptydir-data", "--timeout=60s")
    plane.api.delete("/api/v1/nodes/n3")
    plane.api.delete(path_of(agent_on(plane, "n3")), grace=0)
    eventually(lambda: "n3" not in nodes_of(cluster), what="n3 to leave the matrix")
    left = [cell for cell in cells(cluster, "&layer=pod") if cell["loss"] and cell["state"] == "measured"]
    assert [shown(cell) for cell in left if "n3" not in {cell["from"]["node"], cell["to"]["node"]}] == []
    plane.api.create("/api/v1/nodes", cluster.node("n3"))
    becomes_well(cluster)


def nodes_of(cluster: LiveCluster) -> set[str]:
    return {cell["to"]["node"] for cell in cells(cluster) if cell["layer"] in {"pod", "host"} and cell["state"] != "unsampled"}


def test_survive_20_a_roll_of_all_agents_ends_with_a_whole_matrix(cluster: LiveCluster, kubectl: Kubectl) -> None:
    kubectl.run("rollout", "restart", "daemonset/netmatrix-agent", "-n", SPACE)
    kubectl.run("rollout", "status", "daemonset/netmatrix-agent", "-n", SPACE, "--timeout=110s")
    becomes_well(cluster)


def test_survive_1_agents_go_on_over_a_collector_that_is_replaced(cluster: LiveCluster, kubectl: Kubectl) -> None:
    before = cluster.ask("/api/v1/plan")["instance"]
    kubectl.run("rollout", "restart", "deployment/netmatrix-collector", "-n", SPACE)
    kubectl.run("rollout", "status", "deployment/netmatrix-collector", "-n", SPACE, "--timeout=110s")
    becomes_well(cluster)
    assert cluster.ask("/api/v1/plan")["instance"] > before
