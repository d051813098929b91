"""Cells added up by two dimensions: one of where they leave from and one of where they lead to."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from collector.matrix.answers import MICROSECOND, Answer, seconds
from collector.matrix.histograms import Floats, Ids, Ints, Mask, quantiles_of_rows
from collector.matrix.part import CLOSED, EXCLUDED, MEASURED, UNKNOWN, UNSAMPLED, Part
from collector.matrix.places import DIMENSIONS
from collector.matrix.query import ALL, DEFAULT_SPAN_NS, MAX_CELLS, Asked, Filter, TooManyError, Wanted, asked
from collector.matrix.slab import Slab
from collector.matrix.slices import Slices, finished
from collector.matrix.state import STATE_WORDS
from collector.matrix.store import Matrix
from wire.histogram import BUCKETS

__all__ = ["Keys", "group_by", "groups_in_slices"]

_BY_ASK = frozenset({"layer", "kind", "family"})
_SUMS = ("cells", "measured", "unknown", "excluded", "closed", "by_network", "sent", "lost", "late")
_STATES: Final = (*(STATE_WORDS[word] for word in sorted(STATE_WORDS)), "closed")
_WIDTH = BUCKETS + 1
MAX_TABLE: Final = 2**22
"""Most groups, whether cells are in them or not, that are found through a table; among more they are searched for."""
MAX_POSSIBLE: Final = 2**15
"""Where no more groups are possible, all of them are added up, and those without a cell left out at the end."""
_NONE: Final = -(2**48)
AT_ONCE: Final = 5000
"""Groups that are written between two pauses."""


def group_by(
    matrix: Matrix,
    now_ns: int,
    rows: str,
    columns: str,
    *,
    span_ns: int | None = DEFAULT_SPAN_NS,
    wanted: Wanted = ALL,
    closed: Ids | None = None,
) -> Answer:
    """Cells added up by a dimension of where they leave from and one of where they lead to; KeyError for others.

    `closed` are ids of paths that should be closed and are: what they lose is no loss.
    A group is measured where one of its cells is, else unknown where one is, else excluded where one is, else unsampled, and
    closed where all are. What excluded and closed cells did is in no sum. Its latency is that of icmp, udp and tcp: an answer
    over HTTP or DNS also takes a server's time, and only counts where there is no other.
    """
    return finished(groups_in_slices(matrix, now_ns, rows, columns, span_ns=span_ns, wanted=wanted, closed=closed))


class Keys:
    """The group of every cell as a number: that of the row's word times the width, plus that of the column's word."""

    def __init__(self, matrix: Matrix, rows: str, columns: str) -> None:
        for dimension in (rows, columns):
            if dimension not in DIMENSIONS:
                raise KeyError(dimension)
        catalogue = matrix.table.catalogue
        self._rows, self._columns = rows, columns
        self.name = rows if rows == columns else f"{rows}:{columns}"
        self.row_words, row_codes = catalogue.words(rows, side="from")
        self.column_words, column_codes = catalogue.words(columns, side="to")
        self.width = max(1, len(self.column_words))
        self._row_keys = np.where(row_codes >= 0, row_codes * self.width, _NONE)
        self._column_keys = np.where(column_codes >= 0, column_codes, _NONE)

    def of(self, slab: Slab, cells: Ints) -> Ints:
        """The group of each cell, negative for none."""
        row = self._row_keys.take((slab.ask if self._rows in _BY_ASK else slab.row)[cells], mode="clip")
        row += self._column_keys.take((slab.ask if self._columns in _BY_ASK else slab.aim)[cells], mode="clip")
        return row


class _Found:
    """The groups that any cell asked for is in, and a number for each."""

    def __init__(self, possible: int) -> None:
        self.is_known = possible <= min(MAX_POSSIBLE, MAX_CELLS)
        """Whether there is nothing to note."""
        self.keys: Ints = np.arange(possible) if self.is_known else np.zeros(0, np.int64)
        self._table: NDArray[np.int32] | None = np.full(possible + 1, -1, np.int32) if possible <= MAX_TABLE else None

    def note(self, keys: Ints) -> None:
        """Take the groups of more cells; raises TooManyError."""
        if self._table is None:
            self.keys = np.union1d(self.keys, keys)
            self._refuse(len(self.keys))
        else:
            self._table[keys] = 0

    def number(self) -> None:
        """Number what was noted; raises TooManyError."""
        if not self.is_known and self._table is not None:
            self.keys = np.flatnonzero(self._table == 0)
            self._refuse(len(self.keys))
            self._table[self.keys] = np.arange(len(self.keys))

    def _refuse(self, groups: int) -> None:
        if groups > MAX_CELLS:
            raise TooManyError(f"more than {MAX_CELLS} groups are too many for one answer: use from, to or a coarser by")

    def numbers(self, keys: Ints) -> Ints:
        """The number of each group, negative for those that were not there when they were noted."""
        if self.is_known:
            return keys
        if self._table is not None:
            return np.where(keys >= 0, self._table.take(keys, mode="clip"), -1).astype(np.int64)
        if not len(self.keys):
            return np.full(len(keys), -1)
        number = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[number] == keys, number, -1)


class _Sums:
    """What groups did: an element per group."""

    def __init__(self, groups: int) -> None:
        self.columns: dict[str, Ints] = {name: np.zeros(groups, np.int64) for name in _SUMS}

    def add(self, part: Part, group: Ints, state: Ints, network: Mask) -> None:
        """Add the cells of a part, whose states are given."""
        received = part.sent - part.lost
        self._count("cells", group)
        for name, word in (("measured", MEASURED), ("unknown", UNKNOWN), ("excluded", EXCLUDED), ("closed", CLOSED)):
            self._count(name, group[state == word])
        counts = (state != EXCLUDED) & (state != CLOSED)
        self._count("by_network", group[network & (received > 0) & counts])
        self._count("sent", group, part.sent * counts)
        for name, column in (("lost", part.lost), ("late", part.late)):
            some = np.flatnonzero(column * counts)
            self._count(name, group[some], column[some])

    def _count(self, name: str, group: Ints, weights: Ints | None = None) -> None:
        # Weights are floats, and exact far beyond the probes of a cluster's life.
        counts = np.bincount(group, weights=weights, minlength=len(self.columns[name]))
        self.columns[name] += counts.astype(np.int64)


class _Latencies:
    """Histograms of groups, dense: a row for each with a count per place, after one of the cells that have none."""

    def __init__(self, groups: int) -> None:
        self._counts = np.zeros(groups * _WIDTH, np.int32)
        self._low, self._high = np.full(groups, np.inf), np.zeros(groups)

    def add(self, part: Part, group: Ints) -> None:
        """Add the cells of a part; those of group -1 are left out."""
        element, place, count = part.other_latencies
        there = group[element] >= 0
        np.add.at(self._counts, group[element[there]] * _WIDTH + place[there] + 1, count[there].astype(np.int32))
        timed = np.flatnonzero(group >= 0)
        base = group[timed] * _WIDTH
        whole = len(timed) == len(group)
        for places in part.places():
            keys = base + (places if whole else places[timed])
            if len(self._counts) <= 16 * len(keys):
                self._counts += np.bincount(keys, minlength=len(self._counts)).astype(np.int32)
            else:
                np.add.at(self._counts, keys, np.int32(1))
        low, high = part.extremes
        np.minimum.at(self._low, group[timed], low[timed])
        np.maximum.at(self._high, group[timed], high[timed])

    def quantiles(self) -> tuple[Floats, Floats]:
        """Median and 99th percentile of each group, in nanoseconds."""
        counts = self._counts.reshape(-1, _WIDTH)[:, 1:]
        p50, p99 = quantiles_of_rows(counts, (0.5, 0.99))
        return np.clip(p50, self._low, self._high), np.clip(p99, self._low, self._high)


def groups_in_slices(
    matrix: Matrix,
    now_ns: int,
    rows: str,
    columns: str,
    *,
    span_ns: int | None,
    wanted: Wanted,
    closed: Ids | None = None,
) -> Slices[Answer]:
    """The same as `group_by` in slices. Raises TooManyError for more than MAX_CELLS groups."""
    keys, only, span = Keys(matrix, rows, columns), Filter(matrix, wanted), asked(matrix, now_ns, span_ns)
    slabs, found = list(matrix.table.slabs), _Found(len(keys.row_words) * keys.width)
    by_network = matrix.table.catalogue.by_network
    for slab in () if found.is_known else slabs:
        chosen = keys.of(slab, only.chosen(slab))
        found.note(chosen[chosen >= 0])
        yield
    found.number()

    def grouped(slab: Slab) -> tuple[Part, Ints, Mask]:
        """The cells of a slab that are in a group, the number of that, and whether their latency is the network's alone."""
        cells = only.chosen(slab)
        group = found.numbers(keys.of(slab, cells))
        if len(group) and group.min() < 0:
            cells, group = cells[group >= 0], group[group >= 0]
        return Part(matrix, slab, cells, span.steps), group, by_network.take(slab.ask[cells], mode="clip")

    sums, latencies = _Sums(len(found.keys)), _Latencies(len(found.keys))
    for slab in slabs:
        part, group, network = grouped(slab)
        state = part.states(now_ns)
        state[part.among(closed)] = CLOSED
        sums.add(part, group, state, network)
        yield
    networked = sums.columns["by_network"] > 0
    for slab in slabs:
        part, group, network = grouped(slab)
        counts = (network | ~networked[group]) & (part.exclusions.max(axis=0, initial=0) == 0) & ~part.among(closed)
        latencies.add(part, np.where(counts, group, -1))
        yield
    answer = yield from _answer(keys, found.keys, sums, latencies, span)
    return answer


