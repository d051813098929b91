"""STAMP packets (RFC 8762, unauthenticated base) with the TLVs of RFC 8972 that we use, to and from bytes.

In: values or a datagram. Out: a datagram or values, or a StampError with a word that can be counted. A reply is built inside
the bytes of its request, so it can be neither longer nor shorter, and nothing is believed whose HMAC TLV does not verify.

Layout: base (44 bytes), then the TLVs membership (private use, below), Location, Timestamp Information, HMAC, and at will
Extra Padding, which alone may follow the HMAC TLV (RFC 8972 section 4.8). The membership TLV of a request has an all-zero
incarnation and that of a reply has not: a request sent back to its author is therefore never taken for a reply.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from agent import proof
from agent.stamp_layout import (
    ASKED,
    BASE_BYTES,
    BITMAP_BITS,
    ERROR_ESTIMATE,
    EXTRA_PADDING,
    FREE_RUNNING,
    HEADER,
    HEADS,
    HMAC,
    HMAC_AT,
    LOCATION,
    LOCATION_TLV,
    MAGIC,
    MAX_PACKET_BYTES,
    MEMBERSHIP,
    MEMBERSHIP_TLV,
    MIN_BYTES,
    NO_INCARNATION,
    PLAIN_ANSWER,
    PLAIN_ASKED,
    PLAIN_ASKER,
    PLAIN_BASE,
    PLAIN_HEADS,
    PLAIN_SAID,
    RECEIVED,
    RECEIVED_AT,
    RECEIVED_BY_KERNEL,
    RECEIVED_BY_PROCESS,
    REPLY_HEAD,
    REQUEST,
    SOURCE_IPV4,
    SOURCE_IPV6,
    TIMESTAMP,
    TIMESTAMPS,
    TIMESTAMPS_TLV,
    UNDERSTOOD,
    UNRECOGNIZED,
    StampError,
    address_text,
    identifier_in,
    ordered,
    taken_apart,
    uid_text,
    uid_word,
)
from wire.plan import GroupKey

__all__ = [
    "BITMAP_BITS",
    "MAGIC",
    "MIN_BYTES",
    "Receipt",
    "Reply",
    "Request",
    "StampError",
    "decode_reply",
    "decode_request",
    "encode_reply",
    "encode_request",
    "encode_requests",
    "identifier_in",
    "stamp_departure",
    "uid_word",
]
"""With what others need of the layout."""

_SECOND = 1_000_000_000
_SEQUENCE_AT = slice(24, 28)
"""Where a reply has the sequence number of its request (RFC 8762 section 4.3.1)."""


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
    token: bytes
    """The sender's own sequence number and nonce, returned, as they stand in its request."""
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


def encode_request(
    *, sequence: int, identifier: int, sent_ns: int, key: GroupKey, nonce: bytes, session: bytes, uid: str, padding: int = 0
) -> bytes:
    """A request; `sent_ns` since 1970. `padding` above 0 adds an Extra Padding TLV with a value of so many bytes."""
    (packet,) = encode_requests([(sequence, identifier, nonce, session)], sent_ns=sent_ns, key=key, uid=uid, padding=padding)
    return packet


def encode_requests(
    asked: Iterable[tuple[int, int, bytes, bytes]], *, sent_ns: int, key: GroupKey, uid: str, padding: int
) -> list[bytes]:
    """Requests by sequence, identifier, nonce and session; what they have in common is as in `encode_request`."""
    seconds, nanoseconds = divmod(sent_ns, _SECOND)
    epoch, asker, head, packets = key.epoch, _asker(uid), PLAIN_HEADS[0], []
    tail = HEADER.pack(UNRECOGNIZED, EXTRA_PADDING, padding) + bytes(padding) if padding else b""
    for sequence, identifier, nonce, session in asked:
        base = PLAIN_BASE.pack(sequence, seconds, nanoseconds, ERROR_ESTIMATE, session[:2])
        rest = PLAIN_ASKED.pack(head, identifier, epoch, nonce, session, asker)
        packets.append(base + rest + HEADS[UNRECOGNIZED][3] + proof.mac(key, base[:4] + rest) + tail)
    return packets


@lru_cache(4)
def _asker(uid: str) -> bytes:
    """What each request of one sender says of itself, and asks for."""
    word = uid_word(uid).encode()
    return PLAIN_ASKER.pack(len(word), word, ASKED)


