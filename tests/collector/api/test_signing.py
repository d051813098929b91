"""Sign-in: who may read, and who of browsers may act."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestServer

from collector.admission import Refusal, RefusedError
from collector.alerts import RUNBOOKS
from collector.api import signing
from collector.api.signing import GOOD_SECONDS, HEADER, REFUSED_A_SECOND, Readers
from collector.cli import main
from collector.cli.client import TOKEN_HEADER
from collector.page import assets, runbooks
from collector.permission import Action
from tests.collector.api.acting import KEY, PROBE, Collector, all_well, with_agents

SIGN_IN = "/api/v1/actions/signin"
OF_OUR_PAGE = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
READS = ("/api/v1/matrix", "/api/v1/incidents", "/api/v1/picture", "/api/v1/events", "/api/v1/self", "/metrics", "/api/v1/x")


class Permissions:
    """Lets one token read."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.good = KEY

    async def permitted(self, token: str, action: Action) -> str:
        self.asked.append(token)
        await asyncio.sleep(0)
        assert action is Action.READ
        if token != self.good:
            raise RefusedError(Refusal.UNKNOWN_TOKEN)
        return "reader"


class Port:
    """The operator port of a collector where reading needs a token."""

    def __init__(self, keys: Path, mode: str = "all") -> None:
        keys.write_text(f"{KEY}\n")
        self.permissions = Permissions()
        self.now = 1000.0
        self.collector = Collector(keys)
        self.collector.actions._reads = mode == "all"
        readers = Readers(self.permissions, refused=lambda word: self.collector.refused.update([word]), clock=lambda: self.now)
        self.app = self.collector.app(sign_in=mode, readers=readers if mode == "all" else None)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[ClientSession]:
        async with TestServer(self.app) as server, ClientSession(server.make_url("/")) as client:
            yield client


async def status(client: ClientSession, path: str, **headers: str) -> int:
    async with client.get(path, headers={name.replace("_", "-"): value for name, value in headers.items()}) as answer:
        return answer.status


async def at_once(client: ClientSession, times: int) -> list[int]:
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(status(client, "/api/v1/matrix", **{HEADER: KEY})) for _ in range(times)]
    return [one.result() for one in asked]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.mark.parametrize("path", READS)
async def test_nothing_of_the_cluster_is_read_without_a_token(keys: Path, path: str) -> None:
    port = Port(keys)
    async with port.serving() as client, client.get(path) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="netmatrix"'
        assert "sign in" in (await answer.json())["error"]
    assert port.permissions.asked == []
    assert port.collector.refused == {"no_token": 1}


async def test_the_page_runbooks_and_health_are_open_to_all(keys: Path) -> None:
    port = Port(keys)
    async with port.serving() as client:
        read_on = (f"/{RUNBOOKS}{name}" for name in runbooks())
        for path in ("/healthz", "/readyz", "/api/v1/signin", *(f"/{name}" for name in assets()), *read_on):
            assert await status(client, path) == 200, path
        async with client.get("/api/v1/signin") as answer:
            assert await answer.json() == {"version": 1, "sign_in": "all", "tokens": "keys"}


async def test_a_good_token_reads_in_either_header_and_is_asked_about_once_a_minute(keys: Path) -> None:
    port = Port(keys)
    async with port.serving() as client:
        assert await status(client, "/api/v1/matrix", Authorization=f"Bearer {KEY}") == 200
        statuses = await at_once(client, 20)
        assert set(statuses) == {200}
        assert len(port.permissions.asked) == 1
        port.now += GOOD_SECONDS
        port.permissions.good = "another"
        assert await status(client, "/api/v1/matrix", **{HEADER: KEY}) == 401


async def test_many_pages_that_open_at_once_with_a_token_ask_about_it_once(keys: Path) -> None:
    port = Port(keys)
    async with port.serving() as client:
        statuses = await at_once(client, 20)
    assert set(statuses) == {200}
    assert len(port.permissions.asked) == 1


async def test_survive_53_refused_tokens_are_bounded_and_keep_nobody_out_who_is_in(keys: Path) -> None:
    port = Port(keys)
    async with port.serving() as client:
        assert await status(client, "/api/v1/matrix", **{HEADER: KEY}) == 200
        found = [await status(client, "/api/v1/matrix", **{HEADER: f"wrong-{number}"}) for number in range(100)]
        assert found == [401] * REFUSED_A_SECOND + [429] * (100 - REFUSED_A_SECOND)
        assert len(port.permissions.asked) == REFUSED_A_SECOND + 1
        assert await status(client, "/api/v1/matrix", **{HEADER: KEY}) == 200
        port.now += 1
        assert await status(client, "/api/v1/matrix", **{HEADER: "wrong"}) == 401
        assert await status(client, "/api/v1/matrix", **{HEADER: "A" * 5000}) == 401
    assert port.collector.refused["malformed_token"] == 1


@pytest.mark.parametrize("name", [HEADER, "Authorization"])
async def test_a_token_of_bytes_that_are_no_text_is_refused_as_any_other(keys: Path, name: str) -> None:
    port = Port(keys)
    async with TestServer(port.app) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(
            f"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{name}: Bearer ".encode() + b"\xff\xfe\r\n\r\n"
        )
        assert (await reader.readline()).split()[1] == b"401"
        writer.close()
    assert port.collector.refused == {"malformed_token": 1}
    assert port.permissions.asked == []


