"""Questions to the matrix: cells, a group-by, a pair, the worst.

Pure: the matrix and `now` come in, values that can be written as JSON go out. Sums are added and histograms merged;
percentiles are read from merged histograms and never averaged. What is not known is None, never a number.
"""

import re
from typing import Final

import numpy as np
from msgspec import Struct

from collector.matrix.answers import STATE_WORDS, Answer, answers, microseconds, ratio, seconds
from collector.matrix.histograms import Floats, Ints, Mask, merged, quantiles
from collector.matrix.state import MEASURED, UNKNOWN, UNSAMPLED, states
from collector.matrix.store import Matrix
from collector.matrix.sums import NO_MINIMUM, Sums
from collector.matrix.table import Table, codes
from wire.path import Kind

DEFAULT_SPAN_NS: Final = 60 * 10**9


class Wanted(Struct, frozen=True):
    """Which cells are asked for; empty is no restriction. `source` and `target` are any name of either end."""

    layer: str = ""
    kind: str = ""
    family: str = ""
    source: str = ""
    target: str = ""

    def mask(self, table: Table) -> Mask:
        """True for every cell that is asked for."""
        result = np.ones(len(table), np.bool_)
        for dimension in ("layer", "kind", "family"):
            if word := getattr(self, dimension):
                result &= np.array([other == word for other in table.words(dimension, side="from")], np.bool_)
        for name, places in ((self.source, table.sources), (self.target, table.targets)):
            if name:
                # Many cells share a place: each is looked at once.
                distinct = {id(place): place for place in places}
                is_it = {key: name in place.names() for key, place in distinct.items()}
                result &= np.array([is_it[id(place)] for place in places], np.bool_)
        return result


ALL: Final = Wanted()


def sums_of(matrix: Matrix, now_ns: int, span_ns: int | None, only: Mask) -> Sums:
    """The sums of a span, for which other cells may be left out, or since the start where it is None."""
    return matrix.totals if span_ns is None else matrix.span(now_ns, span_ns, only=only)


def cells(matrix: Matrix, now_ns: int, *, span_ns: int | None = DEFAULT_SPAN_NS, wanted: Wanted = ALL) -> list[Answer]:
    """Every cell asked for, in the order of the plan."""
    mask = wanted.mask(matrix.table)
    return answers(matrix, now_ns, sums_of(matrix, now_ns, span_ns, mask), span_ns, np.flatnonzero(mask))


def pair(matrix: Matrix, now_ns: int, one: str, other: str, *, span_ns: int | None = DEFAULT_SPAN_NS) -> list[Answer]:
    """Both directions between two names, every cell of each, the one from `one` first."""
    there = Wanted(source=one, target=other).mask(matrix.table)
    back = Wanted(source=other, target=one).mask(matrix.table) & ~there
    sums = sums_of(matrix, now_ns, span_ns, there | back)
    return answers(matrix, now_ns, sums, span_ns, np.concatenate([np.flatnonzero(there), np.flatnonzero(back)]))


