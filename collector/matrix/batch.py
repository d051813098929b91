"""A report's columns as checked arrays.

In: columns as they came, and what was planned. Out: a Batch whose every number is plausible, or Inconsistent with a word that
can be counted. Thousands of entries cost a few dozen array operations and never an object each. All counts are integers, so
there is no NaN to refuse; what could overflow is bounded before it is multiplied or added.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from collector.matrix.histograms import Ids, Ints, Mask, places_of, summed
from wire.histogram import BUCKETS, FIRST_BUCKET
from wire.outcome import Outcome
from wire.report import Columns
from wire.window import FactName, Measure

MAX_COUNT: Final = 2**31 - 1
"""More than this of anything in one window is absurd."""
MAX_VALUE: Final = 2**53
"""Largest measure that is believed; sums of them stay exact and far from an overflow."""
SECOND: Final = 1_000_000_000

Small = NDArray[np.int32]
"""Counts and places, at most MAX_COUNT."""

LOCAL_FROM: Final = int(Outcome.NO_FD)
_KNOWN_OUTCOMES: Final = np.isin(np.arange(256), [int(outcome) for outcome in Outcome])
_KNOWN_MEASURES: Final = np.isin(np.arange(256), [int(measure) for measure in Measure])

REASONS: Final = ("index", "duplicate_path", "histogram", "latency", "bucket", "outcome", "absurd")
"""Every word that Inconsistent may carry."""


class Inconsistent(ValueError):  # noqa: N818 - says what the report is
    """A report that contradicts itself or what is possible. `reason` is one of REASONS; nothing of it is kept."""

    def __init__(self, reason: str, explanation: str) -> None:
        """Keep the reason for the counter and the explanation for the answer."""
        super().__init__(explanation)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Planned:
    """What one vantage may report. All arrays are of one length, in ascending order of `path`."""

    path: Ids
    cell: Ints
    """Number of the path's cell in the matrix."""
    interval_ns: Ints
    """Shortest interval that the path was ever planned with."""
    timeout_ns: Ints
    """Longest waiting time that the path was ever planned with."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of one report as columns; the sparse ones name an entry, that is a place in the dense ones."""

    cell: Small
    received: Small
    late: Small
    failed: Small
    """Sum over the words of the network."""
    local: Small
    """Sum over our own words."""
    sum_ns: Ints
    min_ns: Ints
    max_ns: Ints
    timed: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    outcome_entry: Small
    outcome_code: NDArray[np.uint8]
    outcome_count: Small
    latency_entry: Small
    latency_place: NDArray[np.uint8]
    """Bucket minus FIRST_BUCKET."""
    latency_count: Small
    measure_entry: Small
    measure_code: NDArray[np.uint8]
    measure_value: Ints
    facts: tuple[tuple[int, FactName, str], ...]
    """(cell, name, text)."""
    unknown_paths: int = 0
    """Entries left out since their path is not known here."""
    unknown_codes: int = 0
    """Outcomes and measures left out since this version does not know their code."""

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.cell)

    @property
    def nbytes(self) -> int:
        """Bytes that it occupies, the overhead of its two dozen objects included."""
        arrays = (getattr(self, name) for name in self.__slots__)
        texts = sum(200 + len(text) for _, _, text in self.facts)
        return 3000 + texts + sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def _refuse_where(wrong: Mask | bool, reason: str, explanation: str) -> None:  # noqa: FBT001 - it is the subject
    if np.any(wrong):
        raise Inconsistent(reason, explanation)


