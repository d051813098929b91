"""Bursts for the whole cluster: which path is looked at again, within what rate, and what came of it.

In: reports as they are taken, and suspects of whoever judges or asks. Out: orders, each in the acknowledgement of a report of
its vantage, and results. Nothing here waits. A loss in an urgent report is looked at in its own acknowledgement.

Three limits hold besides each agent's own: the cluster's rate, a rate for each target summed over all agents, and some time
before a path is looked at again by itself. What a rate has no room for is refused and counted, and not queued, since what is
looked at later answers no question any more; only what people asked for waits its turn.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from enum import StrEnum
from itertools import islice
from typing import Final

import numpy as np
from msgspec import Struct

from collector.matrix.suspects import Suspect
from collector.settings import SECOND, BurstSettings
from wire.burst import MAX_BURSTS, MAX_PACKETS, MINUTE_NS, Burst
from wire.outcome import LOCAL
from wire.report import Columns, Report
from wire.window import BURSTS, Flag, Measure

FIRST_LOCAL: Final = min(LOCAL)
KEPT_NS: Final = 60 * SECOND
"""How long an order waits for a report of its vantage."""
STALE_NS: Final = 30 * SECOND
"""What a report says of a time as long ago as this, since we were away, is no reason to look now."""
AGAIN_NS: Final = MINUTE_NS
"""A path has had its packets for so long, whoever asks."""
BY_ITSELF_NS: Final = 600 * SECOND
"""How long a loss in a report is no reason to look again: a path that is dead for an hour is looked at six times."""
FULL_SECONDS: Final = 10
"""So many seconds' worth of a rate may be used at once."""
PER_TARGET: Final = 200
"""Packets a second to one target, as plan.target_packets_per_second has it by default."""
TARGET_SECONDS: Final = 2
PER_VANTAGE: Final = 8
VANTAGE_SECONDS: Final = 20
"""Packets a second that the losses of one vantage may ask for by themselves, whatever it says that it loses."""
MAX_TARGETS: Final = 4096
AT_ONCE: Final = 100
"""Of what people wait for, so much is looked at with each report."""
FEW: Final = 4
"""Lost paths of one report that are each looked at with a whole burst; of more, MANY with half of one."""
MANY: Final = 8

_CODES: Final = bytes(BURSTS)


class Fate(StrEnum):
    """What became of an order: the closed list that is counted."""

    GIVEN = "given"
    """It left with an acknowledgement."""
    ENDED = "ended"
    """Its agent, or one that looked by itself, said that a burst was over."""
    RATE = "rate"
    """The cluster's rate had no room for it."""
    TARGET = "target"
    """So many look at this target already."""
    REPEATED = "repeated"
    """Its path was looked at not long ago."""
    EXPIRED = "expired"
    """Its vantage has not reported."""


class Result(Struct):
    """What bursts of one path found."""

    sent: int = 0
    lost: int = 0
    refused: int = 0
    """Of the lost."""
    total_ns: int = 0
    """Sum of the latencies of those that were answered."""
    ended: int = 0
    """Bursts that ended; the one that is waited for is among them."""
    unconfirmed: bool = False
    """Nothing proved that the planned pod answered."""


Place = tuple[str, int]
"""A vantage and the id of a path."""


class Watch:
    """Somebody waits for the bursts of some paths. `results` grows until nothing is `pending`."""

    def __init__(self, suspects: Iterable[Suspect], on_change: Callable[[], None]) -> None:
        self.results: dict[Place, Result] = {(one.vantage, one.path): Result() for one in suspects}
        self.pending: set[Place] = set(self.results)
        self.on_change = on_change


