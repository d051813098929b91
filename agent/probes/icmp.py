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
from agent.probes.datagram import FAMILIES, Answer, Answered, Course, DatagramProber
from agent.probes.lines import Line
from agent.probes.prober import Context
from agent.stamp import MAGIC
from wire.path import Family, Icmp, Path

_HEADER = struct.Struct("!BBHHH")
_TOKEN_BYTES = struct.calcsize("!4sI8s")
"""Length of what tells a probe: magic, identifier and nonce, as far as the payload has room for them."""
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
        echo = _echo(size).pack
        packets = [
            echo(kind, 0, 0, own_id, identifier & 0xFFFF, MAGIC, identifier, nonce)
            for identifier, nonce in zip(identifiers, nonces, strict=True)
        ]
        if size < _TOKEN_BYTES:
            packets = [packet[: _HEADER.size + size] for packet in packets]
        tokens = [packet[_HEADER.size :] for packet in packets]
        if line.raw and line.family is Family.IPV4:  # of all others the kernel makes the checksum
            packets = [packet[:2] + _checksum(packet).to_bytes(2, "big") + packet[4:] for packet in packets]
        return packets, tokens

    def _answers(self, arrivals: Sequence[Arrival], line: Line) -> list[Answered]:
        answers: list[Answered] = []
        raw, reply = line.raw, _REPLY_TYPE[line.family]
        own_id = self._raw_ids[line.sock.fileno()].to_bytes(2, "big") if raw else b""
        has_header = raw and line.family is Family.IPV4
        newest, under_way, answered = self._first_identifier + self._number, self._flights.get, self._answered.get
        for arrival in arrivals:
            packet = arrival.packet
            if has_header:
                packet = packet[4 * (packet[0] & 0xF) if packet else 0 :]
            if len(packet) < _HEADER.size or packet[0] != reply or packet[1]:
                continue
            identifier = (newest - ((newest - (packet[6] << 8 | packet[7])) & 0xFFFF)) & 0xFFFFFFFF
            flight = under_way(identifier) or answered(identifier)
            if flight is None or packet[_HEADER.size :] != flight.token or flight.address != arrival.sender:
                continue
            if raw and packet[4:6] != own_id:
                continue
            answers.append((arrival, flight, _ANSWER))
        return answers

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
def _echo(size: int) -> struct.Struct:
    """A packet with a payload of this size: header, magic, identifier and nonce, whole as well where it is shorter."""
    return struct.Struct(f"!BBHHH4sI8s{max(size - _TOKEN_BYTES, 0)}x")


def _random_id() -> int:
    return int.from_bytes(os.urandom(2), "big") or 1


def _checksum(packet: bytes) -> int:
    """Internet checksum (RFC 1071)."""
    words = struct.unpack(f"!{(len(packet) + 1) // 2}H", packet + b"\0" * (len(packet) % 2))
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
