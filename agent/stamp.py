"""STAMP packets (RFC 8762, unauthenticated base) with the TLVs of RFC 8972 that we use, to and from bytes.

In: values or a datagram. Out: a datagram or values, or a StampError with a word that can be counted. A reply is built inside
the bytes of its request, so it can be neither longer nor shorter, and nothing is believed whose HMAC TLV does not verify.

Layout: base (44 bytes), then the TLVs membership (private use, below), Location, Timestamp Information, HMAC, and at will
Extra Padding, which alone may follow the HMAC TLV (RFC 8972 section 4.8). The membership TLV of a request has an all-zero
incarnation and that of a reply has not: a request sent back to its author is therefore never taken for a reply.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from ipaddress import ip_address
from typing import NamedTuple

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
_SECOND = 1_000_000_000
_NAME = re.compile(NAME_PATTERN)
MIN_BYTES = BASE_BYTES + sum(4 + size for size in (_MEMBERSHIP.size, _LOCATION.size, _TIMESTAMPS.size, proof.MAC_BYTES))
"""Length of a packet without padding."""


class _Membership(NamedTuple):
    """The private-use TLV: who sends, for which probe of which session, and in a reply what was received of it."""

    magic: bytes
    identifier: int
    epoch: int
    nonce: bytes
    session: bytes
    incarnation: bytes
    highest: int
    bitmap: bytes
    uid_length: int
    uid: bytes

    @property
    def uid_text(self) -> str:
        """UID of the pod that sent this packet; raises StampError where it is no name."""
        text = self.uid[: self.uid_length].decode("latin-1")
        if text and not _NAME.fullmatch(text):
            raise StampError("malformed")
        return text

    def of_responder(self, uid: str, receipt: "Receipt") -> "_Membership":
        """The same, filled in by the reflector."""
        word = uid_word(uid).encode()
        return self._replace(
            incarnation=receipt.incarnation,
            highest=receipt.highest,
            bitmap=receipt.bitmap.to_bytes(BITMAP_BITS // 8, "big"),
            uid_length=len(word),
            uid=word,
        )


class StampError(ValueError):
    """A datagram that is not taken. `reason` is one of `short`, `malformed`, `foreign`, `proof`."""

    def __init__(self, reason: str) -> None:
        """Keep the word; what was received is quoted nowhere."""
        super().__init__(f"not a STAMP packet of ours: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a reflector has received of a session: enough to say, probe by probe, what the way there lost."""

    incarnation: bytes
    """8 bytes that name this count; another value means that the reflector forgot the session and counts afresh."""
    received: int
    """Distinct sequence numbers received, 1 for the first."""
    highest: int
    """Highest sequence number received."""
    bitmap: int
    """Bit i: `highest - i` was received, for i below BITMAP_BITS."""


@dataclass(frozen=True, slots=True)
class Request:
    """A session-sender packet whose proof holds."""

    sequence: int
    key: GroupKey
    membership: _Membership
    offsets: dict[int, tuple[int, int]]
    """Start and length of the value of each TLV."""

    @property
    def session(self) -> bytes:
        """The sender's 8-byte name of the session."""
        return self.membership.session

    @property
    def uid(self) -> str:
        """UID of the sender's pod."""
        return self.membership.uid_text


@dataclass(frozen=True, slots=True)
class Reply:
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


