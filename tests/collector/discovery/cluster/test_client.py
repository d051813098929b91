"""Requests carry our token, also one that was swapped, and every failure of a connection is the same exception."""

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from collector.discovery.cluster import client as module
from collector.discovery.cluster.client import Answer, Api, ApiAwayError, reason_of
from collector.discovery.cluster.own_mtu import own_mtu
from collector.discovery.cluster.retry_after import MOST_SECONDS, seconds_of
from tests.leap import leap
from tests.stuck_server import get_stuck

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def kubeconfig(folder: Path, url: str, **cluster: str) -> Path:
    """Credentials for the server at `url`: a token in a file."""
    (folder / "token").write_text("first")
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "u", "user": {"tokenFile": str(folder / "token")}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (folder / "kubeconfig").write_text(json.dumps(document))
    return folder / "kubeconfig"


@asynccontextmanager
async def api_to(handler: Handler, folder: Path) -> AsyncIterator[Api]:
    """A client of a server that answers everything so, known to it by a token in a file."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    (host, port) = runner.addresses[0]
    api = Api(kubeconfig(folder, f"http://{host}:{port}"))
    try:
        yield api
    finally:
        await api.close()
        await runner.cleanup()


async def test_every_request_carries_the_token_and_its_query_and_asks_for_plain_json(tmp_path: Path) -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response({"kind": "Thing"}, headers={"Retry-After": "7"})

    async with api_to(handler, tmp_path) as api:
        answer = await api.ask("GET", "/api/v1/pods", [("labelSelector", "a in (b,c)"), ("limit", "5")])
        async with api.stream("/api/v1/nodes", [("watch", "1")], silence_seconds=5.0) as stream:
            assert b"".join([bit async for bit in stream.bits()]) == b'{"kind": "Thing"}'
        assert api.requests == 2
    assert (answer.good, answer.body, answer.retry_after) == (True, b'{"kind": "Thing"}', 7.0)
    assert [request.headers["Authorization"] for request in seen] == ["Bearer first"] * 2
    assert dict(seen[0].query) == {"labelSelector": "a in (b,c)", "limit": "5"}
    assert seen[0].headers["Accept-Encoding"] == "identity"
    assert seen[0].headers["User-Agent"] == "netmatrix-collector"


async def test_a_body_is_sent_as_json_of_the_type_that_is_asked_for(tmp_path: Path) -> None:
    seen: list[tuple[str, str, object]] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append((request.method, request.content_type, await request.json()))
        return web.Response(status=201)

    async with api_to(handler, tmp_path) as api:
        await api.ask("POST", "/x", body={"a": [1]})
        await api.ask("PATCH", "/x", body={"a": None}, content_type="application/merge-patch+json")
    assert seen == [("POST", "application/json", {"a": [1]}), ("PATCH", "application/merge-patch+json", {"a": None})]


async def test_survive_64_a_token_that_is_refused_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RELOAD_SECONDS", 0.0)

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.headers.get("Authorization") == "Bearer second" else 401)

    async with api_to(handler, tmp_path) as api:
        assert (await api.ask("GET", "/x")).status == 401
        (tmp_path / "token").write_text("second")
        assert (await api.ask("GET", "/x")).status == 200


async def test_survive_64_a_file_of_credentials_that_is_missing_is_read_again_when_it_is_there(tmp_path: Path) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response()

    async with api_to(handler, tmp_path) as api:
        whole = (tmp_path / "kubeconfig").read_text()
        for text in ("", "{", "[]"):
            (tmp_path / "kubeconfig").write_text(text)
            with pytest.raises(ApiAwayError):
                await api.ask("GET", "/x")
        (tmp_path / "kubeconfig").write_text(whole)
        assert (await api.ask("GET", "/x")).good


async def test_nobody_there_too_long_an_answer_and_half_of_one_are_the_same_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 1000)

    async def handler(request: web.Request) -> web.StreamResponse:
        if request.path == "/long":
            return web.Response(body=b"x" * 1001)
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        request.transport.close()
        return response

    async with api_to(handler, tmp_path) as api:
        for path in ("/long", "/half"):
            with pytest.raises(ApiAwayError):
                await api.ask("GET", path)
    nobody = Api(tmp_path / "kubeconfig")
    with pytest.raises(ApiAwayError, match="Cannot connect"):
        await nobody.ask("GET", "/x")
    await nobody.close()


async def test_survive_15_a_stream_that_says_nothing_breaks(tmp_path: Path) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"one\n")
        await asyncio.Event().wait()
        return response

    async with api_to(handler, tmp_path) as api, api.stream("/x", [], silence_seconds=0.1) as stream:
        bits = stream.bits()
        assert await anext(bits) == b"one\n"
        with pytest.raises(ApiAwayError, match="Timeout"):
            await anext(bits)


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
async def test_survive_13_a_connection_to_a_server_that_is_stuck_ends_with_the_request_and_waits_for_no_farewell(
    tmp_path: Path, words: bytes
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    loop, heard = asyncio.get_running_loop(), asyncio.Event()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        api = Api(kubeconfig(tmp_path, url, **{"certificate-authority": str(tmp_path / "ca.pem")}))
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                asyncio.to_thread(get_stuck, listener, context, words, lambda: loop.call_soon_threadsafe(heard.set))
            )
            asked = tasks.create_task(_away(api))
            await heard.wait()
            leap(module.ANSWER_SECONDS)
        assert "Timeout" in asked.result()
        await api.close()


async def _away(api: Api) -> str:
    with pytest.raises(ApiAwayError) as away:
        await api.ask("GET", "/x")
    return str(away.value)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0.0),
        (" 30 ", 30.0),
        ("100000", MOST_SECONDS),
        ("9" * 400, None),
        ("-1", None),
        ("1.5", None),
        ("Wed, 25 Nov 2026 07:28:00 GMT", None),
        ("٣", None),
    ],
)
def test_survive_17_retry_after_is_read_in_seconds(header: str | None, seconds: float | None) -> None:
    assert seconds_of(header) == seconds


def test_a_refusal_is_told_in_one_harmless_line() -> None:
    assert reason_of(Answer(403, b'{"message": "pods is forbidden\\n\\u001b[31m"}')) == "403 pods is forbidden??[31m"
    for body in (b"", b"x", b"[]", b"{}", b"\xff"):
        assert reason_of(Answer(500, body)) == "500"


def test_the_own_mtu_is_that_of_the_interface_towards_the_cluster() -> None:
    assert own_mtu("127.0.0.1") == min(65_535, int(Path("/sys/class/net/lo/mtu").read_text()))
    assert own_mtu("not an address") == 0
    assert own_mtu("") == 0
