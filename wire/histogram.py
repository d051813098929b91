"""Latency histograms with base 2^(1/8): Prometheus native histogram schema 3, OpenTelemetry exponential scale 3.

Bucket `i` holds latencies in (2^((i-1)/8), 2^(i/8)] seconds, so that a bucket is at most 9.05 % wide and its middle is within
4.5 % of every value in it. Histograms add bucket by bucket, and percentiles are read from sums: they are never averaged.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from itertools import accumulate

SCHEMA = 3
FIRST_BUCKET = -160
"""Everything up to 2^-20 s, about 0.95 µs, is in here."""
LAST_BUCKET = 56
"""Everything above 2^(55/8) s, about 117 s, is in here: more than the longest waiting time."""
BUCKETS = LAST_BUCKET - FIRST_BUCKET + 1

UPPER_NS: tuple[float, ...] = tuple(2 ** (index / 8) * 1e9 for index in range(FIRST_BUCKET, LAST_BUCKET + 1))
"""Upper bound of each bucket in nanoseconds, inclusive, in the order of the buckets."""
_BELOW_LAST_NS = tuple(map(int, UPPER_NS[:-1]))
"""The same for latencies, which are whole, as integers compare with each other in half the time; the last bucket has no end."""


def bucket_of(latency_ns: int) -> int:
    """Index of the bucket that holds a latency in nanoseconds; the two ends are open."""
    return bisect_left(_BELOW_LAST_NS, latency_ns) + FIRST_BUCKET


def counted(latencies_ns: list[int]) -> Iterator[tuple[int, int]]:
    """Buckets, ascending, and how many of these latencies are in each; sorts them for that."""
    latencies_ns.sort()
    start, end = 0, len(latencies_ns)
    while start < end:
        place = bisect_left(_BELOW_LAST_NS, latencies_ns[start])
        stop = bisect_right(latencies_ns, _BELOW_LAST_NS[place], start) if place < len(_BELOW_LAST_NS) else end
        yield place + FIRST_BUCKET, stop - start
        start = stop


def upper_bound_ns(bucket: int) -> float:
    """Upper bound of a bucket in nanoseconds; raises IndexError outside of FIRST_BUCKET to LAST_BUCKET."""
    if not FIRST_BUCKET <= bucket <= LAST_BUCKET:
        msg = f"bucket {bucket} is outside of {FIRST_BUCKET} to {LAST_BUCKET}"
        raise IndexError(msg)
    return UPPER_NS[bucket - FIRST_BUCKET]


def merged(*histograms: Mapping[int, int]) -> dict[int, int]:
    """The sum of sparse histograms (bucket to count), bucket by bucket."""
    total: dict[int, int] = {}
    for histogram in histograms:
        for bucket, count in histogram.items():
            total[bucket] = total.get(bucket, 0) + count
    return total


def quantile_ns(histogram: Mapping[int, int], q: float) -> float | None:
    """The q-quantile (0 to 1) of a sparse histogram in nanoseconds, None where it is empty.

    Within a bucket the value is interpolated on the logarithmic scale, as Prometheus does for native histograms, so the
    error is bounded by the bucket: 4.5 % to either side of its middle.
    """
    buckets = sorted(bucket for bucket, count in histogram.items() if count > 0)
    if not buckets:
        return None
    sums = list(accumulate(histogram[bucket] for bucket in buckets))
    rank = max(q * sums[-1], 1e-9)
    place = bisect_left(sums, rank)
    before = sums[place - 1] if place else 0
    share = (rank - before) / histogram[buckets[place]]
    return upper_bound_ns(buckets[place]) * 2 ** ((share - 1) / 8)