def read(columns: Columns, *, span_ns: int, planned: Planned) -> Batch:
    """The columns of a report over `span_ns`, checked against themselves and the plan. Raises Inconsistent."""
    paths = np.frombuffer(columns.path, "<u8")
    entries = len(paths)
    _refuse_where(len(np.unique(paths)) != entries, "duplicate_path", "a path is reported twice in one report")
    received, late = _counts(columns.received, "received"), _counts(columns.late, "late")

    outcome_entry = _places(columns.outcome_entry, entries)
    outcome_code, outcome_count = np.frombuffer(columns.outcome_code, "u1"), _counts(columns.outcome_count, "outcomes")
    late_code = outcome_code == int(Outcome.LATE)
    _refuse_where(late_code, "outcome", "late answers have a column of their own and are no failure besides")
    is_local = outcome_code >= LOCAL_FROM
    known = _KNOWN_OUTCOMES[outcome_code]
    failed = _sums(outcome_entry[known & ~is_local], outcome_count[known & ~is_local], entries)
    local = _sums(outcome_entry[known & is_local], outcome_count[known & is_local], entries)

    number, there = _found(paths, planned)
    _refuse_absurd(received + late + failed, local, _intervals(number, there, planned), span_ns)
    latency_keys, latency_count = _histogram(columns, received)
    total, low, high = _latencies(columns, received, latency_keys, _timeouts(number, there, planned))

    measure_entry = _places(columns.measure_entry, entries)
    measure_code, measure_value = np.frombuffer(columns.measure_code, "u1"), np.frombuffer(columns.measure_value, "<u8")
    _refuse_where(measure_value > MAX_VALUE, "absurd", "a measure is too large to be true")

    place = np.cumsum(there) - 1  # of an entry among those that stay
    outcomes = known & there[outcome_entry] & (outcome_count > 0)
    latencies = there[latency_keys // BUCKETS]
    measures = _KNOWN_MEASURES[measure_code] & there[measure_entry]
    cells = planned.cell[number[there]]
    return Batch(
        cell=cells.astype(np.int32),
        received=received[there].astype(np.int32),
        late=late[there].astype(np.int32),
        failed=failed[there].astype(np.int32),
        local=local[there].astype(np.int32),
        sum_ns=total[there],
        min_ns=low[there],
        max_ns=high[there],
        timed=np.frombuffer(columns.timed, "u1")[there],
        flags=np.frombuffer(columns.flags, "u1")[there],
        outcome_entry=place[outcome_entry[outcomes]].astype(np.int32),
        outcome_code=outcome_code[outcomes],
        outcome_count=outcome_count[outcomes].astype(np.int32),
        latency_entry=place[latency_keys[latencies] // BUCKETS].astype(np.int32),
        latency_place=(latency_keys[latencies] % BUCKETS).astype(np.uint8),
        latency_count=latency_count[latencies].astype(np.int32),
        measure_entry=place[measure_entry[measures]].astype(np.int32),
        measure_code=measure_code[measures],
        measure_value=measure_value[measures].astype(np.int64),
        facts=tuple(
            (int(cells[place[entry]]), FactName(name), text)
            for entry, name, text in columns.facts
            if there[entry] and name in FactName.__members__.values()
        ),
        unknown_paths=int(entries - np.count_nonzero(there)),
        unknown_codes=int(np.count_nonzero(~known) + np.count_nonzero(~_KNOWN_MEASURES[measure_code])),
    )


def _counts(column: bytes, name: str) -> Ints:
    counts = np.frombuffer(column, "<u4").astype(np.int64)
    _refuse_where(counts > MAX_COUNT, "absurd", f"more than {MAX_COUNT} {name} in one window")
    return counts


def _places(column: bytes, entries: int) -> Ints:
    places = np.frombuffer(column, "<u4").astype(np.int64)
    _refuse_where(places >= entries, "index", "a sparse column names an entry that is not there")
    return places


def _sums(entry: Ints, count: Ints, entries: int) -> Ints:
    sums = np.zeros(entries, np.int64)
    np.add.at(sums, entry, count)
    return sums


def _found(paths: Ids, planned: Planned) -> tuple[Ints, Mask]:
    """For each path its number in `planned`, and whether it is there at all."""
    if not len(planned.path):
        return np.zeros(len(paths), np.int64), np.zeros(len(paths), np.bool_)
    number = np.minimum(np.searchsorted(planned.path, paths), len(planned.path) - 1)
    return number, planned.path[number] == paths


def _intervals(number: Ints, there: Mask, planned: Planned) -> Ints:
    """Shortest plausible interval of each entry; one second is always believed, since an older plan may have had it."""
    intervals = np.full(len(number), SECOND, np.int64)
    intervals[there] = np.minimum(SECOND, planned.interval_ns[number[there]])
    return intervals


def _timeouts(number: Ints, there: Mask, planned: Planned) -> Ints:
    """Waiting time of each entry, the longest that a plan may have where the path is not known."""
    timeouts = np.full(len(number), 60 * SECOND, np.int64)
    timeouts[there] = planned.timeout_ns[number[there]]
    return timeouts


def _refuse_absurd(sent: Ints, local: Ints, intervals: Ints, span_ns: int) -> None:
    """More probes than twice the schedule and the confirmation bursts allow were never sent."""
    bursts = 20 * (2 + span_ns // (60 * SECOND))
    _refuse_where(sent > 2 * (span_ns // intervals) + bursts, "absurd", "more probes than the plan and the span allow")
    _refuse_where(local > MAX_COUNT, "absurd", f"more than {MAX_COUNT} local failures in one window")


def _histogram(columns: Columns, received: Ints) -> tuple[Ints, Ints]:
    """The latency histogram as ascending keys (entry * BUCKETS + place) and counts."""
    entry = _places(columns.latency_entry, len(received))
    place = np.frombuffer(columns.latency_bucket, "<i2").astype(np.int64) - FIRST_BUCKET
    count = _counts(columns.latency_count, "latencies")
    _refuse_where((place < 0) | (place >= BUCKETS), "bucket", "a latency is in a bucket that does not exist")
    _refuse_where(_sums(entry, count, len(received)) != received, "histogram", "latencies do not add up to received")
    return summed(entry * BUCKETS + place, count)


def _latencies(columns: Columns, received: Ints, keys: Ints, timeouts: Ints) -> tuple[Ints, Ints, Ints]:
    """Sum, minimum and maximum, consistent with each other, with the histogram to a bucket, and with the waiting time."""
    total, low, high = (np.frombuffer(column, "<u8") for column in (columns.sum_ns, columns.min_ns, columns.max_ns))
    _refuse_where(high > (2 * timeouts + SECOND).astype(np.uint64), "absurd", "a latency is far beyond the waiting time")
    _refuse_where(total > MAX_VALUE, "absurd", "a sum of latencies is too large to be true")
    some = received > 0
    _refuse_where((total | low | high)[~some] > 0, "latency", "latencies without an answer")
    # Dividing instead of multiplying: a product could overflow.
    quotient, rest = np.divmod(total[some], received[some].astype(np.uint64))
    mean_out_of_range = (quotient < low[some]) | (quotient + (rest > 0) > high[some])
    _refuse_where(mean_out_of_range, "latency", "the mean latency is not between the lowest and the highest")
    if len(keys):
        # Keys ascend, and every entry that received anything has one, so first and last of an entry are its ends.
        entry, place = keys // BUCKETS, keys % BUCKETS
        first = np.concatenate(([True], entry[1:] != entry[:-1]))
        last = np.concatenate((first[1:], [True]))
        off = (np.abs(place[first] - places_of(low[some])) > 1) | (np.abs(place[last] - places_of(high[some])) > 1)
        _refuse_where(off, "bucket", "the histogram contradicts the lowest or the highest latency")
    return total.astype(np.int64), low.astype(np.int64), high.astype(np.int64)
