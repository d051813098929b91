"""STAMP packets (RFC 8762, unauthenticated base) with the TLVs of RFC 8972 that we use, to and from bytes.

In: values or a datagram. Out: a datagram or values, or a StampError with a word that can be counted. A reply is built inside
the bytes of its request, so it can be neither longer nor shorter, and nothing is believed whose HMAC TLV does not verify.

Layout: base (44 bytes), then the TLVs membership (private use, below), Location, Timestamp Information, HMAC, and at will
Extra Padding, which alone may follow the HMAC TLV (RFC 8972 section 4.8). The membership TLV of a request has an all-zero
incarnation and that of a reply has not: a request sent back to its author is therefore never taken for a reply.
"""

import re
import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from ipaddress import ip_address
from types import MappingProxyType

from msgspec import Struct

from agent import proof
from wire.plan import GroupKey
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

_HEADER = struct.Struct("!BBH")
_REQUEST = struct.Struct("!IIIHH28x")
_REPLY_HEAD = struct.Struct("!IIIHHIIIIIHxxBxxx")
_TIMESTAMP = struct.Struct("!II")
_MEMBERSHIP = struct.Struct(f"!4sII8s8s8sI{BITMAP_BITS // 8}sB3x{UID_BYTES}s")
_LOCATION = struct.Struct("!HHBBH16s")
_TIMESTAMPS = struct.Struct("!BBBB")
_NO_INCARNATION = bytes(8)
# Z: timestamps in the truncated PTPv2 format; not synchronised; multiplier 1 at scale 22 says "within 1 ms" (RFC 8762 4.2.1).
_ERROR_ESTIMATE = 0x4000 | 22 << 8 | 1
_FREE_RUNNING = 5
_UNDERSTOOD = frozenset({MEMBERSHIP, LOCATION, TIMESTAMPS, HMAC, EXTRA_PADDING})
_SECOND = 1_000_000_000
_NAME = re.compile(NAME_PATTERN)
_REMEMBERED_WORDS = 8192
MIN_BYTES = BASE_BYTES + sum(4 + size for size in (_MEMBERSHIP.size, _LOCATION.size, _TIMESTAMPS.size, proof.MAC_BYTES))
"""Length of a packet without padding."""

# Packets of ours have their TLVs in one order, so that they are written and read whole; others are taken apart one by one.
_AT = MappingProxyType(
    {
        MEMBERSHIP: (BASE_BYTES + 4, _MEMBERSHIP.size),
        LOCATION: (BASE_BYTES + 8 + _MEMBERSHIP.size, _LOCATION.size),
        TIMESTAMPS: (BASE_BYTES + 12 + _MEMBERSHIP.size + _LOCATION.size, _TIMESTAMPS.size),
        HMAC: (MIN_BYTES - proof.MAC_BYTES, proof.MAC_BYTES),
    }
)
_HEADS = {flag: tuple(_HEADER.pack(flag, kind, size) for kind, (_, size) in _AT.items()) for flag in (0, UNRECOGNIZED)}
_SHAPE = struct.Struct(f"!{BASE_BYTES}x4s{_MEMBERSHIP.size}x4s{_LOCATION.size}x4s{_TIMESTAMPS.size}x4s{proof.MAC_BYTES}x")
_SENT = struct.Struct(f"!IIIHH28x4s4sII8s8s28xB3x{UID_BYTES}s{_LOCATION.size + _TIMESTAMPS.size + 8}s")
_RECEIVED = struct.Struct(f"!8sI{BITMAP_BITS // 8}sB3x{UID_BYTES}s")
"""What a reflector writes into the membership TLV, from its incarnation on."""
_RECEIVED_AT = 28
_NAMED = slice(BASE_BYTES + 4, BASE_BYTES + 4 + _RECEIVED_AT)
"""What a reply repeats of a request's membership TLV, up to the incarnation."""
_REPLIED = struct.Struct(f"!I8xH2sII14sxxBxxx4s{_RECEIVED_AT}s8sI{BITMAP_BITS // 8}sB3x{UID_BYTES}s4sxxHxBH16s8s")
_METHODS = [
    _HEADS[0][2] + _TIMESTAMPS.pack(_FREE_RUNNING, method, _FREE_RUNNING, RECEIVED_BY_PROCESS)
    for method in (RECEIVED_BY_PROCESS, RECEIVED_BY_KERNEL)
]
_ASKED = (
    _HEADS[UNRECOGNIZED][1]
    + _LOCATION.pack(0, 0, UNRECOGNIZED, SOURCE_IP, 16, b"")
    + _HEADS[UNRECOGNIZED][2]
    + _TIMESTAMPS.pack(0, 0, 0, 0)
)


