"""A report's columns as checked arrays.

In: columns as they came, and what was planned. Out: a Batch whose every number is plausible, or Inconsistent with a word that
can be counted. Thousands of entries cost a few dozen array operations and never an object each. All counts are integers, so
there is no NaN to refuse; what could overflow is bounded before it is multiplied or added.
"""

from typing import Any, Final

import numpy as np

from collector.matrix.batch import LOCAL_FROM, Batch, Inconsistent, Planned
from collector.matrix.bounds import (
    AT_LEAST,
    AT_MOST,
    KNOWN_MEASURES,
    KNOWN_OUTCOMES,
    MAX_COUNT,
    MAX_VALUE,
    MILLISECOND,
    SECOND,
    SECOND_MS,
    believed,
    bursts,
)
from collector.matrix.histograms import Ids, Ints, Mask, places, summed
from collector.matrix.plain import NUMBERS, plain
from wire.histogram import BUCKETS, FIRST_BUCKET
from wire.outcome import Outcome
from wire.report import Columns


def _refuse_where(wrong: Mask | np.bool_ | bool, reason: str, explanation: str) -> None:  # noqa: FBT001 - it is the subject
    if wrong if isinstance(wrong, bool) else wrong.any():
        raise Inconsistent(reason, explanation)


def read(columns: Columns, *, span_ns: int, planned: Planned) -> Batch:
    """The columns of a report over `span_ns`, checked against themselves and the plan. Raises Inconsistent."""
    batch = plain(columns, span_ns=span_ns, planned=planned)
    return closely(columns, span_ns=span_ns, planned=planned) if batch is None else batch


def closely(columns: Columns, *, span_ns: int, planned: Planned) -> Batch:
    """The same of any report, plain or not."""
    paths = np.frombuffer(columns.path, "<u8")
    entries = len(paths)
    # Agents send in ascending order, which needs no sorting to be checked.
    _refuse_where(
        not (paths[1:] > paths[:-1]).all() and len(np.unique(paths)) != entries,
        "duplicate_path",
        "a path is reported twice in one report",
    )
    received, late = _counts(columns.received, "received"), _counts(columns.late, "late")
    outcome_entry = _places(columns.outcome_entry, entries)
    outcome_code, outcome_count = np.frombuffer(columns.outcome_code, "u1"), _counts(columns.outcome_count, "outcomes")
    late_code = outcome_code == int(Outcome.LATE)
    _refuse_where(late_code, "outcome", "late answers have a column of their own and are no failure besides")
    is_local = outcome_code >= LOCAL_FROM
    known = KNOWN_OUTCOMES[outcome_code]
    failed = _sums(outcome_entry[known & ~is_local], outcome_count[known & ~is_local], entries)
    local = _sums(outcome_entry[known & is_local], outcome_count[known & is_local], entries)

    number, there, whole = _found(paths, planned)
    _refuse_absurd(received + late + failed, local, number, there, planned=planned, span_ns=span_ns)
    latency_entry, latency_place, latency_count = _histogram(columns, received)
    _refuse_slow(np.frombuffer(columns.max_ns, "<u8"), number, there, planned)
    total, low, high = _latencies(columns, received, latency_entry, latency_place)

    measure_entry = _places(columns.measure_entry, entries)
    measure_code, measure_value = np.frombuffer(columns.measure_code, "u1"), np.frombuffer(columns.measure_value, "<u8")
    _refuse_where(measure_value.max(initial=0) > MAX_VALUE, "absurd", "a measure is too large to be true")
    measured = KNOWN_MEASURES[measure_code]

    batch = Batch(
        cell=number,
        received=received,
        late=late,
        failed=failed,
        local=local,
        sum_ns=total,
        min_ns=low,
        max_ns=high,
        timed=np.frombuffer(columns.timed, "u1"),
        flags=np.frombuffer(columns.flags, "u1"),
        outcome_entry=outcome_entry[counted := known & (outcome_count > 0)],
        outcome_code=outcome_code[counted],
        outcome_count=outcome_count[counted],
        latency_entry=latency_entry,
        latency_place=latency_place,
        latency_count=latency_count,
        measure_entry=measure_entry[measured],
        measure_code=measure_code[measured],
        measure_value=measure_value[measured].astype(np.int64),
        unknown_codes=int(np.count_nonzero(~known) + np.count_nonzero(~measured)),
    )
    return batch if whole else _only(batch, there)


def _only(batch: Batch, there: Mask) -> Batch:
    """The entries whose path is known, with all they have."""
    place = np.cumsum(there) - 1  # of an entry among those that stay
    columns: dict[str, Any] = {name: getattr(batch, name)[there] for name in _DENSE}
    for group in ("outcome", "latency", "measure"):
        entry = getattr(batch, f"{group}_entry")
        stays = there[entry]
        for name in _SPARSE[group]:
            columns[name] = getattr(batch, name)[stays]
        columns[f"{group}_entry"] = place[entry[stays]]
    return Batch(
        **columns,
        unknown_paths=int(len(there) - np.count_nonzero(there)),
        unknown_codes=batch.unknown_codes,
    )


_DENSE: Final = ("cell", "received", "late", "failed", "local", "sum_ns", "min_ns", "max_ns", "timed", "flags")
_SPARSE: Final = {
    "outcome": ("outcome_code", "outcome_count"),
    "latency": ("latency_place", "latency_count"),
    "measure": ("measure_code", "measure_value"),
}


