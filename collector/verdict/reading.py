"""Reads the matrix into cells of three spans.

In: the matrix, and which agents are expected and leaving. Out: `Sample`, a copy that nobody changes, made in slices on the loop
of the matrix; and of that, on any thread, one `Cells` per span. What must not count is marked with its reason and never left
out. Tables of ends are kept as long as no number in the matrix gets another meaning.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from collector.matrix.exclusions import SENTENCES
from collector.matrix.nested import nested, wanted
from collector.matrix.part import MILLISECOND, Part, present
from collector.matrix.slab import GOOD, ILL, NAT, PLANNED, UNCONFIRMED, Slab
from collector.matrix.slices import Slices
from collector.matrix.sparse import MEASURE
from collector.matrix.store import Matrix, Span
from collector.verdict.cells import KINDS, LAYERS, Bursts, Cells, Expected, Ints, Reason, Small
from collector.verdict.sample import Sample, Tables, Windows, Words, tables_of
from collector.verdict.windows import NOTHING_WANTED, Wanted, leave_out_strange, together, windows_in
from wire.path import Kind, Layer
from wire.window import Measure

SPANS_NS: Final = (10 * 10**9, 60 * 10**9, 300 * 10**9)
SHORTEST: Final = 3
"""Where steps are short, the first span is no longer than so many of them: what is total then shows as total at once."""
BETWEEN: Final = (6, 12)
"""Steps of the spans between the first two."""
UNHEARD: Final = -1
"""Of a source from which no report is expected now."""
BY_WORD: Final = {
    "": Reason.JUDGED,
    "terminating": Reason.LEAVING,
    "not_ready": Reason.NOT_READY,
    "settling": Reason.SETTLING,
    "cordoned": Reason.LEAVING,
}
"""Why what is seen of an end does not count, by the word that discovery has for it."""
OF_EXCLUSION: Final = np.array([BY_WORD[word] for word in ("", *SENTENCES)], np.uint8)
"""The same by the number that the matrix has for the word."""
AT_PODS: Final = (LAYERS.index(Layer.POD), LAYERS.index(Layer.MTU))
INDEPENDENT: Final = 3
"""Packets of a burst that count: they are 20 ms apart, so that what takes one takes most."""
BY_KERNEL: Final = KINDS.index(Kind.ICMP)
MEASURES: Final = (Measure.FORWARD_LOST, Measure.BACKWARD_LOST, Measure.BURST_SENT, Measure.BURST_LOST)
WANTED: Final = wanted([*range(MEASURE), *(MEASURE + one for one in MEASURES)])
"""All ways to fail, where packets were lost, and what bursts found."""
NONE: Final = np.zeros(0, np.int64)


class _Columns:
    """The columns of a sample, filled slab by slab.

    They are made once, for as many cells as there are places, so that nothing is copied to put them together. Of what is nearly
    always nothing, zeros take no memory until one becomes something else.
    """

    def __init__(self, most: int, spans: int) -> None:
        self.size = 0
        self.paths = np.empty(most, np.uint64)
        self.source, self.target, self.ask = (np.empty(most, np.int32) for _ in range(3))
        self.reason: Small = np.empty(most, np.uint8)
        self.place: NDArray[np.float32] = np.empty(most, np.float32)
        self.sent = [np.empty(most, np.int32) for _ in range(spans)]
        self.lost = [np.zeros(most, np.int32) for _ in range(spans)]
        self.words: list[list[Words]] = [[] for _ in range(spans)]
        self.nat: list[Ints] = []

    def read(self, matrix: Matrix, slab: Slab, spans: tuple[Span, ...], now_ns: int) -> None:
        """Add the cells of a slab."""
        cells = present(slab)
        here = slice(self.size, self.size + len(cells))
        self.paths[here], self.source[here], self.target[here] = slab.ids[cells], slab.row[cells], slab.aim[cells]
        ask = self.ask[here]
        ask[:] = slab.ask[cells]
        self.reason[here] = _reasons(matrix, slab, cells, now_ns)
        self.place[here] = _place(Part(matrix, slab, cells, spans[0]))
        layers = matrix.catalogue.layers
        for number, found in enumerate(nested(matrix, slab, cells, spans, WANTED)):
            leave_out_strange((found.sent, found.lost), found.words, layers, ask)
            self.sent[number][here] = found.sent
            lossy = np.flatnonzero(found.lost)
            self.lost[number][lossy + here.start] = found.lost[lossy]
            element, code, value = found.words
            self.words[number].append(Words(element + here.start, code, value))
        recent = slab.any_ns[cells] > now_ns - matrix.stale_after_ns
        self.nat.append(np.flatnonzero(recent & ((slab.why[cells] & NAT) != 0)) + here.start)
        self.size = here.stop


class Reader:
    """See the module. One per matrix."""

    def __init__(self) -> None:
        self._tables: Tables | None = None

    def sample_in_slices(
        self,
        matrix: Matrix,
        now_ns: int,
        *,
        heard: Mapping[str, int],
        leaving: frozenset[str],
        windows: Wanted = NOTHING_WANTED,
    ) -> Slices[Sample]:
        """A copy of what is needed. `heard` has the expected agents by vantage, and when each was heard last.

        `windows` has the paths of which more is needed than the spans that all have.
        """
        spans, causal = spans_of(matrix, now_ns)
        yield
        slabs = list(matrix.table.slabs)
        columns = _Columns(sum(slab.places for slab in slabs), len(spans))
        wider: list[Windows] = []
        for slab in slabs:
            columns.read(matrix, slab, spans, now_ns)
            wider += windows_in(matrix, slab, windows, now_ns)
            yield
        # Last, since rows may be laid between two slices; no number that was read becomes another one before the next plan.
        tables = self._tables_of(matrix)
        names = [end.name for end in tables.sources.all]
        return Sample(
            now_ns,
            matrix.snapshot,
            tables,
            spans,
            causal,
            heard_ns=np.array([heard.get(name, UNHEARD) for name in names], np.int64),
            leaving=np.array([name in leaving for name in names], np.bool_),
            excluded=_excluded(matrix, tables),
            paths=columns.paths[: columns.size],
            source=columns.source[: columns.size],
            target=columns.target[: columns.size],
            ask=columns.ask[: columns.size],
            reason=columns.reason[: columns.size],
            sent=tuple(column[: columns.size] for column in columns.sent),
            lost=tuple(column[: columns.size] for column in columns.lost),
            words=tuple(_joined(words) for words in columns.words),
            place=columns.place[: columns.size],
            windows=together(wider),
            nat=np.concatenate([NONE, *columns.nat]),
        )

    def _tables_of(self, matrix: Matrix) -> Tables:
        catalogue = matrix.table.catalogue
        version = (matrix.generation, catalogue.changes)
        if self._tables is None or self._tables.version != version:
            self._tables = tables_of(catalogue, matrix.snapshot, version)
        return self._tables


def spans_of(matrix: Matrix, now_ns: int) -> tuple[tuple[Span, ...], tuple[int, ...]]:
    """Spans in whole steps, to the nearest, shortest first, and which of them causes are looked for in.

    None is there twice where little is kept. Where steps are short, others lie in between: so few probes tell of one path.
    """
    step_ns, (first, *others) = matrix.step_ns, SPANS_NS
    causal = [max(step_ns, min(first, SHORTEST * step_ns)), *others]
    between = [steps * step_ns for steps in BETWEEN if causal[0] < steps * step_ns < causal[1]]
    spans: list[Span] = []
    places: list[int] = []
    for length in sorted({*causal, *between}):
        span = matrix.span(now_ns, length - step_ns // 2)
        if not spans or span.first < spans[-1].first:
            spans.append(span)
            if length in causal:
                places.append(len(spans) - 1)
    return tuple(spans), tuple(places)


def _joined(words: list[Words]) -> Words:
    """The words of all slabs."""
    cell, code, value = (np.concatenate(columns) for columns in zip(Words(NONE, NONE, NONE), *words, strict=True))
    return Words(cell, code, value)


def _place(part: Part) -> NDArray[np.float32]:
    """The mean over steps of one latency of each."""
    total, steps = np.zeros(len(part), np.float32), np.zeros(len(part), np.uint8)
    for places in part.places():
        total += places
        steps += places > 0
    result: NDArray[np.float32] = (total / np.maximum(steps, 1)).astype(np.float32)
    return result


def _reasons(matrix: Matrix, slab: Slab, cells: Ints, now_ns: int) -> Small:
    """Why the windows of a cell do not count, by its newest ones."""
    patience_ns = np.maximum(matrix.stale_after_ns, 3 * MILLISECOND * slab.interval_ms[cells].astype(np.int64))
    since_ns = now_ns - patience_ns
    reason = np.where(slab.good_ns[cells] > since_ns, Reason.JUDGED, Reason.STALE).astype(np.uint8)
    silent = [
        row.number
        for row in matrix.table.rows_in(slab)
        if row.heard_ns is None or row.heard_ns <= now_ns - matrix.stale_after_ns
    ]
    if silent:
        reason[np.isin(slab.row[cells], silent)] = Reason.STALE
    why = slab.why[cells]
    set_aside = (slab.any_ns[cells] > since_ns) & ((why & GOOD) == 0)
    reason[set_aside & ((why & UNCONFIRMED) != 0)] = Reason.IDENTITY
    reason[set_aside & ((why & ILL) != 0)] = Reason.ILL
    reason[slab.present[cells] != PLANNED] = Reason.UNSAMPLED
    return reason


def cells_of(sample: Sample, expected: Small | None = None) -> list[Cells]:
    """The cells of each span, shortest first; `expected` is ALLOW of all unless given."""
    tables = sample.tables
    layer, kind, family = (column[sample.ask] for column in (tables.layer, tables.kind, tables.family))
    reason = _marked(sample, layer, kind)
    expected = np.full(len(sample), Expected.ALLOW, np.uint8) if expected is None else expected
    return [
        Cells(
            start_ns=span.start_ns,
            stop_ns=sample.now_ns,
            sources=tables.sources,
            targets=tables.targets,
            heard_ns=sample.heard_ns,
            source=sample.source,
            target=sample.target,
            layer=layer,
            kind=kind,
            family=family,
            sent=sent,
            lost=lost,
            expected=expected,
            reason=np.where((reason == Reason.JUDGED) & (sent == 0), Reason.NOTHING_SENT, reason).astype(np.uint8),
            forward=_measured(words, Measure.FORWARD_LOST, len(sample)),
            backward=_measured(words, Measure.BACKWARD_LOST, len(sample)),
            bursts=_bursts(words, len(sample)) if place == sample.causal[0] else None,
        )
        for place, (span, sent, lost, words) in enumerate(
            zip(sample.spans, sample.sent, sample.lost, sample.words, strict=True)
        )
    ]


def _bursts(words: Words, cells: int) -> Bursts:
    """What bursts found in the shortest span that causes are looked for in: each is evidence of this moment alone."""
    sent, lost = (_measured(words, measure, cells) for measure in (Measure.BURST_SENT, Measure.BURST_LOST))
    some = np.flatnonzero(sent)
    counted = np.minimum(sent[some], INDEPENDENT)
    return Bursts(some, counted, np.rint(lost[some] * counted / sent[some]).astype(np.int64))


def _measured(words: Words, measure: Measure, cells: int) -> Ints:
    """A measure of each cell."""
    mine = words.code == MEASURE + measure
    result = np.zeros(cells, np.int64)
    np.add.at(result, words.cell[mine], words.value[mine])
    return result


def _marked(sample: Sample, layer: Small, kind: Small) -> Small:
    """The reasons with those that lie at the ends: excluded, leaving, and a responder that is itself ill."""
    tables, reason = sample.tables, sample.reason.copy()
    sick = np.zeros(len(tables.sources) + 1, np.bool_)
    sick[sample.source[reason == Reason.ILL]] = True
    answering = np.isin(layer, AT_PODS) & (kind != BY_KERNEL)
    reason[answering & sick[tables.vantage][sample.target] & (reason == Reason.JUDGED)] = Reason.ILL
    gone = np.append(sample.leaving, np.False_)
    reason[gone[sample.source] | gone[tables.vantage][sample.target]] = Reason.LEAVING
    for by_end, number in zip(sample.excluded, (sample.source, sample.target), strict=True):
        excluded = by_end[number]
        reason = np.where(excluded != Reason.JUDGED, excluded, reason)
    return reason


def _excluded(matrix: Matrix, tables: Tables) -> tuple[Small, Small]:
    """Why sources and targets do not count, by number, before anything is measured."""
    sources, targets = (OF_EXCLUSION[codes[:-1]] for codes in matrix.table.catalogue.excluded)
    empty = {f"service/{one.namespace}/{one.name}" for one in matrix.snapshot.services if one.endpoints == 0}
    if empty:
        targets = targets.copy()
        targets[[number for number, end in enumerate(tables.targets.all) if end.name in empty]] = Reason.NOT_READY
    return sources, targets
