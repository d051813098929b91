"""The quick way in for a plain report: its paths ascend and are planned, its entries have at most one bucket of latencies.

In: columns as they came, and what was planned. Out: a checked Batch, or None, and then the report is to be looked at closely:
here nothing is refused, since that takes a word for what is wrong. Most reports of a large cluster are plain, of which each
entry is one probe, and what is checked of them takes few passes over small arrays.
"""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from collector.matrix.batch import LOCAL_FROM, Batch, Planned
from collector.matrix.bounds import AT_LEAST, AT_MOST, MAX_COUNT, MAX_VALUE, SECOND, believed
from collector.matrix.histograms import Ids, Ints
from wire.histogram import BUCKETS, FIRST_BUCKET
from wire.outcome import Outcome
from wire.report import MAX_ENTRIES, Columns
from wire.window import Measure

NUMBERS: Final = np.arange(MAX_ENTRIES)
_NUMBERS_BYTES: Final = NUMBERS.astype("<u4").tobytes()
_LONGER_THAN: Final = np.floor(AT_LEAST).astype(np.int64)
_NO_LONGER_THAN: Final = np.floor(np.minimum(AT_MOST, MAX_VALUE)).astype(np.int64)
"""Of each place, what latencies in whole nanoseconds of it and its neighbours exceed, and what they do not."""
_ZEROS: Final = np.zeros(MAX_ENTRIES, np.int64)
NUMBERS.flags.writeable = _ZEROS.flags.writeable = False  # batches share them
_PLAIN_OUTCOMES: Final = bytes(code for code in Outcome if code is not Outcome.LATE)
_KNOWN_MEASURES: Final = bytes(Measure)
"""Codes, as columns have them."""

Column = NDArray[Any]


def plain(columns: Columns, *, span_ns: int, planned: Planned) -> Batch | None:
    """The batch of a plain report over `span_ns`; None for any other."""
    paths = np.frombuffer(columns.path, "<u8")
    received = np.frombuffer(columns.received, "<u4")
    if not len(paths) or received.max() > believed(span_ns):
        return None
    latencies = _latencies(columns, received)
    outcomes = _sparse(columns.outcome_entry, columns.outcome_code, columns.outcome_count, "<u4", len(paths))
    measures = _sparse(columns.measure_entry, columns.measure_code, columns.measure_value, "<u8", len(paths))
    cell = _cells(paths, planned)
    if latencies is None or outcomes is None or measures is None or cell is None:
        return None
    late = np.frombuffer(columns.late, "<u4")
    failed = local = _ZEROS[: len(paths)]
    if len(outcomes[0]):
        entry, code, count = outcomes
        if count.max() > MAX_COUNT or columns.outcome_code.translate(None, _PLAIN_OUTCOMES):
            return None
        ours = code >= LOCAL_FROM
        failed, local = _summed(entry[~ours], count[~ours], len(paths)), _summed(entry[ours], count[ours], len(paths))
        some = count > 0
        outcomes = entry[some], code[some], count[some]
    more = failed is not local or columns.late != bytes(4 * len(paths))
    if more and ((received + failed + late).max() > believed(span_ns) or local.max() > MAX_COUNT):
        return None
    if len(measures[0]) and (measures[2].max() > MAX_VALUE or columns.measure_code.translate(None, _KNOWN_MEASURES)):
        return None
    low, high, total, entry, place, count = latencies
    return Batch(
        cell=cell,
        received=received,
        late=late,
        failed=failed,
        local=local,
        sum_ns=total,
        min_ns=low,
        max_ns=high,
        timed=np.frombuffer(columns.timed, "u1"),
        flags=np.frombuffer(columns.flags, "u1"),
        outcome_entry=outcomes[0],
        outcome_code=outcomes[1],
        outcome_count=outcomes[2],
        latency_entry=entry,
        latency_place=place,
        latency_count=count,
        measure_entry=measures[0],
        measure_code=measures[1],
        measure_value=measures[2].view(np.int64),
    )


def _latencies(columns: Columns, received: Column) -> tuple[Column, Column, Column, Ints, Column, Column] | None:
    """Shortest, longest and sum of each entry; entry, place and count of each bucket. `received` is below 2^23."""
    low, high, total = (np.frombuffer(column, "<i8") for column in (columns.min_ns, columns.max_ns, columns.sum_ns))
    if received.all():
        entry, count, shortest, longest, together = NUMBERS[: len(received)], received, low, high, total
        fits = columns.latency_entry == _NUMBERS_BYTES[: 4 * len(received)] and columns.latency_count == columns.received
    else:
        entry, nothing = np.flatnonzero(received), received == 0
        count, shortest, longest, together = (column[entry] for column in (received, low, high, total))
        fits = columns.latency_entry == entry.astype("<u4").tobytes() and columns.latency_count == count.tobytes()
        fits = fits and not any(column[nothing].any() for column in (low, high, total))
    place = np.frombuffer(columns.latency_bucket, "<i2")
    place = (place - np.int16(FIRST_BUCKET)).view(np.uint16)  # one below the first is far above the last
    if not fits or place.max(initial=0) >= BUCKETS or longest.max(initial=0) > SECOND:
        return None
    among = (shortest > _LONGER_THAN[place]) & (longest <= _NO_LONGER_THAN[place])
    if not columns.sum_ns == columns.min_ns == columns.max_ns:
        # The longest is at most a second, so that no product overflows that matters.
        among &= (shortest <= longest) & (shortest * count <= together) & (together <= longest * count)
    elif count.max(initial=0) > 1:
        return None
    return (low, high, total, entry, place, count) if among.all() else None


def _summed(entry: Ints, count: Column, entries: int) -> Ints:
    sums = np.zeros(entries, np.int64)
    np.add.at(sums, entry, count)
    return sums


def _sparse(entry: bytes, code: bytes, value: bytes, kind: str, entries: int) -> tuple[Ints, Column, Column] | None:
    """(entry, code, value); None where an entry is not there."""
    named = np.frombuffer(entry, "<u4").astype(np.int64)
    if len(named) and named.max() >= entries:
        return None
    return named, np.frombuffer(code, "u1"), np.frombuffer(value, kind)


def _cells(paths: Ids, planned: Planned) -> Ints | None:
    """The number of each path in `planned`; None unless they ascend and all are there."""
    if len(paths) == len(planned.path) and (paths == planned.path).all():
        return NUMBERS[: len(paths)] if planned.present.all() else None
    if not len(planned.path):
        return None
    number = planned.path.searchsorted(paths)
    there = planned.path.take(number, mode="clip") == paths
    if not there.all() or not planned.present[number].all() or not (number[1:] > number[:-1]).all():
        return None
    return number
