"""A listener that silent, slow and many clients cannot fill.

In come connections, out go those that an aiohttp server may serve. A connection is unproven until the server says otherwise;
an unproven one lives for ten seconds, TLS handshake included, and yields, oldest first, where there are too many connections
of its address or together. So whoever can prove who they are get in, also through the address of somebody who cannot.

Whoever asks for much and reads nothing makes us hold it: that has a deadline, and all together a bound, which the one that has
read nothing for the longest yields to.
"""

import asyncio
import errno
import socket
from collections import defaultdict
from collections.abc import Callable
from itertools import count
from ssl import SSLContext
from typing import cast

from aiohttp.web import BaseRequest, RequestHandler
from aiohttp.web_runner import BaseRunner

from collector.api.encrypted import Encrypted

PROOF_SECONDS = 10.0
UNREAD_SECONDS = 30.0
"""How long a connection may read nothing at all of what it was sent."""
UNREAD_BYTES = 64 * 2**20
"""What all connections together may leave unread, besides the one that was sent something last; an answer has up to 40 MB."""
BACKLOG = 1024
ACCEPTED_A_TURN = 16
"""Most connections accepted in one turn of the loop: others wait with the kernel, and not for a handshake with a deadline."""
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE_SECONDS = 0.1


def bound(host: str, port: int) -> socket.socket:
    """A TCP socket that listens; `::` takes IPv4 as well. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server(
        (host, port), family=family, backlog=BACKLOG, dualstack_ipv6=host == "::" and socket.has_dualstack_ipv6()
    )
    listening.setblocking(False)  # noqa: FBT003 - its one argument, positional in C
    return listening


class _Connection(asyncio.Protocol):
    """One connection, between the transport and aiohttp's own protocol for it."""

    def __init__(self, inner: RequestHandler, accepted: socket.socket, readers: "_Readers") -> None:
        self.inner = inner
        self._readers = readers
        self._loop = asyncio.get_running_loop()
        self.ended = asyncio.Event()
        self.proven = False
        self.heard = 0.0
        """When the last bytes came, by the loop's clock."""
        self._accepted = accepted
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.inner.connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._transport is not None:
            self.inner.connection_lost(exc)
        self.ended.set()

    def data_received(self, data: bytes) -> None:
        self.heard = self._loop.time()
        self.inner.data_received(data)

    def eof_received(self) -> bool | None:
        self.inner.eof_received()
        return None

    def pause_writing(self) -> None:
        self.inner.pause_writing()
        self._readers.is_behind(self)

    def resume_writing(self) -> None:
        self._readers.has_read(self)
        self.inner.resume_writing()

    @property
    def unread_bytes(self) -> int:
        """What was sent and the kernel has not taken."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def drop(self) -> None:
        """End it now, without waiting for anything to be read or written."""
        if self._transport is not None:
            self._transport.abort()
        else:  # still shaking hands: the transport belongs to TLS and notices that its socket is at an end
            try:
                self._accepted.shutdown(socket.SHUT_RDWR)
            except OSError:
                self._accepted.close()


class _Readers:
    """Connections that were sent more than they have read: each has a deadline, and all of them a bound together."""

    def __init__(self, dropped: Callable[[str], None], seconds: float) -> None:
        self._dropped = dropped
        self._seconds = seconds
        self._behind: dict[_Connection, asyncio.TimerHandle] = {}
        """The longest first."""

    def is_behind(self, connection: _Connection) -> None:
        """More was sent to it than may wait."""
        self.has_read(connection)
        self._watch(connection)
        held = {one: one.unread_bytes for one in self._behind}
        for one in list(held)[:-1]:
            if sum(held.values()) <= UNREAD_BYTES:
                break
            del held[one]
            self._drop(one)

    def has_read(self, connection: _Connection) -> None:
        """Little of it is left, or nobody is there to read it."""
        if late := self._behind.pop(connection, None):
            late.cancel()

    def _watch(self, connection: _Connection) -> None:
        loop = asyncio.get_running_loop()
        self._behind[connection] = loop.call_later(self._seconds, self._look, connection, connection.unread_bytes)

    def _look(self, connection: _Connection, before: int) -> None:
        """Whoever has read some of it may take their time."""
        if connection.unread_bytes < before:
            self._watch(connection)
        else:
            self._drop(connection)

    def _drop(self, connection: _Connection) -> None:
        self._dropped("unread")
        self.has_read(connection)
        connection.drop()


class Listener:
    """Accepts connections for an aiohttp application that is set up.

    `dropped` is told of connections that are closed: `connections` for too many, `no_proof` for too late, `unread` for whoever
    does not read what it asked for.
    """

    def __init__(
        self,
        runner: BaseRunner,
        listening: socket.socket,
        *,
        most: int,
        most_per_address: int,
        dropped: Callable[[str], None],
        tls: SSLContext | None = None,
        proof_seconds: float = PROOF_SECONDS,
        unread_seconds: float = UNREAD_SECONDS,
    ) -> None:
        self._runner = runner
        self._listening = listening
        self._most = most
        self._most_per_address = most_per_address
        self._dropped = dropped
        self._tls = tls
        self._proof_seconds = proof_seconds
        self._readers = _Readers(dropped, unread_seconds)
        self._by_address: defaultdict[str, dict[_Connection, None]] = defaultdict(dict)
        self._waiting: dict[_Connection, str] = {}
        self._counts: defaultdict[str, int] = defaultdict(int)
        self._total = 0

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._listening.getsockname()[1])

    @property
    def connections(self) -> int:
        """Connections that are open now."""
        return self._total

    def prove(self, request: BaseRequest, *, yields: bool = False) -> float:
        """Say that whoever sent this request is known; where anybody is, with `yields`, it may stay while there is room.

        How many seconds ago its last bytes came: so long has it waited for its turn.
        """
        transport = request.transport
        connection = transport.get_protocol() if isinstance(transport, asyncio.Transport) else None
        if not isinstance(connection, _Connection):
            return 0.0
        connection.proven = True
        address = self._waiting.get(connection)
        self._forget(connection)
        if yields and address is not None:
            self._wait(connection, address)
        return asyncio.get_running_loop().time() - connection.heard

    async def serve(self) -> None:
        """Accept connections until cancelled. The socket is closed at the end."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as connections:
                for number in count():
                    if number % ACCEPTED_A_TURN == 0:
                        await asyncio.sleep(0)
                    try:
                        accepted, peer = await loop.sock_accept(self._listening)
                    except OSError as error:
                        if error.errno in _EXHAUSTED:
                            self._yield_one(self._waiting)
                            await asyncio.sleep(_PAUSE_SECONDS)
                        continue
                    address, server = str(peer[0]), self._runner.server
                    if server is not None and self._has_room(address):
                        connection = _Connection(server(), accepted, self._readers)
                        self._count(connection, address)
                        connections.create_task(self._one(connection, accepted, address))
                    else:
                        accepted.close()
        finally:
            self._listening.close()

    def _has_room(self, address: str) -> bool:
        """Whether one more connection may be served; the one that has waited longest yields to it."""
        if self._counts[address] >= self._most_per_address:
            return self._yield_one(self._by_address.get(address, {}))
        if self._total >= self._most:
            return self._yield_one(self._waiting)
        return True

    def _yield_one(self, waiting: dict[_Connection, None] | dict[_Connection, str]) -> bool:
        self._dropped("connections")
        oldest = next(iter(waiting), None)
        if oldest is None:
            return False
        self._forget(oldest)
        oldest.drop()
        return True

    def _count(self, connection: _Connection, address: str) -> None:
        """Take note of a connection before the next is accepted: those that wait already come without a pause in between."""
        self._counts[address] += 1
        self._total += 1
        self._wait(connection, address)

    async def _one(self, connection: _Connection, accepted: socket.socket, address: str) -> None:
        """One connection until its end."""
        loop = asyncio.get_running_loop()
        late = loop.call_later(self._proof_seconds, self._too_late, connection)
        try:
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            lowest = Encrypted(self._tls, connection) if self._tls else connection
            await loop.connect_accepted_socket(lambda: lowest, accepted)
            await connection.ended.wait()
        except OSError:  # an early reset: theirs to mend
            pass
        finally:
            late.cancel()
            self._forget(connection)
            self._readers.has_read(connection)
            self._total -= 1
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    def _too_late(self, connection: _Connection) -> None:
        if not connection.proven and connection in self._waiting:
            self._dropped("no_proof")
            self._forget(connection)
            connection.drop()

    def _wait(self, connection: _Connection, address: str) -> None:
        """Put a connection behind all others that yield where there are too many."""
        self._waiting[connection] = address
        self._by_address[address][connection] = None

    def _forget(self, connection: _Connection) -> None:
        """Take a connection from those that yield."""
        address = self._waiting.pop(connection, None)
        if address is not None:
            self._by_address[address].pop(connection, None)
            if not self._by_address[address]:
                del self._by_address[address]