class StampError(ValueError):
    """A datagram that is not taken. `reason` is one of `short`, `malformed`, `foreign`, `proof`."""

    def __init__(self, reason: str) -> None:
        """Keep the word; what was received is quoted nowhere."""
        super().__init__(f"not a STAMP packet of ours: {reason}")
        self.reason = reason


class Receipt(Struct, frozen=True, gc=False):
    """What a reflector has received of a session: enough to say, probe by probe, what the way there lost."""

    incarnation: bytes
    """8 bytes that name this count; another value means that the reflector forgot the session and counts afresh."""
    received: int
    """Distinct sequence numbers received, 1 for the first."""
    highest: int
    """Highest sequence number received."""
    bitmap: int
    """Bit i: `highest - i` was received, for i below BITMAP_BITS."""


class Request(Struct, frozen=True, gc=False):
    """A session-sender packet whose proof holds."""

    sequence: int
    key: GroupKey
    session: bytes
    """The sender's 8-byte name of the session."""
    uid: str
    """UID of the sender's pod."""
    offsets: Mapping[int, tuple[int, int]]
    """Start and length of the value of each TLV."""


class Reply(Struct, frozen=True, gc=False):
    """A session-reflector packet whose proof holds. Times are nanoseconds since 1970 by the reflector's clock."""

    sequence: int
    """The sender's own sequence number, returned."""
    identifier: int
    """The sender's own identifier of the probe, returned."""
    nonce: bytes
    session: bytes
    uid: str
    """UID of the pod that answered."""
    received_ns: int
    departed_ns: int
    by_kernel: bool
    """`received_ns` is the kernel's stamp."""
    source: str
    """The address that the reflector saw the request come from."""
    receipt: Receipt


