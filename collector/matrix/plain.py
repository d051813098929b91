"""Latencies of entries that have at most one bucket each, as most reports of a large cluster have: one probe to an entry.

In: columns as they came. Out: latencies that are checked, or None, and then they are to be looked at closely: here nothing is
refused, since that takes a word for what is wrong.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.matrix.bounds import AT_LEAST, AT_MOST, MAX_VALUE, SECOND
from collector.matrix.histograms import Ints
from wire.histogram import BUCKETS, FIRST_BUCKET
from wire.report import MAX_ENTRIES, Columns

NUMBERS: Final = np.arange(MAX_ENTRIES)
NUMBERS.flags.writeable = False  # batches share them
_NUMBERS_BYTES: Final = NUMBERS.astype("<u4").tobytes()
_LONGER_THAN: Final = np.floor(AT_LEAST).astype(np.int64)
_NO_LONGER_THAN: Final = np.floor(np.minimum(AT_MOST, MAX_VALUE)).astype(np.int64)
"""Of each place, what latencies in whole nanoseconds of it and its neighbours exceed, and what they do not."""


class Latencies(NamedTuple):
    """Sum, shortest and longest of every entry; which bucket of which entry has how many."""

    sum_ns: Ints
    min_ns: Ints
    max_ns: Ints
    entry: Ints
    """Ascending, and of one entry by place."""
    place: NDArray[Any]
    """Bucket minus FIRST_BUCKET."""
    counts: NDArray[Any]


def plain(columns: Columns, received: NDArray[np.uint32]) -> Latencies | None:
    """The latencies of `received` answers of each entry; None unless each has one bucket and all are plausible, to a second."""
    low, high, total = (np.frombuffer(column, "<i8") for column in (columns.min_ns, columns.max_ns, columns.sum_ns))
    if received.all():
        entry, count, shortest, longest, together = NUMBERS[: len(received)], received, low, high, total
        fits = columns.latency_entry == _NUMBERS_BYTES[: 4 * len(received)] and columns.latency_count == columns.received
    else:
        entry, nothing = np.flatnonzero(received), np.flatnonzero(received == 0)
        count, shortest, longest, together = (column.take(entry) for column in (received, low, high, total))
        fits = columns.latency_entry == entry.astype("<u4").tobytes() and columns.latency_count == count.tobytes()
        fits = fits and not any(column.take(nothing).any() for column in (low, high, total))
    place = np.frombuffer(columns.latency_bucket, "<i2")
    place = (place - np.int16(FIRST_BUCKET)).view(np.uint16)  # one below the first is far above the last
    if not fits or place.max(initial=0) >= BUCKETS or longest.max(initial=0) > SECOND:
        return None
    among = (shortest > _LONGER_THAN.take(place)) & (longest <= _NO_LONGER_THAN.take(place))
    if not columns.sum_ns == columns.min_ns == columns.max_ns:
        # The longest is at most a second, so that no product overflows that matters.
        among &= (shortest <= longest) & (shortest * count <= together) & (together <= longest * count)
    elif count.max(initial=0) > 1:
        return None
    return Latencies(total, low, high, entry, place, count) if among.all() else None