def uid_word(uid: str) -> str:
    """A UID as the packet has room for it: itself, or its digest where it is longer than UID_BYTES."""
    return uid if len(uid) <= UID_BYTES else blake2b(uid.encode(), digest_size=UID_BYTES // 2).hexdigest()


def encode_request(
    *, sequence: int, identifier: int, sent_ns: int, key: GroupKey, nonce: bytes, session: bytes, uid: str, padding: int = 0
) -> bytes:
    """A request; `sent_ns` since 1970. `padding` above 0 adds an Extra Padding TLV with a value of so many bytes."""
    word = uid_word(uid).encode()
    membership = _Membership(MAGIC, identifier, key.epoch, nonce, session, _NO_INCARNATION, 0, b"", len(word), word)
    head = _REQUEST.pack(sequence, *divmod(sent_ns, _SECOND), _ERROR_ESTIMATE, int.from_bytes(session[:2], "big"))
    tlvs = b"".join(
        (
            _HEADER.pack(UNRECOGNIZED, MEMBERSHIP, _MEMBERSHIP.size),
            _MEMBERSHIP.pack(*membership),
            _HEADER.pack(UNRECOGNIZED, LOCATION, _LOCATION.size),
            _LOCATION.pack(0, 0, UNRECOGNIZED, SOURCE_IP, 16, b""),
            _HEADER.pack(UNRECOGNIZED, TIMESTAMPS, _TIMESTAMPS.size),
            _TIMESTAMPS.pack(0, 0, 0, 0),
        )
    )
    given = _HEADER.pack(UNRECOGNIZED, HMAC, proof.MAC_BYTES) + proof.mac(key, head[:4] + tlvs)
    extra = _HEADER.pack(UNRECOGNIZED, EXTRA_PADDING, padding) + bytes(padding) if padding else b""
    return head + tlvs + given + extra


def decode_request(packet: bytes, keys: Iterable[GroupKey]) -> Request:
    """A request from a datagram; raises StampError."""
    offsets, key, membership = _opened(packet, keys)
    if membership.incarnation != _NO_INCARNATION:
        raise StampError("foreign")
    return Request(int.from_bytes(packet[:4], "big"), key, membership, offsets)


def encode_reply(
    packet: bytes,
    request: Request,
    *,
    receipt: Receipt,
    uid: str,
    received_ns: int,
    by_kernel: bool,
    source: str,
    port: int,
    ttl: int,
) -> bytearray:
    """The reply to a request, in the request's own length, with no time of departure yet: see `stamp_departure`."""
    reply = bytearray(packet)
    _, sent_s, sent_ns, estimate, ssid = _REQUEST.unpack_from(packet)
    received = divmod(received_ns, _SECOND)
    count = (receipt.received - 1) & 0xFFFFFFFF  # the first packet of a session has the number 0
    _REPLY_HEAD.pack_into(
        reply, 0, count, 0, 0, _ERROR_ESTIMATE, ssid, *received, request.sequence, sent_s, sent_ns, estimate, ttl
    )
    for kind, (start, _) in request.offsets.items():
        reply[start - 4] = 0 if kind in (MEMBERSHIP, LOCATION, TIMESTAMPS, HMAC, EXTRA_PADDING) else UNRECOGNIZED
    start, _ = request.offsets[MEMBERSHIP]
    _MEMBERSHIP.pack_into(reply, start, *request.membership.of_responder(uid, receipt))
    start, _ = request.offsets[LOCATION]
    address = ip_address(source)
    sub_type = SOURCE_IPV4 if address.version == 4 else SOURCE_IPV6  # noqa: PLR2004 - IP versions
    _LOCATION.pack_into(reply, start, 0, port, 0, sub_type, 16, address.packed)
    start, _ = request.offsets[TIMESTAMPS]
    method = RECEIVED_BY_KERNEL if by_kernel else RECEIVED_BY_PROCESS
    _TIMESTAMPS.pack_into(reply, start, _FREE_RUNNING, method, _FREE_RUNNING, RECEIVED_BY_PROCESS)
    start, _ = request.offsets[HMAC]
    reply[start : start + proof.MAC_BYTES] = proof.mac(request.key, bytes(reply[:4] + reply[BASE_BYTES : start - 4]))
    return reply


def stamp_departure(reply: bytearray, now_ns: int) -> None:
    """Write T3 into a finished reply, as the last thing before it is sent; the base is not under the HMAC (RFC 8972 4.8)."""
    _TIMESTAMP.pack_into(reply, 4, *divmod(now_ns, _SECOND))


def decode_reply(packet: bytes, keys: Iterable[GroupKey]) -> Reply:
    """A reply from a datagram; raises StampError."""
    offsets, _, membership = _opened(packet, keys)
    if membership.incarnation == _NO_INCARNATION:
        raise StampError("foreign")
    count, departed_s, departed_ns, _, _, received_s, received_ns, sequence, *_ = _REPLY_HEAD.unpack_from(packet)
    _, _, _, sub_type, _, source = _LOCATION.unpack_from(packet, offsets[LOCATION][0])
    if sub_type not in (SOURCE_IPV4, SOURCE_IPV6):
        raise StampError("malformed")
    return Reply(
        sequence=sequence,
        identifier=membership.identifier,
        nonce=membership.nonce,
        session=membership.session,
        uid=membership.uid_text,
        received_ns=received_s * _SECOND + received_ns,
        departed_ns=departed_s * _SECOND + departed_ns,
        by_kernel=_TIMESTAMPS.unpack_from(packet, offsets[TIMESTAMPS][0])[1] == RECEIVED_BY_KERNEL,
        source=str(ip_address(source[:4] if sub_type == SOURCE_IPV4 else source)),
        receipt=Receipt(membership.incarnation, count + 1, membership.highest, int.from_bytes(membership.bitmap, "big")),
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


def _opened(packet: bytes, keys: Iterable[GroupKey]) -> tuple[dict[int, tuple[int, int]], GroupKey, _Membership]:
    if not MIN_BYTES <= len(packet) <= MAX_PACKET_BYTES:
        raise StampError("short")
    offsets: dict[int, tuple[int, int]] = {}
    for kind, start, length in _tlvs(packet):
        if kind in offsets or (HMAC in offsets and kind != EXTRA_PADDING):
            raise StampError("malformed")
        offsets[kind] = start, length
    for kind, size in ((MEMBERSHIP, _MEMBERSHIP.size), (LOCATION, _LOCATION.size), (TIMESTAMPS, _TIMESTAMPS.size)):
        if offsets.get(kind, (0, 0))[1] < size:
            raise StampError("foreign")
    start, length = offsets.get(HMAC, (0, 0))
    if length != proof.MAC_BYTES:
        raise StampError("proof")
    membership = _Membership._make(_MEMBERSHIP.unpack_from(packet, offsets[MEMBERSHIP][0]))
    if membership.magic != MAGIC:
        raise StampError("foreign")
    covered = packet[:4] + packet[BASE_BYTES : start - 4]
    key = proof.signer(keys, membership.epoch, covered, packet[start : start + length])
    if key is None:
        raise StampError("proof")
    return offsets, key, membership
