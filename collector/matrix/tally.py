"""Counters for export: sums under labels that outlive the cells they came from.

A cell leaves with its path, but a counter that goes down is read as a reset. So what is exported is added up here, under the
labels of its family, and leaves only when a label's own subject (a node, a zone, a namespace, a service, a host) is gone.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import numpy as np

from collector.matrix.batch import LOCAL_FROM, Batch
from collector.matrix.histograms import CLASSIC_SECONDS, Ints, Mask, classic, summed
from collector.matrix.sums import CODES
from collector.matrix.table import Table
from wire.outcome import Outcome
from wire.window import Flag

Key = tuple[str, ...]

OTHER: Final = "other"
"""Label value under which everything beyond a family's limit is added up."""


class Tally:
    """One family: rows of integers under label values, at most `limit` rows; the rest goes to one row named OTHER."""

    def __init__(self, columns: int, *, labels: int, limit: int) -> None:
        self._columns = columns
        self._limit = limit
        self._other: Key = (OTHER,) * labels
        self._rows: dict[Key, int] = {}
        self._values: Ints = np.zeros((0, columns), np.int64)

    def rows_of(self, keys: Iterable[Key | None]) -> Ints:
        """The row of each key, -1 for None; unknown keys get a row."""
        rows = np.array([-1 if key is None else self._row(key) for key in keys], np.int64)
        missing = len(self._rows) - len(self._values)
        if missing > 0:
            self._values = np.concatenate([self._values, np.zeros((missing, self._columns), np.int64)])
        return rows

    def _row(self, key: Key) -> int:
        if key not in self._rows and len(self._rows) >= self._limit:
            key = self._other
        return self._rows.setdefault(key, len(self._rows))

    def add(self, rows: Ints, values: Ints) -> None:
        """Add values, shape (n, columns), to the rows named; -1 is no row."""
        rows, values = rows[rows >= 0], values[rows >= 0]
        if not len(rows):
            return
        order = np.argsort(rows, kind="stable")
        rows = rows[order]
        starts = np.flatnonzero(np.concatenate(([True], rows[1:] != rows[:-1])))
        self._values[rows[starts]] += np.add.reduceat(values[order], starts, axis=0)

    def keep(self, wanted: Callable[[Key], bool]) -> None:
        """Drop the rows whose subject is gone. Rows move: ask rows_of again."""
        kept = [(key, row) for key, row in self._rows.items() if key == self._other or wanted(key)]
        self._values = self._values[np.array([row for _, row in kept], np.int64)]
        self._rows = {key: row for row, (key, _) in enumerate(kept)}

    def items(self) -> Iterator[tuple[Key, list[int]]]:
        """(labels, values), ascending by labels."""
        values = self._values.tolist()
        return iter(sorted((key, values[row]) for key, row in self._rows.items()))


