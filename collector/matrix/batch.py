"""A report's windows as checked arrays, and what a report is checked against."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from collector.matrix.histograms import Ids, Ints, Mask
from wire.outcome import Outcome
from wire.window import Flag

LOCAL_FROM: Final = int(Outcome.NO_FD)

REASONS: Final = ("index", "duplicate_path", "histogram", "latency", "bucket", "outcome", "absurd")
"""Every word that Inconsistent may carry."""


class Inconsistent(ValueError):  # noqa: N818 - says what the report is
    """A report that contradicts itself or what is possible. `reason` is one of REASONS; nothing of it is kept."""

    def __init__(self, reason: str, explanation: str) -> None:
        """Keep the reason for the counter and the explanation for the answer."""
        super().__init__(explanation)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Planned:
    """What one vantage may report: the cells of its row, in ascending order of `path`. All arrays are of one length."""

    path: Ids
    present: NDArray[np.uint8]
    """0 for one that is there no more."""
    shortest_ms: NDArray[Any]
    """Shortest interval that the path was ever planned with, at most a second."""
    longest_ms: NDArray[Any]
    """Longest waiting time that the path was ever planned with."""


NOTHING: Final = Planned(np.zeros(0, np.uint64), np.zeros(0, np.uint8), np.zeros(0, np.uint16), np.zeros(0, np.uint16))


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows of one report as columns; the sparse ones name an entry, that is a place in the dense ones."""

    cell: Ints
    """Place in the row."""
    received: Ints
    late: Ints
    failed: Ints
    """Sum over the words of the network."""
    local: Ints
    """Sum over our own words."""
    sum_ns: Ints
    min_ns: Ints
    max_ns: Ints
    timed: NDArray[np.uint8]
    flags: NDArray[np.uint8]
    outcome_entry: Ints
    outcome_code: NDArray[np.uint8]
    outcome_count: Ints
    latency_entry: Ints
    """Ascending, and of one entry by place."""
    latency_place: Ints
    """Bucket minus FIRST_BUCKET."""
    latency_count: Ints
    measure_entry: Ints
    measure_code: NDArray[np.uint8]
    measure_value: Ints
    unknown_paths: int = 0
    """Entries left out since their path is not known here."""
    unknown_codes: int = 0
    """Outcomes and measures left out since this version does not know their code."""

    def __len__(self) -> int:
        """Number of entries."""
        return len(self.cell)

    @property
    def good(self) -> Mask:
        """Entries that are believed; the others are set aside and enter no sum."""
        aside: Mask = (self.flags & int(Flag.UNCONFIRMED | Flag.ILL)) != 0
        return ~aside


def joined(batches: Sequence[Batch], *, cell: Ints) -> Batch:
    """Batches one after the other, whose entries have other cells then; counts are 64 bits wide where there are several."""
    if len(batches) == 1:
        return replace(batches[0], cell=cell)
    sizes = [len(batch) for batch in batches]
    starts = np.cumsum(sizes) - sizes

    def column(name: str, kind: type[np.generic] = np.int64) -> NDArray[Any]:
        return np.concatenate([getattr(batch, name) for batch in batches], dtype=kind)

    def entries(name: str) -> Ints:
        return column(name) + np.repeat(starts, [len(getattr(batch, name)) for batch in batches])

    wide: dict[str, Any] = {
        name: column(name) for name in ("received", "late", "failed", "local", "sum_ns", "min_ns", "max_ns")
    }
    return Batch(
        cell=cell,
        **wide,
        timed=column("timed", np.uint8),
        flags=column("flags", np.uint8),
        outcome_entry=entries("outcome_entry"),
        outcome_code=column("outcome_code", np.uint8),
        outcome_count=column("outcome_count"),
        latency_entry=entries("latency_entry"),
        latency_place=column("latency_place"),
        latency_count=column("latency_count"),
        measure_entry=entries("measure_entry"),
        measure_code=column("measure_code", np.uint8),
        measure_value=column("measure_value"),
    )
