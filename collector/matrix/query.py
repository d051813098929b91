"""Questions to the matrix: cells, a pair, the worst. Those for groups are in `groups`.

Pure: the matrix and `now` come in, values that can be written as JSON go out. Sums are added and histograms merged;
percentiles are read from merged histograms and never averaged. What is not known is None, never a number.
"""

from typing import Final, NamedTuple

import numpy as np
from msgspec import Struct

from collector.matrix.answers import Answer, answers, last_results
from collector.matrix.histograms import Ids, Ints, Mask, Numbers, quantiles
from collector.matrix.part import MEASURED, Part, present
from collector.matrix.slab import Slab
from collector.matrix.slices import Slices, finished
from collector.matrix.store import Matrix, Span
from collector.matrix.table import Row

DEFAULT_SPAN_NS: Final = 60 * 10**9
MAX_CELLS: Final = 50_000
"""Most cells, or groups of them, in one answer, some 40 MB."""
_CANDIDATES: Final = 1024
"""Of a slab, how many of the worst by an estimate are looked at closely, unless more are asked for."""


class TooManyError(ValueError):
    """A question whose answer would be too long; one sentence that says which."""


class Wanted(Struct, frozen=True):
    """Which cells are asked for; empty is no restriction. `source` and `target` are any name of either end."""

    layer: str = ""
    kind: str = ""
    family: str = ""
    source: str = ""
    target: str = ""
    network: str = ""
    """Of the target; `default` is the cluster's own pod network."""


class Filter:
    """A question's restrictions as arrays: for sources, aims and asks by number."""

    def __init__(self, matrix: Matrix, wanted: Wanted) -> None:
        catalogue = matrix.table.catalogue
        self.sources = catalogue.named(wanted.source, side="from") if wanted.source else None
        self.aims: Mask | None = catalogue.named(wanted.target, side="to") if wanted.target else None
        if wanted.network:
            networked = catalogue.networked(wanted.network)
            self.aims = networked if self.aims is None else self.aims & networked
        self.asks: Mask | None = None
        for dimension in ("layer", "kind", "family"):
            if word := getattr(wanted, dimension):
                words, codes = catalogue.words(dimension, side="from")
                same = codes == (words.index(word) if word in words else len(words))
                self.asks = same if self.asks is None else self.asks & same

    def among(self, source: Numbers, aim: Numbers, ask: Numbers) -> Mask:
        """Which of some cells are asked for. Numbers given out since the question began are not."""
        result = np.ones(len(source), np.bool_)
        for allowed, numbers in ((self.sources, source), (self.aims, aim), (self.asks, ask)):
            if allowed is not None:
                result &= allowed.take(numbers, mode="clip")
        return result

    def chosen(self, slab: Slab) -> Ints:
        """The places of a slab that are asked for."""
        if self.sources is not None and not self.sources.take(list(slab.rows), mode="clip").any():
            return np.zeros(0, np.int64)
        cells = present(slab)
        if self.sources is None and self.aims is None and self.asks is None:
            return cells
        return cells[self.among(slab.row[cells], slab.aim[cells], slab.ask[cells])]

    def departed(self, row: Row) -> Mask:
        """Which last results of a row are asked for."""
        number = np.full(len(row.departed), row.number)
        return self.among(number, row.departed["aim"], row.departed["ask"])


ALL: Final = Wanted()


class Asked(NamedTuple):
    """The span of a question."""

    steps: Span | None
    span_ns: int | None
    """What it is answered for, None since the start."""


def asked(matrix: Matrix, now_ns: int, span_ns: int | None) -> Asked:
    """The span that a question is answered for: at least what was asked and less than a step more, unless less is kept."""
    if span_ns is None:
        return Asked(None, None)
    steps = matrix.span(now_ns, span_ns)
    return Asked(steps, now_ns - steps.start_ns)


def cells_in_slices(matrix: Matrix, now_ns: int, span_ns: int | None, *wanted: Wanted) -> Slices[list[Answer]]:
    """Every cell asked for, and the last results of those that left; what matches an earlier restriction first and once.

    Raises TooManyError for more than MAX_CELLS.
    """
    filters = [Filter(matrix, one) for one in wanted]
    yield from _refused_beyond(matrix, filters)
    span = asked(matrix, now_ns, span_ns)
    result: list[Answer] = []
    for number, one in enumerate(filters):
        for slab in list(matrix.table.slabs):
            before = np.concatenate([earlier.chosen(slab) for earlier in filters[:number]] or [np.zeros(0, np.int64)])
            chosen = np.setdiff1d(one.chosen(slab), before, assume_unique=True)
            if len(chosen):
                for some in answers(matrix, now_ns, Part(matrix, slab, chosen, span.steps), span.span_ns):
                    result += some
                    yield
        for row in [row for row in matrix.table.rows.values() if len(row.departed)]:
            which = one.departed(row)
            for earlier in filters[:number]:
                which &= ~earlier.departed(row)
            if which.any():
                result += last_results(matrix, now_ns, row, row.departed[which])
                yield
    return result


