"""A report's columns as checked arrays.

In: columns as they came, and what was planned. Out: a Batch whose every number is plausible, or Inconsistent with a word that
can be counted. Thousands of entries cost a few dozen array operations and never an object each. All counts are integers, so
there is no NaN to refuse; what could overflow is bounded before it is multiplied or added.
"""

from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from collector.matrix.histograms import UPPER, Ids, Ints, Mask, places, summed
from wire.histogram import BUCKETS, FIRST_BUCKET
from wire.outcome import Outcome
from wire.report import Columns
from wire.window import FactName, Flag, Measure

MAX_COUNT: Final = 2**31 - 1
"""More than this of anything in one window is absurd."""
MAX_VALUE: Final = 2**53
"""Largest measure that is believed; sums of them stay exact and far from an overflow."""
SECOND: Final = 1_000_000_000
SECOND_MS: Final = 1000
MILLISECOND: Final = 1_000_000

LOCAL_FROM: Final = int(Outcome.NO_FD)
_KNOWN_OUTCOMES: Final = np.isin(np.arange(256), [int(outcome) for outcome in Outcome])
_KNOWN_MEASURES: Final = np.isin(np.arange(256), [int(measure) for measure in Measure])

_AT_LEAST: Final = np.concatenate(([-1.0, -1.0], UPPER[:-2]))
_AT_MOST: Final = np.concatenate((UPPER[1:-1], [np.inf, np.inf]))
"""Of each place, the upper bounds two places below and one above: between them are the latencies of it and its neighbours."""

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
    """What one vantage may report: the cells of its row, in ascending order of `path`. All arrays are of one length."""

    path: Ids
    present: Mask
    """False for one that is there no more."""
    shortest_ms: NDArray[Any]
    """Shortest interval that the path was ever planned with, at most a second."""
    longest_ms: NDArray[Any]
    """Longest waiting time that the path was ever planned with."""


