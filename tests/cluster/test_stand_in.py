"""The stand-in that unit tests of lists and watches ask answers as a real API server does: the same is asked of both."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

import pytest

from collector.discovery.cluster.client import Answer, Api, Stream
from tests.cluster.plane import Plane, eventually
from tests.collector.discovery.cluster.test_follower import History

SPACE = "stand-in"
PATH = f"/api/v1/namespaces/{SPACE}/configmaps"
MINE = ("labelSelector", "of=stand-in")
pytestmark = pytest.mark.timeout(240)


class Server(Protocol):
    """What is asked of either."""

    async def ask(self, method: str, path: str, query: Any) -> Answer: ...

    def stream(self, path: str, query: Any, *, silence_seconds: float) -> AbstractAsyncContextManager[Stream]: ...

    async def set(self, name: str, value: int) -> None: ...

    async def forget(self) -> None: ...


class StandIn(History):
    """Things happen to it before the next request."""

    async def set(self, name: str, value: int) -> None:
        self.changes = [[*(self.changes[0] if self.changes else []), (name, value)]]

    async def forget(self) -> None:
        self.script = ["compacted"]


class Real:
    """ConfigMaps of a namespace."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._api = Api(plane.kubeconfig)
        self.stream = self._api.stream
        self.close = self._api.close

    async def ask(self, method: str, path: str, query: Any) -> Answer:
        return await self._api.ask(method, path, query)

    async def set(self, name: str, value: int) -> None:
        api, path = self._plane.api, f"{PATH}/{name}"
        if not value:
            await asyncio.to_thread(api.delete, path)
            return
        labels = {"of": "stand-in"}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"labels": labels}, "data": {"value": str(value)}}
        await asyncio.to_thread(api.apply, path, body)

    async def forget(self) -> None:
        await asyncio.to_thread(self._plane.forget_history)


@pytest.fixture(params=["stand-in", "real"])
async def server(request: pytest.FixtureRequest, own_plane: Plane) -> AsyncIterator[Server]:
    if request.param == "stand-in":
        yield StandIn([], [])
        return
    own_plane.api.apply(f"/api/v1/namespaces/{SPACE}", {"apiVersion": "v1", "kind": "Namespace"})
    eventually(lambda: own_plane.api.items(PATH), what="the namespace's own ConfigMap")
    real = Real(own_plane)
    yield real
    await real.close()


async def page(server: Server, token: str = "") -> tuple[list[str], str, str]:
    """Names, version and token of a page of two."""
    answer = await server.ask("GET", PATH, [("limit", "2"), MINE, *([("continue", token)] if token else [])])
    assert answer.status == 200
    said = json.loads(answer.body)
    meta = said["metadata"]
    return [one["metadata"]["name"] for one in said["items"]], meta["resourceVersion"], meta.get("continue", "")


async def watched(server: Server, version: str, count: int) -> list[tuple[str, str, int]]:
    """Type, name and version of the first events of objects after a version; of an error its code."""
    query = [("watch", "1"), ("resourceVersion", version), ("allowWatchBookmarks", "true"), ("timeoutSeconds", "30"), MINE]
    found: list[tuple[str, str, int]] = []
    text = b""
    async with server.stream(PATH, query, silence_seconds=90.0) as stream, asyncio.timeout(60):
        if stream.status != 200:
            return [("ERROR", "", stream.status)]
        async for bit in stream.bits():
            *lines, text = (text + bit).split(b"\n")
            for line in lines:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return [("ERROR", "", event["object"]["code"])]
                meta = event["object"]["metadata"]
                if event["type"] != "BOOKMARK":
                    found.append((event["type"], meta["name"], int(meta["resourceVersion"])))
            if len(found) >= count:
                return found
    return found


async def test_pages_events_and_what_is_forgotten_are_the_same_of_both(server: Server) -> None:
    for number, name in enumerate(("a", "b", "c"), 1):
        await server.set(name, number)
    names, version, token = await page(server)
    assert (names, bool(token)) == (["a", "b"], True)
    # What happens between two pages is in neither: both are of one version.
    await server.set("b", 0)
    await server.set("d", 4)
    await server.set("a", 5)
    assert await page(server, token) == (["c"], version, "")
    events = await watched(server, version, 3)
    assert [(kind, name) for kind, name, _ in events] == [("DELETED", "b"), ("ADDED", "d"), ("MODIFIED", "a")]
    assert [number for *_, number in events] == sorted({number for *_, number in events})
    assert events[0][2] > int(version)
    await server.forget()
    answer = await server.ask("GET", PATH, [("limit", "2"), MINE, ("continue", token)])
    assert answer.status == 410
    assert await watched(server, version, 1) == [("ERROR", "", 410)]
