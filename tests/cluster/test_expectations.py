"""Expectations on a real API server: what they bring into the snapshot, and what is written at them."""

import asyncio
from collections.abc import Iterator

import pytest

from collector.discovery.cluster import others, status_writer
from collector.discovery.ends import ends
from collector.discovery.standings import Condition, Example, Standing, Truth
from collector.policy.ends import Connection
from collector.policy.evaluate import Answer, Policies
from collector.policy.profile import PROFILES
from tests.cluster.api import Api, Object, RefusedError
from tests.cluster.granted import collector_of
from tests.cluster.kubectl import Kubectl
from tests.cluster.plane import Plane, eventually
from tests.cluster.policed import (
    NET,
    OWN,
    PAY,
    SHOP,
    crds,
    expectation,
    install,
    is_read,
    policed,
    policy,
    run,
)
from tests.cluster.test_discovery import endpoints, following, until


@pytest.fixture
def api(plane: Plane) -> Iterator[Api]:
    """Two namespaces; nothing of it is left."""
    with policed(plane) as api:
        yield api


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


async def test_where_many_namespaces_are_asked_for_one_watch_has_the_pods_of_all_and_no_others(
    plane: Plane, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(others, "MOST_WATCHES", 1)
    await asyncio.to_thread(install, api, *crds())
    for space, number in ((SHOP, 1), (PAY, 2)):
        run(api, space, "db-0", {"app": "db"}, f"10.244.7.{number}")
        run(api, space, "web-0", {"app": "web"}, f"10.244.8.{number}")
    path = f"{OWN}/namespaces/{SHOP}/reachabilityexpectations"
    api.create(path, expectation("here"))
    everywhere = [{"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"app": "web"}}}}]
    async with following(plane.kubeconfig) as source:

        def names() -> list[str]:
            return [f"{one.namespace}/{one.name}" for one in source.snapshot.pods if one.namespace in {SHOP, PAY}]

        await until(source, lambda _: names() == [f"{SHOP}/db-0"])
        api.create(path, expectation("wide", to=everywhere))
        await until(source, lambda _: names() == [f"{PAY}/web-0", f"{SHOP}/db-0", f"{SHOP}/web-0"])
        watches = [one for one in source.known()["watches"] if "namespace" in one]
        assert [one["namespace"] for one in watches] == [""]
        api.delete(f"/api/v1/namespaces/{PAY}/pods/web-0", grace=0)
        await until(source, lambda _: names() == [f"{SHOP}/db-0", f"{SHOP}/web-0"])
        api.delete(f"{path}/wide")
        await until(source, lambda _: names() == [f"{SHOP}/db-0"])
