"""Discovery against a real API server: what it finds, and what no disturbance makes it forget."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest

from collector.discovery.cluster import follower
from collector.discovery.cluster.rights import RIGHTS, Scope
from collector.discovery.cluster.source import ClusterSource
from collector.discovery.snapshot import Snapshot
from collector.duration import Duration
from collector.settings import DiscoverySettings, Settings
from tests.cluster import tokens
from tests.cluster.api import Api, Object
from tests.cluster.kubelet import node, running
from tests.cluster.plane import Plane

T = TypeVar("T")
OWN, SHOP = "netmatrix", "found-shop"
NODES = {"found-1": "za", "found-2": "zb"}
SETTINGS = Settings(discovery=DiscoverySettings(settling=Duration(0), namespace=OWN))
PATIENCE_SECONDS = 90.0
EDGE = "discovery.k8s.io/v1"


def namespace(name: str, labels: dict[str, str] | None = None) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels or {}}}


def pod(space: str, name: str, node_name: str, component: str) -> Object:
    labels = {"app.kubernetes.io/name": "netmatrix", "app.kubernetes.io/component": component}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": space, "labels": labels},
        "spec": {
            "nodeName": node_name,
            "terminationGracePeriodSeconds": 30,
            "containers": [
                {"name": "agent", "image": "example.test/none:1", "ports": [{"name": "stamp", "containerPort": 8620}]}
            ],
        },
    }


def run(api: Api, space: str, name: str, node_name: str, *addresses: str, component: str = "agent") -> None:
    made = api.create(f"/api/v1/namespaces/{space}/pods", pod(space, name, node_name, component))
    api.merge(f"/api/v1/namespaces/{space}/pods/{name}/status", {"status": running(made, addresses, ready=True)})


def service(name: str, probe: str, **spec: object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": SHOP, "annotations": {"netmatrix.io/probe": probe}},
        "spec": {"ports": [{"name": "main", "port": 80, "targetPort": 8080}], **spec},
    }


def endpoints(name: str, *addresses: str, ready: bool = True) -> Object:
    return {
        "apiVersion": EDGE,
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "namespace": SHOP, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "main", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
    }


@pytest.fixture
def api(plane: Plane) -> Iterator[Api]:
    """Two nodes with an agent each, and a namespace that asks for vantages; nothing of it is left."""
    api = plane.api
    api.apply(f"/api/v1/namespaces/{OWN}", namespace(OWN))
    api.apply(f"/api/v1/namespaces/{SHOP}", namespace(SHOP, {"netmatrix.io/vantage": "true"}))
    wait(lambda: all(api.items(f"/api/v1/namespaces/{space}/serviceaccounts") for space in (OWN, SHOP)))
    for number, (name, zone) in enumerate(NODES.items(), 1):
        api.create("/api/v1/nodes", node(name, [f"192.0.2.{number}", f"2001:db8::{number}"], zone=zone))
        run(api, OWN, f"agent-{number}", name, f"10.244.0.{number}", f"fd44::{number}")
    yield api
    for space in (OWN, SHOP):
        for found in api.items(f"/api/v1/namespaces/{space}/pods"):
            api.delete(f"/api/v1/namespaces/{space}/pods/{found['metadata']['name']}", grace=0)
    for found in api.items(f"/api/v1/namespaces/{SHOP}/services"):
        api.delete(f"/api/v1/namespaces/{SHOP}/services/{found['metadata']['name']}")
    for found in api.items(f"/apis/{EDGE}/namespaces/{SHOP}/endpointslices"):
        api.delete(f"/apis/{EDGE}/namespaces/{SHOP}/endpointslices/{found['metadata']['name']}")
    for name in NODES:
        api.delete(f"/api/v1/nodes/{name}")


def wait(there: Callable[[], T]) -> T:
    until = time.monotonic() + PATIENCE_SECONDS
    while not (found := there()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found


@asynccontextmanager
async def following(kubeconfig: Path, settings: Settings = SETTINGS) -> AsyncIterator[ClusterSource]:
    """A source that follows the cluster."""
    source = ClusterSource(settings, kubeconfig=kubeconfig)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(source.follow())
        try:
            yield source
        finally:
            task.cancel()


def heard_since(source: ClusterSource, moment: float) -> bool:
    """Whether every kind of object was heard of after a moment of the monotonic clock."""
    return source.sync_age_seconds() < time.monotonic() - moment


async def until(source: ClusterSource, holds: Callable[[Snapshot], T]) -> T:
    """The first truth that a snapshot tells."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := holds(source.snapshot)):
            await asyncio.sleep(0.05)
            await source.changed()
    return found


