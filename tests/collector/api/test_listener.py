import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from aiohttp import web

from collector.api.listener import Listener, bound

MOST, PER_ADDRESS = 8, 4


@asynccontextmanager
async def listening(dropped: Counter[str], waiting: ExitStack, connections: int) -> AsyncIterator[Listener]:
    """A listener that finds connections waiting when it begins to accept."""
    runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
    await runner.setup()
    sock = bound("127.0.0.1", 0)
    for _ in range(connections):
        waiting.enter_context(socket.create_connection(sock.getsockname()))

    def drop(reason: str) -> None:
        dropped[reason] += 1

    listener = Listener(runner, sock, most=MOST, most_per_address=PER_ADDRESS, dropped=drop)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
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
