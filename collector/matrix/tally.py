"""One family of counters: sums under labels that outlive the cells they came from.

A cell leaves with its path, but a counter that goes down is read as a reset. So what is exported is added up here, under the
labels of its family, and leaves only when a label's own subject (a node, a zone, a namespace, a service, a host) is gone.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

import numpy as np

from collector.matrix.histograms import Floats, Ints, Mask, Numbers

Key = tuple[str, ...]

OTHER: Final = "other"
"""Label value under which everything beyond a family's limit is added up."""
UNSOUGHT: Final = -2


class Tally:
    """One family: rows of integers under label values, at most `limit` rows; the rest goes to one row named OTHER."""

    def __init__(self, columns: int, *, labels: int, limit: int) -> None:
        self._limit = limit
        self._other: Key = (OTHER,) * labels
        self._rows: dict[Key, int] = {}
        self._values: Ints = np.zeros((columns, 0), np.int64)
        self._sorted: tuple[list[Key], Ints] | None = None
        """Keys in ascending order, and the row of each."""

    def row_of(self, key: Key) -> int:
        """The row of a key; an unknown one gets a row."""
        if key not in self._rows and len(self._rows) >= self._limit:
            key = self._other
        if key not in self._rows:
            self._rows[key] = len(self._rows)
            self._sorted = None
        row = self._rows[key]
        if row >= self._values.shape[1]:
            more = np.zeros((len(self._values), max(16, row)), np.int64)
            self._values = np.concatenate([self._values, more], axis=1)
        return row

    def rows_of(self, keys: Iterable[Key | None]) -> Ints:
        """The row of each key, -1 for None."""
        return np.array([-1 if key is None else self.row_of(key) for key in keys], np.int64)

    def add(self, rows: Ints, values: Numbers | Floats | Mask, columns: tuple[int, ...]) -> None:
        """Add values to some columns of the rows named; -1 is no row."""
        if not len(rows):
            return
        # Adding at indices takes longer than counting with weights. Weights are floats, exact up to 2^53, and sums of what
        # is added at a time are far below. What has no row is counted in front of all others.
        sums = np.bincount(rows + 1, weights=values)[1:].astype(np.int64)
        for column in columns:
            self._values[column, : len(sums)] += sums

    def add_to(self, row: int, *values: int) -> None:
        """Add one value per column to one row."""
        for column, value in zip(self._values, values, strict=False):
            column[row] += value

    def add_each(self, rows: Ints, columns: Ints, values: Numbers | Floats) -> None:
        """Add one value to each pair of a row and a column, of which none occurs twice."""
        self._values[columns, rows] += values.astype(np.int64)

    def keep(self, wanted: Callable[[Key], bool]) -> None:
        """Drop the rows whose subject is gone. Rows move: ask row_of again."""
        kept = [(key, row) for key, row in self._rows.items() if key == self._other or wanted(key)]
        self._values = self._values[:, np.array([row for _, row in kept], np.int64)]
        self._rows = {key: row for row, (key, _) in enumerate(kept)}
        self._sorted = None

    def items(self) -> Iterator[tuple[Key, list[int]]]:
        """(labels, values), ascending by labels."""
        keys, columns = self.columns()
        return zip(keys, map(list, zip(*columns, strict=True)), strict=True)

    def columns(self) -> tuple[list[Key], list[list[int]]]:
        """Labels in ascending order, the same list as long as there are no others, and the values of each column."""
        if self._sorted is None:
            keys = sorted(self._rows)
            self._sorted = keys, np.array([self._rows[key] for key in keys], np.int64)
        keys, rows = self._sorted
        return keys, self._values[:, rows].tolist()


class Lookup:
    """The row of a tally for each scope and aim, found when it is first needed."""

    def __init__(self, tally: Tally, key: Callable[[int, int], Key | None]) -> None:
        self.tally = tally
        self._key = key
        self._rows = np.zeros((0, 0), np.int32)

    def rows(self, scopes: Ints, aims: Ints) -> Ints:
        """The row of each, -1 for none."""
        if not len(aims):
            return np.zeros(0, np.int64)
        scope, aim = int(scopes.max()), int(aims.max())
        if scope >= self._rows.shape[0] or aim >= self._rows.shape[1]:
            before = self._rows
            self._rows = np.full((max(scope + 1, before.shape[0]), max(aim + 1024, before.shape[1])), UNSOUGHT, np.int32)
            self._rows[: before.shape[0], : before.shape[1]] = before
        places, flat = scopes * self._rows.shape[1] + aims, self._rows.reshape(-1)
        rows = flat.take(places)
        if rows.min() == UNSOUGHT:
            wanted = np.unique(places[rows == UNSOUGHT])
            pairs = [divmod(key, self._rows.shape[1]) for key in wanted.tolist()]
            flat[wanted] = self.tally.rows_of(self._key(*pair) for pair in pairs)
            rows = flat.take(places)
        return rows.astype(np.int64)
