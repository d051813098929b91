"""Replies, byte by byte."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import proof, stamp
from agent.bulk import Arrival, sockaddr
from agent.probes.prober import Context
from agent.responders.replies import Replies
from wire.plan import GroupKey

KEY, OTHER = GroupKey(7, b"k" * 16), GroupKey(8, b"o" * 16)
REASONS = {"short", "malformed", "foreign", "proof"}
CONTEXT = Context(uid="peer-uid", keys=(OTHER, KEY))


def request(sequence: int = 0, key: GroupKey = KEY, uid: str = "own-uid") -> bytes:
    return stamp.encode_request(
        sequence=sequence, identifier=5, sent_ns=123_456_789_012, key=key, nonce=b"nonce123", session=b"session1", uid=uid
    )


def arrival(packet: bytes, address: str = "10.0.0.9", stamp_ns: int = 1_700_000_000_123_456_789) -> Arrival:
    return Arrival(packet, sockaddr(address, 4242), stamp_ns, 63)


@pytest.mark.parametrize("address", ["10.0.0.9", "fd00::9"])
@pytest.mark.parametrize("stamp_ns", [0, 1_700_000_000_123_456_789])
def test_a_plain_request_gets_the_reply_that_it_would_get_in_any_other_layout(address: str, stamp_ns: int) -> None:
    plain, apart = Replies(CONTEXT), Replies(CONTEXT)
    for sequence in (0, 3, 3, 500):
        came = arrival(request(sequence), address, stamp_ns)
        ours, theirs = plain.reply(came, 99), apart._taken_apart(came, 99)
        incarnations = [stamp.decode_reply(bytes(reply), (KEY,)).receipt.incarnation for reply in (ours, theirs)]
        assert len(set(incarnations)) == 2
        assert all(reply.count(name) == 1 for reply, name in zip((ours, theirs), incarnations, strict=True))
        ours, theirs = (reply.replace(name, bytes(8)) for reply, name in zip((ours, theirs), incarnations, strict=True))
        assert ours[: -proof.MAC_BYTES] == theirs[: -proof.MAC_BYTES]


def test_a_plain_request_under_another_key_or_changed_on_its_way_gets_none() -> None:
    replies, packet = Replies(CONTEXT), request()
    changed = [packet[:at] + bytes([packet[at] ^ 1]) + packet[at + 1 :] for at in (0, 3, 50, 60, 90, 120, 175, len(packet) - 1)]
    for hostile in (*changed, request(key=GroupKey(7, b"x" * 16)), request(key=GroupKey(9, b"k" * 16))):
        with pytest.raises(stamp.StampError):
            replies.reply(arrival(hostile), 0)
    assert stamp.decode_reply(bytes(replies.reply(arrival(packet), 0)), (KEY,)).receipt.received == 1


def test_a_reply_that_is_sent_back_gets_none() -> None:
    replies = Replies(CONTEXT)
    reply = bytes(replies.reply(arrival(request()), 0))
    with pytest.raises(stamp.StampError, match="foreign"):
        replies.reply(arrival(reply), 0)


@given(st.binary(max_size=2 * stamp.MIN_BYTES), st.integers(0, stamp.MIN_BYTES))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_refused_with_a_reason_and_never_an_error(noise: bytes, keep: int) -> None:
    packet = request()[:keep] + noise
    reply, reason = b"", ""
    try:
        reply = bytes(Replies(CONTEXT).reply(arrival(packet), 0))
    except stamp.StampError as error:
        reason = error.reason
    assert reason in REASONS or (reply and len(reply) == len(packet))
