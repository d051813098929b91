"""The matrix: all that the collector knows of every cell, in bounded memory.

In: the plans in force, and reports as they arrive. Kept: sums since the start, the newest of every cell, counters for export,
and a ring of the reports of the last minutes as columns. The ring yields first when memory is short, oldest first and counted.
A report is applied whole or not at all. Nothing here reads a clock; `arrived_ns` and `now_ns` are of one monotonic clock.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from collector.discovery.snapshot import Snapshot
from collector.matrix.batch import Batch, Inconsistent, Planned, read
from collector.matrix.histograms import Mask
from collector.matrix.newest import Newest
from collector.matrix.sums import Sums
from collector.matrix.table import Table, replanned
from collector.matrix.tally import Tallies
from wire.plan import Plan
from wire.report import Report
from wire.window import FactName

__all__ = ["Inconsistent", "Matrix"]

RETENTION_NS: Final = 300 * 10**9
MAX_FACTS: Final = 100_000
"""Facts kept, of 128 characters at most each; the oldest leave first."""


@dataclass(slots=True)
class _Held:
    """A batch in the ring."""

    batch: Batch
    when_ns: int
    """When its windows ended. When they began, where the agent merged several: these may be as long as we were away."""
    arrived_ns: int
    nbytes: int


class Matrix:
    """See the module. Not thread-safe: one task applies, and whoever asks does so between two reports."""

    def __init__(self, *, retention_ns: int = RETENTION_NS, max_bytes: int, stale_after_ns: int) -> None:
        self.retention_ns = retention_ns
        self.max_bytes = max_bytes
        self.stale_after_ns = stale_after_ns
        """From when on a cell without a window is unknown: three report intervals."""
        self.table = Table()
        self.totals = Sums(0)
        self.newest = Newest(0)
        self.tallies = Tallies()
        self.snapshot = Snapshot()
        self.heard_ns: dict[str, int] = {}
        """When each vantage's newest report arrived."""
        self.unknown_paths = 0
        """Entries left out since their path is in no plan that is remembered."""
        self.unknown_codes = 0
        self.dropped = 0
        """Batches that left the ring before their time for want of memory."""
        self._facts: dict[int, dict[FactName, str]] = {}
        self._ring: deque[_Held] = deque()
        self._ring_bytes = 0

    def replan(self, snapshot: Snapshot, plans: Mapping[str, Plan]) -> None:
        """Take the plans of all vantages, by name. Unchanged paths keep their history; a removed node vanishes."""
        table, moved = replanned(self.table, snapshot, plans)
        cells = len(table)
        self.totals.move(moved, cells)
        self.newest = self.newest.move(moved, cells)
        self._facts = {int(moved[cell]): facts for cell, facts in self._facts.items() if moved[cell] >= 0}
        if not np.array_equal(moved, np.arange(len(moved))):
            for held in self._ring:
                there = held.batch.cell >= 0
                cell = np.where(there, moved[held.batch.cell], -1).astype(np.int32)
                held.batch = replace(held.batch, cell=cell)
        self.table, self.snapshot = table, snapshot
        vantages = frozenset(vantage.name for vantage in snapshot.vantages)
        self.heard_ns = {name: arrived for name, arrived in self.heard_ns.items() if name in vantages}
        self.tallies.replan(table, _subjects(snapshot))

    def apply(self, report: Report, *, arrived_ns: int, counted: bool) -> None:
        """Take a report; with `counted` false it is known already to the counters of a collector before this one.

        Raises Inconsistent, after which nothing of the report is kept.
        """
        batch = read(report.columns, span_ns=report.span_ns, planned=self._planned(report.vantage))
        end_ns = arrived_ns - report.age_ns
        self.unknown_paths += batch.unknown_paths
        self.unknown_codes += batch.unknown_codes
        self.heard_ns[report.vantage] = max(arrived_ns, self.heard_ns.get(report.vantage, arrived_ns))
        self.totals.add(batch)
        self.newest.take(batch, end_ns)
        if counted:
            self.tallies.add(batch)
        for cell, name, text in batch.facts:
            facts = {**self._facts.pop(cell, {}), name: text}
            self._facts[cell] = facts
        while len(self._facts) > MAX_FACTS:
            del self._facts[next(iter(self._facts))]
        if end_ns > arrived_ns - self.retention_ns:
            when_ns = end_ns - report.span_ns if report.merged > 1 else end_ns
            held = _Held(replace(batch, facts=()), when_ns, arrived_ns, batch.nbytes)
            self._ring.append(held)
            self._ring_bytes += held.nbytes
        self._expire(arrived_ns)

    def _planned(self, vantage: str) -> Planned:
        cells = self.table.cells_of.get(vantage, np.zeros(0, np.int64))
        table = self.table
        return Planned(table.ids[cells], cells, table.shortest_ns[cells], table.longest_ns[cells])

    def _expire(self, now_ns: int) -> None:
        while self._ring and self._ring[0].arrived_ns <= now_ns - self.retention_ns:
            self._ring_bytes -= self._ring.popleft().nbytes
        fixed = self.totals.nbytes + self.newest.nbytes
        while self._ring and self._ring_bytes + fixed > self.max_bytes:
            self._ring_bytes -= self._ring.popleft().nbytes
            self.dropped += 1

    @property
    def nbytes(self) -> int:
        """Bytes that the arrays occupy, of `max_bytes`."""
        return self._ring_bytes + self.totals.nbytes + self.newest.nbytes

    def span(self, now_ns: int, span_ns: int, *, only: Mask | None = None) -> Sums:
        """The sums of the windows that ended within the last `span_ns`, at most as far back as the ring reaches.

        Those that were merged must also have begun in it. Cells for which `only` is False may be left at zero.
        """
        batches = [held.batch for held in self._ring if held.when_ns > now_ns - span_ns]
        return Sums.of(batches, len(self.table), only=only)

    def facts(self, cell: int) -> Mapping[FactName, str]:
        """What was seen last in a cell, as text."""
        return self._facts.get(cell, {})


def _subjects(snapshot: Snapshot) -> dict[str, frozenset[str]]:
    """All names that labels may have, by dimension."""
    return {
        "node": frozenset(node.name for node in snapshot.nodes),
        "zone": frozenset(node.zone for node in snapshot.nodes),
        "namespace": frozenset({one.namespace for one in snapshot.vantages} | {one.namespace for one in snapshot.services}),
        "service": frozenset(f"{service.namespace}/{service.name}" for service in snapshot.services),
        "external": frozenset(host.name for host in snapshot.external),
    }
