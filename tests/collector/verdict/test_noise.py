"""What is usual."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.verdict.noise import BLOCK_NS, FLOOR, PRIOR, SILENCE, Noise, groups, learned, rates, size
from tests.collector.verdict.small import mesh


def after(passes: list[tuple[float, float]]) -> tuple[Noise, float]:
    """The memory and the rate after blocks of (events, probes), all in one group."""
    noise, rate = SILENCE, 0.0
    for number, (events, probes) in enumerate(passes):
        cells = mesh(4, now_s=1 + number * BLOCK_NS // 10**9)
        group = int(groups(cells)[0])
        ones = np.zeros(size(cells))
        ones[group] = 1.0
        noise = learned(noise, cells, ones * events, ones * probes, spread=(0.0, 0.0))
        rate = float(rates(noise, cells, np.array([group]))[group])
    return noise, rate


def test_what_was_never_measured_is_taken_for_a_little_noise() -> None:
    cells = mesh(4)
    present = np.unique(groups(cells))
    assert rates(SILENCE, cells, present)[present].tolist() == pytest.approx([PRIOR] * len(present))


def test_a_rate_is_learned() -> None:
    assert after([(100.0, 1e5)] * 3)[1] == pytest.approx(1e-3, rel=0.05)


def test_one_bad_block_of_many_is_left_out() -> None:
    assert after([(10.0, 1e5)] * 5 + [(5000.0, 1e5)])[1] == pytest.approx(1e-4, rel=0.1)


def test_an_hour_is_kept() -> None:
    noise, _ = after([(1.0, 1e5)] * 40)
    assert {len(blocks) for blocks in noise.blocks.values()} == {12}


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(10, 1e7)), min_size=1, max_size=15))
def test_a_rate_is_a_probability_above_the_floor(passes: list[tuple[float, float]]) -> None:
    assert FLOOR <= after(passes)[1] <= 1.0
