import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.plan.packet_sizes import mtu_asks, sizes
from wire.path import Icmp, Udp


@pytest.mark.parametrize(
    ("mtu", "expected"),
    [
        (0, (512, 1200)),
        (1500, (512, 1200, 1500)),
        (1450, (512, 1200, 1450)),
        (1280, (512, 1200, 1280)),
        (1200, (512, 1200)),
        (1000, (512, 1000)),
        (9001, (512, 1200, 9001)),
        (65_520, (512, 1200, 9216)),
    ],
)
def test_the_lengths_are_two_known_ones_and_the_mtu_exactly(mtu: int, expected: tuple[int, ...]) -> None:
    assert sizes(mtu) == expected


@given(st.integers(1, 65_535))
def test_lengths_ascend_and_none_is_longer_than_the_mtu(mtu: int) -> None:
    assert list(sizes(mtu)) == sorted(set(sizes(mtu)))
    assert max(sizes(mtu)) == min(mtu, 9216)


def test_every_length_is_asked_for_by_both_kinds() -> None:
    assert mtu_asks(1450, 8620) == [
        ask for length in (512, 1200, 1450) for ask in (Icmp(packet_bytes=length), Udp(8620, packet_bytes=length))
    ]
