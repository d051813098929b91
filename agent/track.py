"""One planned path, and all that the stages of an agent keep of it: whoever has a probe has this, and looks nothing up.

In: a planned path. Out: nothing; each field says which stage writes it. Pure: times are monotonic nanoseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from agent.identity import NEVER_NS, Proof
from wire.histogram import counted
from wire.outcome import Outcome
from wire.path import Family, Kind
from wire.plan import PlannedPath
from wire.window import FactName, Measure, Timed


@dataclass(slots=True, eq=False)
class Tally:
    """What one path did in the span that is open; the windows write it."""

    is_open: bool = False
    """It did anything at all."""
    latencies_ns: list[int] = field(default_factory=list)
    """Of answers that are in no count yet: to count many at once is less work."""
    received: int = 0
    late: int = 0
    sum_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0
    timed: Timed = Timed.NONE
    nat: bool = False
    latency: dict[int, int] = field(default_factory=dict)
    words: dict[Outcome, int] = field(default_factory=dict)
    measures: dict[Measure, int] = field(default_factory=dict)
    facts: dict[FactName, str] = field(default_factory=dict)
    learned: Mapping[FactName, str] | None = None
    """The facts taken in last: most answers say the same as the one before, in the very same mapping."""

    def count(self) -> None:
        """Take the latencies into the counts."""
        latencies_ns = self.latencies_ns
        if latencies_ns:
            for bucket, count in counted(latencies_ns):
                self.latency[bucket] = self.latency.get(bucket, 0) + count
            lowest = latencies_ns[0]  # they are sorted now
            self.min_ns = min(self.min_ns, lowest) if self.received else lowest
            self.max_ns = max(self.max_ns, latencies_ns[-1])
            self.sum_ns += sum(latencies_ns)
            self.received += len(latencies_ns)
            latencies_ns.clear()

    def clear(self) -> None:
        """Begin the next span."""
        self.is_open = self.nat = False
        self.latencies_ns.clear()
        self.received = self.late = self.sum_ns = self.min_ns = self.max_ns = 0
        self.timed = Timed.NONE
        self.latency.clear()
        self.words.clear()
        self.measures.clear()
        self.facts, self.learned = {}, None


class Track:
    """A planned path. The runner makes one for each path of a plan, and keeps those that the next plan has as well."""

    __slots__ = (
        "address",
        "course",
        "id",
        "interval_ns",
        "is_apart",
        "is_planned",
        "lost_ns",
        "packets",
        "path",
        "peer_until_ns",
        "planned",
        "proof",
        "sent_ns",
        "sort",
        "spacing_ns",
        "tally",
        "told",
        "told_at",
    )

    def __init__(self, planned: PlannedPath, proof: Proof | None = None) -> None:
        self.proof = proof
        """Whether the planned pod was seen at the address; None where the target has no identity of ours."""
        self.tally = Tally()
        self.is_apart = False
        """It is that of a burst, of which the schedule counts nothing."""
        self.sent_ns = self.lost_ns = self.peer_until_ns = NEVER_NS
        """When a probe left last, when one was lost last, and how long the budget of peers has a place for it. The runner's."""
        self.course: Any = None
        """What the prober of its kind keeps of the path; nobody else looks at it."""
        self.told: Mapping[FactName, str] | None = None
        self.told_at = 0
        """The facts that a report told last, and by the count of cuts which one. The windows'."""
        self.follow(planned, 0)

    def follow(self, planned: PlannedPath, floor_ns: int) -> None:
        """Take the times of another plan; none may bring its probes closer to each other than the floor."""
        self.planned, self.path = planned, planned.path
        self.is_planned = True
        """The plan in force has it: what is known of any other path is nobody's."""
        self.id, self.packets, self.address = planned.path.id, planned.path.packets, planned.path.target.address
        self.interval_ns, self.spacing_ns = _times(planned.interval_ms, floor_ns)
        """No two probes closer than nine tenths of the interval, nor of the floor, whatever stalls and plans do."""
        self.sort = _sort(planned.path.kind, planned.path.family, planned.timeout_ms)
        """Kind, family and timeout in nanoseconds. Paths of one sort are sent, and given up, together."""


# What thousands of paths have in common is the same object in all of them, so that it is near when one of them is looked at.
@lru_cache
def _times(interval_ms: int, floor_ns: int) -> tuple[int, int]:
    interval_ns = interval_ms * 1_000_000
    return interval_ns, max(interval_ns, floor_ns) * 9 // 10


@lru_cache
def _sort(kind: Kind, family: Family, timeout_ms: int) -> tuple[Kind, Family, int]:
    return kind, family, timeout_ms * 1_000_000
