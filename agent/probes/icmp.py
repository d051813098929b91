"""ICMP echo (RFC 792, RFC 4443), answered by the target's kernel.

In: probes. Out: round trips from the kernel's transmit stamp to its receive stamp, which includes our host's queueing and the
target kernel's, and nothing of either's user space. Leaves nothing on the peer. Ping sockets need no right where
`net.ipv4.ping_group_range` has our group; where only raw sockets are allowed those are used, and where neither is, the kind is
unsupported. The echo id is the kernel's to choose on a ping socket: an answer is known by its sequence, payload and source.
"""

import contextlib
import errno
import functools
import os
import socket
import struct
from collections.abc import Sequence
from typing import cast

from agent import kernel
from agent.bulk import Arrival
from agent.packet_length import payload_bytes
from agent.probes.datagram import FAMILIES, Answer, Course, DatagramProber, Flight
from agent.probes.lines import Line
from agent.probes.prober import Context
from agent.stamp import MAGIC
from wire.path import Family, Icmp, Path

_HEADER = struct.Struct("!BBHHH")
_ECHO = struct.Struct("!BBHHH4sI8s")
"""Header, and what tells a probe: magic, identifier and nonce, as far as the payload has room for them."""
_TOKEN_BYTES = _ECHO.size - _HEADER.size
_REQUEST_TYPE = {Family.IPV4: 8, Family.IPV6: 128}
_REPLY_TYPE = {Family.IPV4: 0, Family.IPV6: 129}
_PROTOCOL = {Family.IPV4: socket.IPPROTO_ICMP, Family.IPV6: socket.IPPROTO_ICMPV6}
_SOL_RAW, _ICMP_FILTER = 255, 1  # linux/icmp.h
_ICMPV6_FILTER = 1  # linux/icmpv6.h
_BIND_ATTEMPTS = 8
_ANSWER = Answer()
"""An echo says nothing but that it is one."""


class IcmpProber(DatagramProber):
    """Prober of the kind icmp."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._raw_ids: dict[int, int] = {}  # by file descriptor

    def _open(self, family: Family) -> socket.socket:
        try:
            sock = kernel.stamped(FAMILIES[family], socket.SOCK_DGRAM, _PROTOCOL[family], self._match)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EPROTONOSUPPORT):
                raise
            return self._open_raw(family)
        # Of its own accord the kernel counts up from zero, so that two hosts behind one NAT would collide.
        for _ in range(_BIND_ATTEMPTS):
            with contextlib.suppress(OSError):
                sock.bind(("", _random_id()))
                break
        return sock

    def _open_raw(self, family: Family) -> socket.socket:
        sock = kernel.stamped(FAMILIES[family], socket.SOCK_RAW, _PROTOCOL[family], self._match)
        # Echo replies only: a raw socket hears all ICMP of the host, on loopback even its own requests. A set bit drops.
        if family is Family.IPV4:
            sock.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF & ~(1 << _REPLY_TYPE[family])))
        else:
            words = [0xFFFFFFFF] * 8
            words[_REPLY_TYPE[family] // 32] &= ~(1 << _REPLY_TYPE[family] % 32)
            sock.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, struct.pack("=8I", *words))
        self._raw_ids[sock.fileno()] = _random_id()
        return sock

    def _course(self, path: Path, *, is_apart: bool) -> Course:
        ask = cast("Icmp", path.ask)
        return Course(path, (path.family, ask.packet_bytes > 0, payload_bytes(ask, path.family)), is_apart=is_apart)

    def _requests(
        self, line: Line, courses: Sequence[Course], identifiers: Sequence[int], nonces: Sequence[bytes]
    ) -> tuple[list[bytes], list[bytes]]:
        size, kind = courses[0].sort[2], _REQUEST_TYPE[line.family]
        own_id = self._raw_ids[line.sock.fileno()] if line.raw else 0  # a ping socket's is the kernel's to fill in
        echoes = [
            _ECHO.pack(kind, 0, 0, own_id, identifier & 0xFFFF, MAGIC, identifier, nonce)
            for identifier, nonce in zip(identifiers, nonces, strict=True)
        ]
        tokens = [echo[_HEADER.size : _HEADER.size + size] for echo in echoes]
        padding = _padding(size)
        packets = [echo + padding for echo in echoes] if padding else [echo[: _HEADER.size + size] for echo in echoes]
        if line.raw and line.family is Family.IPV4:  # of all others the kernel makes the checksum
            packets = [packet[:2] + _checksum(packet).to_bytes(2, "big") + packet[4:] for packet in packets]
        return packets, tokens

    def _answer(self, arrival: Arrival, line: Line) -> tuple[Flight | None, Answer] | None:
        packet = arrival.packet
        if line.raw and line.family is Family.IPV4:
            packet = packet[4 * (packet[0] & 0xF) if packet else 0 :]
        if len(packet) < _HEADER.size:
            return None
        kind, code, _, own_id, sequence = _HEADER.unpack_from(packet)
        if (kind, code) != (_REPLY_TYPE[line.family], 0) or (line.raw and own_id != self._raw_ids[line.sock.fileno()]):
            return None
        newest = self._first_identifier + self._number
        flight = self.known((newest - ((newest - sequence) & 0xFFFF)) & 0xFFFFFFFF)
        if flight is None or flight.address != arrival.sender:
            return None
        if packet[_HEADER.size : _ECHO.size] != flight.token or packet[_ECHO.size :] != _padding(flight.course.sort[2]):
            return None
        return flight, _ANSWER

    def _culprit(self, quote: bytes, address: str, port: int, line: Line) -> int | None:  # noqa: ARG002 - ICMP has no port
        if len(quote) < _HEADER.size:
            return None
        kind, _, _, own_id, sequence = _HEADER.unpack_from(quote)
        foreign = line.raw and own_id != self._raw_ids[line.sock.fileno()]
        return None if foreign or kind != _REQUEST_TYPE[line.family] else self._full(sequence)

    def _full(self, sequence: int) -> int:
        """The identifier whose lower half is this sequence number: the newest such."""
        newest = self._first_identifier + self._number
        return (newest - ((newest - sequence) & 0xFFFF)) & 0xFFFFFFFF


@functools.lru_cache
def _padding(size: int) -> bytes:
    """What follows the token in a payload of this size."""
    return bytes(max(size - _TOKEN_BYTES, 0))


def _random_id() -> int:
    return int.from_bytes(os.urandom(2), "big") or 1


def _checksum(packet: bytes) -> int:
    """Internet checksum (RFC 1071)."""
    words = struct.unpack(f"!{(len(packet) + 1) // 2}H", packet + b"\0" * (len(packet) % 2))
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
