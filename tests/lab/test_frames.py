import struct
from ipaddress import ip_address

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.frames import dissect

MACS = bytes.fromhex("026e6d780002026e6d780001")


def ipv4(protocol: int, payload: bytes, *, options: bytes = b"", fragment: int = 0) -> bytes:
    header = struct.pack("!BBHHHBBH", 0x45 + len(options) // 4, 0, 0, 0, fragment, 64, protocol, 0)
    return MACS + b"\x08\x00" + header + ip_address("10.30.1.2").packed + ip_address("10.30.2.2").packed + options + payload


def ipv6(protocol: int, payload: bytes) -> bytes:
    header = struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64)
    return MACS + b"\x86\xdd" + header + ip_address("fd31:1::2").packed + ip_address("fd31:2::2").packed + payload


def udp(source: int, destination: int, payload: bytes) -> bytes:
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


REQUEST = struct.pack("!I", 77) + bytes(40)
REPLY = struct.pack("!I", 5) + bytes(20) + struct.pack("!I", 77) + bytes(16)


def test_a_stamp_request_tells_its_sequence_number() -> None:
    for frame in (
        ipv4(17, udp(40000, 8620, REQUEST)),
        ipv6(17, udp(40000, 8620, REQUEST)),
        ipv4(17, udp(1, 8620, REQUEST), options=bytes(8)),
    ):
        read = dissect(frame)
        assert (read.protocol, read.sequence, read.reply, read.dst_port) == ("udp", 77, False, 8620)


def test_a_stamp_reply_tells_the_senders_number_and_not_the_reflectors() -> None:
    for frame in (ipv4(17, udp(8620, 40000, REPLY)), ipv6(17, udp(8620, 40000, REPLY))):
        read = dissect(frame)
        assert (read.sequence, read.reply) == (77, True)


def test_packets_of_a_burst_are_told_from_those_of_the_schedule_by_the_first_bit_of_their_session() -> None:
    for packet in (REQUEST, REPLY):
        for ssid, is_of_burst in ((0x7FFF, False), (0x8000, True)):
            session = packet[:14] + struct.pack("!H", ssid) + packet[16:]
            ports = (8620, 40000) if packet is REPLY else (40000, 8620)
            assert dissect(ipv4(17, udp(*ports, session))).is_of_burst == is_of_burst


def test_a_stamp_packet_that_was_cut_before_its_session_has_no_number() -> None:
    for length in (0, 4, 15):
        assert dissect(ipv4(17, udp(40000, 8620, REQUEST[:length]))).sequence is None
    assert dissect(ipv4(17, udp(40000, 8620, REQUEST[:16]))).sequence is not None


def test_the_length_is_that_of_the_whole_ip_packet_also_where_the_frame_was_cut() -> None:
    long = udp(40000, 8620, REQUEST + bytes(1000))
    assert dissect(ipv6(17, long)[:256]).packet_bytes == 40 + len(long)
    whole = ipv4(17, long)
    stated = whole[:16] + struct.pack("!H", 20 + len(long)) + whole[18:256]
    assert dissect(stated).packet_bytes == 20 + len(long)


def test_of_a_packet_in_a_tunnel_all_is_told_but_the_addresses_of_the_frame_around_it() -> None:
    inside = bytes(12) + ipv6(17, udp(40000, 8620, REQUEST))[12:]
    tunnel = udp(49152, 4789, b"\x08" + bytes(7) + inside)
    for frame in (ipv4(17, tunnel), ipv6(17, tunnel)):
        read = dissect(frame)
        assert (read.src, read.dst, read.protocol, read.sequence) == ("fd31:1::2", "fd31:2::2", "udp", 77)
        assert read.destination + read.source == MACS


def test_addresses_are_in_their_shortest_form() -> None:
    assert (dissect(ipv4(6, bytes(20))).src, dissect(ipv4(6, bytes(20))).dst) == ("10.30.1.2", "10.30.2.2")
    assert (dissect(ipv6(6, bytes(20))).src, dissect(ipv6(6, bytes(20))).dst) == ("fd31:1::2", "fd31:2::2")


def test_protocols_have_names() -> None:
    assert dissect(ipv4(1, bytes(8))).protocol == "icmp"
    assert dissect(ipv6(58, b"\x80" + bytes(7))).protocol == "icmp"
    assert dissect(ipv6(58, b"\x87" + bytes(23))).protocol == "nd"
    assert dissect(ipv4(6, bytes(20))).protocol == "tcp"
    assert dissect(ipv4(47, bytes(20))).protocol == "47"
    assert dissect(MACS + b"\x08\x06" + bytes(28)).protocol == "arp"


def test_other_udp_has_no_sequence_number() -> None:
    assert dissect(ipv4(17, udp(40000, 53, REQUEST))).sequence is None


def test_a_later_fragment_is_not_taken_for_a_header() -> None:
    assert dissect(ipv4(17, udp(40000, 8620, REQUEST), fragment=185)).sequence is None


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.binary(max_size=120), st.integers(0, 100).map(lambda end: ipv6(17, udp(8620, 1, REPLY))[:end])))
def test_no_bytes_whatever_are_an_error(frame: bytes) -> None:
    dissect(frame)
