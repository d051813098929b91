"""Many sparse histograms at once, as three arrays: whose, which bucket, how many.

The vectorised counterpart of `wire.histogram`: the same buckets, the same quantiles, for a million rows at a time.
Buckets are places here: 0 is FIRST_BUCKET, so that one fits into a byte.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from wire.histogram import BUCKETS, UPPER_NS

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Ids = NDArray[np.uint64]
Mask = NDArray[np.bool_]
Numbers = NDArray[np.integer[Any]]

UPPER: Final[Floats] = np.array(UPPER_NS)
"""Upper bound of each place in nanoseconds."""

CLASSIC_SECONDS: Final = (50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1.0, 5.0)
"""Upper bounds of the classic histogram that is exported; what is slower than the last one is counted in one more bucket."""

CLASSIC_OF: Final[Ints] = np.searchsorted(np.array(CLASSIC_SECONDS) * 1e9, UPPER * 2 ** (-1 / 16), side="left")
"""Classic bucket of each place, by the middle of the place: so a value within 4.5 % of a bound may stand on its other side."""


_AT_ONCE: Final = 1024
"""Rows that are worked on together, so that a question takes little memory."""


@dataclass(frozen=True, slots=True)
class Histograms:
    """Counts sorted by (group, place), each pair once and no count zero."""

    group: Ints
    place: Ints
    count: Ints


EMPTY: Final = Histograms(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))


def places_of(latency_ns: NDArray[np.uint64]) -> Ints:
    """The place of each latency in nanoseconds, the last one for all that is longer."""
    return np.minimum(np.searchsorted(UPPER, latency_ns, side="left"), BUCKETS - 1)


def places(keys: Ints) -> tuple[Ints, Ints]:
    """Keys (group * BUCKETS + place) as groups and places."""
    group = keys // BUCKETS
    return group, keys - group * BUCKETS


def summed(keys: Ints, counts: Ints) -> tuple[Ints, Ints]:
    """Distinct keys in ascending order, and the sum of the counts of each; those that sum to zero are left out."""
    if not len(keys):
        return keys, counts
    order = np.argsort(keys, kind="stable")
    keys, counts = keys[order], counts[order]
    starts = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    sums = np.add.reduceat(counts, starts)
    return keys[starts][sums > 0], sums[sums > 0]


def merged(group: Ints, place: Ints, count: Ints) -> Histograms:
    """Histograms from rows in any order. `group` and `place` are not negative; equal pairs are added up."""
    keys, sums = summed(group.astype(np.int64) * BUCKETS + place, count.astype(np.int64))
    return Histograms(*places(keys), sums)


def quantiles(histograms: Histograms, q: float, *, groups: int) -> Floats:
    """The q-quantile of groups 0 to `groups` - 1 in nanoseconds, NaN where one is empty.

    The same as `wire.histogram.quantile_ns`: interpolated within the bucket on the logarithmic scale.
    """
    result = np.full(groups, np.nan)
    if not len(histograms.group):
        return result
    group, count = histograms.group, histograms.count
    first = np.flatnonzero(np.concatenate(([True], group[1:] != group[:-1])))
    sizes = np.diff(np.append(first, len(group)))
    running = np.cumsum(count)
    before_group = running[first] - count[first]
    running -= np.repeat(before_group, sizes)
    rank = np.maximum(q * np.add.reduceat(count, first), 1e-9)
    # Comparing within the group, not against the running total of all, keeps every bit of the rank.
    found = first + np.add.reduceat((running < np.repeat(rank, sizes)).astype(np.int64), first)
    share = (rank - (running[found] - count[found])) / count[found]
    result[group[first]] = UPPER[histograms.place[found]] * np.exp2((share - 1) / 8)
    return result


def quantiles_of_rows(counts: NDArray[np.int32], qs: Sequence[float]) -> list[Floats]:
    """The same of histograms that are rows of a dense array, shape (groups, BUCKETS), for several q."""
    results = [np.full(len(counts), np.nan) for _ in qs]
    for start in range(0, len(counts), _AT_ONCE):
        part = counts[start : start + _AT_ONCE]
        # Latencies of a cluster are in few places, and all work is on those.
        used = np.flatnonzero(part.any(axis=0))
        if not len(used):
            continue
        part = part[:, used[0] : used[-1] + 1]
        running = np.cumsum(part, axis=1, dtype=np.int64)
        total, groups = running[:, -1], np.arange(len(part))
        for q, result in zip(qs, results, strict=True):
            rank = np.maximum(q * total, 1e-9)
            place = np.minimum((running < rank[:, None]).sum(axis=1), part.shape[1] - 1)
            count = part[groups, place]
            share = (rank - (running[groups, place] - count)) / np.maximum(count, 1)
            found = UPPER[place + used[0]] * np.exp2((share - 1) / 8)
            result[start : start + _AT_ONCE] = np.where(total > 0, found, np.nan)
    return results


def classic(group: Ints, place: Ints, count: Ints, *, groups: int) -> Ints:
    """Counts in classic buckets, shape (groups, len(CLASSIC_SECONDS) + 1), not cumulative."""
    width = len(CLASSIC_SECONDS) + 1
    keys = group * width + CLASSIC_OF[place]
    # Weights of bincount are floats; counts of one call stay far below 2^53, where they are exact.
    return np.bincount(keys, weights=count, minlength=groups * width).astype(np.int64).reshape(groups, width)
