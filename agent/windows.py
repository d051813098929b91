"""What every path did in the span that is open now.

In: judged observations and notes. Out, at a cut: one Window for each path that did anything, and a new span begins. A probe
belongs to the span in which it was judged, so nothing in a window is in flight and nothing is counted twice at an edge.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from agent.identity import Confirmations
from agent.probes.prober import NO_FACTS, Note, Observation
from wire import histogram
from wire.outcome import Outcome
from wire.path import Path
from wire.window import HIGHEST, FactName, Flag, Measure, Timed, Window

_PHASES = frozenset({Measure.RESOLVE_NS, Measure.CONNECT_NS, Measure.TLS_NS, Measure.FIRST_BYTE_NS, Measure.TRANSFER_NS})
"""Measures that are sums over the received probes; a failed probe's phases would make their averages wrong."""

_ILL, _NAT, _UNCONFIRMED = int(Flag.ILL), int(Flag.NAT), int(Flag.UNCONFIRMED)
_FLAGS = tuple(Flag(bits) for bits in range(8))
"""Flags by their bits: to unite them as they are costs more than all else about a window."""

REPEATED_AFTER = 30
"""A fact that stays the same is told once in so many spans, for a collector that has not heard it or has forgotten."""


class _Tally(Struct):
    path: Path
    latency: dict[int, int] = {}
    late: int = 0
    words: dict[Outcome, int] = {}
    sum_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0
    received: int = 0
    timed: Timed = Timed.NONE
    nat: bool = False
    measures: dict[Measure, int] = {}
    facts: dict[FactName, str] = {}
    learned: Mapping[FactName, str] = NO_FACTS
    """The facts taken in last: most answers say the same as the one before, in the very same mapping."""