@lru_cache(_REMEMBERED_WORDS)
def uid_word(uid: str) -> str:
    """A UID as the packet has room for it: itself, or its digest where it is longer than UID_BYTES."""
    return uid if len(uid) <= UID_BYTES else blake2b(uid.encode(), digest_size=UID_BYTES // 2).hexdigest()


def encode_request(
    *, sequence: int, identifier: int, sent_ns: int, key: GroupKey, nonce: bytes, session: bytes, uid: str, padding: int = 0
) -> bytes:
    """A request; `sent_ns` since 1970. `padding` above 0 adds an Extra Padding TLV with a value of so many bytes."""
    word, heads = uid_word(uid).encode(), _HEADS[UNRECOGNIZED]
    seconds, nanoseconds = divmod(sent_ns, _SECOND)
    signed = _SENT.pack(
        sequence,
        seconds,
        nanoseconds,
        _ERROR_ESTIMATE,
        session[0] << 8 | session[1],
        heads[0],
        MAGIC,
        identifier,
        key.epoch,
        nonce,
        session,
        len(word),
        word,
        _ASKED,
    )
    packet = signed + heads[3] + proof.mac(key, signed[:4] + signed[BASE_BYTES:])
    return packet + _HEADER.pack(UNRECOGNIZED, EXTRA_PADDING, padding) + bytes(padding) if padding else packet


def decode_request(packet: bytes, keys: Iterable[GroupKey]) -> Request:
    """A request from a datagram; raises StampError."""
    offsets, key = _opened(packet, keys)
    _, _, _, _, session, incarnation, _, _, length, uid = _MEMBERSHIP.unpack_from(packet, offsets[MEMBERSHIP][0])
    if incarnation != _NO_INCARNATION:
        raise StampError("foreign")
    return Request(int.from_bytes(packet[:4], "big"), key, session, _uid_text(uid[:length]), offsets)


def encode_reply(
    packet: bytes,
    request: Request,
    *,
    receipt: Receipt,
    uid: str,
    received_ns: int,
    by_kernel: bool,
    source: bytes,
    port: int,
    ttl: int,
) -> bytearray:
    """The reply to a request, in the request's own length, with no time of departure yet: see `stamp_departure`.

    `source` is the address that the request came from, in network byte order.
    """
    if request.offsets is _AT:
        return _whole_reply(packet, request.key, receipt, uid, received_ns, by_kernel, source, port, ttl)
    reply = bytearray(packet)
    _, sent_s, sent_ns, estimate, ssid = _REQUEST.unpack_from(packet)
    received_s, received_ns = divmod(received_ns, _SECOND)
    count = (receipt.received - 1) & 0xFFFFFFFF  # the first packet of a session has the number 0
    _REPLY_HEAD.pack_into(
        reply, 0, count, 0, 0, _ERROR_ESTIMATE, ssid, received_s, received_ns, request.sequence, sent_s, sent_ns, estimate, ttl
    )
    offsets = request.offsets
    for kind, (start, _) in offsets.items():
        reply[start - 4] = 0 if kind in _UNDERSTOOD else UNRECOGNIZED
    word = uid_word(uid).encode()
    bitmap = receipt.bitmap.to_bytes(BITMAP_BITS // 8, "big")
    at = offsets[MEMBERSHIP][0] + _RECEIVED_AT
    _RECEIVED.pack_into(reply, at, receipt.incarnation, receipt.highest, bitmap, len(word), word)
    sub_type = SOURCE_IPV4 if len(source) == 4 else SOURCE_IPV6  # noqa: PLR2004 - bytes of an address
    _LOCATION.pack_into(reply, offsets[LOCATION][0], 0, port, 0, sub_type, 16, source)
    method = RECEIVED_BY_KERNEL if by_kernel else RECEIVED_BY_PROCESS
    _TIMESTAMPS.pack_into(reply, offsets[TIMESTAMPS][0], _FREE_RUNNING, method, _FREE_RUNNING, RECEIVED_BY_PROCESS)
    start = offsets[HMAC][0]
    reply[start : start + proof.MAC_BYTES] = proof.mac(request.key, bytes(reply[:4] + reply[BASE_BYTES : start - 4]))
    return reply


def _whole_reply(  # noqa: PLR0917 - called for every packet: by position, which is faster
    packet: bytes,
    key: GroupKey,
    receipt: Receipt,
    uid: str,
    received_ns: int,
    by_kernel: bool,  # noqa: FBT001 - as above
    source: bytes,
    port: int,
    ttl: int,
) -> bytearray:
    """The same for a request in our own layout, written at once."""
    word = uid_word(uid).encode()
    signed = _REPLIED.pack(
        (receipt.received - 1) & 0xFFFFFFFF,
        _ERROR_ESTIMATE,
        packet[14:16],  # the SSID
        *divmod(received_ns, _SECOND),
        packet[:14],  # the sender's sequence number, timestamp and error estimate
        ttl,
        _HEADS[0][0],
        packet[_NAMED],
        receipt.incarnation,
        receipt.highest,
        receipt.bitmap.to_bytes(BITMAP_BITS // 8, "big"),
        len(word),
        word,
        _HEADS[0][1],
        port,
        SOURCE_IPV4 if len(source) == 4 else SOURCE_IPV6,  # noqa: PLR2004 - bytes of an address
        16,
        source,
        _METHODS[by_kernel],
    )
    return bytearray(signed + _HEADS[0][3] + proof.mac(key, signed[:4] + signed[BASE_BYTES:]))


def stamp_departure(reply: bytearray, now_ns: int) -> None:
    """Write T3 into a finished reply, as the last thing before it is sent; the base is not under the HMAC (RFC 8972 4.8)."""
    _TIMESTAMP.pack_into(reply, 4, *divmod(now_ns, _SECOND))


def decode_reply(packet: bytes, keys: Iterable[GroupKey]) -> Reply:
    """A reply from a datagram; raises StampError."""
    offsets, _ = _opened(packet, keys)
    membership = _MEMBERSHIP.unpack_from(packet, offsets[MEMBERSHIP][0])
    _, identifier, _, nonce, session, incarnation, highest, bitmap, length, uid = membership
    if incarnation == _NO_INCARNATION:
        raise StampError("foreign")
    count, departed_s, departed_ns, _, _, received_s, received_ns, sequence, *_ = _REPLY_HEAD.unpack_from(packet)
    _, _, _, sub_type, _, source = _LOCATION.unpack_from(packet, offsets[LOCATION][0])
    if sub_type not in (SOURCE_IPV4, SOURCE_IPV6):
        raise StampError("malformed")
    return Reply(
        sequence=sequence,
        identifier=identifier,
        nonce=nonce,
        session=session,
        uid=_uid_text(uid[:length]),
        received_ns=received_s * _SECOND + received_ns,
        departed_ns=departed_s * _SECOND + departed_ns,
        by_kernel=_TIMESTAMPS.unpack_from(packet, offsets[TIMESTAMPS][0])[1] == RECEIVED_BY_KERNEL,
        source=_address_text(source[:4] if sub_type == SOURCE_IPV4 else source),
        receipt=Receipt(incarnation, count + 1, highest, int.from_bytes(bitmap, "big")),
    )


def identifier_in(packet: bytes) -> int | None:
    """Our identifier in a packet of ours that the kernel or an ICMP error brought back, whole or cut short.

    It may have link and network headers before it. None where too little of it is left. Proves nothing.
    """
    start = packet.find(MAGIC)
    return int.from_bytes(packet[start + 4 : start + 8], "big") if 0 <= start <= len(packet) - 8 else None


def _tlvs(packet: bytes) -> Iterator[tuple[int, int, int]]:
    """Type, start and length of the value of each TLV (RFC 8972 section 4)."""
    position, end = BASE_BYTES, len(packet)
    while position < end:
        if position + 4 > end:
            raise StampError("malformed")
        _, kind, length = _HEADER.unpack_from(packet, position)
        position += 4
        if position + length > end:
            raise StampError("malformed")
        yield kind, position, length
        position += length


@lru_cache(_REMEMBERED_WORDS)
def _uid_text(uid: bytes) -> str:
    text = uid.decode("latin-1")
    if text and not _NAME.fullmatch(text):
        raise StampError("malformed")
    return text


@lru_cache(_REMEMBERED_WORDS)
def _address_text(packed: bytes) -> str:
    return str(ip_address(packed))


def _opened(packet: bytes, keys: Iterable[GroupKey]) -> tuple[Mapping[int, tuple[int, int]], GroupKey]:
    """Where the TLVs of a packet are, and the key that signed it; raises StampError."""
    if not MIN_BYTES <= len(packet) <= MAX_PACKET_BYTES:
        raise StampError("short")
    heads = _SHAPE.unpack_from(packet)
    ours = len(packet) == MIN_BYTES and (heads == _HEADS[UNRECOGNIZED] or heads == _HEADS[0])
    offsets = _AT if ours else _taken_apart(packet)
    at, (start, length) = offsets[MEMBERSHIP][0], offsets[HMAC]
    if packet[at : at + 4] != MAGIC:
        raise StampError("foreign")
    covered = packet[:4] + packet[BASE_BYTES : start - 4]
    key = proof.signer(keys, int.from_bytes(packet[at + 8 : at + 12], "big"), covered, packet[start : start + length])
    if key is None:
        raise StampError("proof")
    return offsets, key


def _taken_apart(packet: bytes) -> Mapping[int, tuple[int, int]]:
    offsets: dict[int, tuple[int, int]] = {}
    for kind, start, length in _tlvs(packet):
        if kind in offsets or (HMAC in offsets and kind != EXTRA_PADDING):
            raise StampError("malformed")
        offsets[kind] = start, length
    for kind, size in ((MEMBERSHIP, _MEMBERSHIP.size), (LOCATION, _LOCATION.size), (TIMESTAMPS, _TIMESTAMPS.size)):
        if offsets.get(kind, (0, 0))[1] < size:
            raise StampError("foreign")
    if offsets.get(HMAC, (0, 0))[1] != proof.MAC_BYTES:
        raise StampError("proof")
    return offsets
