"""What discovery makes of an API server that is short of memory or of time; all refusals but one sort are its own."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from collector.discovery.cluster import follower
from collector.discovery.cluster.source import ClusterSource
from tests.cluster.api import Api
from tests.cluster.between import Asked, Between, held
from tests.cluster.plane import Plane
from tests.cluster.seats import without_seats
from tests.cluster.test_discovery import PATIENCE_SECONDS, SETTINGS, SHOP, endpoints, namespace, service, until

SERVICES = "/api/v1/services"
NAMES = ("a", "b", "c", "d", "e")
pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def api(own_plane: Plane) -> Iterator[Api]:
    """Five services that ask to be probed."""
    api = own_plane.api
    api.apply(f"/api/v1/namespaces/{SHOP}", namespace(SHOP))
    for name in NAMES:
        api.apply(f"/api/v1/namespaces/{SHOP}/services/{name}", service(name, "tcp"))
        api.apply(f"/apis/discovery.k8s.io/v1/namespaces/{SHOP}/endpointslices/{name}-1", endpoints(name, "10.244.0.9"))
    yield api
    for found in api.items(f"/api/v1/namespaces/{SHOP}/services"):
        api.delete(f"/api/v1/namespaces/{SHOP}/services/{found['metadata']['name']}")


@asynccontextmanager
async def following(between: Between, name: str, folder: Path) -> AsyncIterator[ClusterSource]:
    source = ClusterSource(SETTINGS, kubeconfig=between.kubeconfig(name, folder))
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(source.follow())
        try:
            yield source
        finally:
            task.cancel()


def probed(source: ClusterSource) -> set[str]:
    return {one.name for one in source.snapshot.services if one.namespace == SHOP}


async def test_survive_16_a_page_that_expired_in_the_middle_of_a_list_begins_it_again_and_nothing_is_ever_missing(
    own_plane: Plane, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "PAGE_OBJECTS", 2)
    reached, go_on = asyncio.Event(), asyncio.Event()
    between = Between(own_plane)

    async def hold_the_second_page(request: web.Request) -> web.Response | None:
        if request.path == SERVICES and "watch" in request.query and not reached.is_set():
            return web.Response(status=410, text="{}")  # so that there is another list
        if request.path == SERVICES and "continue" in request.query and not reached.is_set():
            reached.set()
            await held(go_on)
        return None

    async with between.serving(), following(between, "pages", tmp_path) as source:
        await until(source, lambda _: probed(source) == set(NAMES))
        between.interfere = hold_the_second_page
        await asyncio.to_thread(own_plane.restart_api_server)  # which ends the watches
        async with asyncio.timeout(90):
            await reached.wait()
        # Between the first page and the second one goes, one comes, and the history that the token is of is gone.
        api.delete(f"/api/v1/namespaces/{SHOP}/services/b")
        api.apply(f"/api/v1/namespaces/{SHOP}/services/f", service("f", "tcp"))
        api.apply(f"/apis/discovery.k8s.io/v1/namespaces/{SHOP}/endpointslices/f-1", endpoints("f", "10.244.0.9"))
        await asyncio.to_thread(own_plane.forget_history)
        await source.changed()
        assert probed(source) == set(NAMES), "half of a new list is nothing"
        go_on.set()
        seen: set[frozenset[str]] = set()

        def follows(_: object) -> bool:
            seen.add(frozenset(probed(source)))
            return probed(source) == {"a", "c", "d", "e", "f"}

        await until(source, follows)
    assert all(set("acde") <= one for one in seen)
    pages = [(one.status, "continue" in one.query) for one in between.asked if one.path == SERVICES and one.is_list]
    assert (410, True) in pages, "the API server's own word"
    after = pages[pages.index((410, True)) + 1 :]
    assert after[0] == (200, False), "the first page again"


@pytest.mark.usefixtures("api")
async def test_survive_17_who_is_turned_away_by_priority_and_fairness_asks_seldom_and_goes_on_when_it_may(
    own_plane: Plane, tmp_path: Path
) -> None:
    between = Between(own_plane)
    async with between.serving():
        source = ClusterSource(SETTINGS, kubeconfig=between.kubeconfig("fair", tmp_path))
        async with asyncio.TaskGroup() as tasks:
            with without_seats(own_plane):
                task = tasks.create_task(source.follow())
                # Everything is refused for as long as the only seat is taken: wait until some are refused for the third time.
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while len([times for times in refusals(between).values() if len(times) > 2]) < 3:  # noqa: ASYNC110 - of another process
                        await asyncio.sleep(0.1)
                assert not source.ready
            await until(source, lambda _: probed(source) == set(NAMES))
            task.cancel()
    asked = [one for one in between.asked if one.query]
    pauses = [
        min([other.at - one.at for other in asked if _what(other) == _what(one) and other.at > one.at], default=60.0)
        for one in asked
        if one.status == 429
    ]
    assert min(pauses) >= 1.0, "the API server says to come back in a second"


def refusals(between: Between) -> dict[tuple[str | None, ...], list[float]]:
    """When the API server refused a request, by whose it is."""
    found: dict[tuple[str | None, ...], list[float]] = {}
    for one in between.asked:
        if one.status == 429:
            found.setdefault(_what(one), []).append(one.at)
    return found


def _what(one: Asked) -> tuple[str | None, ...]:
    """Whose request it is: several follow pods, each those of its own."""
    return (one.path, *(one.query.get(word) for word in ("labelSelector", "fieldSelector")))


@pytest.mark.parametrize("status", [429, 503])
async def test_survive_17_retry_after_is_obeyed_by_lists_and_watches_and_not_by_all_in_one_moment(
    status: int, own_plane: Plane, api: Api, tmp_path: Path
) -> None:
    between = Between(own_plane)
    first: dict[tuple[str | None, ...], float] = {}

    async def busy_at_first(request: web.Request) -> web.Response | None:
        key = (*_what(Asked(request.path, dict(request.query), 0.0)), str("watch" in request.query))
        if key in first:
            return None
        first[key] = time.monotonic()
        return web.Response(status=status, headers={"Retry-After": "3"}, text="{}")

    def again() -> dict[tuple[str | None, ...], float]:
        """How long after its refusal each was asked for again."""
        found: dict[tuple[str | None, ...], float] = {}
        for one in between.asked:
            key = (*_what(one), str("watch" in one.query))
            if one.status == 200 and key in first:
                found.setdefault(key, one.at - first[key])
        return found

    between.interfere = busy_at_first
    async with between.serving(), following(between, f"later-{status}", tmp_path) as source:
        await until(source, lambda _: probed(source) == set(NAMES))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(again()) < 12:  # noqa: ASYNC110 - six lists and their watches at least
                await asyncio.sleep(0.1)
    assert min(again().values()) >= 3.0
    lists = sorted(at for key, at in again().items() if key[-1] == "False")
    assert lists[-1] - lists[0] > 0.02, "the waits are spread"
    assert api
