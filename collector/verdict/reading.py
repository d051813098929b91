"""Reads the matrix into cells of three spans.

In: the matrix, and which agents are expected and leaving. Out: `Sample`, a copy that nobody changes, made in slices on the loop
of the matrix; and of that, on any thread, one `Cells` per span. What must not count is marked with its reason and never left
out. Tables of ends are kept as long as no number in the matrix gets another meaning.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from collector.discovery.snapshot import Snapshot
from collector.matrix.catalogue import Catalogue
from collector.matrix.exclusions import SENTENCES
from collector.matrix.part import MILLISECOND, Part, present
from collector.matrix.places import Place
from collector.matrix.slab import GOOD, ILL, PLANNED, UNCONFIRMED, Slab
from collector.matrix.slices import Slices
from collector.matrix.store import Matrix, Span
from collector.verdict.cells import FAMILIES, KINDS, LAYERS, Cells, End, Ends, Ints, Mask, Reason, Small
from wire.outcome import Outcome
from wire.path import Kind, Layer

SPANS_NS: Final = (10 * 10**9, 60 * 10**9, 300 * 10**9)
STEPS: Final = 3
"""Where steps are short, the first span is no longer than so many of them: what is total then shows as total at once."""
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
WRONG_PEER: Final = int(Outcome.WRONG_PEER)
BY_KERNEL: Final = KINDS.index(Kind.ICMP)


@dataclass(frozen=True, slots=True)
class Tables:
    """Both ends of cells by their numbers in the matrix, and what is known of them without any probe."""

    version: tuple[int, int]
    sources: Ends
    targets: Ends
    vantage: Ints
    """Of each target the source in the same pod, -1 for none."""
    layer: Small
    """By the number of how a path asks, as the next two."""
    kind: Small
    family: Small


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The matrix at one moment; one element a cell."""

    now_ns: int
    tables: Tables
    spans: tuple[Span, ...]
    heard_ns: Ints
    """By source: when its last report arrived, UNHEARD where none is expected."""
    leaving: Mask
    """By source: whether its agent said farewell."""
    excluded: tuple[Small, Small]
    """Reasons by source and by target."""
    source: Ints
    target: Ints
    ask: Ints
    reason: Small
    """By the cell's own windows alone."""
    sent: tuple[Ints, ...]
    """By span."""
    lost: tuple[Ints, ...]

    def __len__(self) -> int:
        """Number of cells."""
        return len(self.source)


class Reader:
    """See the module. One per matrix."""

    def __init__(self) -> None:
        self._tables: Tables | None = None

    def sample_in_slices(
        self, matrix: Matrix, now_ns: int, *, heard: Mapping[str, int], leaving: frozenset[str]
    ) -> Slices[Sample]:
        """A copy of what is needed. `heard` has the expected agents by vantage, and when each was heard last."""
        tables = self._tables_of(matrix)
        spans = spans_of(matrix, now_ns)
        yield
        columns: list[tuple[NDArray[Any], ...]] = []
        for slab in list(matrix.table.slabs):
            columns.append(_read(matrix, slab, spans, now_ns))
            yield
        joined = [np.concatenate(column) for column in zip(*columns, strict=True)] if columns else None
        if joined is None:
            none = np.zeros(0, np.int64)
            joined = [none, none, none, none.astype(np.uint8), *[none] * (2 * len(spans))]
        names = [end.name for end in tables.sources.all]
        return Sample(
            now_ns,
            tables,
            spans,
            np.array([heard.get(name, UNHEARD) for name in names], np.int64),
            np.array([name in leaving for name in names], np.bool_),
            _excluded(matrix, tables),
            joined[0],
            joined[1],
            joined[2],
            joined[3],
            tuple(joined[4 : 4 + len(spans)]),
            tuple(joined[4 + len(spans) :]),
        )

    def _tables_of(self, matrix: Matrix) -> Tables:
        catalogue = matrix.table.catalogue
        version = (matrix.generation, catalogue.changes)
        if self._tables is None or self._tables.version != version:
            self._tables = tables_of(catalogue, matrix.snapshot, version)
        return self._tables


