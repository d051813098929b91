"""The stateful STAMP reflector (RFC 8762 section 4.3) that answers our peers' probes.

In: datagrams on the echo port. Out: to each that proves to be a colleague's, one reply of the same size, from the address that
was asked to the address that asked; to all others nothing. What came whole is answered whole, with DF, so that both directions
are tested alike; what came in fragments may go in fragments. T2 is the kernel's receive stamp and T3 is taken last, so that a
sender can subtract all of our own scheduling. A wake-up reads a bounded number of packets, so that a flood starves nobody else.
"""

import asyncio
import contextlib
import errno
import functools
import socket
import time
from collections import Counter
from ipaddress import ip_address

from agent import bulk, kernel, stamp
from agent.bulk import Arrival
from agent.probes.prober import Context
from agent.responders.replies import Replies

MOST_PER_WAKE_UP = 64
MAX_REPLIES_PER_SECOND = 10_000
"""Far above what peers within their own limits ask of one node."""
_SECOND_NS = 1_000_000_000


class Reflector:
    """One reflector on one port of both families. `port` 0 lets the kernel choose; after `open` it is the real one."""

    def __init__(self, context: Context, port: int, *, max_replies_per_second: int = MAX_REPLIES_PER_SECOND) -> None:
        self.port = port
        self.replied = 0
        self.dropped: Counter[str] = Counter()
        """By reason: `short`, `malformed`, `foreign`, `proof`, `rate`, `send`."""
        self._limit = max_replies_per_second
        self.context = context
        self._replies = Replies(context)
        self._sockets: list[socket.socket] = []
        self._second = 0
        self._this_second = 0

    def open(self) -> None:
        """Bind and answer on the running loop from now on.

        Raises OSError where the port is taken, or where the machine has neither family.
        """
        loop = asyncio.get_running_loop()
        failures = []
        for family in (socket.AF_INET6, socket.AF_INET):
            try:
                sock = self._bound(family)
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    self.close()
                    raise
                failures.append(error)
                continue
            self._sockets.append(sock)
            loop.add_reader(sock, self._readable, sock)
        if not self._sockets:
            raise failures[0]

    def close(self) -> None:
        """Stop answering."""
        for sock in self._sockets:
            with contextlib.suppress(RuntimeError):  # no loop any more, so no reader either
                asyncio.get_running_loop().remove_reader(sock)
            sock.close()
        self._sockets.clear()

    def _bound(self, family: socket.AddressFamily) -> socket.socket:
        sock = kernel.stamped(family, socket.SOCK_DGRAM, 0, kernel.TransmitMatch.NONE)
        try:
            kernel.told_own_address(sock)
            kernel.told_of_fragments(sock)
            kernel.send_whole(sock)
            sock.bind(("", self.port))
        except OSError:
            sock.close()
            raise
        self.port = sock.getsockname()[1]
        return sock

    def _readable(self, sock: socket.socket) -> None:
        arrivals = bulk.arrivals(sock, most=MOST_PER_WAKE_UP, told=True)
        if not arrivals:
            # Then it is an error that woke us: what an earlier reply has met.
            with contextlib.suppress(OSError):
                while True:
                    sock.recvmsg(0, kernel.ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
        second, now_ns = time.monotonic_ns() // _SECOND_NS, time.time_ns()
        if second != self._second:
            self._second, self._this_second = second, 0
        for arrival in arrivals:
            if self._this_second >= self._limit:
                self.dropped["rate"] += 1
                continue
            try:
                reply = self._replies.reply(arrival, now_ns)
            except stamp.StampError as error:
                self.dropped[error.reason] += 1
                continue
            self._this_second += 1
            self._send(sock, reply, arrival)

    def _send(self, sock: socket.socket, reply: bytearray, arrival: Arrival) -> None:
        heard = arrival.heard
        if heard is None:
            self._reply(sock, reply, *_way_back(arrival.local, arrival.sender))
            return
        ancillary = kernel.leaving_from(heard.local, heard.interface) if heard.local else []
        if heard.fragmented:
            kernel.send_whole(sock, whole=False)
        try:
            self._reply(sock, reply, ancillary, bulk.address_of(arrival.sender))
        finally:
            if heard.fragmented:
                kernel.send_whole(sock)

    def _reply(
        self, sock: socket.socket, reply: bytearray, ancillary: list[tuple[int, int, bytes]], address: tuple[str | int, ...]
    ) -> None:
        # One by one, since each says when it leaves. The ICMP error of an earlier reply is reported by the next send, which is
        # innocent: once more, then.
        for attempt in (1, 2):
            stamp.stamp_departure(reply, time.time_ns())
            try:
                sock.sendmsg((reply,), ancillary, 0, address)
            except OSError:
                if attempt > 1:
                    self.dropped["send"] += 1
            else:
                self.replied += 1
                return


@functools.lru_cache(8192)
def _way_back(local: bytes, sender: bytes) -> tuple[list[tuple[int, int, bytes]], tuple[str | int, ...]]:
    """What to send with, and where to, so that a reply leaves from the address that was asked."""
    return kernel.leaving_from(str(ip_address(local)), 0), bulk.address_of(sender)
