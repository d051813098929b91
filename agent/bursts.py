"""Confirmation bursts: a few probes of one path in quick succession, within limits that no order can raise.

In: tracks of the plan in force that are to be confirmed, and what became of each probe. Out: which probe is due now, and what
came of it. Pure: `now` is monotonic nanoseconds.

A burst has a track of its own, which shares nothing with that of the schedule but the proof of who answers. So its probes enter
no count of the schedule, and its packets have sessions and sequence numbers of their own: a loss is a reason to look again, and
must not be counted once for every look.
"""

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct

from agent.identity import NEVER_NS
from agent.limits import SECOND_NS, PacketBudget
from agent.probes.prober import Note, Observation
from agent.track import Track
from wire.burst import MAX_BURSTS, MAX_PACKETS, MINUTE_NS, PACKETS_PER_SECOND
from wire.outcome import Outcome
from wire.path import Kind, Layer
from wire.window import Measure

SPACING_NS = SECOND_NS // PACKETS_PER_SECOND
"""Between two packets of all bursts together."""
KINDS = frozenset({Kind.ICMP, Kind.UDP, Kind.TCP})
"""What costs a peer next to nothing: no request, no answer of a server."""
PATIENCE_NS = 30 * SECOND_NS
"""What has not been sent by then confirms nothing any more."""
OWN_PROBES = 5
"""What follows a first loss at once, whatever the collector asks for later: enough to tell a dead path from a lost packet."""
OWN_BURSTS = 8
"""Most of these at once: where everything is lost, a few say it as well as all."""


class Fate(StrEnum):
    """What became of an order: the closed list that is counted."""

    TAKEN = "taken"
    OWN = "own"
    """Asked for by nobody but a first loss."""
    NOT_PLANNED = "not_planned"
    KIND = "kind"
    """No kind or layer for bursts."""
    BUDGET = "budget"
    """The path has had its packets of this minute, or is having them."""
    QUEUE = "queue"
    """Too many bursts at once."""
    ENDED = "ended"
    """Every probe was judged."""
    CUT = "cut"
    """Its path left the plan, the kind cannot be sent, or its time was over."""


class _Burst(Struct, eq=False):
    """One burst under way."""

    track: Track
    """Of the schedule."""
    apart: Track
    """Its own."""
    left: int
    """Probes to be sent."""
    give_up_ns: int
    flying: int = 0
    is_own: bool = False
    """Nobody ordered it."""
    is_cut: bool = False


