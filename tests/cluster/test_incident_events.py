"""Incidents as Events on a real API server: at the object that they are about, where kubectl shows them."""

import asyncio
from collections.abc import Iterator

import pytest

from collector.duration import Duration
from collector.notify.notifier import Notifier
from collector.receivers import Notify
from collector.settings import DiscoverySettings, Settings
from tests.cluster.api import Api, Object
from tests.cluster.kubectl import Kubectl
from tests.cluster.kubelet import node
from tests.cluster.plane import Plane
from tests.cluster.test_discovery import following, wait
from tests.collector.notify.telling import HOSTILE, SECOND, Counted, beside, eventually, incident

OWN, SHOP, NODE = "incidents-own", "incidents-shop", "incidents-1"
SETTINGS = Settings(discovery=DiscoverySettings(settling=Duration(0), namespace=OWN))
PATIENCE_SECONDS = 90.0


@pytest.fixture
def api(plane: Plane) -> Iterator[Api]:
    """A node, and a service in a namespace."""
    api = plane.api
    for name in (OWN, SHOP):
        api.apply(f"/api/v1/namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    api.create("/api/v1/nodes", node(NODE, ["192.0.2.200"]))
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "cart"}, "spec": {"ports": [{"port": 80}]}}
    api.create(f"/api/v1/namespaces/{SHOP}/services", service)
    yield api
    api.delete(f"/api/v1/namespaces/{SHOP}/services/cart")
    api.delete(f"/api/v1/nodes/{NODE}")


def said(api: Api, space: str, name: str) -> list[Object]:
    """The Events at an object."""
    return [one for one in api.items(f"/api/v1/namespaces/{space}/events") if one["involvedObject"]["name"] == name]


async def test_an_incident_is_said_once_at_what_it_is_about_and_when_it_is_over(plane: Plane, api: Api) -> None:
    counted = Counted()
    async with following(plane.kubeconfig, SETTINGS) as source:
        notifier = Notifier(Notify(events=True), count=counted, announce=source.say, own_namespace=OWN)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not source.ready:
                await asyncio.sleep(0.05)
                await source.changed()
        async with beside(notifier.follow):
            open_ = [
                incident("e1", component=NODE, effect="unreachable", severity="critical", sentence="Nothing arrives. " * 200),
                incident("e2", kind="service", component=f"service/{SHOP}/cart", sentence=HOSTILE),
                incident("e3", kind="policy", component="a>b", effect="leak", src_namespace="a", dst_namespace=SHOP),
                incident("e4", kind="zone_pair", component="z1>z2"),
            ]
            for passed in range(3):
                notifier.tell(open_, (200 + passed) * SECOND)
            await eventually(lambda: not any(notifier.waiting().values()), PATIENCE_SECONDS)
            notifier.tell(open_[1:], 300 * SECOND)
            await eventually(lambda: not any(notifier.waiting().values()), PATIENCE_SECONDS)
    assert counted.of == {("events", "sent"): 5}
    at_node = await asyncio.to_thread(wait, lambda: said(api, "default", NODE))
    assert {(one["reason"], one["type"]) for one in at_node} == {
        ("NetmatrixNodeUnreachable", "Warning"),
        ("NetmatrixNodeUnreachableResolved", "Normal"),
    }
    (at_service,) = said(api, SHOP, "cart")
    assert at_service["involvedObject"]["uid"] == api.get(f"/api/v1/namespaces/{SHOP}/services/cart")["metadata"]["uid"]
    assert at_service["message"].isprintable()
    assert [one["reason"] for one in said(api, "default", SHOP)] == ["NetmatrixNamespacePathLeak"]
    assert [one["reason"] for one in said(api, "default", OWN)] == ["NetmatrixZonePairDegraded"]


@pytest.mark.usefixtures("api")
async def test_kubectl_shows_it_where_people_look_first(plane: Plane) -> None:
    async with following(plane.kubeconfig, SETTINGS) as source:
        notifier = Notifier(Notify(events=True), count=Counted(), announce=source.say, own_namespace=OWN)
        async with beside(notifier.follow):
            notifier.tell([incident("e5", component=NODE, sentence="Half of it is lost.")], 200 * SECOND)
            await eventually(lambda: not any(notifier.waiting().values()), PATIENCE_SECONDS)
    assert "Half of it is lost." in await asyncio.to_thread(Kubectl(plane).run, "describe", "node", NODE)


@pytest.mark.usefixtures("api")
async def test_survive_13_an_api_server_that_is_away_is_told_when_it_is_back(plane: Plane) -> None:
    counted = Counted()
    async with following(plane.kubeconfig, SETTINGS) as source:
        notifier = Notifier(Notify(events=True), count=counted, announce=source.say, own_namespace=OWN)
        async with beside(notifier.follow):
            with plane.without_api_server():
                notifier.tell([incident("e6", component=NODE)], 200 * SECOND)
                await eventually(lambda: counted.of.get(("events", "away"), 0) > 0, PATIENCE_SECONDS)
                assert notifier.waiting() == {"events": 1}
            await eventually(lambda: counted.of.get(("events", "sent"), 0) == 1, PATIENCE_SECONDS)