def spans_of(matrix: Matrix, now_ns: int) -> tuple[Span, ...]:
    """The spans in whole steps, to the nearest; shortest first, and none twice where little is kept."""
    half = matrix.step_ns // 2
    first, *others = SPANS_NS
    lengths = (min(first, STEPS * matrix.step_ns), *others)
    found = [matrix.span(now_ns, max(length, matrix.step_ns) - half) for length in lengths]
    return tuple(one for number, one in enumerate(found) if number == 0 or one.first < found[number - 1].first)


def _read(matrix: Matrix, slab: Slab, spans: tuple[Span, ...], now_ns: int) -> tuple[NDArray[Any], ...]:
    """Of each cell of a slab: source, target, ask, reason, and for each span what was sent, then what was lost."""
    cells = present(slab)
    counts = [_counts(Part(matrix, slab, cells, span)) for span in spans]
    return (
        slab.row[cells].astype(np.int64),
        slab.aim[cells].astype(np.int64),
        slab.ask[cells].astype(np.int64),
        _reasons(matrix, slab, cells, now_ns),
        *(sent for sent, _ in counts),
        *(lost for _, lost in counts),
    )


def _counts(part: Part) -> tuple[Ints, Ints]:
    """Sent and lost, without what somebody else answered: that says that an address was given again, and nothing of a way."""
    element, code, value = part.words
    if not (strange := code == WRONG_PEER).any():
        return part.sent, part.lost
    others = np.bincount(element[strange], value[strange], len(part)).astype(np.int64)
    return np.maximum(part.sent - others, 0), np.maximum(part.lost - others, 0)


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


def cells_of(sample: Sample) -> list[Cells]:
    """The cells of each span, shortest first."""
    tables = sample.tables
    layer, kind, family = (column[sample.ask] for column in (tables.layer, tables.kind, tables.family))
    reason = _marked(sample, layer, kind)
    expected = np.zeros(len(sample), np.uint8)  # ALLOW
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
        )
        for span, sent, lost in zip(sample.spans, sample.sent, sample.lost, strict=True)
    ]


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


def tables_of(catalogue: Catalogue, snapshot: Snapshot, version: tuple[int, int]) -> Tables:
    """The tables of this moment."""
    uids = {one.name: one.uid for one in snapshot.vantages}
    numbers = {place.vantage: number for number, place in enumerate(catalogue.sources) if place.vantage}
    return Tables(
        version,
        Ends(_end(place, place.vantage, uids.get(place.vantage or "", "")) for place in catalogue.sources),
        Ends(
            _end(place, place.target, uids.get(place.vantage or "", ""), network=aim.network)
            for aim, place in zip(catalogue.aims, catalogue.targets, strict=True)
        ),
        np.array([numbers.get(place.vantage or "", -1) for place in catalogue.targets], np.int64),
        np.array([LAYERS.index(asked.layer) for asked in catalogue.asks], np.uint8),
        np.array([KINDS.index(asked.kind) for asked in catalogue.asks], np.uint8),
        np.array([FAMILIES.index(asked.family) for asked in catalogue.asks], np.uint8),
    )


def _excluded(matrix: Matrix, tables: Tables) -> tuple[Small, Small]:
    """Why sources and targets do not count, by number, before anything is measured."""
    sources, targets = (OF_EXCLUSION[codes[:-1]] for codes in matrix.table.catalogue.excluded)
    empty = {f"service/{one.namespace}/{one.name}" for one in matrix.snapshot.services if one.endpoints == 0}
    if empty:
        targets = targets.copy()
        targets[[number for number, end in enumerate(tables.targets.all) if end.name in empty]] = Reason.NOT_READY
    return sources, targets


def _end(place: Place, name: str | None, uid: str, *, network: str = "") -> End:
    return End(name or "", place.node or "", place.zone or "", place.namespace or "", network, uid)
