"""How a checked report enters a row: sums since the start, the newest of every cell, and one step of time.

Windows that are flagged as unconfirmed or ill are set aside: they are counted as such and enter no sum.
"""

from typing import Final, NamedTuple

import numpy as np

from collector.matrix import slab as cells
from collector.matrix.batch import LOCAL_FROM, Batch
from collector.matrix.histograms import Ints, Mask
from collector.matrix.slab import MOST, Slab
from collector.matrix.sparse import CELL, CODE, ILL, MEASURE, MORE_LOST, MORE_SENT, THROUGH, UNCONFIRMED, Log
from collector.matrix.table import Row
from wire.outcome import Outcome
from wire.window import Flag

Where = slice | Ints


class Most(NamedTuple):
    """Sparse counts that a row may hold."""

    latencies: int
    words: int
    totals: int


MAX_LAST: Final = 65_535
NO_LATENCY_NS: Final = np.inf


def take(row: Row, batch: Batch, *, end_ns: int, slot: int | None, step: int, oldest: int, most: Most) -> None:
    """Add a batch of windows that ended at `end_ns` to a row; to no step of time where `slot` is None."""
    slab, good = row.slab, batch.good
    at: Where = batch.cell + row.room.start
    if len(batch) == row.size and (len(batch) == 1 or bool((batch.cell[1:] > batch.cell[:-1]).all())):
        at = row.cells  # consecutive places take a fraction of the time
    good = batch.good
    lost = batch.late + batch.failed
    sent = batch.received + lost
    entry, code, value = _words(batch, good, sent)
    if not good.all():
        lost, sent = np.where(good, lost, 0), np.where(good, sent, 0)
    _add_totals(slab, at, batch, sent - lost, lost)
    _take_newest(slab, at, batch, sent, lost, end_ns=end_ns)
    row.totals.add(batch.cell[entry], code, value, most=most.totals)
    if slot is None:
        return
    passing = code != THROUGH
    more = _add_step(slab.step_sent[slot], at, sent, MORE_SENT), _add_step(slab.step_lost[slot], at, lost, MORE_LOST)
    words = (np.concatenate(columns) for columns in zip((entry[passing], code[passing], value[passing]), *more, strict=True))
    _log(row.words, step, batch, *words, oldest=oldest, most=most.words)
    _log(row.latencies, step, batch, *_add_places(slab.step_place[slot], at, batch, good), oldest=oldest, most=most.latencies)


def _log(log: Log, step: int, batch: Batch, entry: Ints, code: Ints, value: Ints, *, oldest: int, most: int) -> None:  # noqa: PLR0917 - columns of one thing
    log.add(step, batch.cell[entry], code, value, oldest=oldest, most=most)


def _add_totals(slab: Slab, at: Where, batch: Batch, received: Ints, lost: Ints) -> None:
    """Add what counts; zero is what was set aside."""
    slab.received[at] += received.astype(np.uint32)
    slab.lost[at] += lost.astype(np.uint32)
    low, high = batch.min_ns, batch.max_ns
    timed = batch.timed
    if not received.all():
        some = received > 0
        low, high, timed = np.where(some, low, NO_LATENCY_NS), np.where(some, high, 0), np.where(some, timed, 0)
    slab.min_ns[at] = np.minimum(slab.min_ns[at], low.astype(np.float32))
    slab.max_ns[at] = np.maximum(slab.max_ns[at], high.astype(np.float32))
    slab.timed[at] |= timed


def _take_newest(slab: Slab, at: Where, batch: Batch, sent: Ints, lost: Ints, *, end_ns: int) -> None:
    """Note the windows that are the newest of their cells; reports mostly come in order, and then all of them are."""
    why = (sent > 0).astype(np.uint8)  # which is cells.GOOD
    if batch.flags.any():
        ill = (batch.flags & Flag.ILL) != 0
        why |= np.where(batch.good, 0, np.where(ill, cells.ILL, cells.UNCONFIRMED)).astype(np.uint8)
    if batch.local.any():
        why |= np.where(batch.local > 0, cells.LOCAL, 0).astype(np.uint8)
    before = slab.any_ns[at]
    if before.max(initial=cells.NEVER) < end_ns:
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
        slab.good_ns[at] = np.where(fresh, end_ns, slab.good_ns[at])
        slab.last_sent[at] = np.where(fresh, last_sent, slab.last_sent[at])
        slab.last_lost[at] = np.where(fresh, last_lost, slab.last_lost[at])
    ours = batch.outcome_code >= LOCAL_FROM
    if ours.any():
        codes = slab.local_code[at]
        codes[batch.outcome_entry[ours]] = batch.outcome_code[ours]
        slab.local_code[at] = codes


def _words(batch: Batch, good: Mask, sent: Ints) -> tuple[Ints, Ints, Ints]:
    """(entry, code, value) of all that few windows have, in ascending order, each pair of entry and code once."""
    parts = [
        (batch.measure_entry, batch.measure_code.astype(np.int64) + MEASURE, batch.measure_value),
        (batch.outcome_entry, batch.outcome_code.astype(np.int64), batch.outcome_count),
    ]
    if len(late := np.flatnonzero(batch.late)):
        parts.append((late, np.full(len(late), int(Outcome.LATE)), batch.late[late]))
    parts = [part for part in parts if len(part[0])] or parts[:1]
    if not good.all():
        parts = [(entry[kept], code[kept], value[kept]) for entry, code, value in parts for kept in [good[entry]]]
        aside = np.flatnonzero(~good & (sent > 0))
        parts.append((aside, np.where((batch.flags[aside] & Flag.ILL) != 0, ILL, UNCONFIRMED), sent[aside]))
    return _once(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _once(entry: Ints, code: Ints, value: Ints) -> tuple[Ints, Ints, Ints]:
    """The same in ascending order; equal pairs, as a sender may repeat them, added up."""
    keys = (entry << CELL) | code
    if (keys[1:] > keys[:-1]).all():
        return entry, code, value
    order = np.argsort(keys, kind="stable")  # it is mostly a few runs in order, which this finds
    keys, value = keys[order], value[order]
    first = np.flatnonzero(np.concatenate(([True], keys[1:] != keys[:-1])))
    if len(first) < len(keys):
        keys, value = keys[first], np.add.reduceat(value, first)
    return keys >> CELL, keys & CODE, value


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
