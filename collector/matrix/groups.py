"""Cells added up by two dimensions: one of where they leave from and one of where they lead to."""

import numpy as np

from collector.matrix.answers import Answer, microseconds, ratio, seconds
from collector.matrix.histograms import Floats, Ints, Mask, quantiles_of_rows
from collector.matrix.part import UNKNOWN, UNSAMPLED, Part
from collector.matrix.places import DIMENSIONS
from collector.matrix.query import ALL, DEFAULT_SPAN_NS, MAX_CELLS, Asked, Filter, TooManyError, Wanted, asked
from collector.matrix.slab import Slab
from collector.matrix.slices import Slices, finished
from collector.matrix.state import STATE_WORDS
from collector.matrix.store import Matrix
from wire.histogram import BUCKETS

__all__ = ["group_by", "groups_in_slices"]

_BY_ASK = frozenset({"layer", "kind", "family"})
_SUMS = ("sent", "received", "late", "failed", "lost")


def group_by(
    matrix: Matrix,
    now_ns: int,
    rows: str,
    columns: str,
    *,
    span_ns: int | None = DEFAULT_SPAN_NS,
    wanted: Wanted = ALL,
) -> Answer:
    """Cells added up by a dimension of where they leave from and one of where they lead to; KeyError for others.

    A group is measured where one of its cells is, unknown where none is and one is unknown, else unsampled. Its latency is
    that of icmp, udp and tcp: an answer over HTTP or DNS also takes a server's time, and only counts where there is no other.
    """
    return finished(groups_in_slices(matrix, now_ns, rows, columns, span_ns=span_ns, wanted=wanted))


class _Keys:
    """The group of every cell as a number: that of the row's word times the width, plus that of the column's word."""

    def __init__(self, matrix: Matrix, rows: str, columns: str) -> None:
        for dimension in (rows, columns):
            if dimension not in DIMENSIONS:
                raise KeyError(dimension)
        catalogue = matrix.table.catalogue
        self._rows, self._columns = rows, columns
        self.name = rows if rows == columns else f"{rows}:{columns}"
        self.row_words, self._row_codes = catalogue.words(rows, side="from")
        self.column_words, self._column_codes = catalogue.words(columns, side="to")
        self.width = max(1, len(self.column_words))

    def of(self, slab: Slab, cells: Ints) -> Ints:
        """The group of each cell, -1 for none."""
        row = self._row_codes.take((slab.ask if self._rows in _BY_ASK else slab.row)[cells], mode="clip")
        column = self._column_codes.take((slab.ask if self._columns in _BY_ASK else slab.aim)[cells], mode="clip")
        return np.where((row >= 0) & (column >= 0), row * self.width + column, -1)


class _Chosen:
    """The groups that any cell asked for is in, and their numbers."""

    def __init__(self) -> None:
        self.found: Ints = np.zeros(0, np.int64)

    def note(self, keys: Ints) -> None:
        """Take the groups of more cells; raises TooManyError."""
        if len(keys):
            # What is most of it is known already, and sorting all keys of all cells would take most of the time.
            width = int(keys.max()) + 1
            more = np.flatnonzero(np.bincount(keys, minlength=0)) if width <= 64 * len(keys) else np.unique(keys)
            self.found = np.union1d(self.found, more)
        if len(self.found) > MAX_CELLS:
            raise TooManyError(f"more than {MAX_CELLS} groups are too many for one answer: use from, to or a coarser by")

    def numbers(self, keys: Ints) -> Ints:
        """The number of each group, -1 for those that were not there when they were noted."""
        if not len(self.found):
            return np.full(len(keys), -1)
        number = np.minimum(np.searchsorted(self.found, keys), len(self.found) - 1)
        return np.where(self.found[number] == keys, number, -1)


class _Sums:
    """What groups did: an element per group."""

    def __init__(self, groups: int) -> None:
        self.columns: dict[str, Ints] = {name: np.zeros(groups, np.int64) for name in _SUMS}
        self.state: Ints = np.full(groups, UNSAMPLED)
        self.cells: Ints = np.zeros(groups, np.int64)
        self.unknown: Ints = np.zeros(groups, np.int64)
        self.by_network: Mask = np.zeros(groups, np.bool_)
        """Whether any latency of the group is the network's alone."""

    def add(self, part: Part, group: Ints, now_ns: int, network: Mask) -> None:
        """Add the cells of a part."""
        groups = len(self.state)
        state = part.states(now_ns)
        np.minimum.at(self.state, group, state)
        self.cells += np.bincount(group, minlength=groups)
        self.unknown += np.bincount(group[state == UNKNOWN], minlength=groups)
        received = part.sent - part.lost
        for name, column in (("sent", part.sent), ("lost", part.lost), ("received", received), ("late", part.late)):
            # Weights are floats, and exact far beyond the probes of a cluster's life.
            self.columns[name] += np.bincount(group, weights=column, minlength=groups).astype(np.int64)
        self.by_network[group[network & (received > 0)]] = True

    def finish(self) -> None:
        """Work out what follows from the other columns."""
        self.columns["failed"] = self.columns["lost"] - self.columns["late"]


