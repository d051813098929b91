import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.matrix.histograms import CLASSIC_SECONDS, EMPTY, classic, merged, places_of, quantiles, summed
from wire.histogram import BUCKETS, FIRST_BUCKET, bucket_of, quantile_ns

sparse = st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 1000), max_size=6)


@settings(max_examples=40)
@given(st.lists(sparse, max_size=5), st.sampled_from([0.0, 0.01, 0.29, 0.5, 0.9, 0.99, 1.0]))
def test_quantiles_are_those_of_the_wire_one_by_one(groups: list[dict[int, int]], q: float) -> None:
    rows = [(group, place, count) for group, histogram in enumerate(groups) for place, count in histogram.items()]
    columns = np.array(rows, np.int64).reshape(-1, 3)[::-1]
    found = quantiles(merged(columns[:, 0], columns[:, 1], columns[:, 2]), q, groups=len(groups))
    for group, histogram in enumerate(groups):
        expected = quantile_ns({place + FIRST_BUCKET: count for place, count in histogram.items()}, q)
        assert found[group] == pytest.approx(expected) if expected else np.isnan(found[group])


def test_quantiles_of_nothing_are_not_a_number() -> None:
    assert np.isnan(quantiles(EMPTY, 0.5, groups=2)).all()
    assert len(quantiles(EMPTY, 0.5, groups=0)) == 0


@given(st.lists(st.integers(0, 2**50), max_size=20))
def test_places_are_the_buckets_of_the_wire(latencies: list[int]) -> None:
    assert places_of(np.array(latencies, np.uint64)).tolist() == [bucket_of(latency) - FIRST_BUCKET for latency in latencies]


def test_sums_leave_out_what_is_zero_and_sort_the_rest() -> None:
    keys, counts = summed(np.array([5, 1, 5, 3]), np.array([1, 2, 3, 0]))
    assert (keys.tolist(), counts.tolist()) == ([1, 5], [2, 4])


def test_a_classic_histogram_counts_every_latency_once() -> None:
    latencies = [40_000, 60_000, 60_000, 900_000_000, 100_000_000_000]
    places = np.array([bucket_of(latency) - FIRST_BUCKET for latency in latencies])
    counts = classic(np.array([0, 0, 0, 0, 1]), places, np.ones(5, np.int64), groups=2)
    assert counts.sum() == 5
    assert counts[0, 0] == 1
    assert counts[0, 1] == 2
    assert counts[0, CLASSIC_SECONDS.index(1.0)] == 1
    assert counts[1, -1] == 1
