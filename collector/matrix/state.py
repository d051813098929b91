"""Whether a cell is known at all, and why or why not, in one sentence.

`unknown` is neither healthy nor lost: no report, no window, or only windows that must not be believed. A cell whose path is
not in the plan now is `unsampled`, never unknown.
"""

from typing import Final

import numpy as np

from collector.matrix.histograms import Ints
from collector.matrix.newest import NEVER
from collector.matrix.store import Matrix
from collector.matrix.sums import Sums
from wire.outcome import Outcome

MEASURED: Final = 0
UNKNOWN: Final = 1
UNSAMPLED: Final = 2
"""In the order in which a group takes the state of its cells: the lowest wins."""


def stale_after(matrix: Matrix) -> Ints:
    """From what age on each cell is not known: three report intervals, or three of its own where those are longer."""
    return np.maximum(matrix.stale_after_ns, 3 * matrix.table.interval_ns)


def states(matrix: Matrix, now_ns: int, sums: Sums) -> Ints:
    """MEASURED, UNKNOWN or UNSAMPLED for every cell.

    Measured needs a believable fresh window, a probe in `sums`, and an agent that reports: what a silent one said of its rare
    probes a while ago is not known to hold.
    """
    heard_ns = np.array([matrix.heard_ns.get(path.vantage, NEVER) for path in matrix.table.paths], np.int64)
    fresh = (matrix.newest.good_ns > now_ns - stale_after(matrix)) & (heard_ns > now_ns - matrix.stale_after_ns)
    state = np.where(fresh & (sums.sent > 0), MEASURED, UNKNOWN)
    return np.where(matrix.table.planned, state, UNSAMPLED)


def because(matrix: Matrix, now_ns: int, cell: int, *, state: int, sums: Sums, span_ns: int | None) -> str:
    """The reason for a cell's state, with its numbers."""
    newest = matrix.newest
    if state == MEASURED:
        sent, lost = int(sums.sent[cell]), int(sums.lost[cell])
        return f"{lost} of {sent} probes lost {_within(span_ns)}"
    if state == UNSAMPLED:
        if not newest.sent[cell]:
            return "not in the plan, and never measured"
        age = _seconds(now_ns - int(newest.good_ns[cell]))
        return f"not in the plan; {age} ago {int(newest.lost[cell])} of {int(newest.sent[cell])} probes were lost"
    heard = matrix.heard_ns.get(matrix.table.paths[cell].vantage)
    if heard is None or heard <= now_ns - matrix.stale_after_ns:
        return "no report yet" if heard is None else f"no report for {_seconds(now_ns - heard)}"
    oldest = now_ns - int(max(matrix.stale_after_ns, 3 * matrix.table.interval_ns[cell]))
    reasons = (
        (int(newest.good_ns[cell]), f"no probe was judged {_within(span_ns)}"),
        (int(newest.unconfirmed_ns[cell]), "identity not confirmed"),
        (int(newest.ill_ns[cell]), "the agent itself was starved, throttled or suspended"),
        (
            int(newest.local_ns[cell]),
            f"not sent: {Outcome(int(newest.local_code[cell])).word if newest.local_code[cell] else ''}",
        ),
        (int(newest.any_ns[cell]), f"no probe was judged {_within(span_ns)}"),
    )
    # The newest one counts; of several in one window the first.
    end, reason = max(reasons, key=lambda item: item[0])
    if end > oldest:
        return reason
    last = int(newest.any_ns[cell])
    return "no result yet" if last == NEVER else f"no result for {_seconds(now_ns - last)}"


def _within(span_ns: int | None) -> str:
    return "since the collector started" if span_ns is None else f"within {span_ns / 1e9:g} s"


def _seconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e9:.0f} s"
