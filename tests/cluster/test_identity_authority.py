"""The authority in a real cluster: its Secret, the ConfigMaps that tell of it, and TLS by what they hold."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator

import pytest
import structlog

from collector.discovery.cluster.client import Api
from collector.identity import cluster
from collector.identity.authority import SPREAD_SECONDS, SUCCEEDED_SECONDS, made, written
from collector.identity.cluster import SERVED_SECONDS, SETTLE_SECONDS, ClusterIdentity, names_of
from collector.identity.secret import settled
from tests.cluster.agents_pods import namespace_of_agents, pod_on, vantage_of
from tests.cluster.api import Object
from tests.cluster.granted import collector_of
from tests.cluster.kubelet import path_of
from tests.cluster.plane import Plane
from tests.collector.identity.handshake import trusts

SPACE, SHOP = "authority", "authority-shop"
SECRET = f"/api/v1/namespaces/{SPACE}/secrets/netmatrix-authority"
SERVICE = f"netmatrix-collector.{SPACE}.svc"


@pytest.fixture
async def api(plane: Plane) -> AsyncIterator[Api]:
    """A collector's, whose namespace and one with vantages are as they are shipped."""
    for name in (SPACE, SHOP):
        namespace_of_agents(plane, name)
        plane.api.merge(config_map(name), {"data": None})
    plane.api.merge(SECRET, {"data": None, "metadata": {"labels": {"shipped": "empty"}}})
    one = Api(collector_of(plane, SPACE, vantages=[SHOP]))
    yield one
    await one.close()
    for pod in plane.api.items(f"/api/v1/namespaces/{SHOP}/pods"):
        plane.api.delete(path_of(pod), grace=0)


