"""What a scenario expects of the matrix: selectors, bands and intervals, as they stand in its file.

Ratios (`loss`, `forward_loss`, `backward_loss`) and `set_aside` are judged over all matched cells added up, since what is
random needs many probes to show; counts, latencies, states and facts must hold for each matched cell by itself.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from collector.duration import Duration
from lab.shape import DEFAULT_NETWORK
from wire.outcome import LOCAL, NETWORK
from wire.path import Family, Kind, Layer, Record
from wire.window import FactName, Measure

Glob = Annotated[str, Meta(min_length=1, max_length=253)]
Interval = tuple[Duration, Duration]
SECOND = 1_000_000_000
Globs = Glob | Annotated[tuple[Glob, ...], Meta(min_length=1)]


class Place(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which ends of a path: every key given must match, by shell patterns; a list matches where one of its entries does."""

    vantage: Globs | None = None
    name: Globs | None = None
    """Of the target, such as `service/shop/cart`."""
    node: Globs | None = None
    zone: Globs | None = None
    namespace: Globs | None = None
    pod: Globs | None = None
    service: Globs | None = None

    def matches(self, end: Mapping[str, Any]) -> bool:
        """Whether one end of a cell, as the API names it, is meant."""
        return all(
            wanted is None or matches_any(wanted, end.get(key))
            for key in self.__struct_fields__
            for wanted in [getattr(self, key)]
        )


def matches_any(wanted: str | tuple[str, ...], value: object) -> bool:
    """Whether a value is a text that one of the patterns matches."""
    globs = (wanted,) if isinstance(wanted, str) else wanted
    return isinstance(value, str) and any(fnmatchcase(value, glob) for glob in globs)


