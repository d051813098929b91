"""The edge that owns time: it sends what is due, takes in what came back, and judges what did not.

In: admitted paths. Out: judged observations in the open span. On every tick what has arrived is collected first, so that a
stall of ours never turns into loss; then overdue probes are judged; then what is due is sent. A tick is 50 ms, or up to 200 ms
where there is little to send, and there is none while nothing is due and nothing is in flight. The kernel stamps packets, so
that a coarse tick costs no precision.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import cast

from msgspec import Struct

from agent.bursts import SPACING_NS, Bursts
from agent.flight import Flights
from agent.health import ILL_SUSPENDED_NS, suspended_ns
from agent.identity import Proofs
from agent.kinds import Kinds
from agent.limits import PLACE_NS, Limits, PacketBudget, PeerBudget, Relief
from agent.names import Names, Resolve
from agent.probes.prober import Context, Note, Observation, Probe, Prober
from agent.schedule import TICK_NS, Schedule, tick_of
from agent.stalls import Stalls
from agent.track import Track
from agent.windows import OpenSpan
from wire.burst import Burst
from wire.outcome import Outcome
from wire.path import Family, Kind, Path
from wire.plan import PlannedPath

LEAVE_NS = 1_700_000_000
"""Longest wait for probes in flight once we are asked to stop; an ordinary probe is judged by then."""
SWEEP_NS = 1_000_000_000
"""How often probers without a probe in flight are looked at, for duplicates and late facts."""
PATIENCE_NS = 1_000_000_000
"""How long a due probe waits for its distance to the last one; where a new plan asks for more, it is skipped."""
QUIET_NS = 60_000_000_000
"""A loss is a first loss, and urgent, after this long without one on its path."""


class _Lot(Struct):
    """What is sent now of one kind and family, with one timeout."""

    obstacle: Outcome | None
    """Why nothing of the kind and family is sent now."""
    probes: list[Probe] = []


class Runner:
    """Runs the probes of one agent. `tick` is the whole of it and takes the time as a value; `run` only waits."""

    def __init__(
        self,
        probers: Mapping[Kind, type[Prober]],
        context: Context,
        limits: Limits,
        span: OpenSpan,
        resolve: Resolve,
        *,
        on_first_loss: Callable[[], None] = lambda: None,
        on_answer: Callable[[], None] = lambda: None,
        clock: Callable[[], int] = time.monotonic_ns,
        slept: Callable[[], int] = suspended_ns,
    ) -> None:
        self._counts: Counter[tuple[Kind, Outcome | None]] = Counter()
        self.flights = Flights()
        self.bursts = Bursts()
        self.tick_ns = TICK_NS
        """Distance of two ticks under the plan in force."""
        self._context = context
        self._kinds = Kinds(probers, context, clock)
        self._probers = self._kinds.probers
        self._span = span
        self._on_first_loss = on_first_loss
        self._on_answer = on_answer
        self._clock = clock
        self._stalls = Stalls(slept, clock(), least_sleep_ns=ILL_SUSPENDED_NS)
        self._schedule = Schedule()
        self._packets = PacketBudget(limits.max_pps)
        context.spend = lambda packets: self._packets.take(packets, clock())
        self._peers = PeerBudget(limits.max_peers)
        self._floor_ns = limits.min_interval_ns
        self._relief = Relief()
        self._proofs = Proofs()
        self._tracks: dict[int, Track] = {}
        self._unplanned: dict[int, Track] = {}
        """Paths of earlier plans that were sent to less than the shortest interval ago, should they be planned again."""
        self._waiting: dict[int, Track] = {}
        self._number = 0
        self._swept_ns = 0
        self._leave_by: int | None = None
        self._wake = asyncio.Event()
        self._names = Names(resolve, limits, clock, complain=self._kinds.complain, on_end=self._wake.set)

    def replan(self, planned: Sequence[PlannedPath], not_before: int) -> None:
        """Probe these paths from now on, new ones not before this time. Paths must have been admitted."""
        now, before = self._clock(), self._unplanned | self._tracks
        for track in before.values():
            track.is_planned = False
        self._tracks = {one.path.id: self._track(one, before.get(one.path.id)) for one in planned}
        self._unplanned = {
            path: track for path, track in before.items() if not track.is_planned and now - track.sent_ns < self._floor_ns
        }
        self.tick_ns = tick_of(planned)
        self._schedule.replan(list(self._tracks.values()), not_before)
        self.bursts.replan(self._tracks.values())
        self._kinds.ask_anew()
        self._waiting = {path: track for path, track in self._waiting.items() if track.is_planned}
        self._wake.set()

    def confirm(self, orders: Sequence[Burst]) -> None:
        """Begin the bursts that the collector asks for, as far as the limits of this process go."""
        now = self._clock()
        for order in orders if self._leave_by is None else ():
            track = self._tracks.get(order.path)
            refused = self.bursts.order(track, order.probes, now)
            if track is not None and refused is not None:
                self._span.note(track, refused)
                self._on_answer()
        self._wake.set()

    def _track(self, planned: PlannedPath, known: Track | None) -> Track:
        track = known or Track(planned, self._proofs.of(planned.path.target))
        track.follow(planned, self._floor_ns)
        return track

    @property
    def counts(self) -> dict[tuple[Kind, str], int]:
        """Probes by kind and by what became of them: `received` or an outcome's word."""
        return {
            (kind, "received" if outcome is None else outcome.word): count
            for (kind, outcome), count in self._counts.items()
            if count
        }

    def unsupported(self) -> tuple[str, ...]:
        """Kinds, as `icmp/ipv6`, that the plan has and that cannot be sent from here."""
        return self._kinds.unsupported()

    async def run(self) -> None:
        """Tick until `stop` is called and what is in flight has been judged, then release everything."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._names.tasks = tasks
                self._context.spawn = lambda work: tasks.create_task(self._kinds.contained(work))
                while not self._has_left():
                    now = self._clock()
                    self.tick(now)
                    await self._rest(now)
                self._release()
        finally:
            self._context.spawn = self._names.tasks = None
            self._release()

    def stop(self) -> None:
        """Send nothing more; `run` returns once what is in flight has been judged, in two seconds at the latest."""
        self._leave_by = self._clock() + LEAVE_NS
        self._wake.set()

    def tick(self, now: int) -> None:
        """Collect, judge, send: in this order."""
        stood_still, overslept = self._stalls.look(now, self.tick_ns)
        if stood_still:
            self.flights.interrupt(now)
        self._collect(now)
        given_up = self.flights.abandon() if overslept else self.flights.overdue(now)
        for observation in given_up:
            kind = observation.probe.path.kind
            self._kinds.guarded(kind, self._probers[kind].forget, observation.probe)
        self._judge(given_up, now)
        if self._leave_by is None:
            self._send(now)
        if self.bursts:
            for track, note, is_awaited in self.bursts.ended():
                self._span.note(track, note)
                if is_awaited:
                    self._on_answer()

    def wake_at(self, now: int) -> int | None:
        """When the next tick should be; None where nothing is planned or in flight."""
        if self.bursts.is_sending:
            return now + SPACING_NS - now % SPACING_NS
        if self.flights or self._waiting or self._names:
            return now + self.tick_ns - now % self.tick_ns
        due = self._schedule.next_due()
        return None if due is None else -(-due // self.tick_ns) * self.tick_ns

    async def _rest(self, now: int) -> None:
        wake_at = self.wake_at(now)
        delay = None if wake_at is None else max(wake_at - self._clock(), 0) / 1e9
        self._wake.clear()
        if delay is not None and delay <= self.tick_ns / 1e9:
            await asyncio.sleep(delay)
        elif not self._has_left():
            try:
                async with asyncio.timeout(delay):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._stalls.rested(self._clock())

    def _has_left(self) -> bool:
        return self._leave_by is not None and (not self.flights or self._clock() >= self._leave_by)

    def _collect(self, now: int) -> None:
        kinds = self.flights.kinds()
        if now - self._swept_ns >= SWEEP_NS:
            kinds, self._swept_ns = frozenset(self._probers), now
        for kind in kinds:
            arrived = self._kinds.guarded(kind, self._probers[kind].collect) or ()
            notes = [one for one in arrived if isinstance(one, Note)]
            observations = [one for one in arrived if isinstance(one, Observation)] if notes else arrived
            self._land(cast("Sequence[Observation]", observations), now)
            for note in notes:
                if (track := self._tracks.get(note.path.id)) is not None:
                    self._span.note(track, note)

    def _land(self, observations: Sequence[Observation], now: int) -> None:
        """Judge probes of one kind by what came of them."""
        self._judge(self.flights.land(observations), now)

    def _judge(self, judged: Sequence[Observation], now: int) -> None:
        if self.bursts:
            judged, told = self.bursts.judged(judged, now)
            for confirmed, note in told:
                self._span.note(confirmed, note)
        self._span.observe(judged, now)
        telling = judged
        if not self._relief.pause_ns:  # there is nothing to be learned from nearly all of them
            telling = [observation for observation in judged if observation.outcome is not None]
        for observation in telling:
            outcome = observation.outcome
            path, track = observation.probe.path, observation.probe.track
            self._counts[path.kind, outcome] += 1
            self._relief.take(path.kind, outcome, now)
            if outcome is not None and not outcome.is_local and track is not None and track.is_planned:
                if now - track.lost_ns >= QUIET_NS:
                    self._on_first_loss()
                    self.bursts.suspect(track, now)
                track.lost_ns = now
        if len(telling) < len(judged):
            self._counts[judged[0].probe.path.kind, None] += len(judged) - len(telling)

    def _fail(self, track: Track, outcome: Outcome, now: int, *, resolve_ns: int = 0) -> None:
        """A probe that never left."""
        self._number += 1
        self._judge([Observation(Probe(self._number, track.path, "", resolve_ns, track), outcome=outcome)], now)

    def _queued(self, now: int) -> list[Track]:
        """Every path that is to be sent, the longest waiting first; nobody waits any more until somebody is put back."""
        waiting, self._waiting = self._waiting, {}
        due, skipped = self._schedule.due(now)
        if waiting:
            # One that still waits for the packet budget gives way to its own next time.
            skipped += [(track, 1) for track in due if track.id in waiting]
            due = list((waiting | {track.id: track for track in due}).values())
        for track, times in skipped:
            self._span.skip(track, times)
            self._counts[track.path.kind, Outcome.SKIPPED] += times
        return due

    def _send(self, now: int) -> None:  # noqa: C901 - one flat loop, run for every probe
        lots: dict[tuple[Kind, Family, int], _Lot] = {}
        self._take_resolved(lots, now)
        before = left = self._packets.left(now)
        until, sort, lot = now + PLACE_NS, None, _Lot(None)
        for track in (queued := iter(self._queued(now))):
            wait_ns = track.sent_ns + track.spacing_ns - now
            if 0 < wait_ns <= PATIENCE_NS:
                # The last one left late: this one follows at a distance, unless its own next time comes first.
                self._waiting[track.id] = track
                continue
            if track.sort is not sort:
                sort, lot = track.sort, self._lot_of(lots, track, now)
            obstacle = Outcome.SKIPPED if wait_ns > 0 else lot.obstacle
            if obstacle is None and now >= track.peer_until_ns:
                if self._peers.take(track.path.target, now):
                    track.peer_until_ns = until
                else:
                    obstacle = Outcome.SKIPPED
            if obstacle is not None:
                self._fail(track, obstacle, now)
                continue
            if track.packets > left:
                self._waiting |= {one.id: one for one in (track, *queued)}
                break
            left -= track.packets
            if track.address:
                self._number += 1
                lot.probes.append(Probe(self._number, track.path, track.address, 0, track))
                track.sent_ns = now
            elif not self._names.start(track.planned):
                self._fail(track, Outcome.SKIPPED, now)
        self._packets.take(before - left, now)
        self._send_bursts(lots, now)
        for (kind, _, timeout_ns), lot in lots.items():
            self._hand_over(kind, lot.probes, timeout_ns, now)

    def _send_bursts(self, lots: dict[tuple[Kind, Family, int], _Lot], now: int) -> None:
        """Add the probes of bursts whose turn it is; their packets are counted apart from those of the plan."""
        while (track := self.bursts.due(now)) is not None:
            lot = self._lot_of(lots, track, now)
            if lot.obstacle is not None or not self._peers.take(track.path.target, now):
                self.bursts.withheld(track)
                continue
            self._number += 1
            lot.probes.append(Probe(self._number, track.path, track.address, 0, track))

    def _take_resolved(self, lots: dict[tuple[Kind, Family, int], _Lot], now: int) -> None:
        while self._names.ended:
            resolution = self._names.ended.popleft()
            outcome, resolve_ns = resolution.outcome, resolution.resolve_ns
            track = self._tracks.get(resolution.planned.path.id)
            if track is None:
                continue
            if resolution.address:
                self._number += 1
                probe = Probe(self._number, track.path, resolution.address, resolve_ns, track)
                self._lot_of(lots, track, now).probes.append(probe)
                track.sent_ns = now
                continue
            if outcome is Outcome.DNS_TIMEOUT and (self._stalls.last_ns or 0) > resolution.started_ns:
                outcome = Outcome.PAUSED  # the answer may have lain in its socket while we did not look
            self._fail(track, outcome or Outcome.DNS_ERROR, now, resolve_ns=resolve_ns)

    def _hand_over(self, kind: Kind, probes: list[Probe], timeout_ns: int, now: int) -> None:
        if not probes:
            return
        self.flights.launch(probes, timeout_ns, now)
        failed = self._kinds.guarded(kind, self._probers[kind].send, probes)
        if failed is None:
            failed = [Observation(probe, outcome=Outcome.INTERNAL) for probe in probes]
        self._land(failed, now)

    def _lot_of(self, lots: dict[tuple[Kind, Family, int], _Lot], track: Track, now: int) -> _Lot:
        if track.sort not in lots:
            lots[track.sort] = _Lot(self._obstacle(track.path, now))
        return lots[track.sort]

    def _obstacle(self, path: Path, now: int) -> Outcome | None:
        """Why no path of this one's kind and family is sent now."""
        is_unsupported = self._kinds.is_unsupported(path.kind, path.family, now)
        return Outcome.UNSUPPORTED if is_unsupported else self._relief.withheld(path.kind, now)

    def _release(self) -> None:
        self.flights.abandon()
        self._names.cancel()
        self._kinds.close()
