"""One HTTP/1.1 connection to one server, kept from one request to the next (RFC 9112).

In: a request. Out: its answer, or the exception that says what was in the way. Requests take turns; nothing is followed,
unpacked or asked of a proxy. A library for this costs 14 MiB resident on every node, which is a
third of all that an agent may take.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import cast
from urllib.parse import urlsplit

from agent.http_answer import Answer, MalformedError

CONNECT_SECONDS = 10.0
NEXT_ADDRESS_SECONDS = 0.25
"""After so long without a connection the next address of a name is tried as well (RFC 8305)."""
_PORTS = {"http": 80, "https": 443}


class Server:
    """Where requests go: scheme, host and port of `url`. Nothing is opened until somebody asks."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.is_secure = parts.scheme == "https"
        self._authority = parts.netloc
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._turn = asyncio.Lock()
        self._line: _Line | None = None

    async def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        most: int,
        trust: ssl.SSLContext | None,
    ) -> Answer:
        """The answer, with at most `most` bytes of its body; one that is `cut` has more. `trust` verifies the server.

        A connection that was kept and is found closed is replaced once: servers end idle ones when they like. So requests must
        be such that twice is as good as once. Raises OSError (of TLS as well) and MalformedError; may be cancelled at any time.
        """
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {self._authority}",
            *(f"{name}: {text}" for name, text in headers.items()),
        ]
        if body is not None:
            lines.append(f"Content-Length: {len(body)}")
        request = "\r\n".join([*lines, "", ""]).encode("ascii") + (body or b"")
        async with self._turn:
            line = self._line
            if line is not None and line.is_open and line.trust is trust:
                try:
                    return await line.ask(request, most)
                except (OSError, MalformedError):
                    if line.has_heard:
                        raise
            self.close()
            line = self._line = await self._connected(trust)
            return await line.ask(request, most)

    def close(self) -> None:
        """End the connection at once."""
        if self._line is not None:
            self._line.abort()
            self._line = None

    async def _connected(self, trust: ssl.SSLContext | None) -> "_Line":
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, line = await asyncio.get_running_loop().create_connection(
                    lambda: _Line(trust),
                    self._host,
                    self._port,
                    ssl=trust,
                    server_hostname=self._host.rstrip(".") if trust is not None else None,
                    happy_eyeballs_delay=NEXT_ADDRESS_SECONDS,
                )
        except TimeoutError:
            raise ConnectionError(f"no connection within {CONNECT_SECONDS:g} s") from None
        return line


class _Line(asyncio.Protocol):
    """The connection itself, with at most one request under way."""

    def __init__(self, trust: ssl.SSLContext | None) -> None:
        self.trust = trust
        self.is_open = False
        self.has_heard = False
        """Whether anything has come in answer to the last request."""
        self._transport: asyncio.Transport | None = None
        self._answer = Answer()
        self._ended: asyncio.Future[None] | None = None

    async def ask(self, request: bytes, most: int) -> Answer:
        """The answer to these bytes; whatever keeps the connection from another request ends it."""
        assert self._transport is not None  # noqa: S101 - it is asked once it is connected
        answer = self._answer = Answer(most=most)
        self.has_heard = False
        self._ended = asyncio.get_running_loop().create_future()
        try:
            self._transport.write(request)
            await self._ended
        finally:
            self._ended = None
            if not answer.reusable:
                self.abort()
        return answer

    def abort(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # it is made for streams
        self.is_open = True

    def data_received(self, content: bytes) -> None:
        if self._ended is None or self._ended.done():
            self.abort()  # nobody has asked, so nobody could tell what it answers
            return
        self.has_heard = True
        try:
            self._answer.feed(content)
        except MalformedError as error:
            self._ended.set_exception(error)
        else:
            if self._answer.complete:
                self._ended.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_open = False
        if self._ended is None or self._ended.done():
            return
        try:
            self._answer.end()
        except MalformedError as malformed:
            self._ended.set_exception(error or malformed)
        else:
            self._ended.set_result(None)
