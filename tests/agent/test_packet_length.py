import pytest

from agent import stamp
from agent.packet_length import padding_bytes, payload_bytes
from wire.path import Family, Icmp, Udp


@pytest.mark.parametrize(("family", "header"), [(Family.IPV4, 20), (Family.IPV6, 40)])
def test_a_packet_of_a_planned_length_is_that_long_with_all_its_headers(family: Family, header: int) -> None:
    assert header + 8 + payload_bytes(Icmp(packet_bytes=1450), family) == 1450
    assert header + 8 + stamp.MIN_BYTES + 4 + padding_bytes(Udp(8620, packet_bytes=1450), family) == 1450


@pytest.mark.parametrize("family", Family)
def test_without_a_planned_length_the_content_is_as_long_as_it_says(family: Family) -> None:
    assert payload_bytes(Icmp(size=9), family) == 9
    assert padding_bytes(Udp(8620, padding=9), family) == 9


@pytest.mark.parametrize(
    ("family", "icmp", "udp"),
    [(Family.IPV4, 28, 33 + stamp.MIN_BYTES), (Family.IPV6, 48, 53 + stamp.MIN_BYTES)],
)
def test_a_length_that_no_packet_has_is_one_sentence_and_the_nearest_one_that_has_is_taken(
    family: Family, icmp: int, udp: int
) -> None:
    assert payload_bytes(Icmp(packet_bytes=icmp), family) == 0
    assert padding_bytes(Udp(8620, packet_bytes=udp), family) == 1
    with pytest.raises(ValueError, match=f"^a packet of icmp over {family} has {icmp} to 9216 bytes, and not {icmp - 1}$"):
        payload_bytes(Icmp(packet_bytes=icmp - 1), family)
    with pytest.raises(ValueError, match=f"^a packet of udp over {family} has {udp} to 9216 bytes, and not {udp - 1}$"):
        padding_bytes(Udp(8620, packet_bytes=udp - 1), family)


def test_nothing_longer_than_a_jumbo_frame_is_sent() -> None:
    assert payload_bytes(Icmp(packet_bytes=9216), Family.IPV4) == 9188
    with pytest.raises(ValueError, match=r"to 9216 bytes, and not 9217$"):
        payload_bytes(Icmp(packet_bytes=9217), Family.IPV4)
    with pytest.raises(ValueError, match=r"to 9216 bytes, and not 65535$"):
        padding_bytes(Udp(8620, packet_bytes=65535), Family.IPV6)