class OpenSpan:
    """The tallies of the span since `started_ns`."""

    def __init__(self, now: int) -> None:
        self.started_ns = now
        self.own_addresses: frozenset[str] = frozenset()
        """Addresses that peers should see us come from; empty where nobody knows, and then nothing is called NAT."""
        self.confirmations = Confirmations()
        self._told: dict[int, tuple[Mapping[FactName, str], int]] = {}
        """By path id: the facts that were told last, and at which cut."""
        self._cuts = 0
        self._tallies: dict[int, _Tally] = {}

    def observe(self, observation: Observation, now: int) -> None:  # noqa: C901, PLR0912 - no call for every probe
        """Count one judged probe. What most of them do not have is not even looked at."""
        path = observation.probe.path
        tally = self._tallies.get(path.id)
        if tally is None:
            tally = self._tally(path)
        if path.target.uid:
            self.confirmations.take(observation, now)
        measures, latency_ns = observation.measures, observation.latency_ns
        if latency_ns is not None:
            if latency_ns < tally.min_ns or not tally.received:
                tally.min_ns = latency_ns
            if latency_ns > tally.max_ns:  # noqa: PLR1730 - as is the call of max, which is dearer than all else here
                tally.max_ns = latency_ns
            tally.sum_ns += latency_ns
            tally.received += 1
            bucket = histogram.bucket_of(latency_ns)
            tally.latency[bucket] = tally.latency.get(bucket, 0) + 1
            if observation.timed is not tally.timed:
                tally.timed = tally.timed | observation.timed if tally.timed else observation.timed
            if observation.probe.resolve_ns:
                measures = {Measure.RESOLVE_NS: observation.probe.resolve_ns, **measures}
        else:
            if measures:
                measures = {measure: value for measure, value in measures.items() if measure not in _PHASES}
            if observation.outcome is Outcome.LATE:
                tally.late += 1
            elif observation.outcome is None:
                raise ValueError("an observation without a latency and without a word")
            else:
                tally.words[observation.outcome] = tally.words.get(observation.outcome, 0) + 1
        if measures or observation.facts is not tally.learned:
            self._learn(tally, measures, observation.facts)

    def skip(self, path: Path, times: int) -> None:
        """Count times of a path at which nothing was sent."""
        words = self._tally(path).words
        words[Outcome.SKIPPED] = words.get(Outcome.SKIPPED, 0) + times

    def note(self, note: Note) -> None:
        """Take in what was learned about a path apart from the fate of a probe."""
        self._learn(self._tally(note.path), note.measures, note.facts)

    def cut(self, now: int, *, horizons: Mapping[int, int], ill: bool) -> list[Window]:
        """End the span and begin the next: its windows, in the order of path ids.

        `horizons` is how far back a proof of identity may lie, by path id in nanoseconds: two windows, or two intervals of
        the path where it is probed more rarely than it is reported. A path that is not in it is planned no more and is left
        out, since the collector has no place for it.
        """
        self._cuts += 1
        if len(self._told) > len(horizons):
            self._told = {path: told for path, told in self._told.items() if path in horizons}
        for path, tally in self._tallies.items():
            tally.facts = self._untold(path, tally.facts)
        windows = [
            _window(tally, ill=ill, believed=self.confirmations.confirmed(tally.path.target, now - horizons[path]))
            for path, tally in sorted(self._tallies.items())
            if path in horizons
        ]
        self._tallies = {}
        self.started_ns = now
        self.confirmations.forget(now - max(horizons.values(), default=0))
        return windows

    def _untold(self, path: int, facts: dict[FactName, str]) -> dict[FactName, str]:
        """The facts, or none where the same ones were told not long ago. They cost the collector more than all counts."""
        if not facts:
            return facts
        told, cut = self._told.get(path, (None, 0))
        if told == facts and self._cuts - cut < REPEATED_AFTER:
            return {}
        # Paths that are told for the first time together are not repeated together.
        self._told[path] = facts, self._cuts - (path % REPEATED_AFTER if told is None else 0)
        return facts

    def _tally(self, path: Path) -> _Tally:
        tally = self._tallies.get(path.id)
        if tally is None:
            tally = self._tallies[path.id] = _Tally(path)
        return tally

    def _learn(self, tally: _Tally, measures: Mapping[Measure, int], facts: Mapping[FactName, str]) -> None:
        for measure, value in measures.items():
            have = tally.measures.get(measure, 0)
            tally.measures[measure] = max(have, value) if measure in HIGHEST else have + value
        if facts:
            tally.facts.update(facts)
            tally.learned = facts
            source = facts.get(FactName.SOURCE)
            tally.nat |= bool(source and self.own_addresses and source not in self.own_addresses)


def _window(tally: _Tally, *, ill: bool, believed: bool) -> Window:
    unconfirmed = tally.received and not believed
    flags = (_ILL if ill else 0) | (_NAT if tally.nat else 0) | (_UNCONFIRMED if unconfirmed else 0)
    return Window(
        path=tally.path.id,
        received=tally.received,
        late=tally.late,
        failed={word: count for word, count in tally.words.items() if not word.is_local},
        local={word: count for word, count in tally.words.items() if word.is_local},
        latency=tally.latency,
        sum_ns=tally.sum_ns,
        min_ns=tally.min_ns,
        max_ns=tally.max_ns,
        timed=tally.timed,
        flags=_FLAGS[flags],
        measures=tally.measures,
        facts=tally.facts,
    )


class FirstLosses:
    """Whether a loss is the first of its path in a while, so that somebody should hear of it at once."""

    def __init__(self, quiet_ns: int) -> None:
        self._quiet_ns = quiet_ns
        self._last: dict[int, int] = {}

    def take(self, path: int, now: int) -> bool:
        """Note a loss of a path (by id); True where it had none for `quiet_ns`."""
        first = now - self._last.get(path, -self._quiet_ns) >= self._quiet_ns
        self._last[path] = now
        return first

    def keep(self, planned: Iterable[int]) -> None:
        """Forget every path but these."""
        self._last = {path: self._last[path] for path in planned if path in self._last}
