"""What was seen of a running cluster: looks at the collector's sums, and what a cell did between two of them.

A cell's counts are as old as its newest window, so an interval is cut for each cell by the age of its own counts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from lab.expectation import Interval, seconds

Cell = Mapping[str, Any]
"""One cell as `/api/v1/matrix` shows it."""


class Dropped(Protocol):
    """Counts STAMP packets that the lab dropped."""

    def __call__(self, way: "Way", *, after: int, through: int) -> int:
        """Those with the sender's sequence in (after, through], but for bursts, whose sessions have numbers of their own."""


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of one path, as it shows on the wire."""

    source: str
    destination: str
    reply: bool
    packet_bytes: int = 0
    """Where the path is about packets of a length: then it has a session of its own, with numbers of its own."""


def nothing_dropped(way: Way, *, after: int, through: int) -> int:  # noqa: ARG001 - as Dropped says
    """No packet at all."""
    return 0


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the running cluster."""

    at: float
    """Seconds since the scenario began."""
    instance: int
    """Which collector process answered."""
    cells: Mapping[str, Cell]
    """By path; sums since that process started."""
    agents: Sequence[Mapping[str, Any]] = ()
    before: Callable[[float], float] | None = None
    """The scenario's time so many seconds before the look, where it did not always pass."""

    def as_of(self, age_seconds: float) -> float:
        """The time that counts are of which were so old at the look."""
        return self.at - age_seconds if self.before is None else self.before(age_seconds)


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that was seen of one run."""

    looks: Sequence[Look]
    latencies: Mapping[tuple[float, float], Mapping[str, Cell]] = field(default_factory=dict)
    """By interval: the cells over just that span."""
    dropped: Dropped = nothing_dropped
    addresses: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    """Own address of each (vantage, network, family)."""
    window_seconds: float = 1.0
    """Longest window: the agents' report interval."""
    packets: Mapping[tuple[float, float, str], tuple[float, float]] = field(default_factory=dict)
    """By interval and by who: packets a second received and sent by somebody who is no agent."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What one cell did in an interval: the difference of two looks."""

    last: Cell
    sent: int
    lost: int
    failed: Mapping[str, int]
    local: Mapping[str, int]
    measures: Mapping[str, int]
    set_aside: Mapping[str, int]
    after: int
    through: int
    """Own sequence numbers in (after, through] are those whose fate by direction is known."""

    @property
    def name(self) -> str:
        """Of the cell, for people."""
        return name_of(self.last)


def stretch(path: str, between: Interval, looks: Sequence[Look], *, window_seconds: float = 1.0) -> Stretch | None:
    """What the cell did from the first look whose counts reach to the start, to the last whose counts stay before the end.

    A path with rare probes has no window around the start: where the counts had still not moved two windows after it, they
    are those of the start. Where the collector restarted in between, its sums since then are all that is known. None where no
    window ended in the interval.
    """
    start, end = seconds(between)
    dated = [
        (look.as_of(cell["age_seconds"]), look, cell)
        for look in looks
        for cell in [look.cells.get(path)]
        if cell is not None and cell["age_seconds"] is not None
    ]
    within = [(look, cell) for as_of, look, cell in dated if start <= as_of <= end]
    if not within:
        return None
    settled_at = start + 2 * window_seconds
    settled = [(look, cell) for as_of, look, cell in dated if as_of < start and look.at >= settled_at]
    first_look, first = settled[-1] if settled else within[0]
    last_look, last = within[-1]
    before = [look.instance for look in looks if look.at <= start] or [first_look.instance]
    base: Cell = first if before[-1] == first_look.instance == last_look.instance else {}
    measures = _difference(last.get("measures", {}), base.get("measures", {}))
    return Stretch(
        last=last,
        sent=last["sent"] - base.get("sent", 0),
        lost=_lost(last) - (_lost(base) if base else 0),
        failed=_difference({**last["failed"], "late": last["late"]}, {**base.get("failed", {}), "late": base.get("late", 0)}),
        local=_difference(last["local"], base.get("local", {})),
        measures=measures,
        set_aside=_difference(last.get("set_aside", {}), base.get("set_aside", {})),
        after=base.get("measures", {}).get("through_sequence", 0),
        through=last.get("measures", {}).get("through_sequence", 0),
    )


def name_of(cell: Cell) -> str:
    """Such as `n1 > pod/netmatrix/agent-n3 pod udp ipv4`, with the length of its packets and a further network's name."""
    words = [cell["from"]["vantage"], ">", cell["to"]["name"], cell["layer"], cell["kind"], cell["family"]]
    length = f"{cell['packet_bytes']} B" if "packet_bytes" in cell else ""
    return " ".join(word for word in (*words, length, cell["to"].get("network", "")) if word)


def _lost(cell: Cell) -> int:
    return int(cell["late"]) + int(sum(cell["failed"].values()))


def _difference(last: Mapping[str, int], base: Mapping[str, int]) -> dict[str, int]:
    return {key: value - base.get(key, 0) for key, value in last.items()}
