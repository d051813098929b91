"""A report's columns as checked arrays.

In: columns as they came, and what was planned. Out: a Batch whose every number is plausible, or Inconsistent with a word that
can be counted. Thousands of entries cost a few dozen array operations and never an object each, and columns are views of what
came wherever they can be. All counts are integers, so there is no NaN to refuse; what could overflow is bounded before it is
multiplied or added.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.matrix.batch import LOCAL_FROM, Batch, Inconsistent, Planned
from collector.matrix.bounds import (
    AT_LEAST,
    AT_MOST,
    KNOWN_MEASURES,
    KNOWN_OUTCOMES,
    LONGEST_NS,
    MAX_COUNT,
    MAX_VALUE,
    MILLISECOND,
    SECOND,
    SECOND_MS,
    believed,
    bursts,
)
from collector.matrix.histograms import Ids, Ints, Mask, places, summed
from collector.matrix.plain import NUMBERS, Latencies, plain
from wire.histogram import BUCKETS, FIRST_BUCKET
from wire.outcome import Outcome
from wire.report import MAX_ENTRIES, Columns
from wire.window import BURSTS, Measure

Counts = NDArray[Any]
"""As they came, unsigned and of 32 bits: the sum of two that are believed overflows nowhere."""

_KNOWN_MEASURES: Final = bytes(Measure)
_BURSTS: Final = bytes(BURSTS)
_MANY: Final = 1024
_GAPS: Final = 8
"""A report of so many windows has nearly all that is planned: with few gaps, to go along takes less than to look up."""
_ALL: Final = np.ones(MAX_ENTRIES, np.bool_)
_ALL.flags.writeable = False
_ZEROS: Final = np.zeros(MAX_ENTRIES, np.int64)
_ZEROS.flags.writeable = False  # batches share them


class _Outcomes(NamedTuple):
    entry: Ints
    code: NDArray[np.uint8]
    counts: Counts
    strange: int
    """Those left out since this version does not know their code."""


_NO_OUTCOMES: Final = _Outcomes(_ZEROS[:0], np.zeros(0, np.uint8), np.zeros(0, np.uint32), 0)


def _refuse_if(wrong: np.bool_ | bool, reason: str, explanation: str) -> None:  # noqa: FBT001 - it is the subject
    if wrong:
        raise Inconsistent(reason, explanation)


def _refuse_where(wrong: Mask, reason: str, explanation: str) -> None:
    if wrong.any():
        raise Inconsistent(reason, explanation)


def read(columns: Columns, *, span_ns: int, planned: Planned) -> Batch:
    """The columns of a report over `span_ns`, checked against themselves and the plan. Raises Inconsistent."""
    number, there = _found(np.frombuffer(columns.path, "<u8"), planned)
    received, late = _counts(columns.received, "received"), _counts(columns.late, "late")
    failed = local = _ZEROS[: len(number)]
    entry, code, count, strange = _NO_OUTCOMES
    if columns.outcome_entry:
        entry, code, count, strange = _outcomes(columns, len(number))
        ours = code >= LOCAL_FROM
        failed, local = (_sums(entry, count, which, len(number)) for which in (~ours, ours))
    # Most reports say neither, and bytes are looked through faster than an array.
    sent = received + late + failed if columns.outcome_entry or columns.late.strip(b"\0") else received
    _refuse_absurd(sent, local, number, there, planned=planned, span_ns=span_ns)
    latencies = plain(columns, received)
    if latencies is None:
        _refuse_slow(np.frombuffer(columns.max_ns, "<u8"), number, there, planned)
        latencies = closely(columns, received)
    measure_entry, measure_code, measure_value, unheard = _measures(columns, len(number))
    if len(columns.measure_code.translate(None, _BURSTS)) < len(columns.measure_code):
        _refuse_bursts(measure_entry, measure_code, measure_value, len(number), span_ns=span_ns)
    batch = Batch(
        cell=number,
        received=received,
        late=late,
        failed=failed,
        local=local,
        sum_ns=latencies.sum_ns,
        min_ns=latencies.min_ns,
        max_ns=latencies.max_ns,
        timed=np.frombuffer(columns.timed, "u1"),
        flags=np.frombuffer(columns.flags, "u1"),
        outcome_entry=entry,
        outcome_code=code,
        outcome_count=count,
        latency_entry=latencies.entry,
        latency_place=latencies.place,
        latency_count=latencies.counts,
        measure_entry=measure_entry,
        measure_code=measure_code,
        measure_value=measure_value,
        unknown_codes=strange + unheard,
    )
    return batch if there is None else _only(batch, there)


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


def _counts(column: bytes, name: str) -> Counts:
    counts = np.frombuffer(column, "<u4")
    _refuse_if(counts.max(initial=0) > MAX_COUNT, "absurd", f"more than {MAX_COUNT} {name} in one window")
    return counts


def _places(column: bytes, entries: int) -> Ints:
    entry = np.frombuffer(column, "<u4")
    _refuse_if(entry.max(initial=0) >= max(entries, 1), "index", "a sparse column names an entry that is not there")
    return entry.astype(np.int64)


def _outcomes(columns: Columns, entries: int) -> "_Outcomes":
    """Failures by word."""
    entry, count = _places(columns.outcome_entry, entries), _counts(columns.outcome_count, "outcomes")
    code = np.frombuffer(columns.outcome_code, "u1")
    _refuse_where(code == int(Outcome.LATE), "outcome", "late answers have a column of their own and are no failure besides")
    known = KNOWN_OUTCOMES[code]
    some = known & (count > 0)
    return _Outcomes(entry[some], code[some], count[some], int(np.count_nonzero(~known)))


def _measures(columns: Columns, entries: int) -> tuple[Ints, NDArray[np.uint8], Ints, int]:
    """Measures as (entry, code, value), and how many were left out since this version does not know their code."""
    entry, value = _places(columns.measure_entry, entries), np.frombuffer(columns.measure_value, "<u8")
    _refuse_if(value.max(initial=0) > MAX_VALUE, "absurd", "a measure is too large to be true")
    code = np.frombuffer(columns.measure_code, "u1")
    strange = len(columns.measure_code.translate(None, _KNOWN_MEASURES))
    if strange:
        known = KNOWN_MEASURES[code]
        entry, code, value = entry[known], code[known], value[known]
    return entry, code, value.view(np.int64), strange


def _refuse_bursts(entry: Ints, code: NDArray[np.uint8], value: Ints, entries: int, *, span_ns: int) -> None:
    """Bursts have no more probes than an agent may send in them, and lose no more than they have."""
    most = bursts(span_ns)
    counted = (code == Measure.BURST_SENT) | (code == Measure.BURST_LOST) | (code == Measure.BURST_REFUSED)
    _refuse_where(value[counted] > most, "absurd", "more probes in bursts than an agent sends")
    sent, lost, refused, total_ns = (
        np.bincount(entry[which], value[which], entries)
        for measure in (Measure.BURST_SENT, Measure.BURST_LOST, Measure.BURST_REFUSED, Measure.BURST_NS)
        for which in [code == measure]
    )
    _refuse_where(sent > most, "absurd", "more probes in bursts than an agent sends")
    _refuse_where((lost > sent) | (refused > lost), "bursts", "bursts lost more probes than they had")
    _refuse_where(total_ns > (sent - lost) * LONGEST_NS, "bursts", "longer latencies in bursts than anybody waits")


def _sums(entry: Ints, count: Counts, which: Mask, entries: int) -> Ints:
    """Of each entry the sum of some counts; what is read only where there are none."""
    if not which.any():
        return _ZEROS[:entries]
    sums = np.zeros(entries, np.int64)
    np.add.at(sums, entry[which], count[which])
    return sums


def _found(paths: Ids, planned: Planned) -> tuple[Ints, Mask | None]:
    """For each path its number in `planned`, and whether it is there; None where all are. No path occurs twice."""
    if len(paths) == len(planned.path) and (paths == planned.path).all():
        there: Mask = planned.present > 0
        return NUMBERS[: len(paths)], None if there.all() else there
    # Agents send in ascending order, which needs no sorting to be checked.
    _refuse_if(
        not (paths[1:] > paths[:-1]).all() and len(np.unique(paths)) != len(paths),
        "duplicate_path",
        "a path is reported twice in one report",
    )
    if not len(planned.path):
        return np.zeros(len(paths), np.int64), np.zeros(len(paths), np.bool_)
    number = _walked(paths, planned.path) if len(paths) >= _MANY else None
    if number is None:
        number = planned.path.searchsorted(paths)
        known: Mask = planned.path.take(number, mode="clip") == paths
    else:
        known = _ALL[: len(paths)]
    if known.all():
        there = planned.present.take(number) > 0
        return number, None if there.all() else there
    number = np.minimum(number, len(planned.path) - 1)
    return number, known & (planned.present[number] > 0)


def _walked(paths: Ids, planned: Ids) -> Ints | None:
    """For each path its number, found by going along both; None where one is not planned, or there are many gaps."""
    number = np.empty(len(paths), np.int64)
    at = place = 0
    for _ in range(_GAPS):
        most = min(len(paths) - at, len(planned) - place)
        differs = paths[at : at + most] != planned[place : place + most]
        run = int(differs.argmax()) if differs.any() else most
        number[at : at + run] = NUMBERS[place : place + run]
        at, place = at + run, place + run
        if at == len(paths):
            return number
        place += int(planned[place:].searchsorted(paths[at]))
        if place == len(planned) or planned[place] != paths[at]:
            return None
    return None


def _refuse_absurd(
    sent: NDArray[Any], local: Ints, number: Ints, there: Mask | None, *, planned: Planned, span_ns: int
) -> None:
    """More probes than twice the schedule and the confirmation bursts allow were never sent.

    One second between probes is always believed, since an older plan may have had it.
    """
    _refuse_if(local.max(initial=0) > MAX_COUNT, "absurd", f"more than {MAX_COUNT} local failures in one window")
    if sent.max(initial=0) <= believed(span_ns):
        return
    shortest_ms = np.clip(_of_planned(planned.shortest_ms, number, there, SECOND_MS), 1, SECOND_MS)
    most = 2 * (span_ns // MILLISECOND // shortest_ms) + bursts(span_ns)
    _refuse_where(sent > most, "absurd", "more probes than the plan and the span allow")


def _refuse_slow(high: Ids, number: Ints, there: Mask | None, planned: Planned) -> None:
    """Nobody waits much longer than the waiting time; for that of an unknown path, all that may be."""
    if high.max(initial=0) <= SECOND:
        return
    longest_ms = _of_planned(planned.longest_ms, number, there, 60 * SECOND_MS)
    _refuse_where(
        high > (2 * MILLISECOND * longest_ms + SECOND).astype(np.uint64), "absurd", "a latency is far beyond the waiting time"
    )


def _of_planned(column: NDArray[Any], number: Ints, there: Mask | None, unknown: int) -> Ints:
    """What a column of the plan says of each entry."""
    known = slice(None) if there is None else there
    result = np.full(len(number), unknown)
    result[known] = column[number[known]]
    return result


def closely(columns: Columns, received: Counts) -> Latencies:
    """The latencies of any entries, consistent with each other, and with the histogram to a bucket. Raises Inconsistent."""
    entry, place, count = _histogram(columns, received)
    unsigned = [np.frombuffer(column, "<u8") for column in (columns.sum_ns, columns.min_ns, columns.max_ns)]
    for column, name in zip(unsigned, ("sum of latencies", "latency", "latency"), strict=True):
        _refuse_if(column.max(initial=0) > MAX_VALUE, "absurd", f"a {name} is too large to be true")
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
    return Latencies(total, low, high, entry, place, count)


def _histogram(columns: Columns, received: Counts) -> tuple[Ints, Ints, Counts]:
    """The latency histograms as (entry, place, count), ascending."""
    entry = _places(columns.latency_entry, len(received))
    bucket = np.frombuffer(columns.latency_bucket, "<i2")
    if len(bucket):
        exists = bucket.min() >= FIRST_BUCKET and bucket.max() < FIRST_BUCKET + BUCKETS
        _refuse_if(not exists, "bucket", "a latency is in a bucket that does not exist")
    place = bucket.astype(np.int64) - FIRST_BUCKET
    count = _counts(columns.latency_count, "latencies")
    together = _sums(entry, count, np.ones(len(entry), np.bool_), len(received))
    _refuse_if(not np.array_equal(together, received), "histogram", "latencies do not add up to received")
    keys = entry * BUCKETS + place
    if (keys[1:] > keys[:-1]).all() and count.all():
        return entry, place, count
    keys, sums = summed(keys, count)
    return *places(keys), sums


def _apart(place: Ints, latency_ns: Ints) -> Mask:
    """Whether a latency is more than one bucket from its place."""
    return (latency_ns <= AT_LEAST[place]) | (latency_ns > AT_MOST[place])
