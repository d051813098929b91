"""What an agent has reported so far, added up by kind. Pure.

In: a plan and reports, in any order and perhaps more than once. Out: counts since the beginning.
"""

from msgspec import Struct

from wire.outcome import Outcome
from wire.path import Kind
from wire.plan import Plan
from wire.report import Report, unpack
from wire.window import Measure


class Totals(Struct):
    """Probes of one kind."""

    received: int = 0
    late: int = 0
    lost: int = 0
    """Given up without an answer, or answered by an error."""
    paused: int = 0
    """Sent, and never judged, since the agent's own process stood still."""
    forward_lost: int = 0
    backward_lost: int = 0


class State(Struct):
    """What has been reported until now."""

    through_ns: int
    """Monotonic time, to within the time that a report takes to be delivered, up to which all spans have been reported."""
    totals: dict[Kind, Totals]


class Ledger:
    """The totals of one agent."""

    def __init__(self, plan: Plan) -> None:
        self._kinds = {planned.path.id: planned.path.kind for planned in plan.paths}
        self._taken: set[tuple[bytes, int]] = set()
        self.state = State(0, {kind: Totals() for kind in set(self._kinds.values())})

    def add(self, report: Report, now_ns: int) -> None:
        """Take a report that has just come, unless it has been taken before. An agent reports its spans in order."""
        name = report.boot, report.sequence
        if name in self._taken:
            return
        self._taken.add(name)
        self.state.through_ns = now_ns - report.age_ns
        for window in unpack(report.columns):
            totals = self.state.totals[self._kinds[window.path]]
            totals.received += window.received
            totals.late += window.late
            totals.lost += sum(window.failed.values())
            totals.paused += window.local.get(Outcome.PAUSED, 0)
            totals.forward_lost += window.measures.get(Measure.FORWARD_LOST, 0)
            totals.backward_lost += window.measures.get(Measure.BACKWARD_LOST, 0)


def since(before: dict[Kind, Totals], after: dict[Kind, Totals]) -> dict[Kind, Totals]:
    """What was added between two states."""
    return {
        kind: Totals(*(getattr(later, name) - getattr(before[kind], name) for name in Totals.__struct_fields__))
        for kind, later in after.items()
    }
