import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from collector.api import listener as listener_module
from collector.api.listener import Listener, _Readers, bound
from tests.leap import leap

MOST, PER_ADDRESS = 8, 4


@asynccontextmanager
async def listening(dropped: Counter[str], waiting: ExitStack, connections: int) -> AsyncIterator[Listener]:
    """A listener that finds connections waiting when it begins to accept."""
    app = web.Application()
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    sock = bound("127.0.0.1", 0)
    for _ in range(connections):
        waiting.enter_context(socket.create_connection(sock.getsockname()))

    def drop(reason: str) -> None:
        dropped[reason] += 1

    async def answered(request: web.Request, _: web.StreamResponse) -> None:
        listener.prove(request, yields=True)

    app.on_response_prepare.append(answered)
    await runner.setup()
    listener = Listener(runner, sock, most=MOST, most_per_address=PER_ADDRESS, dropped=drop)
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(listener.serve())
        yield listener
        serving.cancel()
    await runner.cleanup()


async def test_a_burst_of_connections_that_wait_already_is_held_to_the_limit_of_its_address() -> None:
    dropped: Counter[str] = Counter()
    with ExitStack() as waiting:
        async with listening(dropped, waiting, 60) as listener:
            while dropped["connections"] < 60 - PER_ADDRESS or listener.connections > PER_ADDRESS:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
    assert dropped == {"connections": 60 - PER_ADDRESS}


def asked(port: int) -> socket.socket:
    """A connection that has had an answer and stays open."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=5)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert connection.recv(4096).startswith(b"HTTP/1.1 404")
    return connection


async def test_survive_52_where_there_is_no_login_the_longest_idle_connection_yields_to_a_newcomer() -> None:
    dropped: Counter[str] = Counter()
    with ExitStack() as waiting:
        async with listening(dropped, waiting, 0) as listener:
            first, *others = [waiting.enter_context(await asyncio.to_thread(asked, listener.port)) for _ in range(PER_ADDRESS)]
            newcomer = waiting.enter_context(await asyncio.to_thread(asked, listener.port))
            assert await asyncio.to_thread(first.recv, 1) == b""
            for kept in (*others, newcomer):
                kept.setblocking(False)
                with pytest.raises(BlockingIOError):
                    kept.recv(1)
    assert dropped == {"connections": 1}


LONG = 8 * 2**20
"""Bytes of an answer, more than two sockets hold."""


@asynccontextmanager
async def telling(dropped: Counter[str], unread_seconds: float) -> AsyncIterator[Listener]:
    """A listener that has a long answer to everything."""

    async def long(_: web.Request) -> web.Response:
        return web.Response(body=bytes(LONG))

    app = web.Application()
    app.router.add_get("/", long)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    listener = Listener(
        runner,
        bound("127.0.0.1", 0),
        most=100,
        most_per_address=100,
        dropped=lambda reason: dropped.update([reason]),
        unread_seconds=unread_seconds,
    )
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(listener.serve())
        yield listener
        serving.cancel()
    await runner.cleanup()


def asking(port: int, times: int = 1) -> socket.socket:
    """A connection on which something long was asked for."""
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * times)
    return connection


def read(connection: socket.socket) -> int:
    """Bytes until the end of a connection, or as many as a whole answer has."""
    count = 0
    try:
        while count < LONG and (bit := connection.recv(2**20)):
            count += len(bit)
    except ConnectionError:
        pass
    return count


@pytest.mark.parametrize("times", [1, 100])
async def test_survive_34_whoever_reads_nothing_is_not_waited_for_for_ever(times: int) -> None:
    dropped: Counter[str] = Counter()
    async with telling(dropped, 0.3) as listener:
        with asking(listener.port, times) as silent:
            while not dropped["unread"] or listener.connections:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            assert await asyncio.to_thread(read, silent) < LONG
    assert dropped == {"unread": 1}


async def test_whoever_has_read_late_and_all_of_it_is_watched_no_more() -> None:
    dropped: Counter[str] = Counter()
    async with telling(dropped, 0.5) as listener:
        with asking(listener.port) as late:
            while not listener._readers._behind:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            assert await asyncio.to_thread(read, late) >= LONG
            await asyncio.sleep(1.5)
            assert listener.connections == 1
    assert dropped == {}


async def test_whoever_leaves_without_reading_is_forgotten() -> None:
    dropped: Counter[str] = Counter()
    async with telling(dropped, 60.0) as listener:
        with asking(listener.port):
            while not listener._readers._behind:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        while listener.connections:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
        assert listener._readers._behind == {}
    assert dropped == {}


class Slow:
    """A connection to somebody who reads when a test says so."""

    def __init__(self) -> None:
        self.unread_bytes = 100
        self.is_dropped = False

    def drop(self) -> None:
        self.is_dropped = True


async def test_whoever_reads_slowly_is_waited_for_for_as_long_as_they_read() -> None:
    slow, dropped = Slow(), Counter[str]()
    readers: Any = _Readers(lambda reason: dropped.update([reason]), 10.0)
    readers.is_behind(slow)
    for left in (90, 50, 10):
        slow.unread_bytes = left
        leap(10.0)
        for _ in range(3):
            await asyncio.sleep(0)
        assert not slow.is_dropped
    leap(10.0)
    for _ in range(3):
        await asyncio.sleep(0)
    assert slow.is_dropped
    assert dropped == {"unread": 1}


async def test_survive_34_many_who_read_nothing_do_not_make_us_hold_more_than_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "UNREAD_BYTES", 3 * LONG)
    dropped: Counter[str] = Counter()
    with ExitStack() as stack:
        async with telling(dropped, 60.0) as listener:
            for _ in range(20):
                stack.enter_context(asking(listener.port))
            while dropped["unread"] < 15:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            with asking(listener.port) as reading:
                assert await asyncio.to_thread(read, reading) >= LONG
    assert set(dropped) == {"unread"}
