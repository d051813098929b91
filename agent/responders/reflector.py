"""The stateful STAMP reflector (RFC 8762 section 4.3) that answers our peers' probes.

In: datagrams on the echo port. Out: to each that proves to be a colleague's, one reply of the same size, from the address that
was asked to the address that asked; to all others nothing. What came whole is answered whole, with DF, so that both directions
are tested alike; what came in fragments may go in fragments. T2 is the kernel's receive stamp and T3 is taken last, for a few
replies at once, so that a sender can subtract all of our own scheduling. A wake-up reads a bounded number of packets, so that a
flood starves nobody else.
"""

import asyncio
import contextlib
import errno
import socket
import time
from collections import Counter

from agent import bulk, kernel, stamp
from agent.bulk import Arrival
from agent.probes.prober import Context
from agent.responders.sessions import Sessions

MOST_PER_WAKE_UP = 64
TOGETHER = 4
"""Replies sent with one system call and one T3. Each takes three microseconds or so, by which the next one leaves later."""
MAX_REPLIES_PER_SECOND = 10_000
"""Far above what peers within their own limits ask of one node."""
_SECOND_NS = 1_000_000_000
_IPV4_BYTES = 16  # struct sockaddr_in; struct sockaddr_in6 is longer


class Reflector:
    """One reflector on one port of both families. `port` 0 lets the kernel choose; after `open` it is the real one."""

    def __init__(self, context: Context, port: int, *, max_replies_per_second: int = MAX_REPLIES_PER_SECOND) -> None:
        self.port = port
        self.replied = 0
        self.dropped: Counter[str] = Counter()
        """By reason: `short`, `malformed`, `foreign`, `proof`, `rate`, `send`."""
        self._context = context
        self._limit = max_replies_per_second
        self._sessions = Sessions()
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
        second = time.monotonic_ns() // _SECOND_NS
        if second != self._second:
            self._second, self._this_second = second, 0
        replies: list[bytearray] = []
        asking: list[Arrival] = []
        for arrival in arrivals:
            try:
                reply = self._reply(arrival)
            except stamp.StampError as error:
                self.dropped[error.reason] += 1
                continue
            if reply is None:
                self.dropped["rate"] += 1
            elif arrival.heard is not None:
                self._leave_alone(sock, reply, arrival.sender, arrival.heard)
            else:
                if replies and (len(replies) >= TOGETHER or len(reply) != len(replies[0])):
                    self._leave(sock, replies, asking)
                    replies, asking = [], []
                replies.append(reply)
                asking.append(arrival)
        self._leave(sock, replies, asking)

    def _reply(self, arrival: Arrival) -> bytearray | None:
        """The reply to a request; None where there were too many this second. Raises StampError."""
        packet, sender = arrival.packet, arrival.sender
        request = stamp.decode_request(packet, self._context.keys)
        if self._this_second >= self._limit:
            return None
        self._this_second += 1
        return stamp.encode_reply(
            packet,
            request,
            receipt=self._sessions.received(request.uid, request.session, request.sequence),
            uid=self._context.uid,
            received_ns=arrival.stamp_ns or time.time_ns(),
            by_kernel=arrival.stamp_ns > 0,
            source=sender[4:8] if len(sender) == _IPV4_BYTES else sender[8:24],
            port=sender[2] << 8 | sender[3],
            ttl=arrival.hop_limit,
        )

    def _leave(self, sock: socket.socket, replies: list[bytearray], asking: list[Arrival]) -> None:
        """Send replies of one length together."""
        addresses, origins = [one.sender for one in asking], [one.local for one in asking]
        begin = attempts = 0
        while begin < len(replies):
            now_ns = time.time_ns()
            for reply in replies[begin:]:
                stamp.stamp_departure(reply, now_ns)
            try:
                sent = bulk.send_from(sock, replies[begin:], addresses[begin:], origins[begin:])
            except OSError:
                attempts += 1
                if attempts == 1:
                    continue  # the ICMP error of an earlier reply is reported by the next send, which is innocent
                self.dropped["send"] += 1
                sent = 1
            else:
                self.replied += sent
            begin, attempts = begin + sent, 0

    def _leave_alone(self, sock: socket.socket, reply: bytearray, sender: bytes, heard: kernel.Heard) -> None:
        """Send a reply to a request that came in fragments, or from a link-local address."""
        address, ancillary = bulk.address_of(sender), kernel.leaving_from(heard.local, heard.interface) if heard.local else []
        if heard.fragmented:
            kernel.send_whole(sock, whole=False)
        try:
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
        finally:
            if heard.fragmented:
                kernel.send_whole(sock)
