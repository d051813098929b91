"""The structures of sendmmsg and recvmmsg, laid out once at fixed distances in memory that lives as long as the process.

In: packets, addresses and what goes with them. Out: arrivals and returned packets. A call fills in what differs from message to
message, and one pattern reads the control messages of a whole batch. What does not fit the pattern is read message by message.
"""

import ctypes
import errno
import itertools
import mmap
import os
import socket
import struct
from array import array
from collections.abc import Iterator, Sequence

from msgspec import Struct

from agent import kernel
from agent.kernel import Heard

BATCH = 64
"""Packets in one call."""
SLOT = 65_536 + 320
"""Room for the longest packet. What no packet has touched takes no memory; the odd part is for the cache's sake."""
_NAME = 32  # struct sockaddr_in6 has 28 bytes
_CONTROL = 256
_HEADER = struct.Struct("@PIxxxxPQPQixxxxIxxxx")  # struct mmsghdr of 64-bit Linux, bits/types/struct_msghdr.h
_IDENTIFIED = struct.Struct("@QiiIxxxx")  # a control message with one u32
_MOST_SHAPES = 64


def _kind(level: int, kind: int) -> int:
    """Level and type of a control message as one number."""
    number: int = struct.unpack("=Q", struct.pack("=ii", level, kind))[0]
    return number


# Control messages as the kernel writes them for our sockets: first the stamp (struct scm_timestamping), then the hop limit, or
# on the error queue the extended error (struct sock_extended_err); before the hop limit the own address, where it is asked for.
_STAMPED = _kind(socket.SOL_SOCKET, kernel.SO_TIMESTAMPING)
_HOPS = {
    socket.AF_INET: _kind(socket.IPPROTO_IP, socket.IP_TTL),
    socket.AF_INET6: _kind(socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT),
}
_ERRORS = {_kind(socket.IPPROTO_IP, kernel.IP_RECVERR), _kind(socket.IPPROTO_IPV6, kernel.IPV6_RECVERR)}
_OWN_ADDRESS = {  # struct in_pktinfo, struct in6_pktinfo
    (socket.AF_INET, False): (0, "0s"),
    (socket.AF_INET6, False): (0, "0s"),
    (socket.AF_INET, True): (32, "16x8x4s4x"),
    (socket.AF_INET6, True): (40, "16x16s8x"),
}
_ARRIVED = {
    sort: (88 + size, struct.Struct(f"=8xQqq32x{layout}8xQi4x{_CONTROL - 88 - size}x"))
    for sort, (size, layout) in _OWN_ADDRESS.items()
}
_SENDER = {socket.AF_INET: struct.Struct(f"16s{_NAME - 16}x"), socket.AF_INET6: struct.Struct(f"28s{_NAME - 28}x")}
_LINK_LOCAL = b"\xfe\x80"
_DEPARTED, _DEPARTED_BYTES = struct.Struct(f"=8xQqq32x8xQ4xB7xI{_CONTROL - 96}x"), 96
_SECOND = 1_000_000_000


class Arrival(Struct, frozen=True, gc=False):
    """A datagram as it was read."""

    packet: bytes
    sender: bytes
    """Its `struct sockaddr`."""
    stamp_ns: int = 0
    """The kernel's receive stamp, nanoseconds since 1970; 0 where there is none."""
    hop_limit: int = 0
    """TTL or hop limit on arrival; 0 where not told."""
    local: bytes = b""
    """Own address that it was sent to, in network byte order, where that is asked for and `heard` does not tell."""
    heard: Heard | None = None
    """All that the control messages say, where they say more than these two."""


class Returned(Struct, frozen=True, gc=False):
    """An entry of a socket's error queue that is more than a transmit stamp with its identifier."""

    packet: bytes
    """What came back of the packet, if anything did."""
    target: bytes
    """`struct sockaddr` of where the packet went, where it is an error."""
    heard: Heard


Departure = tuple[int, int]
"""Identifier of a packet, and the kernel's transmit stamp of it in nanoseconds since 1970."""


