"""Buckets of schema 3, and percentiles from them."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.histogram import BUCKETS, FIRST_BUCKET, LAST_BUCKET, UPPER_NS, bucket_of, counted, merged, quantile_ns, upper_bound_ns

latencies = st.integers(min_value=1_000, max_value=100_000_000_000)


def histogram(values: list[int]) -> Counter[int]:
    return Counter(bucket_of(value) for value in values)


def test_a_bucket_ends_where_prometheus_schema_3_says() -> None:
    assert upper_bound_ns(0) == 1e9
    assert upper_bound_ns(8) == 2e9
    assert upper_bound_ns(-8) == 0.5e9
    assert upper_bound_ns(1) == pytest.approx(1.0905077326652577e9)
    assert len(UPPER_NS) == BUCKETS == LAST_BUCKET - FIRST_BUCKET + 1


@pytest.mark.parametrize(
    ("latency_ns", "bucket"),
    [
        (1_000_000_000, 0),  # the upper edge belongs to the bucket
        (1_000_000_001, 1),
        (999_999_999, 0),
        (917_004_043, -1),
        (917_004_044, 0),
        (500_000_000, -8),
        (500_000_001, -7),
        (0, FIRST_BUCKET),
        (1, FIRST_BUCKET),
        (117_000_000_000, LAST_BUCKET - 1),
        (128_000_000_000, LAST_BUCKET),
        (10**18, LAST_BUCKET),
    ],
)
def test_a_latency_falls_into_the_bucket_whose_edges_enclose_it(latency_ns: int, bucket: int) -> None:
    assert bucket_of(latency_ns) == bucket


@given(latencies)
def test_every_latency_is_above_the_lower_and_up_to_the_upper_edge(latency_ns: int) -> None:
    bucket = bucket_of(latency_ns)
    assert upper_bound_ns(bucket - 1) < latency_ns <= upper_bound_ns(bucket)


@pytest.mark.parametrize("bucket", [FIRST_BUCKET - 1, LAST_BUCKET + 1])
def test_a_bucket_that_is_none_has_no_bound(bucket: int) -> None:
    with pytest.raises(IndexError, match="outside of -160 to 56"):
        upper_bound_ns(bucket)


@given(st.lists(latencies, min_size=1, max_size=200), st.sampled_from([0.01, 0.25, 0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_within_one_bucket_of_the_true_one(values: list[int], q: float) -> None:
    """The true value is the one of that rank, nearest-rank; unsorted, single and equal values are among the examples."""
    true = sorted(values)[max(math.ceil(q * len(values)) - 1, 0)]
    estimate = quantile_ns(histogram(values), q)
    assert estimate is not None
    assert bucket_of(math.floor(estimate)) in {bucket_of(true), bucket_of(true) - 1}
    assert abs(math.log2(estimate / true)) <= 1 / 8 + 1e-9


@given(latencies, st.integers(min_value=1, max_value=1000))
def test_the_median_of_equal_values_is_within_4_5_percent(value: int, count: int) -> None:
    estimate = quantile_ns({bucket_of(value): 2 * count}, 0.5)
    assert estimate == pytest.approx(value, rel=0.0453)


def test_the_quantile_of_nothing_is_none_and_not_zero() -> None:
    assert quantile_ns({}, 0.5) is None
    assert quantile_ns({3: 0}, 0.5) is None


def test_the_extremes_are_in_the_first_and_last_bucket() -> None:
    sparse = {0: 1, 80 - 160: 1, 8: 1}
    assert 2 ** (-81 / 8) * 1e9 <= (quantile_ns(sparse, 0.0) or 0) <= upper_bound_ns(-80)
    assert quantile_ns(sparse, 1.0) == upper_bound_ns(8)


@given(st.lists(st.lists(latencies, max_size=20), max_size=5))
def test_the_sum_of_histograms_is_the_histogram_of_all_values(parts: list[list[int]]) -> None:
    assert merged(*map(histogram, parts)) == histogram([value for part in parts for value in part])


@given(st.lists(st.integers(0, 2 * 10**11), max_size=40))
def test_latencies_counted_together_are_in_the_buckets_that_each_is_in(values: list[int]) -> None:
    expected = sorted(histogram(values).items())
    assert list(counted(values)) == expected
