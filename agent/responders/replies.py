"""The reply to a request, all but the moment at which it leaves.

In: a datagram as it arrived. Out: bytes of the same length, or a StampError with a word that can be counted. A request as our
own senders make it, which is nearly every one, is read with one pattern and answered with another; others are taken apart.
"""

from functools import lru_cache

from agent import proof, stamp
from agent.bulk import Arrival
from agent.probes.prober import Context
from agent.responders.sessions import Sessions
from agent.stamp_layout import (
    BASE_BYTES,
    BITMAP_BITS,
    ERROR_ESTIMATE,
    HEADS,
    HMAC_AT,
    LOCATION_TLV,
    METHODS,
    MIN_BYTES,
    NO_INCARNATION,
    PLAIN_HEADS,
    PLAIN_REPLY,
    PLAIN_REQUEST,
    PLAIN_REST,
    PLAIN_SIGNED,
    PLAIN_TOLD,
    SOURCE_IPV4,
    SOURCE_IPV6,
    uid_text,
    uid_word,
)

_SECOND_NS = 1_000_000_000
_ESTIMATE = ERROR_ESTIMATE.to_bytes(2, "big")
_IPV4_BYTES = 16  # struct sockaddr_in; struct sockaddr_in6 is longer


class Replies:
    """The replies of one reflector, which counts what it receives of each session."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._sessions = Sessions()

    def reply(self, arrival: Arrival, now_ns: int) -> bytearray:
        """The reply to a datagram, with no time of departure yet: see `stamp.stamp_departure`. Raises StampError.

        `now_ns`, since 1970, is when it was read, which counts where the kernel did not stamp it.
        """
        packet = arrival.packet
        if len(packet) != MIN_BYTES:
            return self._taken_apart(arrival, now_ns)
        values = PLAIN_REQUEST.unpack(packet)
        sequence, sent, ssid, head, identifier, epoch, nonce, session, incarnation, length, uid, rest, given = values
        if head != PLAIN_HEADS[0] or rest != PLAIN_REST or incarnation != NO_INCARNATION:
            return self._taken_apart(arrival, now_ns)
        key = proof.signer(self._context.keys, epoch, packet[:4] + packet[BASE_BYTES:HMAC_AT], given)
        if key is None:
            raise stamp.StampError("proof")
        receipt = self._sessions.received(uid_text(uid[:length]), session, sequence)
        count = (receipt.received - 1) & 0xFFFFFFFF  # the first packet of a session has the number 0
        signed = PLAIN_SIGNED.pack(
            count,
            PLAIN_HEADS[1],
            identifier,
            epoch,
            nonce,
            session,
            receipt.incarnation,
            receipt.highest,
            receipt.bitmap.to_bytes(BITMAP_BITS // 8, "big"),
            _told(self._context.uid, arrival.sender, arrival.stamp_ns > 0),
        )
        received_s, received_ns = divmod(arrival.stamp_ns or now_ns, _SECOND_NS)
        return bytearray(
            PLAIN_REPLY.pack(
                count,
                _ESTIMATE,
                ssid,
                received_s,
                received_ns,
                sequence,
                sent,
                arrival.hop_limit,
                signed[4:],
                HEADS[0][3],
                proof.mac(key, signed),
            )
        )

    def _taken_apart(self, arrival: Arrival, now_ns: int) -> bytearray:
        """The same for a request of any layout."""
        request = stamp.decode_request(arrival.packet, self._context.keys)
        source, port = _place(arrival.sender)
        return stamp.encode_reply(
            arrival.packet,
            request,
            receipt=self._sessions.received(request.uid, request.session, request.sequence),
            uid=self._context.uid,
            received_ns=arrival.stamp_ns or now_ns,
            by_kernel=arrival.stamp_ns > 0,
            source=source,
            port=port,
            ttl=arrival.hop_limit,
        )


def _place(sender: bytes) -> tuple[bytes, int]:
    """Address and port of a `struct sockaddr`, the address in network byte order."""
    return sender[4:8] if len(sender) == _IPV4_BYTES else sender[8:24], sender[2] << 8 | sender[3]


@lru_cache(8192)
def _told(uid: str, sender: bytes, by_kernel: bool) -> bytes:  # noqa: FBT001 - by position, since the result is remembered
    """What each reply to one sender says: who we are, where we saw the request come from, and what its times are."""
    word, (source, port) = uid_word(uid).encode(), _place(sender)
    sub_type = SOURCE_IPV4 if len(source) == 4 else SOURCE_IPV6  # noqa: PLR2004 - bytes of an address
    location = LOCATION_TLV.pack(0, port, 0, sub_type, 16, source)
    return PLAIN_TOLD.pack(len(word), word, HEADS[0][1], location, METHODS[by_kernel])
