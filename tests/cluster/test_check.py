"""`netmatrix check` looks at a real installation with a real kubectl, and finds what is wrong with it and nothing else."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.cli import main
from lab.roles import OPERATOR_PORT
from lab.shape import Shape
from tests.cluster.at_home import alone, at_home
from tests.cluster.installation import CONFIGURATION, MANIFESTS, SPACE, TEAM, becomes_well, install
from tests.cluster.kubectl import Kubectl
from tests.cluster.kubelet import node
from tests.cluster.live import live
from tests.cluster.plane import Plane, eventually
from tests.cluster.relay import relay_into
from tests.conftest import what_the_lab_lacks

pytestmark = pytest.mark.timeout(300)
Capture = pytest.CaptureFixture[str]
BINDING = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/netmatrix-collector"
DENYING = """
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny}
spec: {podSelector: {}, policyTypes: [Egress]}
"""


@pytest.fixture(scope="module")
def kubectl(own_plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Of an installation that is well, whose collector the API server reaches."""
    if why := what_the_lab_lacks():
        pytest.skip(why)
    shape = Shape(nodes=2, zones=2, namespaces=(TEAM,))
    with alone("check"), live(own_plane, shape, f"chk{os.getpid()}", tmp_path_factory.mktemp("pods")) as cluster:
        kubectl = install(cluster)
        place = cluster.lab.topology.collector
        address = next(address for address in place.addresses.values() if ":" not in address)
        with at_home(address), relay_into(place.netns, address, OPERATOR_PORT):
            becomes_well(cluster)
            yield kubectl


