"""STAMP packets."""

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import proof, stamp, stamp_layout
from agent.stamp import Receipt, StampError
from wire.plan import GroupKey

KEY, OTHER = GroupKey(7, b"k" * 16), GroupKey(8, b"o" * 16)
RECEIPT = Receipt(b"incarnat", 41, 99, 0b1011)
T1, T2, T3 = 1_700_000_000_123_456_789, 1_700_000_001_000_000_001, 1_700_000_001_000_099_999


def request(key: GroupKey = KEY, padding: int = 0, uid: str = "sender-uid") -> bytes:
    return stamp.encode_request(
        sequence=98, identifier=12345, sent_ns=T1, key=key, nonce=b"nonce123", session=b"session1", uid=uid, padding=padding
    )


def reply(packet: bytes, source: str = "10.0.0.9", uid: str = "responder") -> bytes:
    opened = stamp.decode_request(packet, (KEY, OTHER))
    built = stamp.encode_reply(
        packet,
        opened,
        receipt=RECEIPT,
        uid=uid,
        received_ns=T2,
        by_kernel=True,
        source=ip_address(source).packed,
        port=4242,
        ttl=63,
    )
    stamp.stamp_departure(built, T3)
    return bytes(built)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=8, max_size=8),
    st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,70}[a-z0-9])?\Z"),
    st.integers(0, 1400),
    st.ip_addresses(),
)
@settings(max_examples=60, deadline=None)
def test_what_is_sent_comes_back_in_a_reply_of_the_same_size(  # noqa: PLR0917 - hypothesis fills them
    sequence: int, identifier: int, nonce: bytes, uid: str, padding: int, source: IPv4Address | IPv6Address
) -> None:
    packet = stamp.encode_request(
        sequence=sequence, identifier=identifier, sent_ns=T1, key=KEY, nonce=nonce, session=nonce, uid=uid, padding=padding
    )
    opened = stamp.decode_request(packet, (OTHER, KEY))
    assert (opened.sequence, opened.session, opened.uid) == (sequence, nonce, stamp.uid_word(uid))
    built = reply(packet, str(source), uid)
    assert len(built) == len(packet) == stamp.MIN_BYTES + (4 + padding if padding else 0)
    decoded = stamp.decode_reply(built, (OTHER, KEY))
    assert (decoded.sequence, decoded.identifier, decoded.session) == (sequence, identifier, nonce)
    assert decoded.token == sequence.to_bytes(4, "big") + nonce
    assert (decoded.received_ns, decoded.departed_ns, decoded.by_kernel) == (T2, T3, True)
    assert (decoded.source, decoded.receipt, decoded.uid) == (str(ip_address(str(source))), RECEIPT, stamp.uid_word(uid))


def test_the_base_of_a_request_is_laid_out_as_rfc_8762_says() -> None:
    packet = request()
    sequence, seconds, nanoseconds, estimate, session = struct.unpack_from("!IIIHH", packet)
    assert (sequence, seconds, nanoseconds) == (98, 1_700_000_000, 123_456_789)
    assert estimate & 0x4000, "Z: PTPv2 timestamps"
    assert estimate & 0xFF, "the multiplier must not be zero"
    assert session == int.from_bytes(b"se", "big")
    assert packet[16:44] == bytes(28)


def test_the_base_of_a_reply_is_laid_out_as_rfc_8762_says() -> None:
    built = reply(request())
    fields = struct.unpack_from("!IIIHHIIIIIHHB3s", built)
    assert fields[0] == RECEIPT.received - 1
    assert fields[1:3] == divmod(T3, 10**9)
    assert fields[4] == int.from_bytes(b"se", "big")
    assert fields[5:7] == divmod(T2, 10**9)
    assert fields[7] == 98
    assert fields[8:10] == divmod(T1, 10**9)
    assert fields[10] == struct.unpack_from("!H", request(), 12)[0]
    assert fields[11:] == (0, 63, bytes(3))


def test_the_unrecognised_flag_is_set_by_the_sender_and_cleared_by_the_reflector() -> None:
    packet, built = request(padding=10), reply(request(padding=10))
    positions = [start - 4 for start, _ in stamp.decode_request(packet, (KEY,)).offsets.values()]
    assert len(positions) == 5
    assert all(packet[position] == 0x80 for position in positions)
    assert all(built[position] == 0 for position in positions)