def _answer(keys: Keys, found: Ints, sums: _Sums, latencies: _Latencies, span: Asked) -> Slices[Answer]:
    p50, p99 = latencies.quantiles()
    yield
    some = np.flatnonzero(sums.columns["cells"])
    found, p50, p99 = found[some], p50[some], p99[some]
    columns = {name: column[some] for name, column in sums.columns.items()}
    sent, lost = columns["sent"], columns["lost"]
    loss = np.where(sent > 0, lost / np.maximum(sent, 1), np.nan)
    words = (MEASURED, "measured"), (UNKNOWN, "unknown"), (EXCLUDED, "excluded")
    state = np.select([columns[name] > 0 for _, name in words], [word for word, _ in words], UNSAMPLED)
    state[columns["closed"] == columns["cells"]] = CLOSED
    row, column = found // keys.width, found % keys.width
    values = (
        _words(keys.row_words)[row],
        _words(keys.column_words)[column],
        sent,
        sent - lost,
        columns["late"],
        lost - columns["late"],
        _known(loss, 6),
        _known(p50 / MICROSECOND, 1),
        _known(p99 / MICROSECOND, 1),
        _words(_STATES)[state],
        columns["cells"],
        columns["unknown"],
        columns["excluded"],
        columns["closed"],
    )
    cells: list[Answer] = []
    for start in range(0, len(found), AT_ONCE):
        part = (value[start : start + AT_ONCE].tolist() for value in values)
        # Written out, since a dictionary of names and values zipped takes twice the time.
        cells += [
            {
                "from": source,
                "to": target,
                "sent": sent,
                "received": received,
                "late": late,
                "failed": failed,
                "loss": ratio,
                "p50_us": median,
                "p99_us": slow,
                "state": word,
                "cells": count,
                "unknown": unknown,
                "excluded": excluded,
                "closed": shut,
            }
            for source, target, sent, received, late, failed, ratio, median, slow, word, count, unknown, excluded, shut in zip(
                *part, strict=True
            )
        ]
        yield
    return {
        "version": 1,
        "by": keys.name,
        "span_seconds": seconds(span.span_ns),
        "rows": [keys.row_words[word] for word in np.unique(row).tolist()],
        "columns": [keys.column_words[word] for word in np.unique(column).tolist()],
        "cells": cells,
    }


def _words(words: Sequence[str]) -> NDArray[np.object_]:
    return np.array([*words, None], np.object_)


def _known(column: Floats, digits: int) -> NDArray[np.object_]:
    """Rounded numbers, None for those that are not known."""
    known: NDArray[np.object_] = np.round(column, digits).astype(np.object_)
    known[np.isnan(column)] = None
    return known