NOTHING: Final = Planned(np.zeros(0, np.uint64), np.zeros(0, np.bool_), np.zeros(0, np.uint16), np.zeros(0, np.uint16))


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of one report as columns; the sparse ones name an entry, that is a place in the dense ones."""

    cell: Ints
    """Place in the row."""
    received: Ints
    late: Ints
    failed: Ints
    """Sum over the words of the network."""
    local: Ints
    """Sum over our own words."""
    sum_ns: Ints
    min_ns: Ints
    max_ns: Ints
    timed: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    outcome_entry: Ints
    outcome_code: NDArray[np.uint8]
    outcome_count: Ints
    latency_entry: Ints
    """Ascending, and of one entry by place."""
    latency_place: Ints
    """Bucket minus FIRST_BUCKET."""
    latency_count: Ints
    measure_entry: Ints
    measure_code: NDArray[np.uint8]
    measure_value: Ints
    facts: tuple[tuple[int, FactName, str], ...]
    """(entry, name, text)."""
    unknown_paths: int = 0
    """Entries left out since their path is not known here."""
    unknown_codes: int = 0
    """Outcomes and measures left out since this version does not know their code."""

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.cell)

    @property
    def good(self) -> Mask:
        """Entries that are believed; the others are set aside and enter no sum."""
        aside: Mask = (self.flags & int(Flag.UNCONFIRMED | Flag.ILL)) != 0
        return ~aside


def _refuse_where(wrong: Mask | np.bool_ | bool, reason: str, explanation: str) -> None:  # noqa: FBT001 - it is the subject
    if wrong if isinstance(wrong, bool) else wrong.any():
        raise Inconsistent(reason, explanation)


def read(columns: Columns, *, span_ns: int, planned: Planned) -> Batch:
    """The columns of a report over `span_ns`, checked against themselves and the plan. Raises Inconsistent."""
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
    known = _KNOWN_OUTCOMES[outcome_code]
    failed = _sums(outcome_entry[known & ~is_local], outcome_count[known & ~is_local], entries)
    local = _sums(outcome_entry[known & is_local], outcome_count[known & is_local], entries)

    number, there = _found(paths, planned)
    whole = bool(there.all())
    shortest_ms, longest_ms = _limits(number, there, planned)
    _refuse_absurd(received + late + failed, local, shortest_ms, span_ns)
    latency_keys, latency_count = _histogram(columns, received)
    total, low, high = _latencies(columns, received, latency_keys, longest_ms)

    measure_entry = _places(columns.measure_entry, entries)
    measure_code, measure_value = np.frombuffer(columns.measure_code, "u1"), np.frombuffer(columns.measure_value, "<u8")
    _refuse_where(measure_value > MAX_VALUE, "absurd", "a measure is too large to be true")

    outcomes = known & there[outcome_entry] & (outcome_count > 0)
    measures = _KNOWN_MEASURES[measure_code] & there[measure_entry]
    latency_entry, latency_place = places(latency_keys)
    latencies = there[latency_entry]
    place = np.cumsum(there) - 1  # of an entry among those that stay

    def kept(column: "NDArray[_T]") -> "NDArray[_T]":
        return column if whole else column[there]

    return Batch(
        cell=kept(number),
        received=kept(received),
        late=kept(late),
        failed=kept(failed),
        local=kept(local),
        sum_ns=kept(total),
        min_ns=kept(low),
        max_ns=kept(high),
        timed=kept(np.frombuffer(columns.timed, "u1")),
        flags=kept(np.frombuffer(columns.flags, "u1")),
        outcome_entry=place[outcome_entry[outcomes]],
        outcome_code=outcome_code[outcomes],
        outcome_count=outcome_count[outcomes],
        latency_entry=latency_entry if whole else place[latency_entry[latencies]],
        latency_place=latency_place if whole else latency_place[latencies],
        latency_count=latency_count if whole else latency_count[latencies],
        measure_entry=place[measure_entry[measures]],
        measure_code=measure_code[measures],
        measure_value=measure_value[measures].astype(np.int64),
        facts=tuple(
            (int(place[entry]), FactName(name), text)
            for entry, name, text in columns.facts
            if there[entry] and name in FactName.__members__.values()
        ),
        unknown_paths=int(entries - np.count_nonzero(there)),
        unknown_codes=int(np.count_nonzero(~known) + np.count_nonzero(~_KNOWN_MEASURES[measure_code])),
    )


_T = TypeVar("_T", bound=np.generic)


def _counts(column: bytes, name: str) -> Ints:
    counts = np.frombuffer(column, "<u4").astype(np.int64)
    _refuse_where(counts > MAX_COUNT, "absurd", f"more than {MAX_COUNT} {name} in one window")
    return counts


def _places(column: bytes, entries: int) -> Ints:
    places = np.frombuffer(column, "<u4").astype(np.int64)
    _refuse_where(places >= entries, "index", "a sparse column names an entry that is not there")
    return places


def _sums(entry: Ints, count: Ints, entries: int) -> Ints:
    """Weights of bincount are floats, and exact: far fewer counts than 2^22 are below 2^31 each."""
    return np.bincount(entry, weights=count, minlength=entries).astype(np.int64)


def _found(paths: Ids, planned: Planned) -> tuple[Ints, Mask]:
    """For each path its number in `planned`, and whether it is there at all."""
    if not len(planned.path):
        return np.zeros(len(paths), np.int64), np.zeros(len(paths), np.bool_)
    if np.array_equal(paths, planned.path):
        return np.arange(len(paths)), planned.present
    number = np.minimum(np.searchsorted(planned.path, paths), len(planned.path) - 1)
    return number, (planned.path[number] == paths) & planned.present[number]


def _limits(number: Ints, there: Mask, planned: Planned) -> tuple[Ints, Ints]:
    """Shortest plausible interval and longest waiting time of each entry in milliseconds.

    One second between probes is always believed, since an older plan may have had it; of an unknown path, all that may be.
    """
    if not len(planned.path):
        return np.full(len(number), SECOND_MS), np.full(len(number), 60 * SECOND_MS)
    shortest = np.where(there, planned.shortest_ms[number], SECOND_MS).astype(np.int64)
    return np.maximum(shortest, 1), np.where(there, planned.longest_ms[number], 60 * SECOND_MS).astype(np.int64)


def _refuse_absurd(sent: Ints, local: Ints, shortest_ms: Ints, span_ns: int) -> None:
    """More probes than twice the schedule and the confirmation bursts allow were never sent."""
    bursts = 20 * (2 + span_ns // (60 * SECOND))
    most = 2 * (span_ns // MILLISECOND // shortest_ms) + bursts
    _refuse_where(sent > most, "absurd", "more probes than the plan and the span allow")
    _refuse_where(local > MAX_COUNT, "absurd", f"more than {MAX_COUNT} local failures in one window")


def _histogram(columns: Columns, received: Ints) -> tuple[Ints, Ints]:
    """The latency histogram as ascending keys (entry * BUCKETS + place) and counts."""
    entry = _places(columns.latency_entry, len(received))
    place = np.frombuffer(columns.latency_bucket, "<i2").astype(np.int64) - FIRST_BUCKET
    count = _counts(columns.latency_count, "latencies")
    _refuse_where((place < 0) | (place >= BUCKETS), "bucket", "a latency is in a bucket that does not exist")
    _refuse_where(_sums(entry, count, len(received)) != received, "histogram", "latencies do not add up to received")
    keys = entry * BUCKETS + place
    if (keys[1:] > keys[:-1]).all() and count.all():
        return keys, count
    return summed(keys, count)


def _latencies(columns: Columns, received: Ints, keys: Ints, longest_ms: Ints) -> tuple[Ints, Ints, Ints]:
    """Sum, minimum and maximum, consistent with each other, with the histogram to a bucket, and with the waiting time."""
    unsigned = [np.frombuffer(column, "<u8") for column in (columns.sum_ns, columns.min_ns, columns.max_ns)]
    _refuse_where(unsigned[0] > MAX_VALUE, "absurd", "a sum of latencies is too large to be true")
    _refuse_where((unsigned[1] | unsigned[2]) > MAX_VALUE, "absurd", "a latency is too large to be true")
    total, low, high = (column.astype(np.int64) for column in unsigned)
    _refuse_where(high > 2 * MILLISECOND * longest_ms + SECOND, "absurd", "a latency is far beyond the waiting time")
    some = received > 0
    _refuse_where((total | low | high)[~some] > 0, "latency", "latencies without an answer")
    # Dividing instead of multiplying: a product could overflow.
    answers = np.maximum(received, 1)
    mean = total // answers
    rest = total - mean * answers > 0
    _refuse_where(some & ((mean < low) | (mean + rest > high)), "latency", "the mean latency is not between lowest and highest")
    if len(keys):
        # Keys ascend, and every entry that received anything has one, so first and last of an entry are its ends.
        entry, place = places(keys)
        first = np.concatenate(([True], entry[1:] != entry[:-1]))
        last = np.concatenate((first[1:], [True]))
        off = _apart(place[first], low[some]) | _apart(place[last], high[some])
        _refuse_where(off, "bucket", "the histogram contradicts the lowest or the highest latency")
    return total, low, high


def _apart(place: Ints, latency_ns: Ints) -> Mask:
    """Whether a latency is more than one bucket from its place."""
    return (latency_ns <= _AT_LEAST[place]) | (latency_ns > _AT_MOST[place])
