"""Ways into a network namespace and out of it: so a lab has an API server at an own address, and that one reaches its pods."""

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from lab.namespaces import call_inside

_CHUNK = 65536
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@contextmanager
def relay(netns: str, addresses: Sequence[str], inside: int, outside: int) -> Iterator[None]:
    """Take TCP connections to port `inside` of these addresses in the namespace to port `outside` of 127.0.0.1."""
    listeners = [call_inside(netns, partial(_listener, address, inside)) for address in addresses]
    with _relaying(listeners, partial(asyncio.open_connection, "127.0.0.1", outside)):
        yield


@contextmanager
def relay_into(netns: str, address: str, port: int) -> Iterator[None]:
    """Take TCP connections to an address outside, which this machine has, to the same address and port in the namespace."""
    made = partial(call_inside, netns, partial(socket.create_connection, (address, port), 5.0))

    async def connect() -> Streams:
        return await asyncio.open_connection(sock=await asyncio.to_thread(made))

    with _relaying([_listener(address, port)], connect):
        yield


@contextmanager
def _relaying(listeners: Sequence[socket.socket], connect: Callable[[], Awaitable[Streams]]) -> Iterator[None]:
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(_serve(listeners, connect, over))

    thread = threading.Thread(target=run, name="relay")
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()


def _listener(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, port), family=family, backlog=512)


async def _serve(listeners: Sequence[socket.socket], connect: Callable[[], Awaitable[Streams]], over: asyncio.Event) -> None:
    async def visit(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there_writer = await connect()
        except OSError:
            writer.transport.abort()  # as refused as it can be
            return
        with suppress(asyncio.CancelledError):  # at the end; the streams of Python 3.11 complain of a task that was cancelled
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_copy(reader, there_writer))
                tasks.create_task(_copy(there_reader, writer))
        writer.transport.abort()
        there_writer.transport.abort()

    servers = [await asyncio.start_server(visit, sock=listener) for listener in listeners]
    await over.wait()
    for server in servers:
        server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything up to the end of the stream, then the end of the connection."""
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    writer.close()