def decode_request(packet: bytes, keys: Iterable[GroupKey]) -> Request:
    """A request from a datagram; raises StampError."""
    offsets, key = _opened(packet, keys)
    _, _, _, _, session, incarnation, _, _, length, uid = MEMBERSHIP_TLV.unpack_from(packet, offsets[MEMBERSHIP][0])
    if incarnation != NO_INCARNATION:
        raise StampError("foreign")
    return Request(int.from_bytes(packet[:4], "big"), key, session, uid_text(uid[:length]), offsets)


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
    reply = bytearray(packet)
    _, sent_s, sent_ns, estimate, ssid = REQUEST.unpack_from(packet)
    received_s, received_ns = divmod(received_ns, _SECOND)
    count = (receipt.received - 1) & 0xFFFFFFFF  # the first packet of a session has the number 0
    REPLY_HEAD.pack_into(
        reply, 0, count, 0, 0, ERROR_ESTIMATE, ssid, received_s, received_ns, request.sequence, sent_s, sent_ns, estimate, ttl
    )
    offsets = request.offsets
    for kind, (start, _) in offsets.items():
        reply[start - 4] = 0 if kind in UNDERSTOOD else UNRECOGNIZED
    word = uid_word(uid).encode()
    bitmap = receipt.bitmap.to_bytes(BITMAP_BITS // 8, "big")
    at = offsets[MEMBERSHIP][0] + RECEIVED_AT
    RECEIVED.pack_into(reply, at, receipt.incarnation, receipt.highest, bitmap, len(word), word)
    sub_type = SOURCE_IPV4 if len(source) == 4 else SOURCE_IPV6  # noqa: PLR2004 - bytes of an address
    LOCATION_TLV.pack_into(reply, offsets[LOCATION][0], 0, port, 0, sub_type, 16, source)
    method = RECEIVED_BY_KERNEL if by_kernel else RECEIVED_BY_PROCESS
    TIMESTAMPS_TLV.pack_into(reply, offsets[TIMESTAMPS][0], FREE_RUNNING, method, FREE_RUNNING, RECEIVED_BY_PROCESS)
    start = offsets[HMAC][0]
    reply[start : start + proof.MAC_BYTES] = proof.mac(request.key, bytes(reply[:4] + reply[BASE_BYTES : start - 4]))
    return reply


def stamp_departure(reply: bytearray, now_ns: int) -> None:
    """Write T3 into a finished reply, as the last thing before it is sent; the base is not under the HMAC (RFC 8972 4.8)."""
    TIMESTAMP.pack_into(reply, 4, *divmod(now_ns, _SECOND))


def decode_reply(packet: bytes, keys: Iterable[GroupKey]) -> Reply:
    """A reply from a datagram; raises StampError."""
    values = PLAIN_ANSWER.unpack(packet) if len(packet) == MIN_BYTES else None
    said = None
    if values is not None and values[6] == PLAIN_HEADS[1]:
        signed = packet[:4] + packet[BASE_BYTES:HMAC_AT]
        said = _said(values[14]) if proof.signer(keys, values[8], signed, values[15]) is not None else None
    if values is None or said is None:  # taking it apart refuses it, unless its TLVs stand elsewhere
        values = PLAIN_ANSWER.unpack(ordered(packet, _opened(packet, keys)[0]))
        said = _said(values[14])
    count, departed_s, departed_ns, received_s, received_ns, sequence, _, identifier, _, nonce, session, *seen = values
    incarnation, highest, bitmap, _, _ = seen
    if incarnation == NO_INCARNATION:
        raise StampError("foreign")
    if said is None or said.source is None:
        raise StampError("malformed")
    return Reply(
        sequence,
        identifier,
        packet[_SEQUENCE_AT] + nonce,
        session,
        said.uid,
        received_s * _SECOND + received_ns,
        departed_s * _SECOND + departed_ns,
        said.by_kernel,
        said.source,
        Receipt(incarnation, count + 1, highest, int.from_bytes(bitmap, "big")),
    )


class _Said(NamedTuple):
    """What a reply says as the ones before it did."""

    uid: str
    by_kernel: bool
    source: str | None
    """None where no address is told."""


@lru_cache(4096)
def _said(said: bytes) -> _Said | None:
    """The same as it stands in a packet whose proof holds; None where TLVs are not in their plain places."""
    length, uid, location, sub_type, source, timestamps, method, mac = PLAIN_SAID.unpack(said)
    if (location, timestamps, mac) != HEADS[0][1:]:
        return None
    if sub_type not in (SOURCE_IPV4, SOURCE_IPV6):
        return _Said("", by_kernel=False, source=None)
    address = address_text(source[:4] if sub_type == SOURCE_IPV4 else source)
    return _Said(uid_text(uid[:length]), method == RECEIVED_BY_KERNEL, address)


def _opened(packet: bytes, keys: Iterable[GroupKey]) -> tuple[Mapping[int, tuple[int, int]], GroupKey]:
    """Where the TLVs of a packet are, and the key that signed it; raises StampError."""
    if not MIN_BYTES <= len(packet) <= MAX_PACKET_BYTES:
        raise StampError("short")
    offsets = taken_apart(packet)
    at, (start, length) = offsets[MEMBERSHIP][0], offsets[HMAC]
    magic, epoch = packet[at : at + 4], int.from_bytes(packet[at + 8 : at + 12], "big")
    if magic != MAGIC:
        raise StampError("foreign")
    key = proof.signer(keys, epoch, packet[:4] + packet[BASE_BYTES : start - 4], packet[start : start + length])
    if key is None:
        raise StampError("proof")
    return offsets, key