class Later:
    """Both clocks, ahead by as much as a test says."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def unix(self) -> float:
        return time.time() + self.seconds

    def steady(self) -> float:
        return time.monotonic() + self.seconds


def identity(api: Api, later: Later | None = None) -> ClusterIdentity:
    later = later or Later()
    return ClusterIdentity(api, namespace=SPACE, addresses=("10.0.0.9",), now=later.unix, clock=later.steady)


async def begun(api: Api, later: Later | None = None) -> ClusterIdentity:
    """One that has done all that it does at first."""
    one = identity(api, later)
    await one.begin()
    await one.look()
    return one


def config_map(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps/netmatrix-ca"


def bundle(plane: Plane, namespace: str = SPACE) -> str:
    return str((plane.api.get(config_map(namespace)).get("data") or {}).get("ca.crt", ""))


def kept(plane: Plane) -> dict[str, str]:
    data: dict[str, str] = plane.api.get(SECRET).get("data") or {}
    return {name: base64.b64decode(value).decode() for name, value in data.items()}


def packed(texts: dict[str, str]) -> Object:
    return {"data": {name: base64.b64encode(text.encode()).decode() for name, text in texts.items()}}


def test_the_names_are_those_that_agents_may_use() -> None:
    assert names_of("netmatrix", "example.test") == (
        "netmatrix-collector",
        "netmatrix-collector.netmatrix",
        "netmatrix-collector.netmatrix.svc",
        "netmatrix-collector.netmatrix.svc.cluster.local",
        "netmatrix-collector.netmatrix.svc.example.test",
    )
    assert len(names_of("netmatrix", "cluster.local")) == 4


async def test_the_first_collector_makes_an_authority_and_agents_trust_it(plane: Plane, api: Api) -> None:
    one = await begun(api)
    for name in (*names_of(SPACE, "cluster.local"), "10.0.0.9"):
        assert trusts(one.tls, bundle(plane), name)
    assert not trusts(one.tls, bundle(plane), "netmatrix-collector.elsewhere.svc")
    assert "PRIVATE" not in bundle(plane)
    assert plane.api.get(SECRET)["metadata"]["labels"] == {"shipped": "empty"}
    assert one.faults == 0


async def test_a_collector_that_restarts_locks_nobody_out_and_keeps_the_keys(plane: Plane, api: Api) -> None:
    first = await begun(api)
    trusted, version = bundle(plane), plane.api.get(SECRET)["metadata"]["resourceVersion"]
    second = await begun(api)
    assert trusts(second.tls, trusted, SERVICE)
    assert bundle(plane) == trusted
    assert plane.api.get(SECRET)["metadata"]["resourceVersion"] == version, "nothing was written"
    assert [second.secret(epoch) for epoch in (0, 10**9)] == [first.secret(epoch) for epoch in (0, 10**9)]


async def test_collectors_that_start_at_once_agree(plane: Plane, api: Api) -> None:
    many = [identity(api) for _ in range(8)]
    async with asyncio.TaskGroup() as tasks:
        for one in many:
            tasks.create_task(one.begin())
    await many[0].look()
    assert all(trusts(one.tls, bundle(plane), SERVICE) for one in many)
    assert len({one.secret(7) for one in many}) == 1


async def test_a_vantages_namespace_is_told_and_what_it_changes_is_put_back(plane: Plane, api: Api) -> None:
    later = Later()
    one = await begun(api, later)
    assert not bundle(plane, SHOP)
    one.install([vantage_of(pod_on(plane, SHOP, "vantage-0", "n1"))])
    await one.look()
    assert bundle(plane, SHOP) == bundle(plane)
    plane.api.delete(config_map(SHOP))
    namespace_of_agents(plane, SHOP)
    assert not bundle(plane, SHOP)
    later.seconds += 60
    await one.look()
    assert bundle(plane, SHOP) == bundle(plane)


async def test_a_namespace_without_the_config_map_is_said_once_and_harms_no_other(plane: Plane, api: Api) -> None:
    later = Later()
    one = await begun(api, later)
    plane.api.delete(config_map(SHOP))
    one.install([vantage_of(pod_on(plane, SHOP, "vantage-0", "n1"))])
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            later.seconds += 60
            await one.look()
    assert [(line["namespace"], line["because"]) for line in logs] == [(SHOP, '404 configmaps "netmatrix-ca" not found')], (
        "and we do not make it: whoever has vantages ships it"
    )
    assert one.faults == 1
    namespace_of_agents(plane, SHOP)
    later.seconds += 60
    await one.look()
    assert one.faults == 0


async def test_a_secret_that_is_gone_is_said_and_filled_as_before_once_it_is_shipped_again(plane: Plane, api: Api) -> None:
    one = await begun(api)
    before, trusted = kept(plane), bundle(plane)
    plane.api.delete(SECRET)
    with structlog.testing.capture_logs() as logs:
        await one.look()
    assert [line["because"] for line in logs] == ['404 secrets "netmatrix-authority" not found']
    assert one.faults == 1
    namespace_of_agents(plane, SPACE)
    await one.look()
    assert one.faults == 0
    assert kept(plane) == before
    assert bundle(plane) == trusted
    assert trusts(one.tls, trusted, SERVICE), "nobody noticed"


async def asked(api: Api, more: int) -> None:
    """Wait until so many more requests were sent; all but the last of them were answered."""
    until = api.requests + more
    while api.requests < until:  # noqa: ASYNC110 - nobody says so
        await asyncio.sleep(0.01)


async def test_a_collector_waits_for_its_secret(plane: Plane, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "AGAIN_SECONDS", 0.05)
    plane.api.delete(SECRET)
    one = identity(api)
    async with asyncio.TaskGroup() as tasks:
        beginning = tasks.create_task(one.begin())
        await asked(api, 3)
        assert (beginning.done(), one.faults) == (False, 1)
        plane.api.apply(SECRET, {"apiVersion": "v1", "kind": "Secret"} | packed({"ca.crt": "torn"}))
        await asked(api, 3)
        assert (beginning.done(), one.faults) == (False, 1)
        plane.api.merge(SECRET, {"data": None})
    assert one.faults == 0


@pytest.mark.parametrize("torn", [{"ca.key": "torn"}, {"ca.crt": ""}, {"tls.crt": "of somebody else"}, {"group-secrets": "\n"}])
async def test_a_secret_that_is_torn_or_foreign_is_left_as_it_is_and_said(plane: Plane, api: Api, torn: dict[str, str]) -> None:
    one = await begun(api)
    trusted = bundle(plane)
    plane.api.merge(SECRET, {"data": None} if "tls.crt" in torn else {})
    plane.api.merge(SECRET, packed(torn))
    found = kept(plane)
    with structlog.testing.capture_logs() as logs:
        await one.look()
        await one.look()
    assert kept(plane) == found
    assert [line["event"] for line in logs] == ["no use can be made of the authority's Secret, the last one stays in force"]
    assert one.faults == 1
    assert trusts(one.tls, trusted, SERVICE), "the one that runs goes on"


async def test_another_authority_in_the_secret_is_told_before_it_is_served_with(plane: Plane, api: Api) -> None:
    later = Later()
    one = await begun(api, later)
    before = bundle(plane)
    plane.api.merge(SECRET, packed(written(made(later.unix()))))
    await one.look()
    after = bundle(plane)
    assert trusts(one.tls, before, SERVICE)
    assert trusts(one.tls, after, SERVICE), "both are told"
    later.seconds += SETTLE_SECONDS
    await one.look()
    assert not trusts(one.tls, before, SERVICE)
    assert trusts(one.tls, after, SERVICE)


async def test_the_certificate_is_renewed_without_a_restart_and_the_authority_succeeded(plane: Plane, api: Api) -> None:
    later = Later()
    one = await begun(api, later)
    first, trusted = one.expiries(), bundle(plane)
    later.seconds = SERVED_SECONDS * 0.7
    await one.look()
    assert one.expiries()["server"] > first["server"]
    assert one.expiries()["authority"] == first["authority"]
    later.seconds = first["authority"] - time.time() - SUCCEEDED_SECONDS + 60
    await one.look()
    both = bundle(plane)
    assert both.startswith(trusted)
    assert both.count("BEGIN CERTIFICATE") == 2
    later.seconds += SPREAD_SECONDS
    await one.look()
    assert one.expiries()["authority"] > first["authority"]
    assert bundle(plane).count("BEGIN CERTIFICATE") == 2, "the old one is still trusted"
    assert set(bundle(plane).split("-----BEGIN")) == set(both.split("-----BEGIN"))


async def test_without_the_api_server_the_certificate_is_renewed_all_the_same(plane: Plane, api: Api) -> None:
    later = Later()
    one = await begun(api, later)
    before = one.expiries()
    with plane.without_api_server():
        later.seconds = SERVED_SECONDS * 0.7
        await one.look()
        assert one.expiries()["server"] > before["server"] + SERVED_SECONDS / 2
        assert one.expiries()["authority"] == before["authority"]
        assert one.faults
    later.seconds += 300
    await one.look()
    assert one.faults == 0


async def test_at_rest_it_reads_and_writes_nothing(plane: Plane, api: Api) -> None:
    later = Later()
    one = await begun(api, later)
    one.install([vantage_of(pod_on(plane, SHOP, "vantage-0", "n1"))])
    await one.look()
    versions = [plane.api.get(path)["metadata"]["resourceVersion"] for path in (SECRET, config_map(SPACE), config_map(SHOP))]
    before = api.requests
    for _ in range(10):
        later.seconds += 60
        await one.look()
    assert api.requests - before == 10 * 3, "a Secret and two ConfigMaps a minute"
    assert versions == [
        plane.api.get(path)["metadata"]["resourceVersion"] for path in (SECRET, config_map(SPACE), config_map(SHOP))
    ]


async def test_the_collectors_rights_end_at_its_own_objects(api: Api) -> None:
    for method, path in (
        ("GET", f"/api/v1/namespaces/{SPACE}/secrets"),
        ("GET", f"/api/v1/namespaces/{SPACE}/secrets/other"),
        ("GET", f"/api/v1/namespaces/{SHOP}/secrets/netmatrix-authority"),
        ("GET", f"/api/v1/namespaces/{SHOP}/configmaps"),
        ("GET", f"/api/v1/namespaces/{SHOP}/configmaps/other"),
        ("DELETE", config_map(SPACE)),
        ("DELETE", SECRET),
        ("POST", f"/api/v1/namespaces/{SPACE}/secrets"),
    ):
        assert (await api.ask(method, path)).status == 403, f"{method} {path}"


async def test_a_writer_that_is_overtaken_takes_what_the_other_wrote(plane: Plane, api: Api) -> None:
    old = made(time.time() - 700 * 86_400)
    plane.api.merge(SECRET, packed(written(old)))
    async with asyncio.TaskGroup() as tasks:
        both = [tasks.create_task(settled(api, SPACE, None, now=time.time())) for _ in range(4)]
    assert len({written(one.result())["next.crt"] for one in both}) == 1
