"""What a real API server says of policies and expectations, and what a cluster without them, or that shows none, is to us."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.discovery.cluster import course, status_writer
from collector.discovery.cluster.rights import RIGHTS, Scope
from collector.discovery.ends import ends
from collector.discovery.snapshot import Snapshot
from collector.discovery.standings import Condition, Example, Standing, Truth
from collector.policy.ends import Connection
from collector.policy.evaluate import Answer, Policies
from collector.policy.profile import PROFILES
from collector.policy.rules import Direction
from tests.cluster import tokens
from tests.cluster.api import Api, Object, RefusedError
from tests.cluster.granted import collector_of
from tests.cluster.kubectl import Kubectl
from tests.cluster.kubelet import node, running
from tests.cluster.plane import Plane, eventually
from tests.cluster.test_discovery import endpoints, following, namespace, pod, until

SHOP, PAY = "policies-shop", "policies-pay"
NET = "/apis/networking.k8s.io/v1"
OWN = "/apis/netmatrix.io/v1alpha1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MANIFEST = Path(__file__).parents[2] / "manifests" / "base" / "custom-resources.yaml"
LABELS = {"team": "checkout"}


def crds() -> list[Object]:
    return list(yaml.safe_load_all(MANIFEST.read_text()))


def opaque_crd(group: str, plural: str, kind: str, scope: str) -> Object:
    """A kind of somebody else's, with whatever in it."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v2", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [version],
        },
    }


def policy(name: str, space: str, spec: Object) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": space},
        "spec": spec,
    }


def expectation(name: str, **spec: Any) -> Object:
    whole = {"to": [{"pods": {"podSelector": {"matchLabels": {"app": "db"}}}}], "ports": [{"port": 5432}], "expect": "allow"}
    return {
        "apiVersion": "netmatrix.io/v1alpha1",
        "kind": "ReachabilityExpectation",
        "metadata": {"name": name, "namespace": SHOP},
        "spec": {**whole, **spec},
    }


@pytest.fixture
def api(plane: Plane) -> Iterator[Api]:
    """Two namespaces; nothing of it, and no kind that is not Kubernetes' own, is left."""
    api = plane.api
    annotations = {"opencontrail.org/isolation": "false", "netmatrix.io/derive": "false", "other": "x"}
    for name, labels in ((SHOP, LABELS), (PAY, {})):
        made = namespace(name, labels)
        made["metadata"]["annotations"] = annotations
        api.apply(f"/api/v1/namespaces/{name}", made)
    eventually(lambda: all(api.items(f"/api/v1/namespaces/{space}/serviceaccounts") for space in (SHOP, PAY)))
    api.create("/api/v1/nodes", node("policies-1", ["192.0.2.77"], zone="za"))
    yield api
    for space in (SHOP, PAY):
        for path in (f"{NET}/namespaces/{space}/networkpolicies", f"/api/v1/namespaces/{space}/pods"):
            for found in api.items(path):
                api.delete(f"{path}/{found['metadata']['name']}", grace=0)
        for path in (f"/api/v1/namespaces/{space}/services", f"/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices"):
            for found in api.items(path):
                api.delete(f"{path}/{found['metadata']['name']}")
    for found in api.items(CRDS):
        api.delete(f"{CRDS}/{found['metadata']['name']}")
    api.delete("/api/v1/nodes/policies-1")
    eventually(lambda: not api.items(CRDS))


def install(api: Api, *definitions: Object) -> None:
    """Have the API server know these kinds."""
    for one in definitions:
        api.create(CRDS, one)
    for one in definitions:
        path = f"{CRDS}/{one['metadata']['name']}"

        def established(path: str = path) -> bool:
            conditions = api.get(path).get("status", {}).get("conditions") or []
            return any(found["type"] == "Established" and found["status"] == "True" for found in conditions)

        eventually(established)


def run(api: Api, space: str, name: str, labels: dict[str, str], address: str, **spec: Any) -> None:
    body = pod(space, name, "policies-1", "none")
    body["metadata"]["labels"] = labels
    body["spec"]["containers"][0] |= spec
    made = api.create(f"/api/v1/namespaces/{space}/pods", body)
    api.merge(f"/api/v1/namespaces/{space}/pods/{name}/status", {"status": running(made, [address], ready=True)})


