"""What every path did in the span that is open now.

In: judged observations and notes. Out, at a cut: one Window for each path that did anything, and a new span begins. A probe
belongs to the span in which it was judged, so nothing in a window is in flight and nothing is counted twice at an edge.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from agent.identity import Confirmations
from agent.probes.prober import Note, Observation
from wire import histogram
from wire.outcome import Outcome
from wire.path import Path
from wire.window import HIGHEST, FactName, Flag, Measure, Timed, Window

_PHASES = frozenset({Measure.RESOLVE_NS, Measure.CONNECT_NS, Measure.TLS_NS, Measure.FIRST_BYTE_NS, Measure.TRANSFER_NS})
"""Measures that are sums over the received probes; a failed probe's phases would make their averages wrong."""


@dataclass(slots=True)
class _Tally:
    path: Path
    latency: Counter[int] = field(default_factory=Counter)
    late: int = 0
    words: Counter[Outcome] = field(default_factory=Counter)
    sum_ns: int = 0
    min_ns: int = 0
    max_ns: int = 0
    received: int = 0
    timed: Timed = Timed.NONE
    nat: bool = False
    measures: dict[Measure, int] = field(default_factory=dict)
    facts: dict[FactName, str] = field(default_factory=dict)


class OpenSpan:
    """The tallies of the span since `started_ns`."""

    def __init__(self, now: int) -> None:
        self.started_ns = now
        self.own_addresses: frozenset[str] = frozenset()
        """Addresses that peers should see us come from; empty where nobody knows, and then nothing is called NAT."""
        self.confirmations = Confirmations()
        self._tallies: dict[int, _Tally] = {}

    def observe(self, observation: Observation, now: int) -> None:
        """Count one judged probe."""
        tally = self._tally(observation.probe.path)
        self.confirmations.take(observation, now)
        measures = dict(observation.measures)
        if observation.latency_ns is not None:
            latency_ns = observation.latency_ns
            tally.min_ns = min(tally.min_ns, latency_ns) if tally.received else latency_ns
            tally.max_ns = max(tally.max_ns, latency_ns)
            tally.sum_ns += latency_ns
            tally.received += 1
            tally.latency[histogram.bucket_of(latency_ns)] += 1
            tally.timed |= observation.timed
            if observation.probe.resolve_ns:
                measures.setdefault(Measure.RESOLVE_NS, observation.probe.resolve_ns)
        else:
            measures = {measure: value for measure, value in measures.items() if measure not in _PHASES}
            if observation.outcome is Outcome.LATE:
                tally.late += 1
            elif observation.outcome is not None:
                tally.words[observation.outcome] += 1
        self._learn(tally, measures, observation.facts)

    def skip(self, path: Path, times: int) -> None:
        """Count times of a path at which nothing was sent."""
        self._tally(path).words[Outcome.SKIPPED] += times

    def note(self, note: Note) -> None:
        """Take in what was learned about a path apart from the fate of a probe."""
        self._learn(self._tally(note.path), note.measures, note.facts)

    def cut(self, now: int, *, horizons: Mapping[int, int], ill: bool) -> list[Window]:
        """End the span and begin the next: its windows, in the order of path ids.

        `horizons` is how far back a proof of identity may lie, by path id in nanoseconds: two windows, or two intervals of
        the path where it is probed more rarely than it is reported. A path that is not in it is planned no more and is left
        out, since the collector has no place for it.
        """
        windows = [
            _window(tally, ill=ill, believed=self.confirmations.confirmed(tally.path.target, now - horizons[path]))
            for path, tally in sorted(self._tallies.items())
            if path in horizons
        ]
        self._tallies = {}
        self.started_ns = now
        self.confirmations.forget(now - max(horizons.values(), default=0))
        return windows

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
            source = facts.get(FactName.SOURCE)
            tally.nat |= bool(source and self.own_addresses and source not in self.own_addresses)


def _window(tally: _Tally, *, ill: bool, believed: bool) -> Window:
    flags = Flag.NONE
    if ill:
        flags |= Flag.ILL
    if tally.nat:
        flags |= Flag.NAT
    if tally.received and not believed:
        flags |= Flag.UNCONFIRMED
    return Window(
        path=tally.path.id,
        received=tally.received,
        late=tally.late,
        failed={word: count for word, count in tally.words.items() if not word.is_local},
        local={word: count for word, count in tally.words.items() if word.is_local},
        latency=dict(tally.latency),
        sum_ns=tally.sum_ns,
        min_ns=tally.min_ns,
        max_ns=tally.max_ns,
        timed=tally.timed,
        flags=flags,
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
