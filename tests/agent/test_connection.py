"""A server of a few lines that does what a sentence says, on real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trustme

from agent import connection
from agent.connection import Server
from agent.http_answer import Answer, MalformedError
from tests.leap import leap

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Heard:
    """A server that answers the n-th request, over all connections, with the n-th piece; with None it hangs up instead."""

    def __init__(self, *answers: bytes | None) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0
        self.serving = 0
        self.url = ""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.serving += 1
        try:
            while self.answers:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(line[16:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length: ")), 0)
                self.requests.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                writer.write(answer)
            if not self.answers:
                await reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            self.serving -= 1


@asynccontextmanager
async def serving(heard: Heard, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    listener = await asyncio.start_server(heard, "127.0.0.1", 0, ssl=tls)
    heard.url = f"{'https' if tls else 'http'}://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    server = Server(heard.url)
    try:
        yield server
    finally:
        server.close()
        listener.close()
        await until(lambda: not heard.serving)


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what the other side of a socket does in its own time."""
    while not holds():  # noqa: ASYNC110 - nobody says so
        await asyncio.sleep(0.001)


async def ask(server: Server, *, body: bytes | None = None, most: int = 100, trust: ssl.SSLContext | None = None) -> Answer:
    method = "GET" if body is None else "POST"
    async with asyncio.timeout(60):
        return await server.ask(method, "/x", {"X-One": "1"}, body, most=most, trust=trust)


async def test_a_request_is_its_line_its_headers_and_its_body_and_nothing_else() -> None:
    heard = Heard(OK, OK)
    async with serving(heard) as server:
        await ask(server)
        await ask(server, body=b"four")
    host = heard.url.removeprefix("http://").encode()
    assert heard.requests == [
        b"GET /x HTTP/1.1\r\nHost: " + host + b"\r\nX-One: 1\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: " + host + b"\r\nX-One: 1\r\nContent-Length: 4\r\n\r\nfour",
    ]


async def test_requests_take_turns_on_one_connection() -> None:
    heard = Heard(OK, OK, OK)
    async with serving(heard) as server, asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(ask(server)) for _ in range(3)]
    assert [bytes(task.result().body) for task in asked] == [b"ok"] * 3
    assert heard.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        OK + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + bytes(5000),
    ],
)
async def test_a_connection_is_not_used_again_after_an_answer_that_leaves_it_in_doubt(answer: bytes) -> None:
    heard = Heard(answer, OK)
    async with serving(heard) as server:
        await ask(server)
        assert (await ask(server)).body == b"ok"
    assert heard.connections == 2


async def test_an_answer_that_nobody_asked_for_ends_the_connection() -> None:
    answered, ended = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await answered.wait()
        answered.clear()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
        with suppress(ConnectionError):
            await reader.read()
        writer.close()
        ended.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listener:
        server = Server(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}")
        for _ in range(2):
            assert (await ask(server)).body == b"ok"
            answered.set()
            await ended.wait()
            ended.clear()


async def test_a_kept_connection_that_turns_out_to_be_closed_is_replaced_once() -> None:
    heard = Heard(OK, None, OK)
    async with serving(heard) as server:
        await ask(server)
        assert (await ask(server, body=b"twice is as good as once")).body == b"ok"
    assert heard.connections == 2
    assert heard.requests[1] == heard.requests[2]


async def test_a_server_that_hangs_up_on_a_connection_of_its_own_is_asked_once() -> None:
    heard = Heard(None, OK)
    async with serving(heard) as server:
        with pytest.raises(MalformedError, match="closed before the answer was complete"):
            await ask(server)
    assert len(heard.requests) == 1


async def test_an_answer_that_breaks_off_is_not_asked_for_again() -> None:
    heard = Heard(OK, b"HTTP/1.1 200 OK\r\nContent-Le", None)
    async with serving(heard) as server:
        await ask(server)
        async with asyncio.TaskGroup() as tasks:
            second = tasks.create_task(_problem(server))
            await until(lambda: len(heard.requests) == 2 and server._line is not None and server._line.has_heard)
            server.close()
    assert second.result() == "closed before the answer was complete"
    assert len(heard.requests) == 2


async def _problem(server: Server) -> str:
    with pytest.raises(MalformedError) as failure:
        await ask(server)
    return str(failure.value)


async def test_what_is_not_http_is_malformed() -> None:
    heard = Heard(b"SSH-2.0-OpenSSH_9.9\r\n")
    async with serving(heard) as server:
        with pytest.raises(MalformedError):
            await ask(server)


async def test_a_request_that_was_given_up_leaves_its_answer_to_nobody() -> None:
    heard = Heard(b"", OK)
    async with serving(heard) as server:
        async with asyncio.TaskGroup() as tasks:
            given_up = tasks.create_task(ask(server))
            await until(lambda: len(heard.requests) == 1)
            given_up.cancel()
        assert (await ask(server)).body == b"ok"
    assert heard.connections == 2


async def test_a_server_that_does_not_shake_hands_is_given_up() -> None:
    greeted = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        greeted.set()
        with suppress(ConnectionError):
            await reader.read()
        writer.close()

    async def refused(server: Server) -> None:
        with pytest.raises(ConnectionError, match=r"no connection within 10 s"):
            await server.ask("GET", "/", {}, None, most=1, trust=ssl.create_default_context())

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener, asyncio.TaskGroup() as tasks:
        tasks.create_task(refused(Server(f"https://127.0.0.1:{listener.sockets[0].getsockname()[1]}")))
        await greeted.wait()
        leap(connection.CONNECT_SECONDS)


async def test_another_trust_is_another_connection() -> None:
    """A rotated CA counts from the next request on, and not from the next connection."""
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = [ssl.create_default_context(cadata=authority.cert_pem.bytes().decode()) for _ in range(2)]
    heard = Heard(OK, OK, OK)
    async with serving(heard, context) as server:
        for trust in (trusting[0], trusting[0], trusting[1]):
            assert (await ask(server, trust=trust)).body == b"ok"
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(server, trust=ssl.create_default_context(cadata=trustme.CA().cert_pem.bytes().decode()))
    assert heard.connections == 2
