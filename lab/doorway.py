"""A way in for people and for the harness: a port on 127.0.0.1 that leads to one port inside a namespace.

Agents never use it: they reach the collector over the network that they measure.
"""

import asyncio
import socket
from contextlib import suppress

from lab.namespaces import call_inside

_CHUNK = 65536


class Doorway:
    """Forwards TCP from 127.0.0.1:`port` to `address` in a namespace, from `open` to `close`."""

    def __init__(self, netns: str, address: tuple[str, int], *, port: int = 0) -> None:
        self._netns = netns
        self._address = address
        self._port = port
        self._servers: list[asyncio.Server] = []
        self._visitors: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        """The port on 127.0.0.1; raises RuntimeError when it is not open."""
        if not self._servers:
            raise RuntimeError("the doorway is not open")
        return int(self._servers[0].sockets[0].getsockname()[1])

    async def open(self, *listeners: socket.socket, alone: bool = False) -> None:
        """Listen, also on sockets that are open already, or on nothing but those; raises OSError where the port is taken."""
        if not alone:
            self._servers.append(await asyncio.start_server(self._visit, "127.0.0.1", self._port, reuse_address=True))
        for listener in listeners:
            self._servers.append(await asyncio.start_server(self._visit, sock=listener))

    async def close(self) -> None:
        """Stop listening and cut off who is still there."""
        for server in self._servers:
            server.close()
        for writer in list(self._visitors):
            writer.close()
        for server in self._servers:
            await server.wait_closed()
        self._servers.clear()

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._visitors.add(writer)
        try:
            with suppress(OSError):
                await self._forward(reader, writer)
        finally:
            self._visitors.discard(writer)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        inside = await asyncio.to_thread(call_inside, self._netns, lambda: socket.socket(family, socket.SOCK_STREAM))
        inside.settimeout(0)
        try:
            await asyncio.get_running_loop().sock_connect(inside, self._address)
        except OSError:
            inside.close()
            raise
        there_reader, there_writer = await asyncio.open_connection(sock=inside)
        self._visitors.add(there_writer)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_copy(reader, there_writer))
                tasks.create_task(_copy(there_reader, writer))
        finally:
            self._visitors.discard(there_writer)
            there_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Everything up to the end of the stream, then the end itself."""
    with suppress(OSError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
