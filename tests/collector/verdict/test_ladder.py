"""Which way packets get lost, by what the other end says it received."""

import pytest

from collector.verdict.ladder import one_way
from collector.verdict.ways import HINT, LEANING, SURE


def test_seven_receipts_of_one_direction_are_sure_and_three_are_a_hint() -> None:
    assert one_way(7, 7, 0.0) > SURE > one_way(6, 6, 0.0)
    assert one_way(3, 3, 0.0) > HINT > one_way(2, 2, 0.0)
    assert one_way(1, 1, 0.0) > LEANING > one_way(2, 3, 0.0)


def test_as_many_of_either_direction_are_sure_not_to_be_of_one() -> None:
    assert one_way(25, 50, 0.0) < -SURE


@pytest.mark.parametrize("usual", [25.0, 40.0])
def test_receipts_of_the_background_alone_say_nothing(usual: float) -> None:
    """A rare loss is found among as many losses of before, whose receipts come first."""
    assert one_way(14, 25, usual) == pytest.approx(0.0)


def test_what_comes_beside_the_background_tells() -> None:
    assert one_way(84, 105, 26.0) > SURE
    assert one_way(84, 105, 0.0) < one_way(84, 105, 26.0)
    assert one_way(100, 200, 26.0) < -SURE


def test_no_receipt_says_nothing() -> None:
    assert one_way(0, 0, 12.0) == 0.0
