from itertools import pairwise
from math import comb

import pytest

from lab.binomial import binomial_band


def probability(n: int, p: float, low: int, high: int) -> float:
    return sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(low, high + 1))


@pytest.mark.parametrize(("n", "p"), [(1, 0.5), (40, 0.2), (200, 0.05), (400, 0.2), (60, 0.5), (1000, 0.002)])
def test_a_band_holds_with_the_confidence_asked_for_and_is_no_wider_than_it_must_be(n: int, p: float) -> None:
    low, high = binomial_band(n, p)
    assert probability(n, p, low, high) >= 0.999
    assert probability(n, p, 0, low) > 0.0005, "one more could be cut off below"
    assert probability(n, p, high, n) > 0.0005, "one more could be cut off above"


def test_more_confidence_is_a_wider_band() -> None:
    widths = [high - low for low, high in (binomial_band(400, 0.2, confidence) for confidence in (0.5, 0.9, 0.99, 0.999))]
    assert all(narrow < wide for narrow, wide in pairwise(widths))


@pytest.mark.parametrize(("n", "p", "confidence"), [(0, 0.5, 0.9), (1, 0.0, 0.9), (1, 1.0, 0.9), (1, 0.5, 1.0)])
def test_where_nothing_is_random_there_is_no_band(n: int, p: float, confidence: float) -> None:
    with pytest.raises(ValueError, match="no band"):
        binomial_band(n, p, confidence)