@pytest.fixture
def look(own_plane: Plane, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> "Look":  # noqa: ARG001 - it is installed
    monkeypatch.delenv("NETMATRIX_SERVER", raising=False)
    monkeypatch.setenv("PATH", f"{own_plane.programs}:/usr/bin:/bin")
    return Look(own_plane.kubeconfig, capsys)


class Look:
    """Runs the command."""

    def __init__(self, kubeconfig: Path, capsys: Capture) -> None:
        self.kubeconfig = kubeconfig
        self._capsys = capsys
        self.status = 0

    def __call__(self, *words: str, kubeconfig: Path | None = None) -> list[dict[str, Any]]:
        """The points that are not well."""
        self.status = main(["check", "--kubeconfig", str(kubeconfig or self.kubeconfig), "-o", "json", *words])
        points = json.loads(self._capsys.readouterr().out)["points"]
        return [point for point in points if point["state"] in {"wrong", "unknown"}]

    def until(self, *expected: str) -> list[dict[str, Any]]:
        """The points that are not well, once they are these; the collector needs a moment for most."""
        found: list[dict[str, Any]] = []

        def seen() -> bool:
            found[:] = self()
            return [point["point"] for point in found] == list(expected)

        eventually(seen, what=f"{expected}")
        return found


def test_of_an_installation_that_is_well_every_point_is_ok(look: Look, capsys: Capture) -> None:
    look.until()
    assert look.status == 0
    assert main(["check", "--kubeconfig", str(look.kubeconfig)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]
    states = {line[:16].strip(): line[16:26].strip() for line in lines}
    assert {name for name, state in states.items() if state != "ok"} <= {"plan", "scrape"}, "what may be a note here"
    assert {"api", "your rights", "collector", "its rights", "agents", "icmp", "tls", "dns", "namespaces"} <= states.keys()


def test_survive_63_a_wrong_configmap_is_found_with_its_sentence_and_has_an_event_where_it_is_described(
    look: Look, kubectl: Kubectl
) -> None:
    wrong = CONFIGURATION.replace("settling: 1s", "settling: soon")
    patch = json.dumps({"data": {"config.yaml": wrong}})
    kubectl.run("-n", SPACE, "patch", "configmap", "netmatrix", "--type=merge", "-p", patch)
    try:
        (found,) = look.until("configuration")
        assert look.status == 1
        assert "config.yaml: discovery.settling: expected a duration such as 500ms" in found["said"]
        # Found by its UID, as kubectl describe looks for it.
        (uid,) = (one["metadata"]["uid"] for one in kubectl.objects("-n", SPACE, "configmap", "netmatrix"))
        selector = f"--field-selector=involvedObject.uid={uid},reason=ConfigurationRefused"
        events = eventually(lambda: kubectl.objects("-n", SPACE, "events", selector), what="an Event at the ConfigMap")
        assert "discovery.settling: expected a duration" in events[0]["message"]
    finally:
        patch = json.dumps({"data": {"config.yaml": CONFIGURATION}})
        kubectl.run("-n", SPACE, "patch", "configmap", "netmatrix", "--type=merge", "-p", patch)
    look.until()


def test_a_right_that_the_collector_lacks_is_named(own_plane: Plane, look: Look, kubectl: Kubectl) -> None:
    before = own_plane.api.get(BINDING)
    own_plane.api.delete(BINDING)
    try:
        found = {point["point"]: point for point in look()}
        assert look.status == 1
        assert found["its rights"]["said"].startswith("the collector may not list nodes, watch nodes, list namespaces")
        assert "apply the manifests again" in found["its rights"]["do"]
    finally:
        kubectl.run("apply", "--server-side", "-f", "-", given=json.dumps(_applied(before)))
    assert "its rights" not in {point["point"] for point in look()}


def _applied(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "metadata": {"name": found["metadata"]["name"], "labels": found["metadata"].get("labels", {})}}


def test_vantage_egress_is_wrong_where_the_namespace_does_not_isolate_egress_and_right_where_it_does(
    look: Look, kubectl: Kubectl
) -> None:
    kubectl.run("apply", "--server-side", "-n", TEAM, "-k", str(MANIFESTS / "components" / "vantage-egress"))
    try:
        (found,) = look.until("vantage-egress")
        assert f"in namespace {TEAM} nothing else isolates egress" in found["said"]
        kubectl.run("apply", "--server-side", "-n", TEAM, "-f", "-", given=DENYING)
        look.until()
    finally:
        kubectl.run("-n", TEAM, "delete", "networkpolicy", "--all")


def test_survive_28_a_policy_that_is_about_agents_as_well_is_suspected_before_the_network(look: Look, kubectl: Kubectl) -> None:
    kubectl.run("apply", "--server-side", "-n", SPACE, "-f", "-", given=DENYING)
    try:
        (found,) = look.until("own policies")
        assert found["said"].startswith("agents may not reach each other: ")
        assert "default-deny" in found["said"]
        assert "agents may not reach the collector: " in found["said"]
    finally:
        kubectl.run("-n", SPACE, "delete", "networkpolicy", "default-deny")
    look.until()


def test_a_namespace_that_asks_for_a_vantage_and_has_none_is_found_with_what_to_apply(look: Look, kubectl: Kubectl) -> None:
    kubectl.run("create", "namespace", "pay")
    kubectl.run("label", "namespace", "pay", "netmatrix.io/vantage=true")
    try:
        (found,) = look.until("vantages")
        assert found["said"] == "namespace pay asks for a vantage and has none"
        assert "kubectl apply --server-side -n pay -k manifests/components/vantage" in found["do"]
    finally:
        kubectl.run("delete", "namespace", "pay")
    look.until()


def test_a_node_without_an_agent_is_named(own_plane: Plane, look: Look, kubectl: Kubectl) -> None:
    own_plane.api.create("/api/v1/nodes", node("stray", ["192.0.2.9"]))
    try:
        found = {point["point"]: point for point in look()}
        assert "1 of 3 nodes have no agent that is ready: stray" in found["agents"]["said"]
        assert f"kubectl -n {SPACE}" in found["agents"]["do"]
    finally:
        own_plane.api.delete("/api/v1/nodes/stray")
        kubectl.run("-n", SPACE, "delete", "pods", "--field-selector=spec.nodeName=stray", "--grace-period=0", "--force")
    look.until()


def test_who_may_not_look_is_told_so_point_by_point_and_nothing_passes_for_well(own_plane: Plane, look: Look) -> None:
    found = {point["point"]: point for point in look(kubeconfig=own_plane.credentials.user("stranger"))}
    assert look.status == 1
    assert found["your rights"]["state"] == "wrong"
    assert 'User "stranger" cannot get resource "daemonsets"' in found["agents"]["said"]
    assert {found[one]["state"] for one in ("agents", "its rights", "its answers", "vantages")} == {"unknown"}
    assert "cannot create resource" in found["its rights"]["said"]


def test_where_nothing_is_installed_it_says_how_to_install(look: Look) -> None:
    found = {point["point"]: point for point in look("-n", "nowhere")}
    assert look.status == 1
    assert found["collector"]["said"] == "there is no Deployment netmatrix-collector in namespace nowhere"
    assert "manifests/install.yaml" in found["collector"]["do"]
    assert found["agents"]["state"] == "wrong"
    assert found["its answers"]["state"] == "unknown"


def test_an_api_server_that_is_away_is_3_and_one_sentence(own_plane: Plane, look: Look, capsys: Capture) -> None:
    with own_plane.without_api_server():
        assert main(["check", "--kubeconfig", str(look.kubeconfig)]) == 3
    said = capsys.readouterr()
    assert not said.out
    assert said.err.startswith("netmatrix: cannot reach the API server: ")
    assert len(said.err.splitlines()) == 1
