"""A window: what one path did in one span.

A probe enters the window that is open when it is judged: at its answer, at an error, or when the time to answer is over.
Nothing in a window is still in flight, so `sent = received + late + failed` holds in every one of them, and windows add up
in any order to what one longer window would have been.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import IntEnum, IntFlag, StrEnum
from functools import reduce

from msgspec import Struct, field

from wire import histogram
from wire.outcome import Outcome


class Timed(IntFlag):
    """How latencies were taken; a window that mixes ways has several bits."""

    NONE = 0
    KERNEL = 1
    """Between the kernel's transmit and receive stamps."""
    TCP_INFO = 2
    """`tcpi_rtt` of the handshake."""
    USER = 4
    """By the clock of our own process: includes its scheduling."""

    @property
    def word(self) -> str:
        """Such as `kernel`, or `kernel+user` for a mixture; empty for none."""
        return "+".join(way.name.lower() for way in Timed if way in self and way.name)


class Flag(IntFlag):
    """What must be known before a window is believed."""

    NONE = 0
    UNCONFIRMED = 1
    """Answers came, but nothing proved that the planned pod gave them."""
    ILL = 2
    """The agent itself was starved, throttled or suspended in this span."""
    NAT = 4
    """The peer saw another source address than the agent's own."""


class Measure(IntEnum):
    """Further numbers of a window, sparse. Codes are for ever; a reader skips codes that it does not know."""

    DUPLICATES = 1
    REORDERED = 2
    RETRANSMITS = 3
    """TCP handshake segments sent again."""
    FORWARD_LOST = 4
    """Probes that did not reach the reflector (RFC 8762 stateful mode)."""
    BACKWARD_LOST = 5
    """Probes whose answer did not come back."""
    THROUGH_SEQUENCE = 6
    """Highest own sequence number that the two counts above are complete through."""
    RESOLVE_NS = 7
    CONNECT_NS = 8
    TLS_NS = 9
    FIRST_BYTE_NS = 10
    TRANSFER_NS = 11
    """Phases of HTTP: sums in nanoseconds over the received probes of the window."""
    BURST_ENDED = 12
    """Bursts that ended in the window, those included that the agent's own limits cut short or refused."""
    BURST_SENT = 13
    """Probes of bursts that were sent and judged. No count of the window has them: they were sent because of a loss, and a loss
    that is counted twenty times would be no measure of how often there is one."""
    BURST_LOST = 14
    """Of these, the lost."""
    BURST_REFUSED = 15
    """Of the lost, those that were answered with a refusal."""
    BURST_NS = 16
    """Sum of the latencies of those that were answered in time."""

    # An enumeration hashes its name, in Python; the agent looks members up several times for every probe.
    __hash__ = int.__hash__


BURSTS: frozenset[Measure] = frozenset(measure for measure in Measure if measure.name.startswith("BURST_"))
"""What tells of bursts."""
HIGHEST: frozenset[Measure] = frozenset({Measure.THROUGH_SEQUENCE})
"""Measures of which a merge keeps the highest; all others add up."""


class FactName(StrEnum):
    """What was seen last, as text."""

    SOURCE = "source"
    """Address that the peer saw us come from."""
    STATUS = "status"
    """HTTP status code, or the name of a DNS response code (RFC 1035 section 4.1.1)."""
    CERTIFICATE_EXPIRES = "certificate_expires"
    """Seconds since 1970."""
    PEER_UID = "peer_uid"
    """UID of the pod that answered instead of the planned one."""
    HOP_LIMIT = "hop_limit"
    """TTL or hop limit of the last answer."""
    MTU = "mtu"
    """Bytes that the next link carries, as the router before it said (RFC 1191 section 4, RFC 4443 section 3.2)."""
    ANSWER = "answer"
    """Addresses that a name server gave, as far as they fit."""

    # An enumeration hashes its name, in Python; the agent looks members up several times for every probe.
    __hash__ = str.__hash__


class Window(Struct, frozen=True):
    """Counts of one path in one span; latencies in nanoseconds."""

    path: int
    received: int = 0
    late: int = 0
    failed: Mapping[Outcome, int] = field(default_factory=dict)
    """By word of the network; without `late`, which has its own count."""
    local: Mapping[Outcome, int] = field(default_factory=dict)
    """Our own failures: not sent, never loss."""
    latency: Mapping[int, int] = field(default_factory=dict)
    """Histogram: bucket to count; sums to `received`."""
    sum_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0
    timed: Timed = Timed.NONE
    flags: Flag = Flag.NONE
    measures: Mapping[Measure, int] = field(default_factory=dict)
    facts: Mapping[FactName, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ValueError where the counts contradict each other, or one cannot be."""
        counts = (self.received, self.late, *self.failed.values(), *self.local.values(), *self.latency.values(), self.min_ns)
        if min(counts) < 0:
            msg = "a count or a latency is negative"
            raise ValueError(msg)
        if not all(histogram.FIRST_BUCKET <= bucket <= histogram.LAST_BUCKET for bucket in self.latency):
            msg = f"a bucket is outside of {histogram.FIRST_BUCKET} to {histogram.LAST_BUCKET}"
            raise ValueError(msg)
        if sum(self.latency.values()) != self.received:
            msg = f"{self.received} received, but {sum(self.latency.values())} latencies"
            raise ValueError(msg)
        if any(outcome.is_local or outcome is Outcome.LATE for outcome in self.failed):
            msg = "a failure of our own, or a late answer, is counted as the network's"
            raise ValueError(msg)
        if not all(outcome.is_local for outcome in self.local):
            msg = "a failure of the network is counted as our own"
            raise ValueError(msg)
        if self.received and not self.min_ns * self.received <= self.sum_ns <= self.max_ns * self.received:
            msg = f"sum {self.sum_ns} of {self.received} latencies is not between {self.min_ns} and {self.max_ns} each"
            raise ValueError(msg)

    @property
    def sent(self) -> int:
        """Probes that left and were judged."""
        return self.received + self.late + sum(self.failed.values())

    @property
    def lost(self) -> int:
        """Probes lost in the network: failed, or answered too late (RFC 6673)."""
        return self.late + sum(self.failed.values())


def _merge_two(one: Window, other: Window) -> Window:
    if one.path != other.path:
        msg = f"windows of two paths, {one.path:016x} and {other.path:016x}, do not merge"
        raise ValueError(msg)
    minima = [window.min_ns for window in (one, other) if window.received]
    return Window(
        path=one.path,
        received=one.received + other.received,
        late=one.late + other.late,
        failed=Counter(one.failed) + Counter(other.failed),
        local=Counter(one.local) + Counter(other.local),
        latency=histogram.merged(one.latency, other.latency),
        sum_ns=one.sum_ns + other.sum_ns,
        min_ns=min(minima, default=0),
        max_ns=max(one.max_ns, other.max_ns),
        timed=one.timed | other.timed,
        flags=one.flags | other.flags,
        measures={
            measure: max(values) if measure in HIGHEST else sum(values)
            for measure in {**one.measures, **other.measures}
            for values in [[window.measures[measure] for window in (one, other) if measure in window.measures]]
        },
        facts={**one.facts, **other.facts},
    )


def merge(windows: Iterable[Window]) -> Window:
    """One window for the span of all; they must be of one path. A fact is the last window's that has it.

    Raises ValueError where the windows are of several paths, TypeError where there are none.
    """
    return reduce(_merge_two, windows)
