"""A real name server on loopback that answers as a test tells it to; it takes its turns on the test's own thread."""

import contextlib
import errno
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Self

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Reply = Callable[[bytes], Sequence[bytes]]
"""What a query gets: any number of messages."""
ADDRESS = {"A": "10.0.0.1", "AAAA": "2001:db8::1"}


def answered(query: bytes, *addresses: str, code: int = 0, truncated: bool = False) -> bytes:
    """An answer to a query with these addresses, as far as they are of the type that it asks for."""
    made = dns.message.make_response(dns.message.from_wire(query))
    made.set_rcode(dns.rcode.Rcode(code))
    name, kind = made.question[0].name, dns.rdatatype.to_text(made.question[0].rdtype)
    for address in addresses:
        if (":" in address) == (kind == "AAAA"):
            made.answer.append(dns.rrset.from_text(name, 30, "IN", kind, address))
    if truncated:
        made.flags |= dns.flags.TC
        made.answer.clear()
    return made.to_wire(max_size=65_535)


def healthy(query: bytes) -> list[bytes]:
    """Both addresses of every name."""
    return [answered(query, *ADDRESS.values())]


def framed(messages: Sequence[bytes]) -> bytes:
    """Messages as they stand in a stream."""
    return b"".join(len(message).to_bytes(2, "big") + message for message in messages)


END_OF_QUESTION = 12 + len(b"\3www\7example\4test\0") + 4
"""Where the records of an answer about www.example.test begin."""


def question_tail(kind: str) -> bytes:
    """How our queries for a type end: type, class, and what EDNS says."""
    return struct.pack("!HH", {"A": 1, "AAAA": 28}[kind], 1) + b"\0" + struct.pack("!HHIH", 41, 1232, 0, 0)


def with_records(query: bytes, *records: bytes) -> bytes:
    """An answer about www.example.test whose records are as given, whatever they are."""
    header = query[:2] + struct.pack("!5H", 0x8180, 1, len(records), 0, 0)
    return header + query[12:END_OF_QUESTION] + b"".join(records)


class NameServer:
    """UDP and TCP on one port. `turn` answers what is there and never waits."""

    def __init__(self, address: str = "127.0.0.1", *, udp: Reply = healthy, tcp: Reply = healthy) -> None:
        self.udp, self.tcp = udp, tcp
        self.written: Callable[[bytes], bytes] = lambda stream: stream
        """What becomes of a TCP answer, frames and all."""
        self.queries: list[tuple[bytes, tuple[str, int]]] = []
        """UDP queries and where they came from."""
        self.connections: list[socket.socket] = []
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        while True:
            self.listener = socket.create_server((address, 0), family=self._family)
            self.port = int(self.listener.getsockname()[1])
            self.datagrams = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            try:
                self.datagrams.bind((address, self.port))
                break
            except OSError as error:
                self.close()
                if error.errno != errno.EADDRINUSE:
                    raise
        self.listener.setblocking(False)

    def accept(self) -> None:
        """Take a connection where there is one, unless the listener was closed."""
        with contextlib.suppress(OSError):
            connection, _ = self.listener.accept()
            connection.setblocking(False)
            self.connections.append(connection)

    def turn(self) -> None:
        """Answer what has arrived."""
        with contextlib.suppress(BlockingIOError):
            while True:
                query, peer = self.datagrams.recvfrom(65_535)
                self.queries.append((query, peer[:2]))
                for message in self.udp(query):
                    self.datagrams.sendto(message, peer)
        self.accept()
        for connection in self.connections:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        stream = connection.recv(65_535)
        messages: list[bytes] = []
        while stream:
            end = 2 + int.from_bytes(stream[:2], "big")
            messages += self.tcp(stream[2:end])
            stream = stream[end:]
        if messages:
            connection.setblocking(True)
            connection.sendall(self.written(framed(messages)))
            connection.setblocking(False)

    def close(self) -> None:
        """Close every socket."""
        for one in (self.listener, self.datagrams, *self.connections):
            one.close()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()
