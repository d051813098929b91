"""An HTTP server whose every connection gets one answer and ends, on one port of both families.

In: at most 2 KiB of one GET or HEAD request per connection. Out: the page for it, or an error of a few words. Nothing is kept,
nothing is read twice, and a crowd of silent or slow callers locks nobody out.
"""

import asyncio
import contextlib
import errno
import re
import socket
from abc import ABC, abstractmethod
from collections import Counter
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple, cast

MAX_REQUEST_BYTES = 2048
DEADLINE_SECONDS = 5.0
"""For a whole request and its answer, however slowly their bytes come and go."""
LINGER_SECONDS = 0.25
"""From the answer to the end, where the caller has not hung up by then."""
_BACKLOG = 128

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) (/[!-~]*) HTTP/1\.[01]")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    405: "Method Not Allowed",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class Request(NamedTuple):
    """One request; `lines` are its headers as they came, and `source` the address of the caller as the caller knows it."""

    method: bytes
    target: bytes
    lines: list[bytes]
    source: str

    @property
    def path(self) -> bytes:
        """What comes before the query."""
        return self.target.partition(b"?")[0]


class Page(NamedTuple):
    """What a caller gets."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200


class OneAnswerServer(ABC):
    """Serves `page` on a port; 0 lets the kernel choose, and after `open` it is the real one.

    Of more than `max_connections` the oldest makes way for the newest.
    """

    def __init__(self, port: int, *, max_connections: int) -> None:
        self.port = port
        self.max_connections = max_connections
        self.dropped: Counter[str] = Counter()
        """By reason: `malformed`, `oversized`, `method`, `path`, `deadline`, `crowded`, `silent`, and those of the page."""
        self.open_connections: dict[asyncio.Transport, None] = {}
        """Oldest first."""
        self._servers: list[asyncio.Server] = []

    @abstractmethod
    def page(self, request: Request) -> Page | None:
        """The page for a GET or HEAD request; None where there is none. Must not wait."""

    async def open(self) -> None:
        """Bind and answer from now on; raises OSError where the port is taken, or where the machine has neither family."""
        loop = asyncio.get_running_loop()
        failures = []
        for family in (socket.AF_INET6, socket.AF_INET):
            try:
                listener = self._bound(family)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    self.close()
                    raise
                failures.append(error)
                continue
            self._servers.append(await loop.create_server(lambda: _Connection(self), sock=listener, backlog=_BACKLOG))
        if not self._servers:
            raise failures[0]

    def close(self) -> None:
        """Stop answering, and close every connection."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        for transport in list(self.open_connections):
            transport.abort()

    def answer(self, request: Request) -> bytes:
        """The whole answer to one request."""
        if request.method not in {b"GET", b"HEAD"}:
            self.dropped["method"] += 1
            return _response(405, "Allow: GET, HEAD\r\n")
        page = self.page(request)
        if page is None:
            self.dropped["path"] += 1
            return _response(404)
        head_only = request.method == b"HEAD"
        return _response(page.status, f"Content-Type: {page.content_type}\r\n", page.body, head_only=head_only)

    def _bound(self, family: socket.AddressFamily) -> socket.socket:
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind(("", self.port))
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        return listener


class _Connection(asyncio.Protocol):
    """Reads one request, writes one answer, and closes a moment later.

    An agent has hung up by then. Its kernel would merge a FIN that comes at once with the answer, and stamp both as one.
    """

    def __init__(self, server: OneAnswerServer) -> None:
        self._server = server
        self._received = bytearray()
        self._source = ""
        self._transport: asyncio.Transport | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._answered = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # it is made for streams
        peer = transport.get_extra_info("peername")
        if peer is None:  # it has hung up already, as a bare TCP probe does
            transport.abort()
            return
        self._source, self._transport = _plain(peer[0]), transport
        connections = self._server.open_connections
        connections[transport] = None
        if len(connections) > self._server.max_connections:
            self._server.dropped["crowded"] += 1
            oldest = next(iter(connections))
            del connections[oldest]
            oldest.abort()
        self._timers.append(asyncio.get_running_loop().call_later(DEADLINE_SECONDS, self._late))

    def connection_lost(self, _: Exception | None) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._transport is not None:
            self._server.open_connections.pop(self._transport, None)
            self._transport = None

    def data_received(self, content: bytes) -> None:
        transport = self._transport
        if transport is None or self._answered:
            return
        self._received += content[: MAX_REQUEST_BYTES + 1 - len(self._received)]
        end = _END_OF_HEAD.search(self._received)
        if end is not None:
            transport.write(self._answer(bytes(self._received[: end.start()])))
        elif len(self._received) > MAX_REQUEST_BYTES:
            self._server.dropped["oversized"] += 1
            transport.write(_response(431))
        else:
            return
        self._received.clear()
        self._answered = True
        self._timers.append(asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.close))

    def eof_received(self) -> bool:
        if not self._answered:
            self._server.dropped["malformed" if self._received else "silent"] += 1
        return False

    def _answer(self, head: bytes) -> bytes:
        request_line, *lines = re.split(rb"\r?\n", head)
        request = _REQUEST_LINE.fullmatch(request_line)
        if request is None:
            self._server.dropped["malformed"] += 1
            return _response(400)
        return self._server.answer(Request(request[1], request[2], lines, self._source))

    def _late(self) -> None:
        self._server.dropped["deadline"] += 1
        if self._transport is not None:
            self._transport.abort()


def _response(status: int, headers: str = "", body: bytes = b"", *, head_only: bool = False) -> bytes:
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (b"" if head_only else body)


def _plain(address: str) -> str:
    """The address as the caller knows it: without a scope, and not as IPv4-mapped."""
    with contextlib.suppress(ValueError):
        parsed = ip_address(address.partition("%")[0])
        return str((isinstance(parsed, IPv6Address) and parsed.ipv4_mapped) or parsed)
    return ""
