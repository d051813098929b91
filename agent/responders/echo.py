"""The echo: it accepts TCP connections, and tells whoever asks over HTTP from which address they came.

In: at most 2 KiB of one GET or HEAD request per connection. Out: one answer of less than 300 bytes, then the end. Who we are is
told only to a request with a proof that a colleague wrote it. Nothing is kept, nothing is read twice, and no request can reach
anything but this answer.
"""

import asyncio
import contextlib
import errno
import re
import socket
from collections import Counter
from ipaddress import IPv6Address, ip_address
from typing import Protocol, cast

import msgspec

from agent import proof
from agent.probes.prober import Context

PATH = "/echo"
MAX_REQUEST_BYTES = 2048
MAX_CONNECTIONS = 256
"""The oldest makes way for the newest: a crowd of silent callers locks nobody out."""
DEADLINE_SECONDS = 5.0
"""For a whole request, however slowly its bytes come."""
LINGER_SECONDS = 0.25
"""From the answer to the end, where the caller has not hung up by then."""
_BACKLOG = 128

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}) (/[!-~]*) HTTP/1\.[01]")
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_PROOF_LINE = re.compile(rb"(?i:" + proof.HTTP_HEADER.encode() + rb"):[ \t]*([!-~]*)[ \t]*")
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 431: "Request Header Fields Too Large"}


class Names(Protocol):
    """Where we run, as told to a colleague."""

    @property
    def node(self) -> str:
        """Own node."""

    @property
    def namespace(self) -> str:
        """Own namespace."""

    @property
    def pod(self) -> str:
        """Own pod."""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body: `source` for everybody, the rest for colleagues."""

    source: str
    uid: str = ""
    node: str = ""
    namespace: str = ""
    pod: str = ""
    proof: str = ""


class EchoServer:
    """One echo on one port of both families. `port` 0 lets the kernel choose; after `open` it is the real one."""

    def __init__(self, context: Context, identity: Names, port: int) -> None:
        self.port = port
        self.answered: Counter[str] = Counter()
        """`colleague` and `stranger`."""
        self.dropped: Counter[str] = Counter()
        """By reason: `malformed`, `oversized`, `method`, `path`, `proof`, `deadline`, `crowded`, `silent`."""
        self.context = context
        self.identity = identity
        self.open_connections: dict[asyncio.Transport, None] = {}
        """Oldest first."""
        self._servers: list[asyncio.Server] = []

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

    def answer(self, method: bytes, target: bytes, proofs: list[bytes], source: str) -> bytes:
        """The whole answer to one request."""
        if method not in {b"GET", b"HEAD"}:
            self.dropped["method"] += 1
            return _response(405, b"", "Allow: GET, HEAD\r\n")
        if target.split(b"?")[0] != PATH.encode():
            self.dropped["path"] += 1
            return _response(404, b"")
        body = msgspec.json.encode(self._told(method, target, proofs, source))
        return _response(200, body, "Content-Type: application/json\r\n", bodiless=method == b"HEAD")

    def _told(self, method: bytes, target: bytes, proofs: list[bytes], source: str) -> Answer:
        if len(proofs) == 1:
            words = proofs[0].decode(), self.context.keys, method.decode(), target.decode()
            verified = proof.verify_http_request(*words)
            if verified is not None:
                self.answered["colleague"] += 1
                uid, identity = self.context.uid, self.identity
                signed = proof.http_answer_proof(verified, uid)
                return Answer(source, uid, identity.node, identity.namespace, identity.pod, signed)
        self.answered["stranger"] += 1
        self.dropped["proof"] += bool(proofs)
        return Answer(source)

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

    def __init__(self, server: EchoServer) -> None:
        self._server = server
        self._received = bytearray()
        self._source = ""
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None
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
        if len(connections) > MAX_CONNECTIONS:
            self._server.dropped["crowded"] += 1
            oldest = next(iter(connections))
            del connections[oldest]
            oldest.abort()
        self._deadline = asyncio.get_running_loop().call_later(DEADLINE_SECONDS, self._late)

    def connection_lost(self, _: Exception | None) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
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
            transport.write(_response(431, b""))
        else:
            return
        self._received.clear()
        self._answered = True
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(LINGER_SECONDS, transport.close)

    def eof_received(self) -> bool:
        if not self._answered:
            self._server.dropped["malformed" if self._received else "silent"] += 1
        return False

    def _answer(self, head: bytes) -> bytes:
        request_line, *lines = re.split(rb"\r?\n", head)
        request = _REQUEST_LINE.fullmatch(request_line)
        if request is None:
            self._server.dropped["malformed"] += 1
            return _response(400, b"")
        proofs = [match[1] for line in lines if (match := _PROOF_LINE.fullmatch(line))]
        return self._server.answer(request[1], request[2], proofs, self._source)

    def _late(self) -> None:
        self._server.dropped["deadline"] += 1
        if self._transport is not None:
            self._transport.abort()


def _response(status: int, body: bytes, headers: str = "", *, bodiless: bool = False) -> bytes:
    head = f"HTTP/1.1 {status} {_REASONS[status]}\r\n{headers}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return head.encode() + (b"" if bodiless else body)


def _plain(address: str) -> str:
    """The address as the caller knows it: without a scope, and not as IPv4-mapped."""
    with contextlib.suppress(ValueError):
        parsed = ip_address(address.partition("%")[0])
        return str((isinstance(parsed, IPv6Address) and parsed.ipv4_mapped) or parsed)
    return ""