def found(names: Any) -> list[str]:
    """Those of this test, among what others leave in the same cluster."""
    return [str(one) for one in names if "policies-" in str(one) or "here" in str(one)]


def is_read(snapshot: Snapshot) -> bool:
    """Whether there is a snapshot, and it has the policies."""
    return bool(snapshot.nodes) and snapshot.policies_read


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


async def test_an_expectation_brings_its_targets_into_the_snapshot_and_what_is_behind_services(plane: Plane, api: Api) -> None:
    await asyncio.to_thread(install, api, *crds())
    probe = {"readinessProbe": {"tcpSocket": {"port": "sql"}}, "ports": [{"containerPort": 5432, "name": "sql"}]}
    run(api, SHOP, "db-0", {"app": "db"}, "10.244.7.1", **probe)
    run(api, SHOP, "web-0", {"app": "web"}, "10.244.7.2")
    run(api, SHOP, "idle-0", {"app": "idle"}, "10.244.7.3")
    spec = {"selector": {"app": "web"}, "ports": [{"name": "main", "port": 80, "targetPort": 8080}]}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": spec}
    api.create(f"/api/v1/namespaces/{SHOP}/services", service)
    behind = endpoints("web", "10.244.7.2")
    behind["metadata"]["namespace"] = SHOP
    behind["endpoints"][0]["targetRef"] = {"kind": "Pod", "name": "web-0", "namespace": SHOP}
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{SHOP}/endpointslices"
    for one in api.items(slices):  # the controller's own, which finds no pod that it would count
        api.delete(f"{slices}/{one['metadata']['name']}")
    api.create(slices, behind)
    closed = policy("here", SHOP, {"podSelector": {"matchLabels": {"app": "db"}}, "policyTypes": ["Ingress"]})
    api.create(f"{NET}/namespaces/{SHOP}/networkpolicies", closed)
    async with following(plane.kubeconfig) as source:
        await until(source, is_read)
        assert [one.name for one in source.snapshot.pods if one.namespace == SHOP] == []
        path = f"{OWN}/namespaces/{SHOP}/reachabilityexpectations"
        api.create(path, expectation("here"))
        api.create(path, expectation("web", to=[{"service": {"name": "web"}}], ports=[{"port": 80}]))

        def names() -> list[str]:
            return [one.name for one in source.snapshot.pods if one.namespace == SHOP]

        await until(source, lambda _: names() == ["db-0", "web-0"])
        database = next(one for one in source.snapshot.pods if one.name == "db-0")
        assert (database.labels["app"], database.addresses, database.ready) == ("db", ("10.244.7.1",), True)
        assert [(port.port, port.name) for port in database.ports] == [(5432, "sql")]
        assert database.probed_ports == (5432,)
        seen = ends(source.snapshot)
        (landing,) = [one for one in seen.backends(f"{SHOP}/web", 80) if one.end]
        assert (str(landing.end), landing.port, landing.via_service) == (f"{SHOP}/web-0", 8080, True)
        policies = Policies(source.snapshot.policies, source.snapshot.opaque, PROFILES["strict"])
        assert [one.name for one in source.snapshot.expectations] == [f"{SHOP}/here", f"{SHOP}/web"]

        decision = policies.decide(seen.pods[f"{SHOP}/web-0"], seen.pods[f"{SHOP}/db-0"], Connection("TCP", 5432))
        assert (decision.answer, decision.reasons[0].policy) == (Answer.DENY, f"NetworkPolicy {SHOP}/here")
        api.delete(f"{path}/here")
        await until(source, lambda _: names() == ["web-0"])