class Purse:
    """A rate in packets a second of which some seconds' worth may be used at once."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._left = float("inf")
        self._at_ns = 0

    def holds(self, packets: int, rate: float, now_ns: int) -> bool:
        """Whether so many packets can be taken now."""
        self._left = min(self._left + rate * (now_ns - self._at_ns) / SECOND, rate * self._seconds)
        self._at_ns = now_ns
        return packets <= self._left

    def take(self, packets: int) -> None:
        """Take packets that it holds."""
        self._left -= packets


class _Order(Struct, frozen=True):
    burst: Burst
    until_ns: int


class Bursts:
    """See the module. `find` tells which of a vantage's paths may be looked at, `count` is told of every fate, how often."""

    def __init__(
        self,
        *,
        settings: Callable[[], BurstSettings],
        find: Callable[[str, Sequence[int]], list[Suspect]],
        now_ns: Callable[[], int],
        count: Callable[[Fate, int], None] = lambda _fate, _times: None,
    ) -> None:
        self._settings = settings
        self._find = find
        self._now_ns = now_ns
        self._count = count
        self._planned = 0.0
        self._confirming, self._acting = Purse(FULL_SECONDS), Purse(FULL_SECONDS)
        self._targets: dict[str, Purse] = {}
        self._vantages: dict[str, Purse] = {}
        self._orders: dict[str, dict[int, _Order]] = {}
        """By vantage and path."""
        self._asked: dict[Place, int] = {}
        """When a path was asked of last, within BY_ITSELF_NS."""
        self._deferred: dict[Place, tuple[Suspect, int]] = {}
        """What people wait for, the longest waiting first."""
        self._watches: list[Watch] = []

    def install(self, packets_per_second: float, vantages: Collection[str]) -> None:
        """Take what the plans in force send together, and whose they are."""
        self._planned = packets_per_second
        for kept in (self._orders, self._vantages):
            for vantage in [vantage for vantage in kept if vantage not in vantages]:
                del kept[vantage]

    @property
    def rate(self) -> float:
        """Packets a second that confirmations may add."""
        settings = self._settings()
        return max(settings.least, settings.share * self._planned)

    def ask(self, suspects: Iterable[Suspect], *, probes: int = MAX_PACKETS) -> int:
        """Look at some paths again where there is room for it; how many will be."""
        now_ns = self._now_ns()
        return sum(self._confirm(one, probes, now_ns, AGAIN_NS) for one in suspects)

    def watch(self, suspects: Sequence[Suspect], *, probes: int, on_change: Callable[[], None]) -> Watch:
        """Look at these paths as soon as there is room for it, and see what comes of it until it is unwatched."""
        watch = Watch(suspects, on_change)
        self._watches.append(watch)
        self._deferred |= {(one.vantage, one.path): (one, probes) for one in suspects}
        self._defer(self._now_ns())
        return watch

    def unwatch(self, watch: Watch) -> None:
        """Nobody waits for these any more: what has not been ordered will not be, unless somebody else waits for it."""
        self._watches.remove(watch)
        wanted = {place for other in self._watches for place in other.pending}
        for vantage, path in watch.pending - wanted:
            self._deferred.pop((vantage, path), None)
            self._orders.get(vantage, {}).pop(path, None)

    def took(self, report: Report) -> tuple[Burst, ...]:
        """A report was taken: hear what it says of bursts; the orders for its acknowledgement."""
        now_ns = self._now_ns()
        columns = report.columns
        if len(columns.measure_code.translate(None, _CODES)) < len(columns.measure_code):
            self._hear(report.vantage, columns)
        if report.leaving:
            return ()
        if report.urgent and report.age_ns < STALE_NS:
            found = self._find(report.vantage, _lost(columns))
            probes = MAX_PACKETS if len(found) <= FEW else MAX_PACKETS // 2
            for one in found[:MANY]:
                self._confirm(one, probes, now_ns, BY_ITSELF_NS, of=report.vantage)
        if self._deferred:
            self._defer(now_ns)
        return self._given(report.vantage, now_ns)

    def _confirm(self, suspect: Suspect, probes: int, now_ns: int, rest_ns: int, *, of: str = "") -> bool:
        """Order a burst where there is room for it; `of` is the vantage whose own word for a loss this is."""
        asked_ns = self._asked.get((suspect.vantage, suspect.path))
        if asked_ns is not None and now_ns - asked_ns < rest_ns:
            self._count(Fate.REPEATED, 1)
            return False
        packets = _packets(suspect, probes)
        own = self._vantages.setdefault(of, Purse(VANTAGE_SECONDS)) if of else None
        if own is not None and not own.holds(packets, PER_VANTAGE, now_ns):
            fate: Fate | None = Fate.RATE
        else:
            fate = self._ordered(suspect, probes, now_ns, self._confirming)
        if own is not None and fate is None:
            own.take(packets)
        if fate is not None:
            self._count(fate, 1)
        return fate is None

    def _defer(self, now_ns: int) -> None:
        """Order of what people wait for as much as there is room for now, in turn."""
        for place, (suspect, probes) in list(islice(self._deferred.items(), AT_ONCE)):
            fate = self._ordered(suspect, probes, now_ns, self._acting)
            if fate is Fate.RATE:
                return
            del self._deferred[place]
            if fate is Fate.TARGET:
                self._deferred[place] = suspect, probes  # behind all others

    def _ordered(self, suspect: Suspect, probes: int, now_ns: int, purse: Purse) -> Fate | None:
        """Order a burst; why not, where there is no room for it."""
        packets = _packets(suspect, probes)
        target = self._targets.get(suspect.target)
        if target is None:
            if len(self._targets) >= MAX_TARGETS:
                self._targets.clear()  # the cluster's own rate holds all the same
            target = self._targets[suspect.target] = Purse(TARGET_SECONDS)
        if not purse.holds(packets, self.rate, now_ns):
            return Fate.RATE
        if not target.holds(packets, PER_TARGET, now_ns):
            return Fate.TARGET
        purse.take(packets)
        target.take(packets)
        orders = self._orders.setdefault(suspect.vantage, {})
        orders[suspect.path] = _Order(Burst(suspect.path, packets // suspect.packets), now_ns + KEPT_NS)
        self._asked.pop((suspect.vantage, suspect.path), None)
        self._asked[suspect.vantage, suspect.path] = now_ns
        while now_ns - next(iter(self._asked.values())) >= BY_ITSELF_NS:
            del self._asked[next(iter(self._asked))]
        return None

    def _given(self, vantage: str, now_ns: int) -> tuple[Burst, ...]:
        """The orders of a vantage that are not too old, each once."""
        orders = self._orders.pop(vantage, {})
        alive = [(path, order) for path, order in orders.items() if now_ns < order.until_ns]
        if expired := len(orders) - len(alive):
            self._count(Fate.EXPIRED, expired)
        if len(alive) > MAX_BURSTS:
            self._orders[vantage] = dict(alive[MAX_BURSTS:])
        given = tuple(order.burst for _, order in alive[:MAX_BURSTS])
        if given:
            self._count(Fate.GIVEN, len(given))
        return given

    def _hear(self, vantage: str, columns: Columns) -> None:
        """Add what a report says of bursts to what is watched. Of an ill agent only that they are over."""
        entry, code = np.frombuffer(columns.measure_entry, "<u4"), np.frombuffer(columns.measure_code, "u1")
        some = np.flatnonzero(np.isin(code, list(_CODES)))
        values = np.frombuffer(columns.measure_value, "<u8")[some].tolist()
        paths, flags = np.frombuffer(columns.path, "<u8"), np.frombuffer(columns.flags, "u1")
        heard: dict[int, dict[int, int]] = {}
        unconfirmed = set(paths[(flags & Flag.UNCONFIRMED) != 0].tolist())
        for at, measure, value in zip(entry[some].tolist(), code[some].tolist(), values, strict=True):
            if measure == Measure.BURST_ENDED:
                self._count(Fate.ENDED, value)
            if measure == Measure.BURST_ENDED or not flags[at] & Flag.ILL:
                heard.setdefault(int(paths[at]), {})[measure] = value
        for watch in self._watches:
            changed = False
            for path, found in heard.items():
                result = watch.results.get((vantage, path))
                if result is not None and not self._is_waiting(vantage, path):
                    _add(result, found)
                    result.unconfirmed |= path in unconfirmed
                    changed = True
                    if result.ended:
                        watch.pending.discard((vantage, path))
            if changed:
                watch.on_change()

    def _is_waiting(self, vantage: str, path: int) -> bool:
        """Whether the burst that is waited for has yet to be ordered: what is heard before is of another one."""
        return path in self._orders.get(vantage, {}) or (vantage, path) in self._deferred


def _packets(suspect: Suspect, probes: int) -> int:
    """Packets of a burst that has as many of these probes as one may have."""
    return max(1, min(probes, MAX_PACKETS // suspect.packets)) * suspect.packets


def _lost(columns: Columns) -> list[int]:
    """The paths that a report says to have lost a probe in the network."""
    entry, code = np.frombuffer(columns.outcome_entry, "<u4"), np.frombuffer(columns.outcome_code, "u1")
    late = np.flatnonzero(np.frombuffer(columns.late, "<u4"))
    ill = np.frombuffer(columns.flags, "u1") & Flag.ILL
    entries = np.union1d(entry[code < FIRST_LOCAL], late)
    paths: list[int] = np.frombuffer(columns.path, "<u8")[entries[ill[entries] == 0]].tolist()
    return paths


def _add(result: Result, found: dict[int, int]) -> None:
    result.sent += found.get(Measure.BURST_SENT, 0)
    result.lost += found.get(Measure.BURST_LOST, 0)
    result.refused += found.get(Measure.BURST_REFUSED, 0)
    result.total_ns += found.get(Measure.BURST_NS, 0)
    result.ended += found.get(Measure.BURST_ENDED, 0)
