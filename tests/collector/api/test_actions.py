"""Actions over real sockets: who may, in which order a request is looked at, and what comes of the paths that are probed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from collector.admission import Refusal, RefusedError
from collector.api.actions import MAX_AT_ONCE
from collector.api.refusals import MAX_BODY
from collector.permission import Action, OperatorKeys
from tests.collector.api.acting import KEY, PROBE, VERIFY, Collector, all_lost, all_well, with_agents


@pytest.fixture
def collector(tmp_path: Path) -> Collector:
    (tmp_path / "keys").write_text(f"short\n{KEY}\n")
    return Collector(tmp_path / "keys")


@pytest.fixture
async def server(collector: Collector) -> AsyncIterator[TestServer]:
    server = TestServer(collector.app())
    async with server:
        yield server


@pytest.fixture
async def client(server: TestServer) -> AsyncIterator[ClientSession]:
    async with ClientSession(server.make_url("/")) as session:
        yield session


async def act(client: ClientSession, body: object, *, page: str = PROBE, **headers: str) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with client.post(page, data=data, headers=headers) as response:
        return response.status, await response.json()


def probe(**more: object) -> dict[str, object]:
    return {"token": KEY, "from": "n1", "to": "agent-n2", "kind": "udp", **more}


async def test_whoever_has_a_key_has_planned_paths_probed_and_hears_what_came_of_it(
    collector: Collector, client: ClientSession
) -> None:
    status, answer = await with_agents(collector, all_well, act(client, probe(count=7)))
    assert status == 200
    (path,) = answer["paths"]
    assert (path["state"], path["sent"], path["lost"], path["mean_us"]) == ("answered", 7, 0, 50.0)
    assert (path["from"]["vantage"], path["to"]["name"], path["kind"]) == ("n1", "pod/netmatrix/agent-n2", "udp")
    assert collector.asked == [(KEY, Action.PROBE)]


async def test_what_is_lost_is_said(collector: Collector, client: ClientSession) -> None:
    _, answer = await with_agents(collector, all_lost, act(client, probe()))
    assert [(path["state"], path["loss"], path["mean_us"]) for path in answer["paths"]] == [("lost", 1.0, None)]


async def test_an_agent_that_says_nothing_is_not_waited_for_for_ever(client: ClientSession) -> None:
    status, answer = await act(client, probe())
    assert (status, [path["state"] for path in answer["paths"]]) == (200, ["no_word"])


async def test_an_agent_that_may_send_no_more_says_so(collector: Collector, client: ClientSession) -> None:
    _, answer = await with_agents(collector, lambda _: {}, act(client, probe()))
    assert [path["state"] for path in answer["paths"]] == ["not_sent"]


async def test_names_choose_among_planned_paths_and_nothing_else_is_probed(client: ClientSession) -> None:
    status, answer = await act(client, probe(to="169.254.169.254"))
    assert (status, answer["error"].partition(":")[0]) == (
        400,
        "no path between these two is planned, and nothing else is probed",
    )
    status, answer = await act(client, {"token": KEY, "from": "n1", "to": "example"})
    assert (status, "of the 1 paths" in answer["error"]) == (400, True)


@pytest.mark.parametrize(
    "body",
    [
        {"from": "n1", "to": "n2", "token": KEY},
        {"token": 7, "from": "n1", "to": "n2"},
        {"token": "", "from": "n1", "to": "n2"},
        {"Token": KEY, "from": "n1", "to": "n2"},
        {"token": KEY + " ", "from": "n1", "to": "n2"},
        {},
        [],
        KEY.encode(),
        b"",
        b'{"token": "' + b"x" * 5000 + b'", "from": "n1"}',
    ],
    ids=["not first", "a number", "empty", "another name", "a space", "nothing", "a list", "no JSON", "no body", "too long"],
)
async def test_survive_60_a_body_that_does_not_begin_with_a_token_is_refused_unread(
    collector: Collector, client: ClientSession, body: object
) -> None:
    status, answer = await act(client, body)
    assert (status, answer) == (401, {"error": 'the first field of the body must be "token"'})
    assert collector.asked == [], "nobody was asked about anything"


async def test_survive_60_the_token_is_judged_before_the_rest_of_the_body_has_come(
    collector: Collector, server: TestServer
) -> None:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    head = f"POST {PROBE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n"
    writer.write(head.encode() + b'{"token": "a-key-that-nobody-has", ')
    async with asyncio.timeout(30):
        answer = await reader.read(4096)
    writer.close()
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert collector.refused == {"unknown_token": 1}


async def test_survive_47_another_key_is_refused(collector: Collector, client: ClientSession) -> None:
    assert (await act(client, probe() | {"token": "another-key-0123456789"}))[0] == 401
    assert (await act(client, probe() | {"token": "short"}))[0] == 401, "a key that short is as if it were not there"
    assert collector.refused == {"unknown_token": 2}


async def test_without_a_file_of_keys_nobody_may_have_anything_done() -> None:
    with pytest.raises(RefusedError, match=Refusal.NOT_PERMITTED):
        await OperatorKeys(None).permitted(KEY, Action.PROBE)


async def test_a_key_that_is_taken_out_of_the_file_is_refused_at_once(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(KEY)
    keys = OperatorKeys(file)
    assert await keys.permitted(KEY, Action.PROBE) == "operator"
    file.write_text("another-key-0123456789")
    with pytest.raises(RefusedError, match=Refusal.UNKNOWN_TOKEN):
        await keys.permitted(KEY, Action.PROBE)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(RefusedError, match=Refusal.NOT_PERMITTED):
        await keys.permitted(KEY, Action.PROBE)


async def test_survive_50_a_body_over_8_kib_is_refused_by_its_length_or_where_it_ends(
    collector: Collector, client: ClientSession
) -> None:
    long = json.dumps(probe(to="x" * MAX_BODY)).encode()
    assert (await act(client, long))[0] == 413
    assert collector.asked == [], "a length that is announced is enough"

    async def drops() -> AsyncIterator[bytes]:
        for start in range(0, len(long), 1000):
            yield long[start : start + 1000]

    async with client.post(PROBE, data=drops()) as response:
        assert response.status == 413
    assert collector.refused == {"oversized": 2}


async def drip(writer: asyncio.StreamWriter) -> None:
    """A blank ten times as often as the deadline of a body."""
    while True:
        await asyncio.sleep(0.03)
        writer.write(b" ")


@pytest.mark.parametrize("start", [b"{", f'{{"token": "{KEY}", '.encode()], ids=["before its token", "after its token"])
async def test_survive_52_a_body_that_drips_is_given_up(collector: Collector, server: TestServer, start: bytes) -> None:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    writer.write(f"POST {PROBE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000\r\n\r\n".encode() + start)
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        dripping = tasks.create_task(drip(writer))
        answer = await reader.read(4096)
        dripping.cancel()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert collector.refused == {"too_slow": 1}


@pytest.mark.parametrize("name", ["Origin", "origin", "Sec-Fetch-Site"])
async def test_survive_60_no_page_of_a_browser_has_anything_done(
    collector: Collector, client: ClientSession, name: str
) -> None:
    assert (await act(client, probe(), **{name: "http://localhost:8080"}))[0] == 403
    assert collector.asked == []


async def test_survive_60_no_get_has_anything_done(collector: Collector, client: ClientSession) -> None:
    for page in (PROBE, VERIFY):
        async with client.get(page) as response:
            assert response.status == 405
    for page in ("/api/v1/matrix", "/metrics", "/"):
        async with client.post(page, data=b"{}") as response:
            assert response.status == 405
    assert collector.asked == []


async def test_survive_60_a_foreign_host_is_refused_before_anything(collector: Collector, client: ClientSession) -> None:
    assert (await act(client, probe(), Host="attacker.example"))[0] == 421
    assert collector.asked == []


async def test_a_compressed_body_is_refused(collector: Collector, client: ClientSession) -> None:
    async with client.post(PROBE, data=b"\x1f\x8b", headers={"Content-Encoding": "gzip"}) as response:
        assert response.status == 415
    assert collector.asked == []


@pytest.mark.parametrize(
    "more",
    [{"count": 0}, {"count": 21}, {"to": ""}, {"to": "a\nb"}, {"kind": "http"}, {"layer": "moon"}, {"address": "192.0.2.1"}],
    ids=str,
)
async def test_a_request_that_is_not_as_it_should_be_is_refused_in_one_sentence(
    client: ClientSession, more: dict[str, object]
) -> None:
    status, answer = await act(client, probe(**more))
    assert (status, answer["error"].startswith("the body is not as it should be: ")) == (400, True)


async def test_there_is_an_end_to_how_much_is_done_at_once(collector: Collector, client: ClientSession) -> None:
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(act(client, probe())) for _ in range(MAX_AT_ONCE + 2)]
    assert sorted(task.result()[0] for task in running) == [200] * MAX_AT_ONCE + [429] * 2
    assert collector.refused == {"shed": 2}


async def test_a_verification_begins_at_once_tells_how_far_it_is_and_then_its_answer(
    collector: Collector, client: ClientSession
) -> None:
    status, begun = await act(client, {"token": KEY}, page=VERIFY)
    assert (status, begun["paths"]) == (202, 1)
    page = f"/api/v1/verification?id={begun['id']}"
    async with client.get(page) as response:
        assert await response.json() == {"version": 1, "done": False, "paths": 1, "told": 0}

    async def told() -> Any:
        async with asyncio.timeout(30):
            while True:
                async with client.get(page) as response:
                    answer = await response.json()
                if answer["done"]:
                    return answer
                await asyncio.sleep(0.02)

    answer = await with_agents(collector, all_well, told())
    assert answer == {"version": 1, "done": True, "paths": 1, "told": 1, "answer": {"namespace": "", "sent": [3]}}
    async with client.get("/api/v1/verification?id=other") as response:
        assert response.status == 404


async def test_a_verification_ends_where_agents_say_nothing(client: ClientSession) -> None:
    _, begun = await act(client, {"token": KEY, "namespace": "netmatrix"}, page=VERIFY)
    async with asyncio.timeout(30):
        while True:
            async with client.get(f"/api/v1/verification?id={begun['id']}") as response:
                answer = await response.json()
            if answer["done"]:
                break
            await asyncio.sleep(0.05)
    assert (answer["told"], answer["answer"]["sent"]) == (0, [0])