async def test_of_many_who_were_let_in_or_refused_no_more_than_so_much_is_kept(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "MOST_GOOD", 3)
    port = Port(keys)
    readers = Readers(port.permissions, refused=lambda _: None, clock=lambda: port.now)
    for number in range(10):
        port.permissions.good = f"good-{number}"
        await readers._admit(f"good-{number}")
        with pytest.raises(RefusedError):
            await readers._admit(f"wrong-{number}")
    assert (len(readers._good), readers._locks) == (3, {})
    port.permissions.asked.clear()
    await readers._admit("good-9")
    assert port.permissions.asked == [], "the newest are kept"


async def posted(client: ClientSession, path: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    async with client.post(
        path, json=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
    ) as answer:
        return answer.status, await answer.json()


async def test_whoever_signs_in_is_told_who_they_are_and_a_wrong_token_is_refused(keys: Path) -> None:
    port = Port(keys, "actions")
    async with port.serving() as client:
        assert await posted(client, SIGN_IN, {"token": KEY}, **OF_OUR_PAGE) == (200, {"version": 1, "user": "operator"})
        assert await posted(client, SIGN_IN, {"token": "no-such-key-at-all"}, **OF_OUR_PAGE) == (
            401,
            {"error": "the token is not known"},
        )
        assert (await posted(client, SIGN_IN, {}, **OF_OUR_PAGE))[0] == 401
        assert (await posted(client, SIGN_IN, {"token": KEY, "more": 1}, **OF_OUR_PAGE))[0] == 400
        assert await status(client, "/api/v1/matrix") == 200


@pytest.mark.parametrize(("mode", "action"), [("actions", Action.PROBE), ("all", Action.READ)])
async def test_whoever_signs_in_may_do_what_the_page_signs_in_for(keys: Path, mode: str, action: Action) -> None:
    port = Port(keys, mode)
    async with port.serving() as client:
        assert (await posted(client, SIGN_IN, {"token": KEY}, **OF_OUR_PAGE))[0] == 200
    assert port.collector.asked == [(KEY, action)]


async def test_where_there_is_a_sign_in_our_page_has_paths_probed(keys: Path) -> None:
    port = Port(keys, "actions")
    asked = {"token": KEY, "from": "n1", "to": "agent-n2", "kind": "udp"}
    async with port.serving() as client:
        found, answer = await with_agents(port.collector, all_well, posted(client, PROBE, asked, **OF_OUR_PAGE))
    assert found == 200
    assert [path["state"] for path in answer["paths"]] == ["answered"]


FOREIGN: dict[str, dict[str, str]] = {
    "another site": {"Sec-Fetch-Site": "cross-site"},
    "another name of the same site": {"Sec-Fetch-Site": "same-site"},
    "an address that was typed": {"Sec-Fetch-Site": "none"},
    "another origin over plain HTTP": {"Origin": "http://evil.example"},
    "a page without an origin": {"Origin": "null"},
    "a form": {"Sec-Fetch-Site": "same-origin", "Content-Type": "text/plain"},
}


@pytest.mark.parametrize("mode", ["off", "actions", "all"])
@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
async def test_no_other_page_has_anything_done_even_with_a_good_token(keys: Path, mode: str, headers: dict[str, str]) -> None:
    port = Port(keys, mode)
    async with port.serving() as client:
        found, answer = await posted(client, PROBE, {"token": KEY, "from": "n1", "to": "n2"}, **headers)
    assert (found, answer["error"]) == (403, "no page of a browser has anything done here")
    assert port.collector.asked == []


async def test_without_a_sign_in_not_even_our_page_has_anything_done(keys: Path) -> None:
    port = Port(keys, "off")
    async with port.serving() as client:
        assert (await posted(client, SIGN_IN, {"token": KEY}, **OF_OUR_PAGE))[0] == 403


async def test_a_page_over_plain_http_under_a_name_is_known_by_its_origin(keys: Path) -> None:
    port = Port(keys, "actions")
    async with TestServer(port.app) as server, ClientSession(server.make_url("/")) as client:
        for scheme in ("http", "https"):  # with TLS in front of it the collector sees plain HTTP
            origin = f"{scheme}://{server.host}:{server.port}"
            assert (await posted(client, SIGN_IN, {"token": KEY}, Origin=origin))[0] == 200


async def test_the_command_reads_with_the_token_that_it_has_where_reading_needs_one(
    keys: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = Port(keys)
    assert TOKEN_HEADER == HEADER
    async with TestServer(port.app) as server:
        words = ["agents", "--server", str(server.make_url("")).rstrip("/")]
        monkeypatch.setenv("NETMATRIX_TOKEN", KEY)
        assert await asyncio.to_thread(main, words) == 1  # none of them reports
        assert "n1" in capsys.readouterr().out
        monkeypatch.setenv("NETMATRIX_TOKEN", "a-wrong-key-of-no-use")
        assert await asyncio.to_thread(main, words) == 3
        assert "the token is not known" in capsys.readouterr().err