def agents(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    return {one.name: one.addresses for one in snapshot.vantages}


BOTH = {"found-1": ("10.244.0.1", "fd44::1"), "found-2": ("10.244.0.2", "fd44::2")}


async def test_what_there_is_becomes_a_snapshot(plane: Plane, api: Api) -> None:
    run(api, SHOP, "netmatrix-vantage-0", "found-2", "10.244.2.9", component="vantage")
    api.create(f"/api/v1/namespaces/{SHOP}/services", service("cart", "http:/health", type="NodePort"))
    api.create(f"/apis/{EDGE}/namespaces/{SHOP}/endpointslices", endpoints("cart", "10.244.2.7", "10.244.1.7"))
    async with following(plane.kubeconfig) as source:
        await until(source, lambda s: len(s.vantages) == 3 and len(s.services) == 2)
    snapshot = source.snapshot
    zones = {one.name: (one.zone, one.addresses) for one in snapshot.nodes}
    assert zones == {
        "found-1": ("za", ("192.0.2.1", "2001:db8::1")),
        "found-2": ("zb", ("192.0.2.2", "2001:db8::2")),
    }
    assert agents(snapshot) == {**BOTH, f"{SHOP}/netmatrix-vantage-0": ("10.244.2.9",)}
    assert all(one.uid and one.excluded == "" and one.port == 8620 for one in snapshot.vantages)
    found = {(one.namespace, one.name): one for one in snapshot.services}
    assert found["default", "kubernetes"].addresses == ("10.96.0.1",)
    assert found["default", "kubernetes"].port == 443
    cart = found[SHOP, "cart"]
    assert (cart.probe, cart.port, cart.endpoints) == ("http:/health", 80, 2)
    assert {(door.kind, door.addresses[0]) for door in cart.doors} == {
        ("endpoint", "10.244.2.7"),
        ("endpoint", "10.244.1.7"),
        ("node_port", "192.0.2.1"),
        ("node_port", "192.0.2.2"),
    }


async def test_survive_54_what_leads_where_nothing_may_be_sent_is_left_out_counted_and_told_at_the_object(
    plane: Plane, api: Api
) -> None:
    for body in (
        service("nonsense", 'icmp"><script>\n'),
        service("metadata", "http:/latest", type="ExternalName", externalName="metadata.google.internal"),
        service("api-server", "tcp"),
        service("fine", "tcp"),
    ):
        api.create(f"/api/v1/namespaces/{SHOP}/services", body)
    own = {
        **endpoints("kubernetes", "198.51.100.6"),
        "metadata": {"name": "found-api", "labels": {"kubernetes.io/service-name": "kubernetes"}},
        "ports": [{"name": "https", "port": 6443}],
    }
    api.create(f"/apis/{EDGE}/namespaces/default/endpointslices", own)
    there = endpoints("api-server", "198.51.100.6")
    api.create(f"/apis/{EDGE}/namespaces/{SHOP}/endpointslices", {**there, "ports": [{"name": "main", "port": 6443}]})
    api.create(f"/apis/{EDGE}/namespaces/{SHOP}/endpointslices", endpoints("fine", "10.244.2.7"))
    try:
        async with following(plane.kubeconfig) as source:
            left_out = {
                "annotation": 1,
                "address": 1,
                "api_server": 1,
                "expectation": 0,
                "namespace": 0,
                "port": 0,
                "too_many": 0,
            }
            await until(source, lambda s: any(one.name == "fine" for one in s.services) and source.refused() == left_out)
            assert {one.name for one in source.snapshot.services} == {"kubernetes", "fine"}
            assert source.snapshot.external == ()

            def told() -> set[tuple[str, str]]:
                events = api.items(f"/api/v1/namespaces/{SHOP}/events")
                return {(one["involvedObject"]["name"], one["message"]) for one in events if one["reason"] == "NotProbed"}

            await asyncio.to_thread(wait, lambda: len(told()) == 3)
            assert told() == {
                ("nonsense", "netmatrix: netmatrix.io/probe is 'icmp\"><script>\\n'; expected tcp, or http: and a path"),
                (
                    "metadata",
                    "netmatrix: metadata.google.internal is never probed: a name of the machine itself or of its cloud",
                ),
                ("api-server", "netmatrix: it leads to the API server"),
            }
    finally:
        api.delete(f"/apis/{EDGE}/namespaces/default/endpointslices/found-api")


async def test_survive_14_what_goes_while_the_api_server_is_away_is_gone_and_all_else_stays(plane: Plane, api: Api) -> None:
    run(api, SHOP, "netmatrix-vantage-0", "found-2", "10.244.2.9", component="vantage")
    async with following(plane.kubeconfig) as source:
        await until(source, lambda s: len(s.vantages) == 3)
        api.delete(f"/api/v1/namespaces/{SHOP}/pods/netmatrix-vantage-0", grace=0)
        await asyncio.to_thread(plane.forget_history)
        await until(source, lambda s: agents(s) == BOTH)
        run(api, SHOP, "netmatrix-vantage-0", "found-1", "10.244.1.9", component="vantage")
        await until(source, lambda s: agents(s).get(f"{SHOP}/netmatrix-vantage-0") == ("10.244.1.9",))


async def test_survive_13_while_the_api_server_is_away_or_stands_still_the_last_snapshot_stays(
    plane: Plane, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "SILENCE_SECONDS", 6.0)
    async with following(plane.kubeconfig) as source:
        # Whoever is still settling would be settled meanwhile, which needs no API server; and policies are read apart.
        await until(source, lambda s: agents(s) == BOTH and s.policies_read and not any(one.excluded for one in s.vantages))
        before = source.snapshot
        for absence in (plane.without_api_server, plane.paused_api_server):
            with absence():
                await asyncio.sleep(9.0)
                assert not await source.changed()
                assert source.snapshot == before
                assert source.sync_age_seconds() > 7.0
                assert source.ready
            await asyncio.to_thread(wait, partial(heard_since, source, time.monotonic()))
            api.merge("/api/v1/nodes/found-1", {"spec": {"unschedulable": True}})
            await until(source, lambda s: s.nodes[0].excluded == "cordoned")
            api.merge("/api/v1/nodes/found-1", {"spec": {"unschedulable": False}})
            await until(source, lambda s: s == before)


async def test_the_rights_in_the_table_are_enough_and_without_them_what_is_known_stays(plane: Plane, api: Api) -> None:
    rbac = "rbac.authorization.k8s.io"
    rules = [
        {"apiGroups": [one.group], "resources": [one.resource], "verbs": list(one.verbs)}
        for one in RIGHTS
        if one.scope is Scope.CLUSTER
    ]
    role = {"apiVersion": f"{rbac}/v1", "kind": "ClusterRole", "rules": rules}
    subject = {"kind": "ServiceAccount", "namespace": OWN, "name": "default"}
    binding = {
        "apiVersion": f"{rbac}/v1",
        "kind": "ClusterRoleBinding",
        "subjects": [subject],
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "found"},
    }
    api.apply(f"/apis/{rbac}/v1/clusterroles/found", role)
    api.apply(f"/apis/{rbac}/v1/clusterrolebindings/found", binding)
    file = plane.credentials.bearer("found", tokens.token(api, OWN, "default"))
    async with following(file) as source:
        await until(source, lambda s: agents(s) == BOTH)
        api.delete(f"/apis/{rbac}/v1/clusterrolebindings/found")
        await asyncio.to_thread(plane.restart_api_server)
        run(api, SHOP, "netmatrix-vantage-0", "found-2", "10.244.2.9", component="vantage")
        await asyncio.sleep(5.0)
        await source.changed()
        assert agents(source.snapshot) == BOTH
        api.apply(f"/apis/{rbac}/v1/clusterrolebindings/found", binding)
        await until(source, lambda s: len(s.vantages) == 3)


