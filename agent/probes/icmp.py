"""ICMP echo (RFC 792, RFC 4443), answered by the target's kernel.

In: probes. Out: round trips from the kernel's transmit stamp to its receive stamp, which includes our host's queueing and the
target kernel's, and nothing of either's user space. Leaves nothing on the peer. Ping sockets need no right where
`net.ipv4.ping_group_range` has our group; where only raw sockets are allowed those are used, and where neither is, the kind is
unsupported. The echo id is the kernel's to choose on a ping socket: an answer is known by its sequence, payload and source.
"""

import contextlib
import errno
import os
import socket
import struct

from agent import kernel
from agent.bulk import Arrival
from agent.packet_length import payload_bytes
from agent.probes.datagram import FAMILIES, Answer, DatagramProber, Flight
from agent.probes.lines import Line
from agent.probes.prober import Context
from agent.stamp import MAGIC
from wire.path import Family, Icmp

_HEADER = struct.Struct("!BBHHH")
_PAYLOAD = struct.Struct("!4sI8s")
_REQUEST_TYPE = {Family.IPV4: 8, Family.IPV6: 128}
_REPLY_TYPE = {Family.IPV4: 0, Family.IPV6: 129}
_PROTOCOL = {Family.IPV4: socket.IPPROTO_ICMP, Family.IPV6: socket.IPPROTO_ICMPV6}
_SOL_RAW, _ICMP_FILTER = 255, 1  # linux/icmp.h
_ICMPV6_FILTER = 1  # linux/icmpv6.h
_BIND_ATTEMPTS = 8
_REMEMBERED_BYTES = 128
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

    def _request(self, flight: Flight) -> tuple[bytes, int]:
        line, identifier = flight.line, flight.identifier
        family, payload = line.family, _payload(flight)
        if len(payload) <= _REMEMBERED_BYTES:
            flight.payload = payload
        if not line.raw:  # the kernel adds the id and the checksum
            return _HEADER.pack(_REQUEST_TYPE[family], 0, 0, 0, identifier & 0xFFFF) + payload, 0
        kind, own_id, sequence = _REQUEST_TYPE[family], self._raw_ids[line.sock.fileno()], identifier & 0xFFFF
        checksum = 0 if family is Family.IPV6 else _checksum(_HEADER.pack(kind, 0, 0, own_id, sequence) + payload)
        return _HEADER.pack(kind, 0, checksum, own_id, sequence) + payload, 0

    def _answer(self, arrival: Arrival, line: Line) -> tuple[int, Answer] | None:
        packet = arrival.packet
        if line.raw and line.family is Family.IPV4:
            packet = packet[4 * (packet[0] & 0xF) if packet else 0 :]
        if len(packet) < _HEADER.size:
            return None
        kind, code, _, own_id, sequence = _HEADER.unpack_from(packet)
        if (kind, code) != (_REPLY_TYPE[line.family], 0) or (line.raw and own_id != self._raw_ids[line.sock.fileno()]):
            return None
        identifier = (self._identifier - ((self._identifier - sequence) & 0xFFFF)) & 0xFFFFFFFF
        flight = self._flights.get(identifier) or self.known(identifier)
        if flight is None or flight.address != arrival.sender:
            return None
        return (identifier, _ANSWER) if packet[_HEADER.size :] == (flight.payload or _payload(flight)) else None

    def _culprit(self, quote: bytes, address: str, port: int, line: Line) -> int | None:  # noqa: ARG002 - ICMP has no port
        if len(quote) < _HEADER.size:
            return None
        kind, _, _, own_id, sequence = _HEADER.unpack_from(quote)
        foreign = line.raw and own_id != self._raw_ids[line.sock.fileno()]
        return None if foreign or kind != _REQUEST_TYPE[line.family] else self._full(sequence)

    def _full(self, sequence: int) -> int:
        """The identifier whose lower half is this sequence number: the newest such."""
        return (self._identifier - ((self._identifier - sequence) & 0xFFFF)) & 0xFFFFFFFF


def _payload(flight: Flight) -> bytes:
    ask: Icmp = flight.probe.path.ask  # type: ignore[assignment]  # no call for every probe
    size = payload_bytes(ask, flight.line.family) if ask.packet_bytes else ask.size
    return _PAYLOAD.pack(MAGIC, flight.identifier, flight.nonce)[:size].ljust(size, b"\0")


def _random_id() -> int:
    return int.from_bytes(os.urandom(2), "big") or 1


def _checksum(packet: bytes) -> int:
    """Internet checksum (RFC 1071)."""
    words = struct.unpack(f"!{(len(packet) + 1) // 2}H", packet + b"\0" * (len(packet) % 2))
    total: int = sum(words)
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
