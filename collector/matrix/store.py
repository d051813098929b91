"""The matrix: all that the collector knows of every cell, in bounded memory.

In: the plans in force, and reports as they arrive. Kept of a cell: sums since the start, its newest window, and counts by steps
of time as far back as the retention reaches; of all cells together, counters for export. A report is applied whole or not at
all. Nothing here reads a clock; `arrived_ns` and `now_ns` are of one monotonic clock.

When memory is short the oldest steps of time yield first, and then rows that find no room; both are counted.
"""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, Protocol

import numpy as np

from collector.discovery.snapshot import Snapshot
from collector.matrix.batch import NOTHING, Inconsistent, Planned
from collector.matrix.catalogue import Catalogue
from collector.matrix.checked import read
from collector.matrix.departed import KIND
from collector.matrix.facts import Facts
from collector.matrix.histograms import Ints
from collector.matrix.intake import Most, Taken, enter
from collector.matrix.slab import Slab
from collector.matrix.slices import Slices
from collector.matrix.sparse import Ledger, Log
from collector.matrix.table import MOST_DEPARTED, Row, Table
from collector.matrix.tallies import Tallies
from wire.plan import Plan
from wire.report import Report

__all__ = ["Inconsistent", "Matrix"]

RETENTION_NS: Final = 300 * 10**9
MOST_STEPS: Final = 361
"""Steps of time that are kept at most; where the retention has more of them, a step is longer than a report's span."""
FEWEST_STEPS: Final = 7
"""Steps that are kept however short memory is: the span that is asked for most, and the step that is open."""


MANY: Final = 32_768
MANY_REPORTS: Final = 256
"""Entries and reports that wait before they enter together."""

SHARES: Final = 32
SLABS, LATENCIES, WORDS, TOTALS = 23, 3, 4, 2
"""Shares of the memory: arrays with an element per cell, and each sort of sparse counts. Last results of cells that left have
what the arrays leave."""


class Vantages(Protocol):
    """What the matrix asks of plans; see collector.plan.compose."""

    def __contains__(self, vantage: object, /) -> bool:
        """Whether there is a plan for a vantage."""


class Span(NamedTuple):
    """Steps of time that an answer is of: all windows that ended after `start_ns`."""

    first: int
    last: int
    start_ns: int
    slots: Ints
    """Where a slab has the steps, the newest first."""


