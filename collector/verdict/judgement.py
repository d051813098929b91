"""A judgement: what is true of the cluster after a pass. In: incidents of the pass, and the judgement before. Out: another one.

Times are on the collector's own clock. Nothing here is written or sent; whoever shows it turns it into words of its own.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

from collector.verdict.canary import canaries
from collector.verdict.comparison import Comparison, kept
from collector.verdict.hold import Phase
from collector.verdict.incident import Incident
from collector.verdict.status import Counts, Reach, ReachKey, Spaces, Status, between_namespaces, reach, statuses, unknown

State = Literal["ok", "degraded", "broken", "unknown"]

MOST_CLOSED: Final = 200
DELAY_SECONDS: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Bounds of how long a change takes until it is in force."""


class Closed(NamedTuple):
    """An incident that is over."""

    incident: Incident
    closed_ns: int


class Judgement(NamedTuple):
    """See the module."""

    at_ns: int | None = None
    """When it was made; None before the first one."""
    incidents: tuple[Incident, ...] = ()
    """Those that fire, or have just ceased to be seen."""
    pending: tuple[Incident, ...] = ()
    """Those that are not yet sure."""
    closed: tuple[Closed, ...] = ()
    """The last ones, the latest first."""
    opened: Mapping[tuple[str, str], int] = {}
    """How many have opened so far, by kind and effect."""
    cells: int = 0
    judged: int = 0
    """How many cells there are, and of how many the shortest span could say something."""
    took_seconds: float = 0.0
    """CPU time of the pass, reading included."""
    pairs: Mapping[Spaces, Counts] = {}
    """Verdicts of the cells between each two namespaces."""
    expectations: tuple[Status, ...] = ()
    """Every declaration."""
    reach: Mapping[ReachKey, Reach] = {}
    """What should be and is open between namespaces, where anybody says so."""
    unknown: Mapping[str, int] = {}
    """Cells of which nobody says anything certain, by how far it is known."""
    delays: Mapping[str, tuple[Sequence[int], float]] = {}
    """Since the start, by whose change it was: how often it took so long until it was in force, by DELAY_SECONDS with one more
    for what took longer, and the sum in seconds."""
    canaries: Mapping[tuple[str, str], bool] = {}
    """By node and test, `deny` or `allow`, whether its canary is closed or open as it should be."""
    profile: str = ""
    """What the network plugin is taken for."""
    detected: str = ""
    comparison: Comparison | None = None
    """What was compared: every cell."""

    @property
    def state(self) -> State:
        """In one word."""
        if self.at_ns is None:
            return "unknown"
        if any(one.severity == "critical" for one in self.incidents):
            return "broken"
        return "degraded" if self.incidents else "ok"

    @property
    def sentence(self) -> str:
        """For an operator."""
        if self.at_ns is None:
            return "Nothing is judged yet: the collector has just started."
        if not self.incidents:
            return f"No incident; {self.judged} of {self.cells} paths could be judged."
        worst = min(self.incidents, key=lambda one: (one.inhibited_by != "", one.severity != "critical", one.since_ns))
        more = len(self.incidents) - 1
        return f"{worst.sentence}" + (f" And {more} more." if more else "")


def following(
    before: Judgement,
    told: Sequence[Incident],
    *,
    now_ns: int,
    cells: int,
    judged: int,
    took_seconds: float,
    comparison: Comparison | None = None,
) -> Judgement:
    """The judgement after a pass that told these incidents."""
    known = {one.id for one in before.incidents}
    open_ = tuple(one for one in told if one.phase in {Phase.FIRING, Phase.RESOLVING})
    opened = Counter(before.opened)
    opened.update((one.kind, one.effect) for one in open_ if one.id not in known)
    over = [Closed(one, now_ns) for one in told if one.phase is Phase.CLOSED]
    after = Judgement(
        now_ns,
        open_,
        tuple(one for one in told if one.phase is Phase.PENDING),
        (*over, *before.closed)[:MOST_CLOSED],
        opened,
        cells,
        judged,
        took_seconds,
    )
    return after if comparison is None else _with(after, comparison, before)


def _with(judgement: Judgement, one: Comparison, before: Judgement) -> Judgement:
    """What follows from a comparison as well."""
    delays = dict(before.delays)
    for delay in one.delays:
        counts, total = delays.get(delay.source, ([0] * (len(DELAY_SECONDS) + 1), 0.0))
        place = bisect_left(DELAY_SECONDS, delay.seconds)
        delays[delay.source] = [count + (number == place) for number, count in enumerate(counts)], total + delay.seconds
    return judgement._replace(
        pairs=between_namespaces(one),
        expectations=statuses(one),
        reach=reach(one),
        unknown=unknown(one),
        canaries=canaries(one).ok,
        delays=delays,
        profile=one.expectations.policies.profile.name,
        detected=one.sample.snapshot.profile,
        comparison=kept(one),
    )