def _counts(column: bytes, name: str) -> Ints:
    counts = np.frombuffer(column, "<u4")
    _refuse_where(counts.max(initial=0) > MAX_COUNT, "absurd", f"more than {MAX_COUNT} {name} in one window")
    return counts.astype(np.int64)


def _places(column: bytes, entries: int) -> Ints:
    places = np.frombuffer(column, "<u4")
    if len(places):
        _refuse_where(places.max() >= entries, "index", "a sparse column names an entry that is not there")
    return places.astype(np.int64)


def _sums(entry: Ints, count: Ints, entries: int) -> Ints:
    """Weights of bincount are floats, and exact: far fewer counts than 2^22 are below 2^31 each."""
    if not len(entry):
        return np.zeros(entries, np.int64)
    return np.bincount(entry, weights=count, minlength=entries).astype(np.int64)


def _found(paths: Ids, planned: Planned) -> tuple[Ints, Mask, bool]:
    """For each path its number in `planned`, whether it is there at all, and whether all are."""
    if not len(planned.path):
        return np.zeros(len(paths), np.int64), np.zeros(len(paths), np.bool_), not len(paths)
    if np.array_equal(paths, planned.path):
        there: Mask = planned.present > 0
        return NUMBERS[: len(paths)], there, bool(there.all())
    number = np.minimum(np.searchsorted(planned.path, paths), len(planned.path) - 1)
    there = (planned.path[number] == paths) & (planned.present[number] > 0)
    return number, there, bool(there.all())


def _refuse_absurd(sent: Ints, local: Ints, number: Ints, there: Mask, *, planned: Planned, span_ns: int) -> None:
    """More probes than twice the schedule and the confirmation bursts allow were never sent.

    One second between probes is always believed, since an older plan may have had it.
    """
    _refuse_where(local.max(initial=0) > MAX_COUNT, "absurd", f"more than {MAX_COUNT} local failures in one window")
    if sent.max(initial=0) <= believed(span_ns):
        return
    shortest_ms = np.full(len(sent), SECOND_MS)
    shortest_ms[there] = np.clip(planned.shortest_ms[number[there]], 1, SECOND_MS)
    most = 2 * (span_ns // MILLISECOND // shortest_ms) + bursts(span_ns)
    _refuse_where(sent > most, "absurd", "more probes than the plan and the span allow")


def _refuse_slow(high: Ids, number: Ints, there: Mask, planned: Planned) -> None:
    """Nobody waits much longer than the waiting time; for that of an unknown path, all that may be."""
    if high.max(initial=0) <= SECOND:
        return
    longest_ms = np.full(len(high), 60 * SECOND_MS)
    longest_ms[there] = planned.longest_ms[number[there]]
    _refuse_where(
        high > (2 * MILLISECOND * longest_ms + SECOND).astype(np.uint64), "absurd", "a latency is far beyond the waiting time"
    )


def _histogram(columns: Columns, received: Ints) -> tuple[Ints, Ints, Ints]:
    """The latency histograms as (entry, place, count), ascending."""
    entry = _places(columns.latency_entry, len(received))
    bucket = np.frombuffer(columns.latency_bucket, "<i2")
    if len(bucket):
        exists = bucket.min() >= FIRST_BUCKET and bucket.max() < FIRST_BUCKET + BUCKETS
        _refuse_where(not exists, "bucket", "a latency is in a bucket that does not exist")
    place = bucket.astype(np.int64) - FIRST_BUCKET
    count = _counts(columns.latency_count, "latencies")
    together = _sums(entry, count, len(received))
    _refuse_where(not np.array_equal(together, received), "histogram", "latencies do not add up to received")
    keys = entry * BUCKETS + place
    if (keys[1:] > keys[:-1]).all() and count.all():
        return entry, place, count
    keys, count = summed(keys, count)
    return *places(keys), count


def _latencies(columns: Columns, received: Ints, entry: Ints, place: Ints) -> tuple[Ints, Ints, Ints]:
    """Sum, minimum and maximum, consistent with each other, and with the histogram to a bucket."""
    unsigned = [np.frombuffer(column, "<u8") for column in (columns.sum_ns, columns.min_ns, columns.max_ns)]
    for column, name in zip(unsigned, ("sum of latencies", "latency", "latency"), strict=True):
        _refuse_where(column.max(initial=0) > MAX_VALUE, "absurd", f"a {name} is too large to be true")
    total, low, high = (column.view(np.int64) for column in unsigned)
    # As floats, since a product could overflow; one that is not exact as a float is far beyond any sum that is believed.
    answers = received.astype(np.float64)
    wrong = (total < low * answers) | (total > high * answers)
    _refuse_where(wrong, "latency", "the mean latency is not between the lowest and the highest")
    _refuse_where((low > high) | ((received == 0) & (high > 0)), "latency", "latencies without an answer")
    if len(entry):
        # Entries ascend, and every one that received anything is there, so first and last of an entry are its ends.
        first = np.flatnonzero(np.concatenate(([True], entry[1:] != entry[:-1])))
        last = np.append(first[1:], len(entry)) - 1
        some = entry[first]
        off = _apart(place[first], low[some]) | _apart(place[last], high[some])
        _refuse_where(off, "bucket", "the histogram contradicts the lowest or the highest latency")
    return total, low, high


def _apart(place: Ints, latency_ns: Ints) -> Mask:
    """Whether a latency is more than one bucket from its place."""
    return (latency_ns <= AT_LEAST[place]) | (latency_ns > AT_MOST[place])
