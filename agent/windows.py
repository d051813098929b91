"""What every path did in the span that is open now.

In: judged observations and notes. Out, at a cut: one window for each path that did anything, and a new span begins. A probe
belongs to the span in which it was judged, so nothing in a window is in flight and nothing is counted twice at an edge.
"""

from collections.abc import Iterable, Mapping
from operator import attrgetter

from agent.identity import NEVER_NS
from agent.probes.prober import NO_FACTS, Note, Observation
from agent.track import Tally, Track
from wire.outcome import Outcome
from wire.report import Columns, Draft
from wire.window import HIGHEST, FactName, Flag, Measure, Timed

_PHASES = frozenset({Measure.RESOLVE_NS, Measure.CONNECT_NS, Measure.TLS_NS, Measure.FIRST_BYTE_NS, Measure.TRANSFER_NS})
"""Measures that are sums over the received probes; a failed probe's phases would make their averages wrong."""

_UNTIMED = Timed.NONE
_ILL, _NAT, _UNCONFIRMED = int(Flag.ILL), int(Flag.NAT), int(Flag.UNCONFIRMED)

MOST_KEPT = 1000
"""Latencies of a path that are kept before they are counted: bounds what a long span takes of memory."""
REPEATED_AFTER = 30
"""A fact that stays the same is told once in so many spans, for a collector that has not heard it or has forgotten."""


class OpenSpan:
    """The span since `started_ns`: which paths did anything. What they did is in their tallies."""

    def __init__(self, now: int) -> None:
        self.started_ns = now
        self.own_addresses: frozenset[str] = frozenset()
        """Addresses that peers should see us come from; empty where nobody knows, and then nothing is called NAT."""
        self._cuts = 0
        self._tracks: list[Track] = []

    def observe(self, judged: Iterable[Observation], now: int) -> None:
        """Count judged probes. What most of them do not have is not even looked at."""
        for observation in judged:
            probe, latency_ns, measures = observation.probe, observation.latency_ns, observation.measures
            track = probe.track
            if track is None or not track.is_planned:
                continue  # a path of an earlier plan, for which the collector has no place any more
            tally = track.tally
            if not tally.is_open:
                self._open(track)
            if latency_ns is None:
                measures = _failed(observation, track)
            else:
                latencies_ns = tally.latencies_ns
                latencies_ns.append(latency_ns)
                if len(latencies_ns) >= MOST_KEPT:
                    tally.count()
                if observation.timed is not tally.timed:
                    tally.timed = observation.timed if tally.timed is _UNTIMED else tally.timed | observation.timed
                if probe.resolve_ns:
                    measures = {Measure.RESOLVE_NS: probe.resolve_ns, **measures}
            if observation.confirmed and track.proof is not None:
                track.proof.proved_ns = now
            if measures or (observation.facts is not tally.learned and observation.facts):
                self._learn(tally, measures, observation.facts)

    def skip(self, track: Track, times: int) -> None:
        """Count times of a path at which nothing was sent."""
        self._open(track)
        words = track.tally.words
        words[Outcome.SKIPPED] = words.get(Outcome.SKIPPED, 0) + times

    def note(self, track: Track, note: Note) -> None:
        """Take in what was learned about a path apart from the fate of a probe."""
        self._open(track)
        self._learn(track.tally, note.measures, note.facts)

    def cut(self, now: int, *, report_ns: int, ill: bool) -> Columns:
        """End the span and begin the next: its windows as columns, in the order of path ids.

        A proof of identity may lie back as far as two reports, or two intervals of a path that is probed more rarely than
        reported. A path that is planned no more is left out, since the collector has no place for it.
        """
        self._cuts += 1
        draft = Draft()
        for track in sorted(self._tracks, key=attrgetter("id")):
            tally = track.tally
            if track.is_planned:
                tally.count()
                flags = (_ILL if ill else 0) | (_NAT if tally.nat else 0)
                if track.proof is not None and (tally.received or _answered(tally.measures)):
                    horizon_ns = 2 * max(report_ns, track.interval_ns)
                    flags |= 0 if track.proof.proved_ns >= now - horizon_ns else _UNCONFIRMED
                dense = track.id, tally.received, tally.late, tally.sum_ns, tally.min_ns, tally.max_ns, tally.timed, flags
                draft.add(dense, tally.words, tally.latency, tally.measures, self._untold(track))
            tally.clear()
        self._tracks = []
        self.started_ns = now
        return draft.columns()

    def _open(self, track: Track) -> None:
        if not track.tally.is_open:
            track.tally.is_open = True
            self._tracks.append(track)

    def _untold(self, track: Track) -> Mapping[FactName, str]:
        """The facts, or none where the same ones were told not long ago. They cost the collector more than all counts."""
        facts = track.tally.facts
        if not facts or (track.told == facts and self._cuts - track.told_at < REPEATED_AFTER):
            return NO_FACTS
        # Paths that are told for the first time together are not repeated together.
        track.told_at = self._cuts - (track.id % REPEATED_AFTER if track.told is None else 0)
        track.told = facts
        return facts

    def _learn(self, tally: Tally, measures: Mapping[Measure, int], facts: Mapping[FactName, str]) -> None:
        for measure, value in measures.items():
            have = tally.measures.get(measure, 0)
            tally.measures[measure] = max(have, value) if measure in HIGHEST else have + value
        if facts:
            tally.facts.update(facts)
            tally.learned = facts
            source = facts.get(FactName.SOURCE)
            tally.nat |= bool(source and self.own_addresses and source not in self.own_addresses)


def _answered(measures: Mapping[Measure, int]) -> bool:
    """Whether any probe of a burst was answered."""
    return measures.get(Measure.BURST_SENT, 0) > measures.get(Measure.BURST_LOST, 0)


def _failed(observation: Observation, track: Track) -> Mapping[Measure, int]:
    """Count a failure; the measures of it that are worth something."""
    outcome, tally = observation.outcome, track.tally
    if outcome is None:
        raise ValueError("an observation without a latency and without a word")
    if outcome is Outcome.LATE:
        tally.late += 1
    else:
        tally.words[outcome] = tally.words.get(outcome, 0) + 1
    if outcome is Outcome.WRONG_PEER and track.proof is not None:
        track.proof.proved_ns = NEVER_NS
    return {measure: value for measure, value in observation.measures.items() if measure not in _PHASES}