def _refused_beyond(matrix: Matrix, filters: list[Filter]) -> Slices[None]:
    """Raise TooManyError where more than MAX_CELLS cells are asked for."""
    size = 0
    for slab in matrix.table.slabs:
        size += len(_either(filters, slab))
        if size > MAX_CELLS:
            break
        yield
    size += sum(int(one.departed(row).sum()) for row in matrix.table.rows.values() if len(row.departed) for one in filters)
    if size > MAX_CELLS:
        raise TooManyError(f"more than {MAX_CELLS} cells are too many for one answer: use by, from, to, layer or kind")


def _either(filters: list[Filter], slab: Slab) -> Ints:
    return np.unique(np.concatenate([one.chosen(slab) for one in filters]))


def cells(matrix: Matrix, now_ns: int, *, span_ns: int | None = DEFAULT_SPAN_NS, wanted: Wanted = ALL) -> list[Answer]:
    """Every cell asked for."""
    return finished(cells_in_slices(matrix, now_ns, span_ns, wanted))


def pair(matrix: Matrix, now_ns: int, one: str, other: str, *, span_ns: int | None = DEFAULT_SPAN_NS) -> list[Answer]:
    """Both directions between two names, every cell of each, the one from `one` first."""
    return finished(cells_in_slices(matrix, now_ns, span_ns, *both(one, other)))


def both(one: str, other: str) -> tuple[Wanted, Wanted]:
    """The two directions between two names."""
    return Wanted(source=one, target=other), Wanted(source=other, target=one)


def worst(
    matrix: Matrix,
    now_ns: int,
    k: int,
    *,
    measure: str = "loss",
    span_ns: int | None = DEFAULT_SPAN_NS,
    wanted: Wanted = ALL,
) -> list[Answer]:
    """The `k` measured cells with the highest loss, or the highest p99; the other breaks ties."""
    return finished(worst_in_slices(matrix, now_ns, k, measure=measure, span_ns=span_ns, wanted=wanted))


def worst_in_slices(
    matrix: Matrix,
    now_ns: int,
    k: int,
    *,
    measure: str,
    span_ns: int | None,
    wanted: Wanted,
    closed: Ids | None = None,
) -> Slices[list[Answer]]:
    """The same in slices. `closed` are ids of paths that should be closed and are: none is among the worst.

    Among thousands of cells with the same loss, those with the longest latency of all are taken for those with the highest p99.
    """
    span, only = asked(matrix, now_ns, span_ns), Filter(matrix, wanted)
    found: list[tuple[Part, Ints]] = []
    keys: list[tuple[float, float, int, int]] = []
    for slab in list(matrix.table.slabs):
        part = Part(matrix, slab, only.chosen(slab), span.steps)
        measured = np.flatnonzero((part.states(now_ns) == MEASURED) & ~part.among(closed))
        close = _closest(part, measured, max(_CANDIDATES, 4 * k), measure)
        part = Part(matrix, slab, part.cells[close], span.steps)
        p99 = np.nan_to_num(quantiles(part.histograms(), 0.99, groups=len(part)), nan=-1.0)
        loss = part.loss
        first, second = (p99, loss) if measure == "p99" else (loss, p99)
        best = np.lexsort((-second, -first))[:k]
        found.append((part, best))
        keys += [(-first[element], -second[element], len(found) - 1, int(element)) for element in best.tolist()]
        yield
    best_of: dict[int, list[int]] = {}
    order = [(number, int(found[number][0].cells[element])) for _, _, number, element in sorted(keys)[:k]]
    for number, cell in order:
        best_of.setdefault(number, []).append(cell)
    written: dict[tuple[int, int], Answer] = {}
    for number, chosen in best_of.items():
        one = Part(matrix, found[number][0].slab, np.sort(chosen), span.steps)
        some = [answer for part in answers(matrix, now_ns, one, span.span_ns) for answer in part]
        written.update(zip(((number, cell) for cell in sorted(chosen)), some, strict=True))
        yield
    return [written[place] for place in order]


def _closest(part: Part, measured: Ints, most: int, measure: str) -> Ints:
    """Those of the measured that may be among the worst: all where they are few, else the first by an estimate."""
    if len(measured) <= most:
        return measured
    longest = np.zeros(len(part), np.int64)
    for places in part.places():
        longest = np.maximum(longest, places)
    element, place, _ = part.other_latencies
    np.maximum.at(longest, element, place + 1)
    loss = np.nan_to_num(part.loss, nan=0.0)
    estimate = (longest + loss / 2 if measure == "p99" else loss * 1024 + longest / 1024)[measured]
    return np.sort(measured[np.argpartition(estimate, -most)[-most:]])