class Band(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A number that must lie within `min` and `max`, both inclusive."""

    min: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    max: Annotated[float, Meta(ge=0, le=1e12)] | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where nothing could fail, or nothing pass."""
        if self.min is None and self.max is None:
            msg = "a band needs min, max or both"
            raise ValueError(msg)
        if self.min is not None and self.max is not None and self.min > self.max:
            msg = f"min {self.min:g} is above max {self.max:g}"
            raise ValueError(msg)

    def holds(self, value: float) -> bool:
        """Whether the value lies within."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)

    def __str__(self) -> str:
        """In words, such as `at least 0.1 and at most 0.32`."""
        sides = [("at least", self.min), ("at most", self.max)]
        return " and ".join(f"{word} {side:g}" for word, side in sides if side is not None)


class LossBand(Band, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Loss in one direction: a band, or exactly the packets that the lab dropped, or both."""

    equals: Literal["dropped"] | None = None

    def __post_init__(self) -> None:
        """As a band, except that `equals` alone will do."""
        if self.equals is None or self.min is not None or self.max is not None:
            super().__post_init__()


class StateIs(Struct, frozen=True, forbid_unknown_fields=True, rename={"state": "is"}):
    """The state of a cell at every look within the interval."""

    state: Literal["measured", "unknown", "excluded", "unsampled"]
    because: Glob = "*"
    """Shell pattern that the reason must match."""

    def holds(self, state: str, because: str) -> bool:
        """Whether a cell's state is this one, and for such a reason."""
        return state == self.state and fnmatchcase(because, self.because)

    def __str__(self) -> str:
        """In words, such as `unknown`."""
        return self.state if self.because == "*" else f"{self.state} because {self.because}"


class CellsExpectation(
    Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename={"source": "from", "target": "to"}
):
    """What must hold for the cells between two kinds of places in one interval."""

    between: Interval
    """Start and end, counted from when the cluster was ready."""
    source: Place = field(default_factory=Place)
    target: Place = field(default_factory=Place)
    layer: Layer | None = None
    kind: Kind | None = None
    family: Family | None = None
    network: Glob | None = None
    """Of the pods, `default` for the one that every pod is on; a shell pattern."""
    packet_bytes: Band | None = None
    """Length of its packets, for cells that ask with a certain one; 0 for all others."""
    record: Record | None = None
    """Which records a name server is asked for over UDP."""
    loss: Band | None = None
    forward_loss: LossBand | None = None
    backward_loss: LossBand | None = None
    p50_us: Band | None = None
    p99_us: Band | None = None
    sent: Band | None = None
    """Probes that left in the interval, per cell."""
    outcome: dict[str, Band] = field(default_factory=dict)
    """Failures by word of the network, per cell; `late` too."""
    local: dict[str, Band] = field(default_factory=dict)
    """Failures of the agent's own, per cell; without them a cell needs no probe that was sent."""
    state: StateIs | None = None
    measure: dict[str, Band] = field(default_factory=dict)
    """What was counted beside the fate of probes, such as `duplicates`, per cell."""
    set_aside: dict[Literal["ill", "unconfirmed"], Band] = field(default_factory=dict)
    """Probes that were counted neither as received nor as lost, by reason, of all cells added up."""
    fact: dict[FactName, Literal["present", "absent"]] = field(default_factory=dict)
    fact_like: dict[FactName, Glob] = field(default_factory=dict)
    """Shell patterns that facts must match, on each cell."""
    absent: Literal[True] | None = None
    """There is no such cell at all, at any look."""

    def __post_init__(self) -> None:
        """Raise ValueError where the expectation could not fail, or contradicts itself."""
        _check_interval(self.between)
        words = {outcome.word for outcome in NETWORK}
        own = {outcome.word for outcome in LOCAL}
        counted = {measure.name.lower() for measure in Measure}
        checked = ("outcome", self.outcome, words), ("local", self.local, own), ("measure", self.measure, counted)
        for name, found, allowed in checked:
            if strange := sorted(set(found) - allowed):
                msg = f"{name} {strange[0]!r} is not one of {', '.join(sorted(allowed))}"
                raise ValueError(msg)
        if not self.measures:
            msg = f"an expectation needs at least one of {', '.join(MEASURES)}"
            raise ValueError(msg)
        if self.absent and self.measures != ("absent",):
            msg = "a cell that is absent has nothing else to expect"
            raise ValueError(msg)
        if (self.forward_loss or self.backward_loss) and self.kind not in {None, Kind.UDP}:
            msg = f"only udp tells the directions of loss apart, {self.kind} does not"
            raise ValueError(msg)

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what is expected, in the order of MEASURES."""
        return tuple(name for name in MEASURES if getattr(self, name))

    def selects(self, cell: Mapping[str, Any]) -> bool:
        """Whether a cell, as the API shows it, is one of those meant. Directions are told apart by udp alone."""
        kind = Kind.UDP if self.forward_loss or self.backward_loss else self.kind
        return (
            self.source.matches(cell["from"])
            and self.target.matches(cell["to"])
            and (self.packet_bytes is None or self.packet_bytes.holds(cell.get("packet_bytes", 0)))
            and (self.record is None or _asks(cell) == self.record)
            and all(wanted is None or cell[key] == wanted for key, wanted in _fixed(self.layer, kind, self.family))
            and (self.network is None or fnmatchcase(network_of(cell), self.network))
        )


def _asks(cell: Mapping[str, Any]) -> str | None:
    question = cell.get("question", {})
    return None if question.get("tcp") else question.get("record")


def network_of(cell: Mapping[str, Any]) -> str:
    """Which network of the pods a cell is about."""
    return str(cell["to"].get("network") or DEFAULT_NETWORK)


def _fixed(layer: Layer | None, kind: Kind | None, family: Family | None) -> tuple[tuple[str, str | None], ...]:
    return (("layer", layer), ("kind", kind), ("family", family))


MEASURES = (
    "loss",
    "forward_loss",
    "backward_loss",
    "p50_us",
    "p99_us",
    "sent",
    "outcome",
    "local",
    "measure",
    "set_aside",
    "state",
    "fact",
    "fact_like",
    "absent",
)


class AgentsExpectation(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What must hold for each matching agent at every look within the interval."""

    between: Interval
    agent: Place = field(default_factory=Place)
    state: Literal["reporting", "silent", "leaving", "never"] | None = None
    gaps: Band | None = None
    """Missing numbers in its reports since the scenario began."""

    def __post_init__(self) -> None:
        """Raise ValueError where the expectation could not fail."""
        _check_interval(self.between)
        if self.state is None and self.gaps is None:
            msg = "an expectation of agents needs state, gaps or both"
            raise ValueError(msg)


class PacketsExpectation(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How many packets per second somebody who is no agent received and sent, by the kernel's count, in the interval."""

    between: Interval
    at: Literal["external", "stranger"]
    """The host outside; or whoever sends packets of his own making to agents, of whom only UDP and TCP count."""
    received_per_second: Band | None = None
    sent_per_second: Band | None = None

    def __post_init__(self) -> None:
        """Raise ValueError where the expectation could not fail."""
        _check_interval(self.between)
        if self.received_per_second is None and self.sent_per_second is None:
            msg = "an expectation of packets needs received_per_second, sent_per_second or both"
            raise ValueError(msg)


def _check_interval(between: Interval) -> None:
    start, end = between
    if start >= end:
        msg = f"between ends at {end}, which is not after its start, {start}"
        raise ValueError(msg)


def seconds(between: Interval) -> tuple[float, float]:
    """Start and end in seconds."""
    return between[0] / SECOND, between[1] / SECOND
