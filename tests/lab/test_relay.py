import struct

import pytest

from lab.relay import SECOND_NS, Fate, Rule, checksum, corrupted, fate, mac_bytes

HERE, THERE, ELSEWHERE = (mac_bytes(f"02:6e:6d:78:00:0{number}") for number in (1, 2, 3))
NO_HEADER = bytes(10)


def frame(source: bytes, destination: bytes, *, ethertype: int = 0x0800, content: bytes = bytes(64)) -> bytes:
    return destination + source + struct.pack("!H", ethertype) + content


OUT, BACK, ASIDE = frame(HERE, THERE), frame(THERE, HERE), frame(ELSEWHERE, HERE)


def delay_ns(rules: list[Rule], content: bytes, *, outward: bool, now_ns: int = 0) -> int:
    return fate(rules, content, outward=outward, now_ns=now_ns).delay_ns


def test_a_rule_for_all_fits_every_peer_in_its_direction_only() -> None:
    rules = [Rule.of("out:*:delay:5000")]
    assert delay_ns(rules, OUT, outward=True) == 5000
    assert delay_ns(rules, BACK, outward=False) == 0


def test_a_rule_for_one_peer_leaves_others_alone() -> None:
    rules = [Rule.of("in:02:6e:6d:78:00:02:delay:7000")]
    assert delay_ns(rules, BACK, outward=False) == 7000
    assert delay_ns(rules, ASIDE, outward=False) == 0


def test_delays_add_up() -> None:
    rules = [Rule.of("out:*:delay:5000"), Rule.of("out:02:6e:6d:78:00:02:delay:7000")]
    assert delay_ns(rules, OUT, outward=True) == 12000


def test_what_is_reordered_is_late_in_every_other_second() -> None:
    rules = [Rule.of("out:*:reorder:5000")]
    assert [delay_ns(rules, OUT, outward=True, now_ns=second * SECOND_NS) for second in range(4)] == [5000, 0, 5000, 0]


def test_neighbour_discovery_and_arp_are_late_but_neither_doubled_nor_spoilt() -> None:
    rules = [Rule.of(f"out:*:{how}:{delay}") for how, delay in (("duplicate", 0), ("corrupt", 0), ("delay", 7))]
    solicitation = struct.pack("!IHBB", 6 << 28, 24, 58, 255) + bytes(32) + struct.pack("!B23x", 135)
    assert fate(rules, OUT, outward=True, now_ns=0) == Fate(7, 2, corrupt=True)
    for spared in (frame(HERE, THERE, ethertype=0x0806), frame(HERE, THERE, ethertype=0x86DD, content=solicitation)):
        assert fate(rules, spared, outward=True, now_ns=0) == Fate(7, 1, corrupt=False)


@pytest.mark.parametrize("length", [8, 9, 200])
def test_a_corrupted_packet_differs_in_one_bit_and_has_the_checksum_of_the_true_one(length: int) -> None:
    start = 14 + 20
    whole = bytearray(frame(HERE, THERE, content=bytes(20) + bytes(range(length))))
    struct.pack_into("!H", whole, start + 6, 1234)  # a pseudo header's sum, as the kernel leaves it there
    header = struct.pack("=BBHHHH", 1, 0, 0, 0, start, 6)
    plain, spoilt = corrupted(header, bytes(whole))
    assert plain == NO_HEADER, "nobody adds a checksum on the way, and nobody takes it as checked"
    assert checksum(spoilt[start:-1] + bytes([spoilt[-1] ^ 1])) == 1234, "what is left is the pseudo header's"
    again = corrupted(NO_HEADER, spoilt)[1]
    assert [one ^ other for one, other in zip(spoilt, again, strict=True) if one != other] == [1]


def test_what_is_yet_to_be_cut_into_segments_is_left_alone() -> None:
    header = struct.pack("=BBHHHH", 1, 1, 54, 1448, 34, 16)
    assert corrupted(header, OUT) == (header, OUT)
