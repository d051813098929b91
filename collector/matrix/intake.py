"""How checked reports enter the matrix: sums since the start, the newest of every cell, and one step of time.

Reports wait for each other, since most of what one costs is the same for many together: those of one slab and step are one
batch here, in which every row occurs once. Windows that are flagged as unconfirmed or ill are set aside: they are counted as
such and enter no sum.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.matrix import slab as cells
from collector.matrix.batch import LOCAL_FROM, Batch, joined
from collector.matrix.histograms import Ints, Mask
from collector.matrix.slab import MOST, Slab
from collector.matrix.sparse import CELL, CODE, ILL, MEASURE, MORE_LOST, MORE_SENT, THROUGH, UNCONFIRMED
from collector.matrix.table import Row
from wire.outcome import Outcome
from wire.window import Flag

Where = slice | Ints
Ints32 = NDArray[np.int32]


class Most(NamedTuple):
    """Sparse counts that a row may hold."""

    latencies: int
    words: int
    totals: int


class Taken(NamedTuple):
    """A checked report on its way into a row."""

    row: Row
    batch: Batch
    end_ns: int
    step: int
    """Number of the step of time that it counts in."""
    slot: int
    """Where slabs have that step; -1 where it is not kept."""
    counted: bool
    """Whether exported counters have yet to hear of it."""


MAX_LAST: Final = 65_535
NO_LATENCY_NS: Final = np.inf
_NOTHING: Final = (np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64))


def enter(
    taken: Sequence[Taken], *, oldest: int, most: Most, left_out: Callable[[Ints32, Ints32], Mask | None]
) -> tuple[Batch, Mask | None]:
    """Add reports of distinct rows of one slab and of one step to it; what they are together, by place in the slab.

    `oldest` is the first step that is kept, `most` what a row may hold, and `left_out` says of rows and aims which of them
    exported counters do not hear of, as is returned too.
    """
    slab, step, slot = taken[0].row.slab, taken[0].step, taken[0].slot
    sizes = [len(one.batch) for one in taken]
    if len(taken) == 1:
        in_row = taken[0].batch.cell
        place = in_row + taken[0].row.room.start
    else:
        in_row = np.concatenate([one.batch.cell for one in taken])
        place = in_row + np.repeat([one.row.room.start for one in taken], sizes)
    batch = joined([one.batch for one in taken], cell=place)
    end_ns = np.repeat([one.end_ns for one in taken], sizes)
    at: Where = place
    if len(place) and place[-1] - place[0] == len(place) - 1 and bool((place[1:] > place[:-1]).all()):
        at = slice(int(place[0]), int(place[-1]) + 1)  # consecutive places take a fraction of the time
    good = batch.good
    all_good = bool(good.all())
    lost = batch.late + batch.failed
    sent = batch.received + lost
    words = _words(batch, good, sent)
    if not all_good:
        lost, sent = np.where(good, lost, 0), np.where(good, sent, 0)
    received = sent - lost
    _add_totals(slab, at, batch, received, lost)
    aside = left_out(slab.row[at], slab.aim[at]) if taken[0].counted else None
    if taken[0].counted:
        told = good if aside is None else good & ~aside
        columns = (received, lost, batch.sum_ns)
        _add_untold(slab, at, *(columns if aside is None and all_good else (np.where(told, one, 0) for one in columns)))
    _take_newest(slab, at, batch, sent, lost, end_ns=end_ns)
    number = np.repeat(np.arange(len(taken), dtype=np.uint16), sizes) if len(taken) > 1 else None
    counts = _of_rows(number, in_row, *words)
    for one, keys, values in _shared_out(counts):
        taken[one].row.totals.add(keys, values, most=most.totals)
    if slot >= 0:
        rare = [counts.where((counts.keys & CODE) != THROUGH)]
        for column, count, code in ((slab.step_sent[slot], sent, MORE_SENT), (slab.step_lost[slot], lost, MORE_LOST)):
            rare.append(_of_rows(number, in_row, *_add_step(column, at, count, code)))
        for one, keys, values in chain.from_iterable(map(_shared_out, rare)):
            taken[one].row.words.add(step, keys, values, oldest=oldest, most=most.words)
        others = _of_rows(number, in_row, *_add_places(slab.step_place[slot], at, batch, good))
        for one, keys, values in _shared_out(others):
            taken[one].row.latencies.add(step, keys, values, oldest=oldest, most=most.latencies)
    return batch, aside


class _Counts(NamedTuple):
    """Sparse counts by key of cell and code in the row, and the number of the report of each: None where there is one."""

    keys: Ints
    values: Ints
    report: NDArray[np.uint16] | None

    def where(self, wanted: Mask) -> "_Counts":
        """Some of them."""
        which = np.flatnonzero(wanted)
        if len(which) == len(self.keys):
            return self
        return _Counts(self.keys.take(which), self.values.take(which), None if self.report is None else self.report.take(which))


def _of_rows(number: NDArray[np.uint16] | None, in_row: Ints, entry: Ints, code: Ints, value: Ints) -> _Counts:
    return _Counts((in_row.take(entry) << CELL) | code, value, None if number is None else number.take(entry))


def _shared_out(counts: _Counts) -> Iterator[tuple[int, Ints, Ints]]:
    """Sparse counts by the report that they are of: its number, their keys and values in the order given."""
    keys, value, report = counts
    if not len(keys):
        return
    if report is None:
        yield 0, keys, value
        return
    if (report[1:] < report[:-1]).any():
        order = np.argsort(report, kind="stable")
        keys, value, report = keys[order], value[order], report[order]
    ends = np.flatnonzero(report[1:] != report[:-1]) + 1
    bounds = [0, *ends.tolist(), len(report)]
    for one, start, end in zip(report[bounds[:-1]].tolist(), bounds, bounds[1:], strict=False):
        yield one, keys[start:end], value[start:end]


def _add_totals(slab: Slab, at: Where, batch: Batch, received: Ints, lost: Ints) -> None:
    """Add what counts; zero is what was set aside."""
    slab.received[at] += received.astype(np.uint32)
    if lost.any():
        slab.lost[at] += lost.astype(np.uint32)
    low, high = batch.min_ns, batch.max_ns
    timed = batch.timed
    if not received.all():
        some = received > 0
        low, high, timed = np.where(some, low, NO_LATENCY_NS), np.where(some, high, 0), np.where(some, timed, 0)
    slab.min_ns[at] = np.minimum(slab.min_ns[at], low.astype(np.float32))
    slab.max_ns[at] = np.maximum(slab.max_ns[at], high.astype(np.float32))
    slab.timed[at] |= timed


def _add_untold(slab: Slab, at: Where, received: Ints, lost: Ints, total_ns: Ints) -> None:
    """Add what exported counters are to hear of when they are asked for."""
    slab.untold_received[at] += received.astype(np.uint32)
    if lost.any():
        slab.untold_lost[at] += lost.astype(np.uint32)
    slab.untold_ns[at] += total_ns
    slab.is_told = False


def _take_newest(slab: Slab, at: Where, batch: Batch, sent: Ints, lost: Ints, *, end_ns: Ints) -> None:
    """Note the windows that are the newest of their cells; reports mostly come in order, and then all of them are."""
    why = (sent > 0).astype(np.uint8)  # which is cells.GOOD
    if batch.flags.any():
        ill = (batch.flags & Flag.ILL) != 0
        why |= np.where(batch.good, 0, np.where(ill, cells.ILL, cells.UNCONFIRMED)).astype(np.uint8)
        why |= np.where((batch.flags & Flag.NAT) != 0, cells.NAT, 0).astype(np.uint8)
    if batch.local.any():
        why |= np.where(batch.local > 0, cells.LOCAL, 0).astype(np.uint8)
    before = slab.any_ns[at]
    if (before < end_ns).all():
        slab.any_ns[at], slab.why[at] = end_ns, why
    else:
        known = slab.why[at]
        slab.why[at] = np.where(before < end_ns, why, np.where(before == end_ns, known | why, known))
        slab.any_ns[at] = np.maximum(before, end_ns)
    fresh = (sent > 0) & (slab.good_ns[at] <= end_ns)
    last_sent, last_lost = np.minimum(sent, MAX_LAST), np.minimum(lost, MAX_LAST)
    if fresh.all():
        slab.good_ns[at], slab.last_sent[at], slab.last_lost[at] = end_ns, last_sent, last_lost
    else:
        for column, value in ((slab.good_ns, end_ns), (slab.last_sent, last_sent), (slab.last_lost, last_lost)):
            column[at] = np.where(fresh, value, column[at])
    ours = batch.outcome_code >= LOCAL_FROM
    if ours.any():
        codes = slab.local_code[at]
        codes[batch.outcome_entry[ours]] = batch.outcome_code[ours]
        slab.local_code[at] = codes


def _words(batch: Batch, good: Mask, sent: Ints) -> tuple[Ints, Ints, Ints]:
    """(entry, code, value) of all that few windows have; a pair of entry and code may occur more than once."""
    parts = [(batch.measure_entry, batch.measure_code.astype(np.int64) + MEASURE, batch.measure_value)]
    if len(batch.outcome_entry):
        parts.append((batch.outcome_entry, batch.outcome_code.astype(np.int64), batch.outcome_count))
    if len(late := np.flatnonzero(batch.late)):
        parts.append((late, np.full(len(late), int(Outcome.LATE)), batch.late[late]))
    if not good.all():
        parts = [(entry[kept], code[kept], value[kept]) for entry, code, value in parts for kept in [good[entry]]]
        aside = np.flatnonzero(~good & (sent > 0))
        parts.append((aside, np.where((batch.flags[aside] & Flag.ILL) != 0, ILL, UNCONFIRMED), sent[aside]))
    if len(parts) == 1:
        return parts[0]
    entry, code, value = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    return entry, code, value


def _add_step(column: np.ndarray[tuple[int], np.dtype[np.uint8]], at: Where, count: Ints, code: int) -> tuple[Ints, Ints, Ints]:
    """Add counts to a step of time; what does not fit, as (entry, code, count)."""
    if not count.any():
        return _NOTHING
    together = column[at] + count
    column[at] = np.minimum(together, MOST)
    if int(together.max()) <= MOST:
        return _NOTHING
    entry = np.flatnonzero(together > MOST)
    return entry, np.full(len(entry), code), together[entry] - MOST


def _add_places(
    column: np.ndarray[tuple[int], np.dtype[np.uint8]], at: Where, batch: Batch, good: Mask
) -> tuple[Ints, Ints, Ints]:
    """Note the place of one probe of each cell that has none in this step yet; (entry, place, count) of all others."""
    if not len(batch.latency_entry):
        return batch.latency_entry, batch.latency_place, batch.latency_count
    entry, place, count = batch.latency_entry, batch.latency_place, batch.latency_count
    places = column[at]
    noted = good[entry] & (places[entry] == 0)
    noted[1:] &= entry[1:] != entry[:-1]  # the first of each entry
    if noted.all():
        places[entry] = place + 1
        column[at] = places
        rest = count - 1
        if not rest.any():
            return _NOTHING
    else:
        places[entry[noted]] = place[noted] + 1
        column[at] = places
        rest = count - noted
    more = good[entry] & (rest > 0)
    return entry[more], place[more], rest[more]