async def test_survive_22_and_23_of_two_agents_on_a_node_the_newer_counts_and_a_terminating_one_is_excluded(
    plane: Plane, api: Api
) -> None:
    async with following(plane.kubeconfig) as source:
        await until(source, lambda s: agents(s) == BOTH)
        uid = {one.name: one.uid for one in source.snapshot.vantages}
        await asyncio.sleep(1.1)  # the API server tells ages in whole seconds
        run(api, OWN, "agent-1b", "found-1", "10.244.0.11")
        await until(source, lambda s: agents(s)["found-1"] == ("10.244.0.11",))
        api.delete(f"/api/v1/namespaces/{OWN}/pods/agent-1b", grace=0)
        await until(source, lambda s: {one.name: one.uid for one in s.vantages} == uid)
        api.delete(f"/api/v1/namespaces/{OWN}/pods/agent-1")
        await until(source, lambda s: [one.excluded for one in s.vantages] == ["terminating", ""])
        api.delete(f"/api/v1/namespaces/{OWN}/pods/agent-1", grace=0)
        await until(source, lambda s: list(agents(s)) == ["found-2"])


@pytest.mark.usefixtures("api")
async def test_at_rest_nothing_is_asked_at_all(plane: Plane) -> None:
    async with following(plane.kubeconfig) as source:
        await until(source, lambda s: agents(s) == BOTH)
        async with asyncio.timeout(PATIENCE_SECONDS):
            before = 0
            while before < source.api.requests:  # the watches begin, and what other tests left is told at its objects
                before = source.api.requests
                await asyncio.sleep(10.0)