class Tallies:
    """Every exported counter that reports feed."""

    def __init__(self) -> None:
        self.nodes = Tally(6, labels=3, limit=100_000)
        """(node, direction, layer): sent, lost, late, received, latency sum in ns, windows with NAT."""
        self.zones = Tally(4 + len(CLASSIC_SECONDS) + 1, labels=3, limit=2_000)
        """(from zone, to zone, layer): sent, lost, received, latency sum in ns, then the classic histogram."""
        self.namespaces = Tally(2, labels=2, limit=2_000)
        """(from namespace, to namespace): sent, lost, of the pod and service layers."""
        self.services = Tally(2, labels=2, limit=2_000)
        """(namespace, service): sent, lost."""
        self.external = Tally(2, labels=1, limit=1_000)
        """(name of the host): sent, lost."""
        self.failures = Tally(1, labels=3, limit=1_000)
        """(layer, kind, word): probes that failed."""
        self.local = Tally(1, labels=2, limit=100)
        """(kind, word): probes that our own side did not send."""
        self.set_aside = Tally(1, labels=1, limit=10)
        """(reason): probes that enter no sum."""
        self._of_cell: dict[str, Ints] = {}
        self._asks: list[tuple[str, str]] = []
        self._asks_of_cell: Ints = np.zeros(0, np.int64)

    def replan(self, table: Table, subjects: Mapping[str, frozenset[str]]) -> None:
        """Forget subjects that are gone, and learn where each cell counts. `subjects`: names by dimension."""
        nodes, zones, namespaces = subjects["node"], subjects["zone"], subjects["namespace"]
        self.nodes.keep(lambda key: key[0] in nodes)
        self.zones.keep(lambda key: key[0] in zones and key[1] in zones)
        self.namespaces.keep(lambda key: key[0] in namespaces and key[1] in namespaces)
        self.services.keep(lambda key: f"{key[0]}/{key[1]}" in subjects["service"])
        self.external.keep(lambda key: key[0] in subjects["external"])
        cells = list(zip(table.paths, table.sources, table.targets, strict=True))
        known: dict[tuple[str, str], int] = {}
        asks = [known.setdefault((path.layer.value, path.kind.value), len(known)) for path in table.paths]
        self._asks, self._asks_of_cell = list(known), np.array(asks, np.int64)
        self._of_cell = {
            "out": self.nodes.rows_of((a.node, "out", p.layer.value) if a.node else None for p, a, _ in cells),
            "in": self.nodes.rows_of((b.node, "in", p.layer.value) if b.node else None for p, _, b in cells),
            "zones": self.zones.rows_of(
                (a.zone, b.zone, p.layer.value) if a.zone is not None and b.zone is not None else None for p, a, b in cells
            ),
            "namespaces": self.namespaces.rows_of(
                (a.namespace, b.namespace) if a.namespace and b.namespace else None for _, a, b in cells
            ),
            "services": self.services.rows_of(
                (b.namespace, b.service) if b.namespace and b.service else None for *_, b in cells
            ),
            "external": self.external.rows_of(
                (b.target.removeprefix("external/"),) if b.target and b.target.startswith("external/") else None
                for *_, b in cells
            ),
        }

    def add(self, batch: Batch) -> None:
        """Count the windows of a batch."""
        aside = (batch.flags & (Flag.UNCONFIRMED | Flag.ILL)) != 0
        ill = (batch.flags & Flag.ILL) != 0
        sent = batch.received.astype(np.int64) + batch.late + batch.failed
        for reason, which in (("unconfirmed", aside & ~ill), ("ill", ill)):
            self.set_aside.add(self.set_aside.rows_of([(reason,)]), np.array([[int(sent[which].sum())]]))
        good = ~aside
        cell, lost = batch.cell[good], (batch.late.astype(np.int64) + batch.failed)[good]
        sent, received = sent[good], batch.received[good].astype(np.int64)
        nat = ((batch.flags[good] & Flag.NAT) != 0).astype(np.int64)
        both = np.column_stack([sent, lost])
        node = np.column_stack([sent, lost, batch.late[good], received, batch.sum_ns[good], nat])
        self.nodes.add(self._of_cell["out"][cell], node)
        self.nodes.add(self._of_cell["in"][cell], node)
        for name in ("namespaces", "services", "external"):
            getattr(self, name).add(self._of_cell[name][cell], both)
        wanted = good[batch.latency_entry]
        place = np.cumsum(good) - 1
        histogram = classic(
            place[batch.latency_entry[wanted]],
            batch.latency_place[wanted],
            batch.latency_count[wanted],
            groups=len(cell),
        )
        self.zones.add(self._of_cell["zones"][cell], np.column_stack([sent, lost, received, batch.sum_ns[good], histogram]))
        self._add_words(batch, good)

    def _add_words(self, batch: Batch, good: Mask) -> None:
        """Failures by word: few distinct ones, however many cells fail."""
        wanted = good[batch.outcome_entry]
        asked = self._asks_of_cell[batch.cell[batch.outcome_entry[wanted]]]
        keys, counts = summed(asked * CODES + batch.outcome_code[wanted], batch.outcome_count[wanted].astype(np.int64))
        for key, count in zip(keys.tolist(), counts, strict=True):
            layer, kind = self._asks[key // CODES]
            word = Outcome(key % CODES).word
            if key % CODES >= LOCAL_FROM:
                self.local.add(self.local.rows_of([(kind, word)]), np.array([[count]]))
            else:
                self.failures.add(self.failures.rows_of([(layer, kind, word)]), np.array([[count]]))