def worst(
    matrix: Matrix,
    now_ns: int,
    k: int,
    *,
    measure: str = "loss",
    span_ns: int | None = DEFAULT_SPAN_NS,
    wanted: Wanted = ALL,
) -> list[Answer]:
    """The `k` measured cells with the highest loss, or the highest p99; the other breaks ties, then the order of the plan."""
    mask = wanted.mask(matrix.table)
    sums = sums_of(matrix, now_ns, span_ns, mask)
    state = states(matrix, now_ns, sums)
    chosen = np.flatnonzero((state == MEASURED) & mask)
    loss = np.nan_to_num(sums.loss()[chosen], nan=-1.0)
    p99 = np.nan_to_num(quantiles(sums.histograms(), 0.99, groups=len(matrix.table))[chosen], nan=-1.0)
    keys = (-loss, -p99) if measure == "p99" else (-p99, -loss)
    return answers(matrix, now_ns, sums, span_ns, chosen[np.lexsort(keys)[:k]])


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
    that of icmp, udp and tcp: an answer over HTTP also takes the server's time, and only counts where there is no other.
    """
    table = matrix.table
    row_words, column_words = table.words(rows, side="from"), table.words(columns, side="to")
    mask = wanted.mask(table)
    sums = sums_of(matrix, now_ns, span_ns, mask)
    used = [i for i in np.flatnonzero(mask).tolist() if row_words[i] is not None and column_words[i] is not None]
    row_names = sorted({word for i in used if (word := row_words[i]) is not None}, key=natural)
    column_names = sorted({word for i in used if (word := column_words[i]) is not None}, key=natural)
    chosen = np.array(used, np.int64)
    width = len(column_names)
    group = codes([row_words[i] for i in used], {name: place for place, name in enumerate(row_names)}) * width + codes(
        [column_words[i] for i in used], {name: place for place, name in enumerate(column_names)}
    )
    found, of = np.unique(group, return_inverse=True)
    where = np.full(len(table), -1, np.int64)
    where[chosen] = of
    parts = _grouped(sums, where, _network(table, sums, where, len(found)), len(found))
    state = states(matrix, now_ns, sums)[chosen]
    best = np.full(len(found), UNSAMPLED)
    np.minimum.at(best, of, state)
    size, unknown = np.bincount(of, minlength=len(found)), np.bincount(of[state == UNKNOWN], minlength=len(found))
    groups = [
        {
            "from": row_names[key // width],
            "to": column_names[key % width],
            **{name: int(parts[name][place]) for name in ("sent", "received", "late", "failed")},
            "loss": ratio(parts["loss"][place]),
            "p50_us": microseconds(parts["p50"][place]),
            "p99_us": microseconds(parts["p99"][place]),
            "state": STATE_WORDS[int(best[place])],
            "cells": int(size[place]),
            "unknown": int(unknown[place]),
        }
        for place, key in enumerate(found.tolist())
    ]
    by = rows if rows == columns else f"{rows}:{columns}"
    return {
        "version": 1,
        "by": by,
        "span_seconds": seconds(span_ns),
        "rows": row_names,
        "columns": column_names,
        "cells": groups,
    }


def _network(table: Table, sums: Sums, where: Ints, groups: int) -> Ints:
    """`where` for latencies: without the http cells of a group that has answers of other kinds."""
    http = np.array([kind == Kind.HTTP for kind in table.words("kind", side="from")], np.bool_)
    # The last place is that of the cells in no group, whose number is -1.
    other = np.bincount(where[(where >= 0) & ~http & (sums.received > 0)], minlength=groups + 1) > 0
    return np.where(http & other[where], -1, where)


def _grouped(sums: Sums, where: Ints, timed: Ints, groups: int) -> dict[str, Floats | Ints]:
    """Sums, loss and quantiles of groups; `where[cell]` is the group of a cell, `timed[cell]` of its latencies, -1 for none."""
    there = where >= 0
    columns: dict[str, Floats | Ints] = {}
    for name in ("sent", "received", "late", "failed", "lost"):
        column = np.zeros(groups, np.int64)
        np.add.at(column, where[there], getattr(sums, name)[there])
        columns[name] = column
    low, high = np.full(groups, NO_MINIMUM), np.zeros(groups, np.int64)
    np.minimum.at(low, timed[timed >= 0], sums.min_ns[timed >= 0])
    np.maximum.at(high, timed[timed >= 0], sums.max_ns[timed >= 0])
    histograms = sums.histograms()
    kept = timed[histograms.group] >= 0
    together = merged(timed[histograms.group][kept], histograms.place[kept], histograms.count[kept])
    sent = columns["sent"]
    columns["loss"] = np.where(sent > 0, columns["lost"] / np.maximum(sent, 1), np.nan)
    for name, q in (("p50", 0.5), ("p99", 0.99)):
        columns[name] = np.clip(quantiles(together, q, groups=groups), low, high)
    return columns


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts n2 before n10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name) if part]