class Matrix:
    """See the module. Not thread-safe: one task applies, and whoever asks does so between two reports."""

    def __init__(self, *, retention_ns: int = RETENTION_NS, max_bytes: int, stale_after_ns: int) -> None:
        self.retention_ns = retention_ns
        self.max_bytes = max_bytes
        self.stale_after_ns = stale_after_ns
        """From when on a cell without a window is unknown: three report intervals."""
        self.step_ns = max(stale_after_ns // 3, -(-retention_ns // (MOST_STEPS - 1)))
        """Length of a step of time: a report interval, unless the retention is long."""
        self._table = Table(steps=-(-retention_ns // self.step_ns) + 1)
        self._tallies = Tallies(self._table.catalogue)
        self._waiting: dict[int, Taken] = {}
        """Checked reports that have yet to enter, by the number of their row."""
        self._entries = 0
        self.snapshot = Snapshot()
        self.generation = 0
        """Goes up when the places of cells, or of steps of time, change their meaning."""
        self.unknown_paths = 0
        """Entries left out since their path is in no plan that is remembered."""
        self.unknown_codes = 0
        self.dropped = 0
        """Steps of time, rows and sparse counts that left, or were not taken, for want of memory."""
        self._facts = Facts()
        self._newest = -1
        """Number of the newest step; step n holds what ended after n and until n + 1 steps after the clock's zero."""

    @property
    def layout(self) -> tuple[int, int]:
        """Another one where cells may be at other places than before: nobody keeps a place over that."""
        return self.generation, self._table.moved

    def replan(self, snapshot: Snapshot, plans: Vantages) -> None:
        """Take the places of a snapshot, and who has a plan; each of these is then laid. A removed node vanishes."""
        self._tell(self.table.slabs)
        self.generation += 1
        self.snapshot = snapshot
        self._table.replan(snapshot, plans)
        self._tallies.replan(_subjects(snapshot))

    def exclude(self, snapshot: Snapshot) -> None:
        """Take a snapshot for which nobody is asked anything else: who is excluded in it, and why."""
        self.snapshot = snapshot
        self._table.catalogue.exclude(snapshot)

    def lay(self, vantage: str, plan: Plan) -> None:
        """Take the plan of a vantage. Cells that stay keep their history; where nothing changed, nothing happens."""
        table = self._table
        laid = table.read(plan)
        row = table.row(vantage)
        if row.number in self._waiting:
            self._settle()
        self._tell_of(row.slab, row.cells)  # some of them may be about to leave
        slots = self._slots(self.oldest_step, self._newest)
        places = self._places_left(len(laid.ids))
        spare = max(0, self.max_bytes * SLABS // SHARES - sum(slab.nbytes for slab in table.slabs))
        departing = min(MOST_DEPARTED, spare // KIND.itemsize // len(table.rows))
        if not table.lay(row, laid, stays_ns=self.stale_after_ns, slots=slots, places=places, departing=departing):
            self.dropped += 1
        self._tallies.expect(row.number, laid.aim, table.catalogue.layers[laid.ask])

    def _places_left(self, size: int) -> int:
        """Places that there is memory for beside what there is. Where there are not enough, old steps of time yield."""
        most = self.max_bytes * SLABS // SHARES - sum(slab.nbytes for slab in self._table.slabs)
        while most < Slab.bytes_of(size + 32, self._table.steps) and self._table.steps > FEWEST_STEPS:
            self._settle()  # what waits knows where its step is
            steps = max(FEWEST_STEPS, self._table.steps * 7 // 8)
            self.dropped += self._table.steps - steps
            self.generation += 1
            numbers = np.arange(self._newest - steps + 1, self._newest + 1)
            self._table.keep_steps((numbers % self._table.steps)[np.argsort(numbers % steps)])
            most = self.max_bytes * SLABS // SHARES - sum(slab.nbytes for slab in self._table.slabs)
        return max(0, most) // Slab.bytes_of(1, self._table.steps)

    def apply(self, report: Report, *, arrived_ns: int, counted: bool) -> None:
        """Take a report; with `counted` false it is known already to the counters of a collector before this one.

        Raises Inconsistent, after which nothing of the report is kept.
        """
        row = self._table.rows.get(report.vantage)
        columns = report.columns
        batch = read(columns, span_ns=report.span_ns, planned=NOTHING if row is None else _planned(row))
        self.unknown_paths += batch.unknown_paths
        self.unknown_codes += batch.unknown_codes
        if row is None:
            return
        if self._step_of(arrived_ns) > self._newest or row.number in self._waiting:
            self._settle()
            self._advance(arrived_ns)
        row.heard_ns = max(arrived_ns, row.heard_ns or arrived_ns)
        if not len(batch):
            return
        end_ns = arrived_ns - report.age_ns
        # Windows that were merged may be as long as we were away, so they count when they began.
        step = self._step_of(end_ns - report.span_ns if report.merged > 1 else end_ns)
        held = self.oldest_step <= step <= self._newest
        self._waiting[row.number] = Taken(row, batch, end_ns, step, step % self._table.steps if held else -1, counted)
        self._entries += len(batch)
        if columns.facts:
            paths = np.frombuffer(columns.path, "<u8")
            self._facts.learn(paths[[entry for entry, _, _ in columns.facts]].tolist(), columns.facts)
        if self._entries >= MANY or len(self._waiting) >= MANY_REPORTS:
            self._settle()

    def _settle(self) -> None:
        """Let the reports that wait enter, those of one slab and step together."""
        waiting, self._waiting, self._entries = self._waiting, {}, 0
        groups: dict[tuple[int, int, bool], list[Taken]] = {}
        for one in waiting.values():
            groups.setdefault((id(one.row.slab), one.step, one.counted), []).append(one)
        for taken in groups.values():
            taken.sort(key=lambda one: one.row.room.start)
            before = sum(one.row.dropped for one in taken)
            batch, aside = enter(taken, oldest=self.oldest_step, most=self._most(), left_out=self.catalogue.left_out)
            self.dropped += sum(one.row.dropped for one in taken) - before
            if taken[0].counted:
                slab, cell = taken[0].row.slab, batch.cell
                ends = (column[cell].astype(np.int64) for column in (slab.row, slab.aim, slab.ask))
                self._tallies.hear(batch, *ends, aside=aside)

    def _tell(self, slabs: Iterable[Slab]) -> None:
        """Let exported counters hear of what the cells of some slabs did."""
        for slab in slabs:
            if not slab.is_told:
                self._tell_of(slab, slice(0, slab.places))
                slab.is_told = True

    def _tell_of(self, slab: Slab, cells: slice) -> None:
        """The same of some consecutive cells."""
        if slab.is_told:
            return
        received, lost = slab.untold_received[cells], slab.untold_lost[cells]
        some = np.flatnonzero(received | lost)
        if len(some):
            self._tallies.tell(
                *(column[cells][some].astype(np.int64) for column in (slab.row, slab.aim, slab.ask)),
                received=received[some].astype(np.int64),
                lost=lost[some].astype(np.int64),
                total_ns=slab.untold_ns[cells][some],
            )
            for column in (slab.untold_received, slab.untold_lost, slab.untold_ns):
                column[cells] = 0

    def tell_in_slices(self) -> Slices[None]:
        """Bring the counters for export up to date, a few milliseconds at a time."""
        for slab in list(self.table.slabs):
            self._tell([slab])
            yield

    @property
    def table(self) -> Table:
        """All rows and slabs, with every report that was applied."""
        if self._waiting:
            self._settle()
        return self._table

    @property
    def rows(self) -> Mapping[str, Row]:
        """The rows as they are laid, by vantage: for whoever asks what is planned, and not what was measured."""
        return self._table.rows

    @property
    def row_of(self) -> Mapping[int, Row]:
        """The same by number."""
        return self._table.row_of

    @property
    def catalogue(self) -> Catalogue:
        """The words of all cells."""
        return self._table.catalogue

    def _most(self) -> Most:
        """Sparse counts of each sort that a row may hold: its fair share of the memory."""
        share = self.max_bytes // SHARES // len(self._table.rows)
        return Most(
            LATENCIES * share // Log.ENTRY_BYTES, WORDS * share // Log.ENTRY_BYTES, TOTALS * share // Ledger.ENTRY_BYTES
        )

    def _step_of(self, when_ns: int) -> int:
        return (when_ns - 1) // self.step_ns

    def _advance(self, now_ns: int) -> None:
        """Begin the step of time that now is in, and forget those that are over."""
        step = self._step_of(now_ns)
        if step <= self._newest:
            return
        begun = np.unique(np.arange(max(self._newest + 1, step - self._table.steps + 1), step + 1) % self._table.steps)
        for slab in self._table.slabs:
            slab.clear_steps(begun)
        self._newest = step

    def _slots(self, first: int, last: int) -> Ints:
        return np.arange(last, first - 1, -1) % self._table.steps

    @property
    def oldest_step(self) -> int:
        """Number of the oldest step of time that is kept."""
        return max(0, self._newest - self._table.steps + 1)

    def span(self, now_ns: int, span_ns: int) -> Span:
        """The steps of time that answer for the last `span_ns`: that much or up to a step more, unless less is kept."""
        first = max((now_ns - span_ns) // self.step_ns, self.oldest_step)
        start_ns = min(first * self.step_ns, now_ns)
        return Span(first, self._newest, start_ns, self._slots(first, self._newest))

    @property
    def tallies(self) -> Tallies:
        """Counters for export, up to date."""
        self._tell(self.table.slabs)
        return self._tallies

    @property
    def nbytes(self) -> int:
        """Bytes that cells occupy, of `max_bytes`."""
        return self.table.nbytes

    def facts(self, path: int) -> Mapping[str, str]:
        """What was seen last on a path, as text."""
        return self._facts.of(path)


def _planned(row: Row) -> Planned:
    if not row.size:
        return NOTHING
    slab, cells = row.slab, row.cells
    return Planned(slab.ids[cells], slab.present[cells], slab.shortest_ms[cells], slab.longest_ms[cells])


def _subjects(snapshot: Snapshot) -> dict[str, frozenset[str]]:
    """All names that labels may have, by dimension."""
    return {
        "node": frozenset(node.name for node in snapshot.nodes),
        "zone": frozenset(node.zone for node in snapshot.nodes),
        "namespace": frozenset({one.namespace for one in snapshot.vantages} | {one.namespace for one in snapshot.services}),
        "service": frozenset(f"{service.namespace}/{service.name}" for service in snapshot.services),
        "network": frozenset({""} | {network.name for one in snapshot.vantages for network in one.networks}),
        "dns": frozenset(server.name for server in snapshot.dns),
        "external": frozenset(host.name for host in snapshot.external),
    }
