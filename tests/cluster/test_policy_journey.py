"""A NetworkPolicy of a real API server, heeded by nodes or not: what it denies is expected, and what opens is a leak."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from lab.shape import Shape
from tests.cluster.installation import MANIFESTS, SPACE, TEAM, becomes_well, install
from tests.cluster.kubectl import Kubectl
from tests.cluster.live import LiveCluster, live
from tests.cluster.plane import Plane, eventually
from tests.conftest import what_the_lab_lacks

pytestmark = pytest.mark.timeout(400)
OWN_ONLY: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "own-only", "namespace": TEAM},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": [{"podSelector": {}}]}]},
}
SHUT_IN: dict[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "shut-in", "namespace": TEAM},
    "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"ports": [{"port": 53, "protocol": "UDP"}]}]},
}
PATIENCE_SECONDS = 90.0
T = TypeVar("T")


@pytest.fixture(scope="module")
def installed(own_plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveCluster, Kubectl]]:
    if why := what_the_lab_lacks():
        pytest.skip(why)
    shape = Shape(nodes=2, zones=1, namespaces=(TEAM,))
    with live(own_plane, shape, f"poli{os.getpid()}", tmp_path_factory.mktemp("pods")) as cluster:
        kubectl = install(cluster)
        becomes_well(cluster, patience=90)
        yield cluster, kubectl


def verdicts(cluster: LiveCluster) -> Counter[str]:
    """How many paths of agents into the team's namespace have which verdict, and what is expected of them."""
    found = cluster.ask(f"/api/v1/verdicts?from={SPACE}&to={TEAM}")["verdicts"]
    return Counter(f"{one['expected']} {one['verdict']}" for one in found if one["layer"] == "pod")


def incidents(cluster: LiveCluster) -> list[dict[str, Any]]:
    """What is open, of whatever it is said that it is the network's fault, or a leak."""
    return [one for one in cluster.ask("/api/v1/incidents")["incidents"] if one["phase"] == "firing"]


def awaited(cluster: LiveCluster, found: Callable[[], T]) -> T:
    """What is found, once it is true; raises AssertionError with what there is instead."""
    try:
        return eventually(found, patience=PATIENCE_SECONDS)
    except AssertionError:
        open_now = [one["sentence"] for one in cluster.ask("/api/v1/incidents")["incidents"]]
        raise AssertionError(f"there is {verdicts(cluster)}, and incidents {open_now}") from None


def test_survive_27_what_a_policy_denies_is_no_fault_and_what_opens_all_the_same_is_a_leak(
    installed: tuple[LiveCluster, Kubectl],
) -> None:
    cluster, kubectl = installed
    kubectl.run("apply", "--server-side", "-f", "-", given=json.dumps(OWN_ONLY))
    cluster.lab._enforce((OWN_ONLY,))
    try:

        def expected() -> bool:
            # ICMP is no evidence of a policy, and tcp none while udp cannot say who answers.
            found = verdicts(cluster)
            proven = found["deny ok"] + found["deny unverifiable"]
            return bool(proven) and not [name for name in found if name.split()[1] in {"broken", "degraded", "leak"}]

        awaited(cluster, expected)
        assert [one["sentence"] for one in incidents(cluster)] == []
        cluster.lab._enforce(())  # the API server has the policy still, and nobody heeds it

        def leaks() -> list[dict[str, Any]]:
            return [one for one in incidents(cluster) if one["effect"] == "leak"]

        (leak,) = awaited(cluster, leaks)
        assert (leak["src_namespace"], leak["dst_namespace"], leak["alert"]) == (SPACE, TEAM, "NetmatrixNamespacePathLeak")
        assert [one["sentence"] for one in incidents(cluster) if one["effect"] != "leak"] == []
    finally:
        kubectl.run("-n", TEAM, "delete", "networkpolicy", "own-only")
        cluster.lab._enforce(())
    awaited(cluster, lambda: not incidents(cluster))


def test_a_vantage_that_its_namespace_shuts_in_is_said_to_be_blocked_by_it_until_it_is_let_out(
    installed: tuple[LiveCluster, Kubectl],
) -> None:
    cluster, kubectl = installed

    def said() -> list[str]:
        return list(cluster.ask("/api/v1/self")["agents"]["blocked"]["names"])

    assert said() == []
    let_out = str(MANIFESTS / "components" / "vantage-egress")
    kubectl.run("apply", "--server-side", "-f", "-", given=json.dumps(SHUT_IN))
    cluster.lab._enforce((SHUT_IN,))
    # Connections that are open may stay open; and one that says farewell is waited for.
    kubectl.run("-n", TEAM, "delete", "pod", "netmatrix-vantage-0", "--force", "--grace-period=0")
    try:
        (blocked,) = eventually(said, patience=PATIENCE_SECONDS, what="a vantage that is blocked")
        assert blocked.startswith(f"{TEAM}/netmatrix-vantage-0: blocked by its namespace: ")
        kubectl.run("apply", "--server-side", "-n", TEAM, "-k", let_out)
        policy = json.loads(kubectl.run("get", "networkpolicy", "netmatrix-vantage", "-n", TEAM, "-o", "json"))
        cluster.lab._enforce((SHUT_IN, policy))
        eventually(lambda: not said(), patience=PATIENCE_SECONDS, what="its reports")
    finally:
        kubectl.run("-n", TEAM, "delete", "networkpolicy", "--all")
        cluster.lab._enforce(())
    becomes_well(cluster, patience=PATIENCE_SECONDS)
