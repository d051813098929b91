"""What a real API server says of policies, and what a cluster without them, or that shows none, is to us."""

import asyncio
from collections.abc import Iterator

import pytest

from collector.discovery.cluster import course, network_plugin
from collector.discovery.cluster.rights import RIGHTS, Scope
from collector.policy.rules import Direction
from tests.cluster import tokens
from tests.cluster.api import Api
from tests.cluster.plane import Plane
from tests.cluster.policed import (
    CRDS,
    LABELS,
    NET,
    SHOP,
    found,
    install,
    is_read,
    opaque_crd,
    policed,
    policy,
    run,
)
from tests.cluster.test_discovery import following, until


@pytest.fixture
def api(plane: Plane) -> Iterator[Api]:
    """Two namespaces; nothing of it is left."""
    with policed(plane) as api:
        yield api


async def test_a_policy_comes_changes_and_goes_in_the_snapshot(plane: Plane, api: Api) -> None:
    path = f"{NET}/namespaces/{SHOP}/networkpolicies"
    async with following(plane.kubeconfig) as source:
        await until(source, is_read)
        spaces = {one.name: one for one in source.snapshot.namespaces}
        assert spaces[SHOP].labels == {**LABELS, "kubernetes.io/metadata.name": SHOP}
        assert spaces[SHOP].annotations == {"opencontrail.org/isolation": "false", "netmatrix.io/derive": "false"}
        assert found(source.snapshot.policies) == []
        api.create(path, policy("here", SHOP, {"podSelector": {}, "policyTypes": ["Ingress"]}))
        await until(source, lambda s: found(s.policies) == [f"NetworkPolicy {SHOP}/here"])
        before = source.snapshot
        api.merge(f"{path}/here", {"metadata": {"labels": {"any": "thing"}}})
        api.merge(f"{path}/here", {"spec": {"policyTypes": ["Ingress", "Egress"], "egress": [{}]}})
        await until(source, lambda s: any(Direction.EGRESS in one.rules for one in s.policies))
        assert source.snapshot.policies != before.policies
        api.delete(f"{path}/here")
        await until(source, lambda s: found(s.policies) == [])
        assert source.unread() == 0


async def test_a_kind_that_is_not_understood_makes_what_it_selects_unknown_from_when_it_exists(
    plane: Plane, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "RARE_SECONDS", 1.0)
    async with following(plane.kubeconfig) as source:
        await until(source, is_read)
        assert found(source.snapshot.opaque) == []
        await asyncio.to_thread(
            install, api, opaque_crd("cilium.io", "ciliumnetworkpolicies", "CiliumNetworkPolicy", "Namespaced")
        )
        path = f"/apis/cilium.io/v2/namespaces/{SHOP}/ciliumnetworkpolicies"
        body = {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumNetworkPolicy",
            "metadata": {"name": "here"},
            "spec": {"endpointSelector": {"matchLabels": {"k8s:app": "db"}}},
        }
        api.create(path, body)
        await until(source, lambda s: found(s.opaque) == [f"CiliumNetworkPolicy {SHOP}/here"])
        await asyncio.to_thread(plane.restart_api_server)
        api.merge(f"{path}/here", {"spec": {"endpointSelector": {"matchLabels": None}}})
        await until(source, lambda s: bool(s.opaque) and s.opaque[0].subjects[0].pods.match_expressions is None)
        api.delete(f"{CRDS}/ciliumnetworkpolicies.cilium.io")
        await until(source, lambda s: found(s.opaque) == [] and s.policies_read)


async def test_at_rest_a_kind_that_does_not_exist_is_asked_for_once_in_some_minutes(plane: Plane, api: Api) -> None:
    assert api
    async with following(plane.kubeconfig) as source:
        await until(source, is_read)
        async with asyncio.timeout(60):
            before = 0
            while before < source.api.requests:
                before = source.api.requests
                await asyncio.sleep(5.0)


async def test_without_the_right_to_read_policies_all_else_works_and_it_is_known_that_they_are_not(
    plane: Plane, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course, "RARE_SECONDS", 1.0)
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    user = "policies-blind"

    def grant(*, policies: bool) -> None:
        rules = [
            {"apiGroups": [one.group], "resources": [one.resource], "verbs": list(one.verbs)}
            for one in RIGHTS
            if one.scope is Scope.CLUSTER and (policies or one.resource != "networkpolicies")
        ]
        api.apply(f"{rbac}/clusterroles/{user}", {"kind": "ClusterRole", "apiVersion": f"{rbac[6:]}", "rules": rules})

    grant(policies=False)
    subject = {"kind": "ServiceAccount", "namespace": SHOP, "name": "default"}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": user}
    binding = {"kind": "ClusterRoleBinding", "apiVersion": f"{rbac[6:]}", "subjects": [subject], "roleRef": role}
    api.apply(f"{rbac}/clusterrolebindings/{user}", binding)
    api.create(f"{NET}/namespaces/{SHOP}/networkpolicies", policy("here", SHOP, {"podSelector": {}}))
    file = plane.credentials.bearer(user, tokens.token(api, SHOP, "default"))
    async with following(file) as source:
        await until(source, lambda s: any(one.name == "policies-1" for one in s.nodes))
        await asyncio.sleep(2.0)
        await source.changed()
        assert source.snapshot.policies == ()
        assert not source.snapshot.policies_read
        denied = [one for one in source.known()["watches"] if one.get("denied")]
        assert {one["resource"] for one in denied} == {"networkpolicies"}
        assert all("forbidden" in str(one["refused"]) for one in denied)
        grant(policies=True)
        await until(source, lambda s: s.policies_read and found(s.policies) == [f"NetworkPolicy {SHOP}/here"])
        grant(policies=False)
        await asyncio.to_thread(plane.restart_api_server)
        await until(source, lambda s: not s.policies_read)


async def test_the_network_plugin_is_told_by_one_of_its_pods(plane: Plane, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network_plugin, "AGAIN_SECONDS", 0.5)
    monkeypatch.setattr(network_plugin, "SURE_SECONDS", 0.5)
    async with following(plane.kubeconfig) as source:
        await until(source, is_read)
        assert source.snapshot.profile == "generic"
        run(api, SHOP, "cilium-1", {"k8s-app": "cilium"}, "192.0.2.77")
        await until(source, lambda s: s.profile == "cilium")
        run(api, SHOP, "calico-1", {"k8s-app": "calico-node"}, "192.0.2.77")
        await until(source, lambda s: s.profile == "generic")
        api.delete(f"/api/v1/namespaces/{SHOP}/pods/cilium-1", grace=0)
        await until(source, lambda s: s.profile == "calico")