def test_padding_comes_back_untouched() -> None:
    packet = request(padding=100)[:-3] + b"abc"
    assert reply(packet)[-3:] == b"abc"


@pytest.mark.parametrize("position", [0, 3, 50, 80, 150, stamp.MIN_BYTES - 1])
def test_a_changed_byte_under_the_hmac_voids_request_and_reply(position: int) -> None:
    for packet, decode in ((request(), stamp.decode_request), (reply(request()), stamp.decode_reply)):
        changed = bytearray(packet)
        changed[position] ^= 1
        with pytest.raises(StampError):
            decode(bytes(changed), (KEY,))


def test_a_stranger_s_key_or_epoch_proves_nothing() -> None:
    with pytest.raises(StampError, match="proof"):
        stamp.decode_request(request(OTHER), (KEY,))
    with pytest.raises(StampError, match="proof"):
        stamp.decode_request(request(GroupKey(7, b"x" * 16)), (KEY, OTHER))
    with pytest.raises(StampError, match="proof"):
        stamp.decode_request(request(), ())


def test_a_request_sent_back_is_no_reply_and_a_reply_is_no_request() -> None:
    with pytest.raises(StampError, match="foreign"):
        stamp.decode_reply(request(), (KEY,))
    with pytest.raises(StampError, match="foreign"):
        stamp.decode_request(reply(request()), (KEY,))


def signed_again(packet: bytes) -> bytes:
    signed = packet[:4] + packet[stamp_layout.BASE_BYTES : stamp_layout.HMAC_AT]
    return packet[: -proof.MAC_BYTES] + proof.mac(KEY, signed)


def test_a_reply_whose_tlvs_stand_in_another_order_says_the_same() -> None:
    built = reply(request())
    (location, _), (timestamps, _) = (stamp_layout.AT[kind] for kind in (stamp_layout.LOCATION, stamp_layout.TIMESTAMPS))
    first, second, end = location - 4, timestamps - 4, stamp_layout.HMAC_AT
    turned = built[:first] + built[second:end] + built[first:second] + built[end:]
    assert stamp.decode_reply(signed_again(turned), (KEY,)) == stamp.decode_reply(built, (KEY,))


def test_a_reply_that_tells_no_source_address_is_malformed() -> None:
    built = bytearray(reply(request()))
    built[stamp_layout.AT[stamp_layout.LOCATION][0] + 5] = 99
    with pytest.raises(StampError, match="malformed"):
        stamp.decode_reply(signed_again(bytes(built)), (KEY,))


def test_a_uid_too_long_for_the_packet_is_its_digest_at_both_ends() -> None:
    long = "u" * 65
    assert len(stamp.uid_word(long)) == 64
    assert stamp.decode_request(request(uid=long), (KEY,)).uid == stamp.uid_word(long)
    assert stamp.uid_word("u" * 64) == "u" * 64


def test_the_identifier_is_found_in_a_packet_that_is_quoted_with_headers_or_cut_short() -> None:
    packet = request()
    assert stamp.identifier_in(b"\x45" * 42 + packet) == 12345
    assert stamp.identifier_in(packet[:56]) == 12345
    assert stamp.identifier_in(packet[:55]) is None
    assert stamp.identifier_in(b"") is None


@given(st.binary(max_size=600))
@settings(max_examples=100, deadline=None)
def test_any_bytes_are_refused_with_a_reason_and_never_an_error(noise: bytes) -> None:
    for decode in (stamp.decode_request, stamp.decode_reply):
        for packet in (noise, request()[:44] + noise, noise.ljust(stamp.MIN_BYTES, b"\0")):
            with pytest.raises(StampError) as refusal:
                decode(packet, (KEY,))
            assert refusal.value.reason in ("short", "malformed", "foreign", "proof")


@given(st.integers(0, stamp.MIN_BYTES + 20), st.binary(min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_a_torn_or_overwritten_packet_is_refused_or_still_proves_itself(position: int, noise: bytes) -> None:
    packet = request(padding=20)
    changed = packet[:position] + noise + packet[position + len(noise) :]
    for candidate in (packet[:position], changed):
        try:
            opened = stamp.decode_request(candidate, (KEY,))
        except StampError:
            continue
        assert (opened.sequence, opened.session, opened.uid) == (98, b"session1", "sender-uid")