class _Latencies:
    """Histograms of groups, dense."""

    def __init__(self, groups: int) -> None:
        self._counts = np.zeros(groups * BUCKETS, np.int32)
        self._groups = groups
        self._low, self._high = np.full(groups, np.inf), np.zeros(groups)

    def add(self, part: Part, group: Ints) -> None:
        """Add the cells of a part; those of group -1 are left out."""
        base = group * BUCKETS - 1
        element, place, count = part.other_latencies
        there = group[element] >= 0
        np.add.at(self._counts, group[element[there]] * BUCKETS + place[there], count[there].astype(np.int32))
        timed = group >= 0
        for places in part.places():
            some = np.flatnonzero(timed & (places > 0))
            keys = base[some] + places[some]
            if len(self._counts) <= 8 * len(keys):
                self._counts += np.bincount(keys, minlength=len(self._counts)).astype(np.int32)
            else:
                np.add.at(self._counts, keys, np.int32(1))
        low, high = part.extremes
        np.minimum.at(self._low, group[timed], low[timed])
        np.maximum.at(self._high, group[timed], high[timed])

    def quantiles(self, q: float) -> Floats:
        """Of each group, in nanoseconds."""
        return np.clip(quantiles_of_rows(self._counts.reshape(-1, BUCKETS), q), self._low, self._high)


def groups_in_slices(
    matrix: Matrix, now_ns: int, rows: str, columns: str, *, span_ns: int | None, wanted: Wanted
) -> Slices[Answer]:
    """The same as `group_by` in slices. Raises TooManyError for more than MAX_CELLS groups."""
    keys, only, span = _Keys(matrix, rows, columns), Filter(matrix, wanted), asked(matrix, now_ns, span_ns)
    slabs, chosen = list(matrix.table.slabs), _Chosen()
    for slab in slabs:
        found = keys.of(slab, only.chosen(slab))
        chosen.note(found[found >= 0])
        yield
    sums, latencies = _Sums(len(chosen.found)), _Latencies(len(chosen.found))
    by_network = matrix.table.catalogue.by_network

    def grouped(slab: Slab) -> tuple[Part, Ints, Mask]:
        """The cells of a slab that are in a group, the number of that, and whether their latency is the network's alone."""
        cells = only.chosen(slab)
        group = chosen.numbers(keys.of(slab, cells))
        cells, group = cells[group >= 0], group[group >= 0]
        return Part(matrix, slab, cells, span.steps), group, by_network.take(slab.ask[cells], mode="clip")

    for slab in slabs:
        part, group, network = grouped(slab)
        sums.add(part, group, now_ns, network)
        yield
    for slab in slabs:
        part, group, network = grouped(slab)
        latencies.add(part, np.where(network | ~sums.by_network[group], group, -1))
        yield
    sums.finish()
    return _answer(keys, chosen.found, sums, latencies, span)


def _answer(keys: _Keys, found: Ints, sums: _Sums, latencies: _Latencies, span: Asked) -> Answer:
    columns = sums.columns
    sent = columns["sent"]
    loss = np.where(sent > 0, columns["lost"] / np.maximum(sent, 1), np.nan)
    row, column = found // keys.width, found % keys.width
    names = ("from", "to", "sent", "received", "late", "failed", "loss", "p50_us", "p99_us", "state", "cells", "unknown")
    values = (
        [keys.row_words[word] for word in row.tolist()],
        [keys.column_words[word] for word in column.tolist()],
        *(columns[name].tolist() for name in ("sent", "received", "late", "failed")),
        map(ratio, loss.tolist()),
        map(microseconds, latencies.quantiles(0.5).tolist()),
        map(microseconds, latencies.quantiles(0.99).tolist()),
        [STATE_WORDS[state] for state in sums.state.tolist()],
        sums.cells.tolist(),
        sums.unknown.tolist(),
    )
    return {
        "version": 1,
        "by": keys.name,
        "span_seconds": seconds(span.span_ns),
        "rows": [keys.row_words[word] for word in np.unique(row).tolist()],
        "columns": [keys.column_words[word] for word in np.unique(column).tolist()],
        "cells": [dict(zip(names, group, strict=True)) for group in zip(*values, strict=True)],
    }