class Tables:
    """The structures of BATCH messages each way."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._sendmmsg, self._recvmmsg = library.sendmmsg, library.recvmmsg
        self._sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
        self._recvmmsg.argtypes = [*self._sendmmsg.argtypes, ctypes.c_void_p]
        self._packets = mmap.mmap(-1, BATCH * SLOT, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._small = bytearray(BATCH * (_HEADER.size + 16 + _NAME + _CONTROL))
        whole = memoryview(self._small)
        ends = [0]
        for size in (_HEADER.size, 16, _NAME, _CONTROL):
            ends.append(ends[-1] + BATCH * size)
        self._headers, self._pieces, self._names, self._controls = (whole[start:end] for start, end in itertools.pairwise(ends))
        self._packets_at = ctypes.addressof(ctypes.c_char.from_buffer(self._packets))
        self._headers_at, self._pieces_at, self._names_at, self._controls_at = (
            ctypes.addressof(ctypes.c_char.from_buffer(part))
            for part in (self._headers, self._pieces, self._names, self._controls)
        )
        self._receiving = self._header_block(_NAME, _CONTROL, _NAME, _CONTROL), self._piece_block(SLOT, SLOT)
        self._identified = BATCH * _IDENTIFIED.pack(20, socket.SOL_SOCKET, kernel.SCM_TS_OPT_ID, 0)
        # What differs from message to message, seen as numbers.
        self._lengths = self._headers.cast("I")[14 :: _HEADER.size // 4]
        self._control_lengths = self._headers.cast("Q")[5 :: _HEADER.size // 8]
        self._name_lengths = self._headers.cast("I")[2 :: _HEADER.size // 4]
        self._blocks: dict[tuple[int, int, int], tuple[bytes, bytes]] = {}

    def send(
        self, sock: socket.socket, packets: Sequence[bytes], addresses: Sequence[bytes], identifiers: Sequence[int]
    ) -> int:
        """Send packets of one length, with identifiers or without; how many have left. Raises the first one's OSError."""
        if not identifiers:
            return self._send(sock, packets, addresses, 0)
        self._controls[: len(self._identified)] = self._identified
        self._controls.cast("I")[4 : 6 * min(len(packets), BATCH) : 6] = array("I", identifiers[:BATCH])
        return self._send(sock, packets, addresses, _IDENTIFIED.size)

    def _send(self, sock: socket.socket, packets: Sequence[bytes], addresses: Sequence[bytes], control: int) -> int:
        count, size, name = min(len(packets), BATCH), len(packets[0]), len(addresses[0])
        self._headers[:], self._pieces[:] = self._sending(name, size, control)
        self._packets[: count * size] = b"".join(packets[:count])
        self._names[: count * name] = b"".join(addresses[:count])
        sent: int = self._sendmmsg(sock.fileno(), self._headers_at, count, 0)
        if sent < 0:
            raise _failure()
        return sent

    def receive(self, sock: socket.socket, found: list[Arrival], *, told: bool) -> int:
        """Add what one call receives, and say how many that are, 0 where nothing is there; raises OSError."""
        count, family = self._call(sock, 0), sock.family
        packets, hops = self._packets, _HOPS[family]
        whole, layout = _ARRIVED[family, told]
        at = -SLOT
        for size, (sender,), control, (kind, seconds, nanoseconds, local, last_kind, hop_limit) in zip(
            self._lengths[:count].tolist(),
            _SENDER[family].iter_unpack(self._names[: count * _NAME]),
            self._control_lengths[:count].tolist(),
            layout.iter_unpack(self._controls[: count * _CONTROL]),
            strict=True,
        ):
            at += SLOT
            packet = packets[at : at + size]
            if control == whole and kind == _STAMPED and last_kind == hops and local[:2] != _LINK_LOCAL:
                found.append(Arrival(packet, sender, seconds * _SECOND + nanoseconds, hop_limit, local))
            else:
                found.append(arrival(packet, sender, kernel.heard(self._messages(at // SLOT, control))))
        return count

    def take_returned(self, sock: socket.socket, departed: list[Departure], others: list[Returned]) -> int:
        """Add what one call takes out of the error queue, and say how many that are; raises OSError."""
        count = self._call(sock, socket.MSG_ERRQUEUE)
        for number, size, control, (kind, seconds, nanoseconds, second_kind, origin, identifier) in zip(
            range(count),
            self._lengths[:count].tolist(),
            self._control_lengths[:count].tolist(),
            _DEPARTED.iter_unpack(self._controls[: count * _CONTROL]),
            strict=True,
        ):
            whole = not size and control >= _DEPARTED_BYTES and origin == kernel.ORIGIN_TIMESTAMPING
            if whole and kind == _STAMPED and second_kind in _ERRORS:
                departed.append((identifier, seconds * _SECOND + nanoseconds))
            else:
                packet = self._packets[number * SLOT : number * SLOT + size]
                target = bytes(self._names[number * _NAME : number * _NAME + self._name_lengths[number]])
                others.append(Returned(packet, target, kernel.heard(self._messages(number, control))))
        return count

    def _call(self, sock: socket.socket, flags: int) -> int:
        self._headers[:], self._pieces[:] = self._receiving
        count: int = self._recvmmsg(sock.fileno(), self._headers_at, BATCH, flags | socket.MSG_DONTWAIT, None)
        if count >= 0:
            return count
        if ctypes.get_errno() == errno.EAGAIN:
            return 0
        raise _failure()

    def _messages(self, number: int, length: int) -> Iterator[tuple[int, int, bytes]]:
        """The control messages of one packet (cmsg(3))."""
        at, end = number * _CONTROL, number * _CONTROL + min(length, _CONTROL)
        while at + 16 <= end:
            size, level, kind = struct.unpack_from("@Qii", self._controls, at)
            if not 16 <= size <= end - at:  # noqa: PLR2004 - struct cmsghdr
                return
            yield level, kind, bytes(self._controls[at + 16 : at + size])
            at += (size + 7) & ~7

    def _sending(self, name: int, size: int, control: int) -> tuple[bytes, bytes]:
        """Headers and pieces to send packets of this size with addresses and control messages of those."""
        shape = name, size, control
        block = self._blocks.get(shape)
        if block is None:
            if len(self._blocks) >= _MOST_SHAPES:
                self._blocks.clear()
            block = self._header_block(name, control, name, control), self._piece_block(size, size)
            self._blocks[shape] = block
        return block

    def _header_block(self, name_step: int, control_step: int, name: int, control: int) -> bytes:
        return b"".join(
            _HEADER.pack(
                self._names_at + number * name_step,
                name,
                self._pieces_at + number * 16,
                1,
                self._controls_at + number * control_step if control else 0,
                control,
                0,
                0,
            )
            for number in range(BATCH)
        )

    def _piece_block(self, step: int, size: int) -> bytes:
        return b"".join(struct.pack("@PQ", self._packets_at + number * step, size) for number in range(BATCH))


def arrival(packet: bytes, sender: bytes, heard: Heard) -> Arrival:
    """A datagram with control messages that follow no pattern."""
    return Arrival(packet, sender, heard.stamp_ns, heard.hop_limit, heard=heard)


def _failure() -> OSError:
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code))
