import asyncio
import gzip
import json
from collections.abc import AsyncIterator

import numpy as np
import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from collector.alerts import BY_INCIDENT, OF_ITSELF
from collector.api import events, pictures, renderings
from collector.matrix.picture import LEVEL, LOSS_LEVELS, Code
from collector.page import POLICY, assets, runbooks
from tests.collector.api.test_operators import NOW, Collector
from tests.collector.small_cluster import SECOND


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    async with TestServer(Collector().app()) as server, ClientSession(server.make_url("/"), auto_decompress=False) as session:
        yield session


@pytest.mark.parametrize("path", ["", *sorted(assets())])
async def test_a_file_of_the_page_comes_with_its_policy_and_is_not_sent_twice(client: ClientSession, path: str) -> None:
    async with client.get(f"/{path}", headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert gzip.decompress(await answer.read()) == assets()[path].body
        tag = answer.headers["ETag"]
    async with client.get(f"/{path}", headers={"If-None-Match": tag}) as again:
        assert (again.status, await again.read()) == (304, b"")


@pytest.mark.parametrize("ending", ["", ".md"])
async def test_what_to_do_about_an_alert_is_served_as_text_where_the_repository_has_it(
    client: ClientSession, ending: str
) -> None:
    assert set(runbooks()) == BY_INCIDENT | OF_ITSELF
    name = "NetmatrixDNSFailing"
    async with client.get(f"/docs/runbooks/{name}{ending}") as answer:
        assert (answer.status, answer.content_type) == (200, "text/plain")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert await answer.text() == runbooks()[name]
    async with client.get("/docs/runbooks/../alerts") as other:
        assert other.status == 404


async def picture(
    client: ClientSession, query: str = ""
) -> tuple[dict[str, object], np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]:
    async with client.get(f"/api/v1/picture{query}", headers={"Accept-Encoding": "gzip"}) as answer:
        assert answer.status == 200
        body = gzip.decompress(await answer.read())
    assert body[:4] == b"NMP1"
    size = int.from_bytes(body[4:8], "little")
    header = json.loads(body[8 : 8 + size])
    codes = np.frombuffer(body[8 + size :], np.uint8)
    return header, codes.reshape(len(header["rows"]), len(header["columns"]))


async def test_a_picture_is_a_header_and_a_byte_for_each_pair(client: ClientSession) -> None:
    header, codes = await picture(client)
    assert (header["by"], header["measure"], header["levels"]) == ("node", "loss", list(LOSS_LEVELS))
    rows, columns = header["rows"], header["columns"]
    assert isinstance(rows, list)
    assert isinstance(columns, list)
    assert codes[rows.index("n1"), columns.index("n3")] == LEVEL + LOSS_LEVELS.index(0.5)
    assert codes[rows.index("n2"), columns.index("n3")] == Code.UNKNOWN


async def test_a_large_cluster_is_drawn_zone_by_zone_where_nobody_says_how(
    client: ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    for most, by in ((3, "node"), (2, "zone")):
        monkeypatch.setattr(pictures, "MOST_NODES", most)
        assert (await picture(client, f"?layer={'pod' if most == 3 else 'host'}"))[0]["by"] == by


async def test_a_picture_that_took_long_is_answered_again_with_its_age(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renderings, "GOOD_FOR", 10**12)
    collector = Collector()
    async with TestServer(collector.app()) as server, ClientSession(server.make_url("/")) as client:
        for _ in range(2):
            async with client.get("/api/v1/picture") as answer:
                assert answer.headers["Age"] == ("0" if collector.clock.now == NOW else "5")
            collector.clock.now += 5 * SECOND


async def test_before_anything_is_judged_a_picture_of_verdicts_is_empty(client: ClientSession) -> None:
    header, codes = await picture(client, "?shade=verdict")
    assert (header["measure"], codes.size) == ("verdict", 0)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("?by=colour", "by must be one of"),
        ("?shade=weight", "shade must be one of verdict, loss, p50, p99"),
        ("?shade=verdict&by=kind", "verdicts are by vantage, node"),
        ("?layer=moon", "layer must be one of"),
        ("?totals=true", "unknown parameter"),
        ("?span=9y", "span must be a duration"),
    ],
)
async def test_a_picture_of_what_does_not_exist_is_refused_in_one_sentence(
    client: ClientSession, query: str, sentence: str
) -> None:
    async with client.get(f"/api/v1/picture{query}") as answer:
        assert answer.status == 400
        assert sentence in (await answer.json())["error"]


async def test_a_beat_reaches_those_who_listen_and_the_end_sends_them_home() -> None:
    beats = events.Beats()
    collector = Collector()
    app = collector.app(beats=beats)
    async with (
        TestServer(app) as server,
        ClientSession(server.make_url("/")) as client,
        client.get("/api/v1/events") as stream,
    ):
        assert stream.headers["Content-Type"] == "text/event-stream"
        assert stream.headers["Cache-Control"] == "no-store"
        assert await stream.content.readuntil(b"\n\n") == b"retry: 3000\n\n"
        await asyncio.sleep(0)
        beats.beat()
        assert await stream.content.readuntil(b"\n\n") == b"event: beat\ndata: 1\n\n"
        beats.end()
        await stream.content.readuntil(b"\n\n")
        assert await stream.content.read() == b""


async def test_more_streams_than_are_served_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "MOST", 1)
    async with (
        TestServer(Collector().app()) as server,
        ClientSession(server.make_url("/")) as client,
        client.get("/api/v1/events") as stream,
    ):
        await stream.content.readuntil(b"\n\n")
        async with client.get("/api/v1/events") as refused:
            assert refused.status == 503