def test_the_api_server_refuses_an_expectation_that_is_none(api: Api) -> None:
    install(api, *crds())
    wrong: list[Object] = [
        {"expect": "perhaps"},
        {"to": []},
        {"to": [{"pods": {}, "host": {"name": "a.example"}}]},
        {"to": [{}]},
        {"severity": "grave"},
        {"ports": [{"protocol": "GRE"}]},
        {"family": ["IPv5"]},
        {"grace": {"afterChange": "soon"}},
        {"slo": {"loss": {"max": "much"}}},
        {"mute": {"until": "tomorrow", "reason": "x"}},
        {"confirm": {"failures": 0}},
    ]
    for spec in wrong:
        with pytest.raises(RefusedError) as refused:
            api.create(f"{OWN}/namespaces/{SHOP}/reachabilityexpectations", expectation("wrong", **spec))
        assert refused.value.status == 422, spec


async def test_an_expectation_that_the_api_server_takes_and_we_do_not_is_told_at_the_object(plane: Plane, api: Api) -> None:
    await asyncio.to_thread(install, api, *crds())
    path = f"{OWN}/namespaces/{SHOP}/reachabilityexpectations"
    api.create(path, expectation("wrong", to=[{"cidr": {"address": "192.0.2.1"}}]))
    api.create(path, expectation("here"))
    async with following(plane.kubeconfig) as source:
        await until(source, lambda s: [one.name for one in s.expectations] == [f"{SHOP}/here"])
        await until(source, lambda _: source.refused()["expectation"] == 1)

        def told() -> list[str]:
            events = api.items(f"/api/v1/namespaces/{SHOP}/events")
            return [one["message"] for one in events if one["reason"] == "NotExpected"]

        await asyncio.to_thread(eventually, told)
        assert told() == ["netmatrix: spec.to[0].cidr: needs the kind ClusterReachabilityExpectation"]


async def test_how_it_stands_is_written_at_the_expectation_where_kubectl_shows_it(
    plane: Plane, api: Api, kubectl: Kubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status_writer, "EVERY_SECONDS", 0.05)
    await asyncio.to_thread(install, api, *crds())
    path = f"{OWN}/namespaces/{SHOP}/reachabilityexpectations"
    api.create(path, expectation("here"))
    api.create(path, expectation("wrong", to=[{"cidr": {"address": "192.0.2.1"}}]))
    example = Example("policies-shop/v", "policies-shop/db-0", "TCP 5432", "broken", "timeout")

    def standing(satisfied: Truth, broken: int) -> Standing:
        conditions = (
            Condition("Satisfied", satisfied, "Judged", f"{broken} broken"),
            Condition("Verified", "True", "Judged", "all"),
            Condition("Consistent", "True", "Judged", "nothing contradicts it"),
        )
        counts = {"pairs": 3, "ok": 3 - broken, "broken": broken}
        return Standing("ReachabilityExpectation", SHOP, "here", conditions, counts, (example,) * 11)

    def status(name: str) -> Object:
        found: Object = api.get(f"{path}/{name}").get("status") or {}
        return found

    file = collector_of(plane, SHOP)
    async with following(file) as source:
        await until(source, lambda s: [one.name for one in s.expectations] == [f"{SHOP}/here"])
        source.tell([standing("False", 2)])
        await asyncio.to_thread(eventually, lambda: status("here") and status("wrong"))
        first = status("here")
        assert first["counts"] == {"pairs": 3, "ok": 1, "broken": 2}
        assert len(first["examples"]) == 10
        assert first["examples"][0]["verdict"] == "broken"
        (condition,) = status("wrong")["conditions"]
        assert condition["message"] == "spec.to[0].cidr: needs the kind ClusterReachabilityExpectation"
        table = kubectl.run("get", "rexp", "here", "-n", SHOP).splitlines()
        assert table[0].split() == [
            "NAME",
            "EXPECT",
            "SATISFIED",
            "VERIFIED",
            "CONSISTENT",
            "PAIRS",
            "BROKEN",
            "LEAKING",
            "AGE",
        ]
        assert table[1].split()[:7] == ["here", "allow", "False", "True", "True", "3", "2"]
        requests = source.api.requests
        await asyncio.sleep(1.0)
        await source.changed()
        assert source.api.requests == requests, "what is written is not written again"
        source.tell([standing("True", 0)])
        await asyncio.to_thread(eventually, lambda: status("here")["conditions"][0]["status"] == "True")
        assert status("here")["conditions"][1]["lastTransitionTime"] == first["conditions"][1]["lastTransitionTime"]
