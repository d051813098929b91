"""Why a cell is known or not, in one sentence, and how many are.

`unknown` is neither healthy nor lost: no report, no window, or only windows that must not be believed. A cell whose path is
not in the plan now is `unsampled`, never unknown. One of an end that comes or goes is `excluded`, whatever was measured.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np

from collector.matrix.exclusions import SENTENCES, word_of
from collector.matrix.part import EXCLUDED, MEASURED, MILLISECOND, UNKNOWN, UNSAMPLED, Part, present
from collector.matrix.slab import GOOD, ILL, LOCAL, NEVER, UNCONFIRMED, Slab
from collector.matrix.slices import Slices, finished
from collector.matrix.store import Matrix
from wire.outcome import Outcome

STATE_WORDS: Final = {MEASURED: "measured", UNKNOWN: "unknown", EXCLUDED: "excluded", UNSAMPLED: "unsampled"}


def census(matrix: Matrix, now_ns: int, span_ns: int) -> Mapping[str, int]:
    """How many cells are in each state over a span."""
    return finished(census_in_slices(matrix, now_ns, span_ns))


def census_in_slices(matrix: Matrix, now_ns: int, span_ns: int) -> Slices[Mapping[str, int]]:
    """The same in slices."""
    span = matrix.span(now_ns, span_ns)
    counts = np.zeros(len(STATE_WORDS), np.int64)
    for slab in list(matrix.table.slabs):
        counts += np.bincount(Part(matrix, slab, present(slab), span).states(now_ns), minlength=len(STATE_WORDS))
        yield
    counts[UNSAMPLED] += sum(len(row.departed) for row in matrix.table.rows.values())
    return {word: int(counts[state]) for state, word in STATE_WORDS.items()}


def because(matrix: Matrix, now_ns: int, part: Part, element: int, *, state: int, span_ns: int | None) -> str:
    """The reason for a cell's state, with its numbers."""
    slab, cell = part.slab, int(part.cells[element])
    if state == MEASURED:
        return _lost_of(part, element, span_ns)
    if state == EXCLUDED:
        return f"{excluded_because(matrix, part, element)}; {_lost_of(part, element, span_ns)}"
    if state == UNSAMPLED:
        return left_because(now_ns, int(slab.good_ns[cell]), int(slab.last_sent[cell]), int(slab.last_lost[cell]))
    heard = matrix.table.row_of[int(slab.row[cell])].heard_ns
    if heard is None or heard <= now_ns - matrix.stale_after_ns:
        return "no report yet" if heard is None else f"no report for {_seconds(now_ns - heard)}"
    last = int(slab.any_ns[cell])
    if last > now_ns - max(matrix.stale_after_ns, 3 * MILLISECOND * int(slab.interval_ms[cell])):
        return _newest_because(slab, cell, span_ns)
    return "no result yet" if last == NEVER else f"no result for {_seconds(now_ns - last)}"


def excluded_because(matrix: Matrix, part: Part, element: int) -> str:
    """Which end of a cell is excluded, and why."""
    catalogue, (source, target) = matrix.table.catalogue, part.exclusions[:, element].tolist()
    if source:
        return f"{catalogue.sources[int(part.slab.row[part.cells[element]])].vantage} is excluded: {SENTENCES[word_of(source)]}"
    return f"{catalogue.aims[int(part.slab.aim[part.cells[element]])].name} is excluded: {SENTENCES[word_of(target)]}"


def _lost_of(part: Part, element: int, span_ns: int | None) -> str:
    return f"{int(part.lost[element])} of {int(part.sent[element])} probes lost {_within(span_ns)}"


def _newest_because(slab: Slab, cell: int, span_ns: int | None) -> str:
    """Why the newest window of a cell, fresh as it is, does not make it known."""
    why = int(slab.why[cell])
    if why & UNCONFIRMED and not why & GOOD:
        return "identity not confirmed"
    if why & ILL and not why & GOOD:
        return "the agent itself was starved, throttled or suspended"
    if why & LOCAL and not why & GOOD:
        code = int(slab.local_code[cell])
        return f"not sent: {Outcome(code).word if code else ''}"
    return f"no probe was judged {_within(span_ns)}"


def left_because(now_ns: int, end_ns: int, sent: int, lost: int) -> str:
    """Why a cell is unsampled, with its last result."""
    if not sent:
        return "not in the plan, and never measured"
    return f"not in the plan; {_seconds(now_ns - end_ns)} ago {lost} of {sent} probes were lost"


def _within(span_ns: int | None) -> str:
    return "since the collector started" if span_ns is None else f"within {span_ns / 1e9:.3g} s"


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.0f} s"
