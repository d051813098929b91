"""What happened to a probe is read from packets alone."""

import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import stamp
from bench.capture import Packet
from bench.truth import Key, flow, percentile, read, round_trips, times
from wire.path import Kind
from wire.plan import GroupKey

PORTS = {8620: Kind.UDP, 8081: Kind.TCP, 8080: Kind.HTTP}
HERE, THERE = "10.90.0.1", "10.91.1.1"
SYN, ACK, SYN_ACK, RST = 0x02, 0x10, 0x12, 0x04


def ip(protocol: int, body: bytes, *, source: str = HERE, destination: str = THERE) -> bytes:
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0)
    return header + socket.inet_aton(source) + socket.inet_aton(destination) + body


def echo(identifier: int, *, kind: int) -> bytes:
    body = struct.pack("!BBHHH4sI8s", kind, 0, 0, 7, identifier & 0xFFFF, stamp.MAGIC, identifier, bytes(8))
    return ip(socket.IPPROTO_ICMP, body)


def datagram(identifier: int, *, asks: bool) -> bytes:
    content = stamp.encode_request(
        sequence=0, identifier=identifier, sent_ns=0, key=GroupKey(1, b"k" * 16), nonce=bytes(8), session=bytes(8), uid="a"
    )
    ports = (4000, 8620) if asks else (8620, 4000)
    return ip(socket.IPPROTO_UDP, struct.pack("!HHHH", *ports, 8 + len(content), 0) + content)


def segment(flags: int, *, asks: bool, port: int = 8081, payload: bytes = b"") -> bytes:
    ports = (5000, port) if asks else (port, 5000)
    body = struct.pack("!HHIIBBHHH", *ports, 0, 0, 5 << 4, flags, 0, 0, 0) + payload
    ends = {"source": HERE, "destination": THERE} if asks else {"source": THERE, "destination": HERE}
    return ip(socket.IPPROTO_TCP, body, **ends)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (echo(70_000, kind=8), ((Kind.ICMP, "70000"), True)),
        (echo(70_000, kind=0), ((Kind.ICMP, "70000"), False)),
        (echo(70_000, kind=3), None),
        (datagram(9, asks=True), ((Kind.UDP, "9"), True)),
        (datagram(9, asks=False), ((Kind.UDP, "9"), False)),
        (segment(SYN, asks=True), ((Kind.TCP, "10.91.1.1:5000"), True)),
        (segment(SYN_ACK, asks=False), ((Kind.TCP, "10.91.1.1:5000"), False)),
        (segment(ACK, asks=True), None),
        (segment(RST, asks=True), None),
        (segment(SYN, asks=True, port=8080), None),
        (segment(ACK, asks=True, port=8080, payload=b"GET"), ((Kind.HTTP, "10.91.1.1:5000"), True)),
        (segment(ACK, asks=False, port=8080, payload=b"HTTP"), ((Kind.HTTP, "10.91.1.1:5000"), False)),
        (segment(SYN, asks=True, port=22), None),
    ],
)
def test_a_packet_belongs_to_the_probe_that_stands_in_it(content: bytes, found: tuple[Key, bool] | None) -> None:
    assert read(content, PORTS) == found


def test_padding_of_a_short_frame_is_not_the_first_byte_of_an_answer() -> None:
    assert read(segment(ACK, asks=False, port=8080) + bytes(6), PORTS) is None


@settings(max_examples=50)
@given(st.sampled_from([echo(1, kind=8), datagram(1, asks=True), segment(SYN, asks=True), b""]), st.data())
def test_any_packet_is_read_or_ignored(content: bytes, data: st.DataObject) -> None:
    """Cut short, and with one byte changed."""
    torn = bytearray(content[: data.draw(st.integers(0, len(content)))])
    if torn:
        torn[data.draw(st.integers(0, len(torn) - 1))] = data.draw(st.integers(0, 255))
    read(bytes(torn), PORTS)


def test_a_round_trip_is_from_the_request_to_the_first_answer() -> None:
    packets = [
        Packet(100, True, echo(1, kind=8)),
        Packet(130, False, echo(1, kind=0)),
        Packet(160, False, echo(1, kind=0)),
        Packet(200, True, echo(2, kind=8)),
    ]
    assert times(packets, PORTS, asking=True) == {(Kind.ICMP, "1"): 30}


def test_a_request_that_was_sent_twice_has_no_time() -> None:
    packets = [
        Packet(100, True, segment(SYN, asks=True)),
        Packet(1100, True, segment(SYN, asks=True)),
        Packet(1130, False, segment(SYN_ACK, asks=False)),
    ]
    assert times(packets, PORTS, asking=True) == {}


def test_what_passes_in_the_other_direction_is_of_somebody_elses_probe() -> None:
    packets = [Packet(100, True, echo(1, kind=8)), Packet(130, False, echo(1, kind=0))]
    assert times(packets, PORTS, asking=False) == {}


def test_only_the_reflectors_own_time_is_subtracted() -> None:
    udp, icmp = (Kind.UDP, "1"), (Kind.ICMP, "1")
    assert dict(round_trips({udp: 900, icmp: 50, (Kind.UDP, "2"): 70}, {udp: 880, icmp: 9})) == {udp: 20, icmp: 50}


def test_a_flow_is_named_alike_by_packet_and_by_probe() -> None:
    found = read(segment(SYN, asks=True), PORTS)
    assert found is not None
    assert found[0][1] == flow(THERE, 5000)


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [
        ([7.0], 0.99, 7.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        (range(100, 0, -1), 0.99, 99),
        (range(1, 202), 0.99, 199),
        ([4, 4], 0, 4),
    ],
)
def test_a_percentile_is_a_value_that_was_there(values: list[float], share: float, wanted: float) -> None:
    assert percentile(values, share) == wanted


def test_nothing_has_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.99)
