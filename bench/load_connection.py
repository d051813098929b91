"""Thousands of keep-alive connections on one epoll, each with at most one HTTP/1.1 request under way.

In: requests as bytes. Out: answers, by callback. No asyncio: its TLS holds a buffer of 256 KiB for every connection, and its
client takes several times the CPU of a program that must load another one without becoming what is measured.
"""

import errno
import heapq
import select
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Final

Answered = Callable[[int, Mapping[str, str], bytes], None]
"""Told the status, the headers by lower-case name, and the body."""
Lost = Callable[[str], None]
"""Told in a word why there was no answer."""

_CHUNK: Final = 65_536
SHORT: Final = 0.1
"""Seconds that a turn may take, before answers to whoever waits may have come unseen."""


class Loop:
    """Sockets and timers."""

    def __init__(self) -> None:
        self.now = time.monotonic()
        """Of this turn, in seconds."""
        self.stood = 0.0
        """Seconds in all turns so far that were longer than SHORT: nobody looked at any socket meanwhile."""
        self._epoll = select.epoll()
        self._ready: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, when: float, call: Callable[[], None]) -> None:
        """Call something at a time of the monotonic clock."""
        heapq.heappush(self._timers, (when, next(self._numbers), call))

    def watch(self, file: int, events: int, ready: Callable[[], None]) -> None:
        """Call something whenever a descriptor is ready for `events` of epoll(7)."""
        if file in self._ready:
            self._epoll.modify(file, events)
        else:
            self._epoll.register(file, events)
        self._ready[file] = ready

    def forget(self, file: int) -> None:
        """Watch a descriptor no more."""
        if self._ready.pop(file, None) is not None:
            self._epoll.unregister(file)

    def run(self, until: float, *, ended: Callable[[], bool] = lambda: False) -> None:
        """Turn until a time of the monotonic clock, or until something holds."""
        self.now, waited = time.monotonic(), 0.0
        while not ended():
            before, self.now = self.now, time.monotonic()
            if self.now - before > SHORT + waited:
                self.stood += self.now - before - waited
            while self._timers and self._timers[0][0] <= self.now:
                heapq.heappop(self._timers)[2]()
            if self.now >= until:
                return
            due = min(self._timers[0][0] if self._timers else until, until)
            asleep = time.monotonic()
            found = self._epoll.poll(max(0.0, due - asleep))
            waited = time.monotonic() - asleep
            for file, _ in found:
                if ready := self._ready.get(file):
                    ready()


class Connection:
    """One connection, opened when there is something to ask, and again after it was closed."""

    def __init__(self, loop: Loop, address: tuple[str, int], trust: ssl.SSLContext | None) -> None:
        self._loop = loop
        self._address = address
        self._trust = trust
        self._socket: socket.socket | None = None
        self._shaken = False
        self._out = b""
        self._in = bytearray()
        self._head: tuple[int, Mapping[str, str], int, int] | None = None
        self._waiting: tuple[Answered, Lost] | None = None
        self._number = 0

    def ask(self, request: bytes, answered: Answered, lost: Lost, *, seconds: float) -> None:
        """Send a request; exactly one of the two callbacks is called, at the latest after so many seconds in which we looked.

        What we did not look at since we are 5,000 agents on half a core would be a timeout of all of them, again and again.
        """
        self._number += 1
        number = self._number
        self._waiting = answered, lost
        self._out = request
        self._in.clear()
        self._head = None
        self._loop.at(self._loop.now + seconds, partial(self._expire, number, self._loop.stood))
        try:
            if self._socket is None:
                self._connect()
            else:
                self._ready()
        except OSError as error:
            self._fail(type(error).__name__)

    def _expire(self, number: int, stood: float) -> None:
        """Give a request up, unless it was answered, or we stood still since `stood`: then it has that much more time."""
        more = self._loop.stood - stood
        if number == self._number and more > 0:
            self._loop.at(self._loop.now + more, partial(self._expire, number, self._loop.stood))
        elif number == self._number:
            self._fail("timeout")

    def close(self) -> None:
        """Close it; whoever waits is told nothing."""
        self._waiting = None
        if self._socket is not None:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._socket = None
        self._shaken = False

    def _connect(self) -> None:
        plain = socket.socket(socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET)
        plain.setblocking(False)  # noqa: FBT003 - its one argument, positional in C
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = plain
        plain.connect_ex(self._address)
        self._loop.watch(plain.fileno(), select.EPOLLOUT, self._connected)

    def _connected(self) -> None:
        plain = self._socket
        if plain is None:
            return
        try:
            if code := plain.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                self._fail(errno.errorcode.get(code, "error").lower())
                return
            if self._trust is not None:
                self._loop.forget(plain.fileno())
                self._socket = self._trust.wrap_socket(plain, server_hostname=self._address[0], do_handshake_on_connect=False)
            self._shaken = self._trust is None
            self._ready()
        except OSError as error:
            self._fail(type(error).__name__)

    def _ready(self) -> None:
        """Go on with the handshake, with sending, with reading."""
        stream = self._socket
        if stream is None:
            return
        events = select.EPOLLIN
        try:
            self._advance(stream)
        except (ssl.SSLWantReadError, BlockingIOError):
            if self._out and self._shaken:
                events |= select.EPOLLOUT
        except ssl.SSLWantWriteError:
            events |= select.EPOLLOUT
        except OSError as error:
            self._fail(type(error).__name__)
        else:
            self._fail("closed")
        if self._socket is stream:
            self._loop.watch(stream.fileno(), events, self._ready)

    def _advance(self, stream: socket.socket) -> None:
        """As far as the socket allows: ends where it was closed, else by an exception that says what to wait for."""
        if not self._shaken and isinstance(stream, ssl.SSLSocket):
            stream.do_handshake()
            self._shaken = True
        while self._out:
            self._out = self._out[stream.send(self._out) :]
        while part := stream.recv(_CHUNK):
            self._in += part
            self._read()

    def _read(self) -> None:
        """Look whether the answer is complete."""
        if self._head is None:
            end = self._in.find(b"\r\n\r\n")
            if end < 0:
                return
            first, *lines = self._in[:end].decode("latin-1").split("\r\n")
            headers: Mapping[str, str] = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            length = int(headers.get("content-length", "0"))
            self._head = int(first.split(" ", 2)[1]), headers, end + 4, 0 if first.split(" ", 2)[1] == "304" else length
        status, headers, start, length = self._head
        if len(self._in) < start + length or self._waiting is None:
            return
        body = bytes(self._in[start : start + length])
        answered, _ = self._waiting
        self._waiting, self._head = None, None
        self._number += 1
        self._in.clear()
        if headers.get("connection", "").lower() == "close":
            self.close()
        # Not from within: what is asked next begins when this turn of the socket is over.
        self._loop.at(self._loop.now, lambda: answered(status, headers, body))

    def _fail(self, word: str) -> None:
        waiting = self._waiting
        self._number += 1
        self.close()
        if waiting is not None:
            self._loop.at(self._loop.now, lambda: waiting[1](word))
