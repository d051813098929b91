"""How a STAMP packet of ours is laid out (RFC 8762, RFC 8972), and where the TLVs of any packet are.

In: a datagram. Out: where each TLV of it is, or a StampError with a word that can be counted.

Packets of ours have their TLVs in one order, so that one pattern writes and one reads the whole of them: those named PLAIN.
Others are taken apart one by one.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from ipaddress import ip_address
from types import MappingProxyType

from agent import proof
from wire.text import NAME_PATTERN

BASE_BYTES = 44
MAX_PACKET_BYTES = 65507
MAGIC = b"nmtx"
"""First bytes of the membership TLV: private-use type numbers are anybody's."""
UID_BYTES = 64
BITMAP_BITS = 128
"""How many of the newest sequence numbers a reflector reports one by one."""
RECEIVED_BY_KERNEL = 2
"""Timestamping method "software local" (RFC 8972 section 4.3): the kernel stamped the packet when it arrived."""
RECEIVED_BY_PROCESS = 3
"""Timestamping method "control plane": stamped when the process got to it."""

EXTRA_PADDING, LOCATION, TIMESTAMPS, HMAC, MEMBERSHIP = 1, 2, 3, 8, 252
SOURCE_IP, SOURCE_IPV4, SOURCE_IPV6 = 7, 8, 9
"""Location sub-TLVs (RFC 8972 section 4.2): asked for in general, answered by family."""
UNRECOGNIZED = 0x80
"""U flag: set by the sender, cleared by a reflector that understood the TLV (RFC 8972 section 4)."""

HEADER = struct.Struct("!BBH")
REQUEST = struct.Struct("!IIIHH28x")
REPLY_HEAD = struct.Struct("!IIIHHIIIIIHxxBxxx")
TIMESTAMP = struct.Struct("!II")
MEMBERSHIP_TLV = struct.Struct(f"!4sII8s8s8sI{BITMAP_BITS // 8}sB3x{UID_BYTES}s")
LOCATION_TLV = struct.Struct("!HHBBH16s")
TIMESTAMPS_TLV = struct.Struct("!BBBB")
NO_INCARNATION = bytes(8)
# Z: timestamps in the truncated PTPv2 format; not synchronised; multiplier 1 at scale 22 says "within 1 ms" (RFC 8762 4.2.1).
ERROR_ESTIMATE = 0x4000 | 22 << 8 | 1
FREE_RUNNING = 5
_NAME = re.compile(NAME_PATTERN)
_REMEMBERED_WORDS = 8192
UNDERSTOOD = frozenset({MEMBERSHIP, LOCATION, TIMESTAMPS, HMAC, EXTRA_PADDING})
MIN_BYTES = BASE_BYTES + sum(
    4 + size for size in (MEMBERSHIP_TLV.size, LOCATION_TLV.size, TIMESTAMPS_TLV.size, proof.MAC_BYTES)
)
"""Length of a packet without padding."""

AT = MappingProxyType(
    {
        MEMBERSHIP: (BASE_BYTES + 4, MEMBERSHIP_TLV.size),
        LOCATION: (BASE_BYTES + 8 + MEMBERSHIP_TLV.size, LOCATION_TLV.size),
        TIMESTAMPS: (BASE_BYTES + 12 + MEMBERSHIP_TLV.size + LOCATION_TLV.size, TIMESTAMPS_TLV.size),
        HMAC: (MIN_BYTES - proof.MAC_BYTES, proof.MAC_BYTES),
    }
)
HEADS = {flag: tuple(HEADER.pack(flag, kind, size) for kind, (_, size) in AT.items()) for flag in (0, UNRECOGNIZED)}
HMAC_AT = MIN_BYTES - proof.MAC_BYTES - 4
RECEIVED = struct.Struct(f"!8sI{BITMAP_BITS // 8}sB3x{UID_BYTES}s")
"""What a reflector writes into the membership TLV, from its incarnation on."""
RECEIVED_AT = 28
METHODS = [
    HEADS[0][2] + TIMESTAMPS_TLV.pack(FREE_RUNNING, method, FREE_RUNNING, RECEIVED_BY_PROCESS)
    for method in (RECEIVED_BY_PROCESS, RECEIVED_BY_KERNEL)
]
ASKED = (
    HEADS[UNRECOGNIZED][1]
    + LOCATION_TLV.pack(0, 0, UNRECOGNIZED, SOURCE_IP, 16, b"")
    + HEADS[UNRECOGNIZED][2]
    + TIMESTAMPS_TLV.pack(0, 0, 0, 0)
)