class Bursts:
    """All bursts of one agent."""

    def __init__(self) -> None:
        self.counts: Counter[Fate] = Counter()
        self.probes: Counter[tuple[Kind, Outcome | None]] = Counter()
        """Probes by kind and by what became of them, None for received."""
        self._queue: deque[_Burst] = deque()
        """Those with probes to send, the one whose turn it is first."""
        self._of: dict[Track, _Burst] = {}
        """Those under way, by their own tracks."""
        self._forgot_ns = 0
        self._spent: dict[int, deque[tuple[int, int]]] = {}
        """By path, when packets of bursts left within a minute, and how many."""
        self._budget = PacketBudget(PACKETS_PER_SECOND)
        self._sent_ns = -SPACING_NS

    def __bool__(self) -> bool:
        """Whether any burst is under way."""
        return bool(self._of)

    @property
    def is_sending(self) -> bool:
        """Whether any burst has a probe to send."""
        return bool(self._queue)

    def order(self, track: Track | None, probes: int, now: int) -> Note | None:
        """Take an order of the collector; what is to be told of one that is refused, where there is a path to tell it of."""
        fate = Fate.NOT_PLANNED if track is None else self._begun(track, probes, now, is_own=False)
        self.counts[fate] += 1
        return None if track is None or fate is Fate.TAKEN else Note(track.path, {Measure.BURST_ENDED: 1})

    def suspect(self, track: Track, now: int) -> None:
        """A path has lost its first probe: see at once whether it loses the next ones as well.

        Only where a peer of ours answers, or the kernel of a node: everybody may see a service lose at the same moment, and
        must not all ask it five times more. The collector, which knows how many ask, may order that.
        """
        target = track.path.target
        if not target.uid and track.path.layer is not Layer.HOST:
            return
        if sum(burst.is_own for burst in self._of.values()) < OWN_BURSTS:
            fate = self._begun(track, OWN_PROBES, now, is_own=True)
            self.counts[Fate.OWN if fate is Fate.TAKEN else fate] += 1

    def _begun(self, track: Track, probes: int, now: int, *, is_own: bool) -> Fate:
        if track.path.kind not in KINDS or track.path.layer is Layer.EXTERNAL or not track.address:
            return Fate.KIND
        if len(self._of) >= MAX_BURSTS:
            return Fate.QUEUE
        burst = next((one for one in self._of.values() if one.track is track), None)
        spent = self._spent_on(track.id, now) + (burst.left * track.packets if burst else 0)
        granted = min(probes, (MAX_PACKETS - spent) // track.packets)
        if granted < 1 or (burst is not None and not burst.is_own):
            return Fate.BUDGET
        if burst is None:
            apart = Track(track.planned, track.proof)
            apart.is_apart, apart.is_planned = True, False  # so that no window ever takes it for the path's own
            burst = self._of[apart] = _Burst(track, apart, 0, now + PATIENCE_NS)
        if not burst.left:
            self._queue.append(burst)
        burst.left += granted
        burst.is_own = is_own
        return Fate.TAKEN

    def _spent_on(self, path: int, now: int) -> int:
        """Packets that left on a path within a minute; what is older is forgotten, of all paths now and then."""
        if now - self._forgot_ns >= MINUTE_NS:
            self._forgot_ns = now
            self._spent = {one: spent for one, spent in self._spent.items() if now - spent[-1][0] < MINUTE_NS}
        return sum(packets for at, packets in self._spent.get(path, ()) if now - at < MINUTE_NS)

    def due(self, now: int) -> Track | None:
        """The track that a probe of a burst is to be sent on now; None where it is nobody's turn. The bursts take turns."""
        while self._queue:
            burst = self._queue[0]
            if now >= burst.give_up_ns:
                self._cut(burst)
                continue
            packets = burst.apart.packets
            if now - self._sent_ns < SPACING_NS or not self._budget.take(packets, now):
                return None
            # The next packet's time is when all of these would have left one at a time, but no stall is caught up with.
            self._sent_ns = now + (packets - 1) * SPACING_NS
            self._queue.popleft()
            burst.left -= 1
            burst.flying += 1
            if burst.left:
                self._queue.append(burst)
            self._spent.setdefault(burst.track.id, deque(maxlen=MAX_PACKETS)).append((now, packets))
            return burst.apart
        return None

    def withheld(self, apart: Track) -> None:
        """The probe that was due cannot be sent from here, nor can those that would follow it."""
        burst = self._of[apart]
        burst.flying -= 1
        self._cut(burst)

    def replan(self, planned: Iterable[Track]) -> None:
        """Send no more on paths that are planned no more."""
        kept = set(planned)
        for burst in [burst for burst in self._queue if burst.track not in kept]:
            self._cut(burst)

    def _cut(self, burst: _Burst) -> None:
        burst.left, burst.is_cut = 0, True
        if burst in self._queue:
            self._queue.remove(burst)

    def judged(self, observations: Sequence[Observation], now: int) -> tuple[list[Observation], list[tuple[Track, Note]]]:
        """Take out what is of bursts: the other observations, and what the bursts have to tell, each of the track it is of."""
        others, told = [], []
        for observation in observations:
            track = observation.probe.track
            burst = self._of.get(track) if track is not None and track.is_apart else None
            if burst is None:
                others.append(observation)
                continue
            burst.flying -= 1
            self.probes[burst.track.path.kind, observation.outcome] += 1
            if measures := _measures(observation):
                told.append((burst.track, Note(burst.track.path, measures)))
            proof = burst.track.proof
            if proof is not None and observation.confirmed:
                proof.proved_ns = now
            elif proof is not None and observation.outcome is Outcome.WRONG_PEER:
                proof.proved_ns = NEVER_NS
        return others, told

    def ended(self) -> list[tuple[Track, Note, bool]]:
        """The bursts that have ended since the last call: the track that each is of, what is to be told, and whether soon."""
        over = [burst for burst in self._of.values() if not burst.left and burst.flying <= 0]
        for burst in over:
            del self._of[burst.apart]
            self.counts[Fate.CUT if burst.is_cut else Fate.ENDED] += 1
        return [(burst.track, Note(burst.track.path, {Measure.BURST_ENDED: 1}), not burst.is_own) for burst in over]


def _measures(observation: Observation) -> dict[Measure, int]:
    """What one probe adds to the measures; nothing where it was our own fault."""
    outcome = observation.outcome
    if outcome is None:
        return {Measure.BURST_SENT: 1, Measure.BURST_NS: observation.latency_ns or 0}
    if outcome.is_local:
        return {}
    lost = {Measure.BURST_SENT: 1, Measure.BURST_LOST: 1}
    return lost | {Measure.BURST_REFUSED: 1} if outcome is Outcome.REFUSED else lost
