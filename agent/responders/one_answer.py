"""An HTTP server whose every connection gets one answer and ends, on one port of both families.

In: at most 2 KiB of one GET or HEAD request per connection. Out: the page for it, or an error of a few words. Nothing is kept,
nothing is read twice, and a crowd of silent or slow callers locks nobody out.

A connection is not accepted before its first byte, or a second without one: peers open one only to see that they can, many
times a minute, and hang up. Those never wake us. What is accepted is mostly answered at once, on its socket: a transport of
asyncio for it costs several times as much.
"""

import asyncio
import contextlib
import errno
import re
import socket
from abc import ABC, abstractmethod
from collections import Counter
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

MAX_REQUEST_BYTES = 2048
DEADLINE_SECONDS = 5.0
"""For a whole request and its answer, however slowly their bytes come and go."""
LINGER_SECONDS = 0.25
"""From the answer to the end, where the caller has not hung up by then."""
_BACKLOG = 512
"""Connections without a first byte yet, and those that we have not come to. Linux answers more than these by SYN cookies."""
_DEFER_SECONDS = 1
_RETRY_SECONDS = 1.0
"""Until we accept again after there was no descriptor or no memory for it."""
_AT_ONCE = 64
"""Connections accepted in a row before others have their turn."""

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
        self.open_connections: dict[Connection, None] = {}
        """Oldest first."""
        self._listeners: list[socket.socket] = []

    @abstractmethod
    def page(self, request: Request) -> Page | None:
        """The page for a GET or HEAD request; None where there is none. Must not wait."""

    def open(self) -> None:
        """Bind and answer from now on; raises OSError where the port is taken, or where the machine has neither family."""
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
            self._listeners.append(listener)
            self._listen(listener)
        if not self._listeners:
            raise failures[0]

    def close(self) -> None:
        """Stop answering, and close every connection."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self._listeners.clear()
        for connection in list(self.open_connections):
            connection.close()

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
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, _DEFER_SECONDS)
            listener.settimeout(0)
            listener.bind(("", self.port))
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
        self.port = listener.getsockname()[1]
        return listener

    def _listen(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                loop = asyncio.get_running_loop()
                loop.remove_reader(listener)
                loop.call_later(_RETRY_SECONDS, self._listen, listener)
                return
            sock.settimeout(0)
            Connection(self, sock, _plain(address[0])).read()
            if len(self.open_connections) > self.max_connections:
                self.dropped["crowded"] += 1
                next(iter(self.open_connections)).close()


class Connection:
    """Reads one request, writes one answer, and closes a moment later.

    An agent has hung up by then. Its kernel would merge a FIN that comes at once with the answer, and stamp both as one.
    """

    def __init__(self, server: OneAnswerServer, sock: socket.socket, source: str) -> None:
        self._server = server
        self._sock = sock
        self._source = source
        self._received = b""
        self._unsent = b""
        self._watched = False
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.call_later(DEADLINE_SECONDS, self._late)
        server.open_connections[self] = None

    def read(self) -> None:
        """Take in what has come, and answer once that is a request."""
        try:
            content = self._sock.recv(MAX_REQUEST_BYTES + 1 - len(self._received))
        except (BlockingIOError, InterruptedError):
            self._watch()
            return
        except OSError:
            self.close()
            return
        self._received += content
        end = _END_OF_HEAD.search(self._received)
        if end is not None:
            self._write(self._answer(self._received[: end.start()]))
        elif len(self._received) > MAX_REQUEST_BYTES:
            self._server.dropped["oversized"] += 1
            self._write(_response(431))
        elif not content:
            self._server.dropped["malformed" if self._received else "silent"] += 1
            self.close()
        else:
            self._watch()

    def close(self) -> None:
        """End it, wherever it is."""
        self._end.cancel()
        self._unwatch()
        self._sock.close()
        self._server.open_connections.pop(self, None)

    def _watch(self) -> None:
        if not self._watched:
            self._loop.add_reader(self._sock, self.read)
            self._watched = True

    def _unwatch(self) -> None:
        if self._watched:
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._watched = False

    def _write(self, answer: bytes) -> None:
        self._unwatch()
        self._unsent = answer
        self._flush()

    def _flush(self) -> None:
        try:
            self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self.close()
            return
        if self._unsent:
            self._loop.add_writer(self._sock, self._flush)
            self._watched = True
            return
        self._unwatch()
        self._end.cancel()
        self._end = self._loop.call_later(LINGER_SECONDS, self.close)

    def _answer(self, head: bytes) -> bytes:
        request_line, *lines = re.split(rb"\r?\n", head)
        request = _REQUEST_LINE.fullmatch(request_line)
        if request is None:
            self._server.dropped["malformed"] += 1
            return _response(400)
        return self._server.answer(Request(request[1], request[2], lines, self._source))

    def _late(self) -> None:
        self._server.dropped["deadline"] += 1
        self.close()


def _response(status: int, headers: str = "", body: bytes = b"", *, head_only: bool = False) -> bytes:
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (b"" if head_only else body)


def _plain(address: str) -> str:
    """The address as the caller knows it: without a scope, and not as IPv4-mapped."""
    with contextlib.suppress(ValueError):
        parsed = ip_address(address.partition("%")[0])
        return str((isinstance(parsed, IPv6Address) and parsed.ipv4_mapped) or parsed)
    return ""
