"""Ancillary data, against the real kernel and against noise."""

import socket
import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import kernel
from agent.kernel import TransmitMatch, heard

LEVELS = st.sampled_from([socket.SOL_SOCKET, socket.IPPROTO_IP, socket.IPPROTO_IPV6, 255])
KINDS = st.sampled_from([37, 8, 11, 2, 25, 50, 52, 0])


@given(st.lists(st.tuples(LEVELS, KINDS, st.binary(max_size=64)), max_size=6))
@settings(max_examples=100)
def test_no_control_message_is_an_error_however_long_it_is(ancillary: list[tuple[int, int, bytes]]) -> None:
    heard(ancillary)


def test_a_transmit_stamp_an_icmp_error_and_a_local_error_are_told_apart() -> None:
    def extended(origin: int, *, kind: int = 0, code: int = 0, key: int = 0, offender: bytes = b"") -> bytes:
        told, own = (0, key) if origin == kernel.ORIGIN_TIMESTAMPING else (key, 0)
        return struct.pack("=IBBBxII", 113, origin, kind, code, told, own) + offender

    stamp = struct.pack("@6l", 12, 34, 0, 0, 0, 0)
    transmit = heard([(socket.SOL_SOCKET, 37, stamp), (socket.IPPROTO_IP, 11, extended(4, key=77))])
    assert (transmit.stamp_ns, transmit.identifier, transmit.error) == (12_000_000_034, 77, None)
    offender = struct.pack("=HH4s8x", socket.AF_INET, 0, bytes([10, 0, 0, 1]))
    error = heard([(socket.IPPROTO_IP, 11, extended(2, kind=3, code=13, offender=offender))]).error
    assert error == (socket.AF_INET, 3, 13, "10.0.0.1", 0)
    too_big = heard([(socket.IPPROTO_IP, 11, extended(2, kind=3, code=4, key=1400, offender=offender))]).error
    assert too_big == (socket.AF_INET, 3, 4, "10.0.0.1", 1400)
    offender6 = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, bytes(15) + b"\1", 0)
    assert heard([(socket.IPPROTO_IPV6, 25, extended(3, kind=1, code=1, offender=offender6))]).error == (
        socket.AF_INET6,
        1,
        1,
        "::1",
        0,
    )
    too_big6 = heard([(socket.IPPROTO_IPV6, 25, extended(3, kind=2, key=1280, offender=offender6))]).error
    assert too_big6 == (socket.AF_INET6, 2, 0, "::1", 1280)
    local = heard([(socket.IPPROTO_IP, 11, extended(1))])
    assert (local.error, local.identifier) == (None, None)


def test_this_machine_matches_transmit_stamps_in_some_way() -> None:
    assert kernel.transmit_match() is not TransmitMatch.NONE


@pytest.mark.parametrize("match", [TransmitMatch.IDENTIFIER, TransmitMatch.PACKET])
@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_stamps_hop_limit_and_own_address_come_with_a_real_packet(match: TransmitMatch, address: str) -> None:
    if match is TransmitMatch.IDENTIFIER and kernel.transmit_match() is not match:
        pytest.skip("SCM_TS_OPT_ID needs Linux 6.13")
    family = socket.AF_INET if "." in address else socket.AF_INET6
    with kernel.stamped(family, socket.SOCK_DGRAM, 0, match) as sock:
        kernel.told_own_address(sock)
        sock.bind((address, 0))
        ancillary = kernel.identified(4_000_000_000) if match is TransmitMatch.IDENTIFIER else []
        before = time.time_ns()
        sock.sendmsg([b"content"], ancillary, 0, sock.getsockname())
        packet, ancillary, *_ = sock.recvmsg(100, kernel.ANCILLARY_BYTES)
        received = heard(ancillary)
        returned, ancillary, *_ = sock.recvmsg(200, kernel.ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
        sent = heard(ancillary)
    assert packet == b"content"
    assert (received.local, received.hop_limit) == (address, 64)
    assert before < sent.stamp_ns <= received.stamp_ns
    if match is TransmitMatch.IDENTIFIER:
        assert sent.identifier == 4_000_000_000
    else:
        assert returned.endswith(b"content")


def test_the_distance_of_the_clocks_is_measured_to_within_a_tenth_of_a_millisecond() -> None:
    readings = sorted(kernel.realtime_offset_ns() for _ in range(21))
    assert readings[15] - readings[5] < 100_000
