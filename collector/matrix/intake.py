"""How a checked report enters a row: sums since the start, the newest of every cell, and one step of time.

Windows that are flagged as unconfirmed or ill are set aside: they are counted as such and enter no sum.
"""

from typing import Final, NamedTuple

import numpy as np

from collector.matrix import slab as cells
from collector.matrix.batch import LOCAL_FROM, Batch
from collector.matrix.histograms import Ints, Mask
from collector.matrix.slab import MOST, Slab
from collector.matrix.sparse import ILL, MEASURE, MORE_LOST, MORE_SENT, UNCONFIRMED
from collector.matrix.table import Row
from wire.outcome import Outcome
from wire.window import HIGHEST, Flag, Measure

Where = slice | Ints


class Most(NamedTuple):
    """Sparse counts that a row may hold."""

    latencies: int
    words: int
    totals: int


MAX_LAST: Final = 65_535
_HIGHEST: Final = [int(Measure(measure)) for measure in HIGHEST]


def take(row: Row, batch: Batch, *, end_ns: int, slot: int | None, step: int, oldest: int, most: Most) -> None:
    """Add a batch of windows that ended at `end_ns` to a row; to no step of time where `slot` is None."""
    slab, good = row.slab, batch.good
    at: Where = batch.cell + row.room.start
    if len(batch) == row.size and (len(batch) == 1 or bool((batch.cell[1:] > batch.cell[:-1]).all())):
        at = row.cells  # consecutive places take a fraction of the time
    sent = batch.received + batch.late + batch.failed
    lost = batch.late + batch.failed
    _add_totals(slab, at, batch, good, lost)
    _take_newest(slab, at, batch, sent, end_ns)
    entry, code, value = _words(batch, good, sent)
    row.totals.add(batch.cell[entry], code, value, most=most.totals)
    if slot is None:
        return
    passing = np.isin(code, [MEASURE + measure for measure in _HIGHEST], invert=True)
    entry, code, value = entry[passing], code[passing], value[passing]
    more = [
        _add_step(slab.step_sent[slot], at, np.where(good, sent, 0), MORE_SENT),
        _add_step(slab.step_lost[slot], at, np.where(good, lost, 0), MORE_LOST),
    ]
    entry, code, value = (np.concatenate(columns) for columns in zip((entry, code, value), *more, strict=True))
    row.words.add(step, batch.cell[entry], code, value, oldest=oldest, most=most.words)
    entry, place, count = _add_places(slab.step_place[slot], at, batch, good)
    row.latencies.add(step, batch.cell[entry], place, count, oldest=oldest, most=most.latencies)


def _add_totals(slab: Slab, at: Where, batch: Batch, good: Mask, lost: Ints) -> None:
    received = np.where(good, batch.received, 0)
    slab.received[at] += received.astype(np.uint32)
    slab.lost[at] += np.where(good, lost, 0).astype(np.uint32)
    some = received > 0
    slab.min_ns[at] = np.minimum(slab.min_ns[at], np.where(some, batch.min_ns, np.inf).astype(np.float32))
    slab.max_ns[at] = np.maximum(slab.max_ns[at], np.where(some, batch.max_ns, 0).astype(np.float32))
    slab.timed[at] |= np.where(good, batch.timed, 0).astype(np.uint8)


def _take_newest(slab: Slab, at: Where, batch: Batch, sent: Ints, end_ns: int) -> None:
    """Note the windows that are the newest of their cells."""
    good, lost = batch.good, sent - batch.received
    ill = (batch.flags & Flag.ILL) != 0
    why = np.where(good & (sent > 0), cells.GOOD, 0)
    why |= np.where(good, 0, np.where(ill, cells.ILL, cells.UNCONFIRMED)) | np.where(batch.local > 0, cells.LOCAL, 0)
    before = slab.any_ns[at]
    newer = before < end_ns
    slab.why[at] = np.where(newer, why, np.where(before == end_ns, slab.why[at] | why, slab.why[at])).astype(np.uint8)
    slab.any_ns[at] = np.maximum(before, end_ns)
    fresh = good & (sent > 0) & (slab.good_ns[at] <= end_ns)
    slab.good_ns[at] = np.where(fresh, end_ns, slab.good_ns[at])
    slab.last_sent[at] = np.where(fresh, np.minimum(sent, MAX_LAST), slab.last_sent[at]).astype(np.uint16)
    slab.last_lost[at] = np.where(fresh, np.minimum(lost, MAX_LAST), slab.last_lost[at]).astype(np.uint16)
    ours = batch.outcome_code >= LOCAL_FROM
    if ours.any():
        codes = slab.local_code[at]
        codes[batch.outcome_entry[ours]] = batch.outcome_code[ours]
        slab.local_code[at] = codes


def _words(batch: Batch, good: Mask, sent: Ints) -> tuple[Ints, Ints, Ints]:
    """(entry, code, value) of all that few windows have, each pair of entry and code once."""
    parts = []
    wanted = good[batch.outcome_entry]
    parts.append((batch.outcome_entry[wanted], batch.outcome_code[wanted].astype(np.int64), batch.outcome_count[wanted]))
    wanted = good[batch.measure_entry]
    parts.append(
        (batch.measure_entry[wanted], batch.measure_code[wanted].astype(np.int64) + MEASURE, batch.measure_value[wanted])
    )
    for which, code, count in (
        (good & (batch.late > 0), int(Outcome.LATE), batch.late),
        (~good & (sent > 0), -1, sent),
    ):
        if which.any():
            entry = np.flatnonzero(which)
            ill = (batch.flags[entry] & Flag.ILL) != 0
            parts.append((entry, np.full(len(entry), code) if code >= 0 else np.where(ill, ILL, UNCONFIRMED), count[entry]))
    return _once(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _once(entry: Ints, code: Ints, value: Ints) -> tuple[Ints, Ints, Ints]:
    """Equal pairs added up, as a sender may repeat them."""
    keys = (entry << 16) | code
    if (keys[1:] > keys[:-1]).all():
        return entry, code, value
    found, where = np.unique(keys, return_inverse=True)
    sums = np.zeros(len(found), np.int64)
    np.add.at(sums, where, value)
    return found >> 16, found & 0xFFFF, sums


def _add_step(column: np.ndarray[tuple[int], np.dtype[np.uint8]], at: Where, count: Ints, code: int) -> tuple[Ints, Ints, Ints]:
    """Add counts to a step of time; what does not fit, as (entry, code, count)."""
    together = column[at] + count
    column[at] = np.minimum(together, MOST).astype(np.uint8)
    if int(together.max(initial=0)) <= MOST:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
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
    places[entry[noted]] = place[noted] + 1
    column[at] = places
    rest = count - noted
    more = good[entry] & (rest > 0)
    return entry[more], place[more], rest[more]