# A packet as our senders and reflectors make it, without padding: what is at its beginning, and what follows the head and the
# magic of its first TLV, which tell a request from a reply.
PLAIN_HEADS = HEADS[UNRECOGNIZED][0] + MAGIC, HEADS[0][0] + MAGIC
PLAIN_REST = ASKED + HEADS[UNRECOGNIZED][3]
PLAIN_REQUEST = struct.Struct(f"!I10s2s28x8s4sI8s8s8s20xB3x{UID_BYTES}s{len(PLAIN_REST)}s{proof.MAC_BYTES}s")
PLAIN_ASKER = struct.Struct(f"!{8 + 4 + BITMAP_BITS // 8}xB3x{UID_BYTES}s{len(ASKED)}s")
PLAIN_BASE = struct.Struct("!IIIH2s28x")
PLAIN_ASKED = struct.Struct(f"!8sII8s8s{PLAIN_ASKER.size}s")
PLAIN_TOLD = struct.Struct(f"!B3x{UID_BYTES}s4s{LOCATION_TLV.size}s{TIMESTAMPS_TLV.size + 4}s")
PLAIN_SIGNED = struct.Struct(f"!I8s4sI8s8s8sI{BITMAP_BITS // 8}s{PLAIN_TOLD.size}s")
PLAIN_REPLY = struct.Struct(f"!I8x2s2sIII10s2xB3x{PLAIN_SIGNED.size - 4}s4s{proof.MAC_BYTES}s")
PLAIN_SAID = struct.Struct(f"!B3x{UID_BYTES}s4s5xB2x16s4sxB2x4s")
"""What all replies of one reflector to one sender say alike, at the end of a packet and before its MAC."""
PLAIN_ANSWER = struct.Struct(f"!III4xIII16x8sII8s8s8sI{BITMAP_BITS // 8}s{PLAIN_SAID.size}s{proof.MAC_BYTES}s")


class StampError(ValueError):
    """A datagram that is not taken. `reason` is one of `short`, `malformed`, `foreign`, `proof`."""

    def __init__(self, reason: str) -> None:
        """Keep the word; what was received is quoted nowhere."""
        super().__init__(f"not a STAMP packet of ours: {reason}")
        self.reason = reason


def _tlvs(packet: bytes) -> Iterator[tuple[int, int, int]]:
    """Type, start and length of the value of each TLV (RFC 8972 section 4)."""
    position, end = BASE_BYTES, len(packet)
    while position < end:
        if position + 4 > end:
            raise StampError("malformed")
        _, kind, length = HEADER.unpack_from(packet, position)
        position += 4
        if position + length > end:
            raise StampError("malformed")
        yield kind, position, length
        position += length


def taken_apart(packet: bytes) -> Mapping[int, tuple[int, int]]:
    """Start and length of the value of each TLV, whatever their order; raises StampError."""
    offsets: dict[int, tuple[int, int]] = {}
    for kind, start, length in _tlvs(packet):
        if kind in offsets or (HMAC in offsets and kind != EXTRA_PADDING):
            raise StampError("malformed")
        offsets[kind] = start, length
    for kind, size in ((MEMBERSHIP, MEMBERSHIP_TLV.size), (LOCATION, LOCATION_TLV.size), (TIMESTAMPS, TIMESTAMPS_TLV.size)):
        if offsets.get(kind, (0, 0))[1] < size:
            raise StampError("foreign")
    if offsets.get(HMAC, (0, 0))[1] != proof.MAC_BYTES:
        raise StampError("proof")
    return offsets


def ordered(packet: bytes, offsets: Mapping[int, tuple[int, int]]) -> bytes:
    """The same packet with its TLVs where AT has them, and with their heads, as far as we read them."""
    return packet[:BASE_BYTES] + b"".join(
        head + packet[offsets[kind][0] : offsets[kind][0] + size]
        for head, (kind, (_, size)) in zip(HEADS[0], AT.items(), strict=True)
    )


def identifier_in(packet: bytes) -> int | None:
    """Our identifier in a packet of ours that the kernel or an ICMP error brought back, whole or cut short.

    It may have link and network headers before it. None where too little of it is left. Proves nothing.
    """
    start = packet.find(MAGIC)
    return int.from_bytes(packet[start + 4 : start + 8], "big") if 0 <= start <= len(packet) - 8 else None


@lru_cache(_REMEMBERED_WORDS)
def uid_word(uid: str) -> str:
    """A UID as the packet has room for it: itself, or its digest where it is longer than UID_BYTES."""
    return uid if len(uid) <= UID_BYTES else blake2b(uid.encode(), digest_size=UID_BYTES // 2).hexdigest()


@lru_cache(_REMEMBERED_WORDS)
def uid_text(uid: bytes) -> str:
    """A UID as a packet has it; raises StampError where it is no name."""
    text = uid.decode("latin-1")
    if text and not _NAME.fullmatch(text):
        raise StampError("malformed")
    return text


@lru_cache(_REMEMBERED_WORDS)
def address_text(packed: bytes) -> str:
    """An address from network byte order."""
    return str(ip_address(packed))
