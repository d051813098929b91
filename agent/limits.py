"""What no plan can make this agent do: admission of a plan, and budgets at the moment of sending.

In: a plan, which is untrusted input, and the limits of this process. Out: the paths that may be probed, and how many were
refused for which reason. Pure: `now` is monotonic nanoseconds. Nothing here can be changed by what a collector says.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.packet_length import padding_bytes, payload_bytes
from wire.address import refusal
from wire.outcome import Outcome
from wire.path import Family, Http, Icmp, Kind, Path, Target, Udp
from wire.plan import PlannedPath

SECOND_NS = 1_000_000_000
MAX_PAYLOAD_BYTES = 1472
"""What fits an Ethernet frame of 1,500 bytes after the headers of IPv4 and UDP; what tests longer ones says `packet_bytes`."""
MAX_PADDING_BYTES = 1300
"""UDP: the same, less the STAMP packet and the TLVs that prove it."""
MAX_WAIT_NS = 5 * SECOND_NS
"""Longest time to wait for an answer where that is longer than the interval: bounds what is in flight."""
PEER_MEMORY_NS = 60 * SECOND_NS
PLACE_NS = 10 * SECOND_NS
"""How long a peer may be sent to without asking for its place again."""
PLACES_PER_PEER = 8
"""Addresses and host names of one peer, on average: a node and its pods, each in both families."""

METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Limits:
    """The ceilings of this process, which come from its environment alone."""

    max_pps: int = 100
    min_interval_ns: int = SECOND_NS
    max_peers: int = 256
    allow_loopback: bool = False
    resolvers: frozenset[str] = frozenset()
    """Name servers of resolv.conf, excepted from the deny list on port 53."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """The part of a plan that may run."""

    paths: tuple[PlannedPath, ...]
    refused: Mapping[str, int]
    """Paths refused by reason: `interval`, `timeout`, `size`, `method`, `address_...`, `peers`, `budget`."""


def admit(planned: Sequence[PlannedPath], limits: Limits) -> Admitted:
    """The paths within the limits. Which ones do not fit the budgets depends on their ids alone, so it stays the same."""
    paths: list[PlannedPath] = []
    refused: Counter[str] = Counter()
    peers: set[str] = set()
    places: set[str] = set()
    rate = 0.0
    for one in sorted(planned, key=lambda planned_path: planned_path.path.id):
        cost = one.path.packets * 1000 / one.interval_ms
        reason = _refusal(one, limits)
        peer, place = one.path.target.peer, one.path.target.address or one.path.target.host
        if reason is None and (
            (peer not in peers and len(peers) >= limits.max_peers)
            or (place not in places and len(places) >= limits.max_peers * PLACES_PER_PEER)
        ):
            reason = "peers"
        if reason is None and (rate + cost > limits.max_pps or one.path.packets > limits.max_pps):
            reason = "budget"
        if reason is None:
            paths.append(one)
            peers.add(peer)
            places.add(place)
            rate += cost
        else:
            refused[reason] += 1
    return Admitted(tuple(paths), dict(refused))


def _refusal(planned: PlannedPath, limits: Limits) -> str | None:
    path, ask = planned.path, planned.path.ask
    interval_ns, timeout_ns = planned.interval_ms * 1_000_000, planned.timeout_ms * 1_000_000
    if interval_ns < limits.min_interval_ns:
        return "interval"
    if timeout_ns > max(interval_ns, MAX_WAIT_NS):
        return "timeout"
    if isinstance(ask, Icmp | Udp) and not _sendable(ask, path.family):
        return "size"
    if isinstance(ask, Http) and ask.method not in METHODS:
        return "method"
    # A name is judged when it is resolved, and every address again when it is connected to.
    word = permission(path, path.target.address, limits) if path.target.address else None
    return f"address_{word.replace('-', '_')}" if word else None


def _sendable(ask: Icmp | Udp, family: Family) -> bool:
    try:
        if isinstance(ask, Icmp):
            return payload_bytes(ask, family) <= MAX_PAYLOAD_BYTES or ask.packet_bytes > 0
        return padding_bytes(ask, family) <= MAX_PADDING_BYTES or ask.packet_bytes > 0
    except ValueError:  # no packet of this length is possible, or it is longer than any link's
        return False


def permission(path: Path, address: str, limits: Limits) -> str | None:
    """Why this path may not be sent to this final address, in a word; None where it may."""
    port = None if isinstance(path.ask, Icmp) else path.ask.port
    return refusal(address, allow_loopback=limits.allow_loopback, resolvers=limits.resolvers, port=port)


class PacketBudget:
    """At most `max_pps` packets in any second, exactly: a sliding window and no bucket, since a bucket allows twice that."""

    def __init__(self, max_pps: int) -> None:
        self._max = max_pps
        self._taken: deque[tuple[int, int]] = deque()
        self._total = 0

    def left(self, now: int) -> int:
        """Packets that may be sent now."""
        while self._taken and now - self._taken[0][0] >= SECOND_NS:
            self._total -= self._taken.popleft()[1]
        return self._max - self._total

    def take(self, packets: int, now: int) -> bool:
        """Take so many packets out of the budget, or none of them and return False."""
        if packets > self.left(now):
            return False
        if packets:
            self._taken.append((now, packets))
            self._total += packets
        return True


class PeerBudget:
    """At most `max_peers` distinct peers in any minute, and so many addresses with them, however the plans change in it.

    What a peer is, a plan says, and a lie of it could bring a thousand hosts under one name; addresses cannot be made up.
    A place is taken for PLACE_NS, so that not every probe has to ask, and is remembered for a minute after that.
    """

    def __init__(self, max_peers: int) -> None:
        self._peers = _Recent(max_peers)
        self._places = _Recent(max_peers * PLACES_PER_PEER)

    def take(self, target: Target, now: int) -> bool:
        """Whether this target may be sent to from now on for PLACE_NS; remembers it if so."""
        peer, place = target.peer, target.address or target.host
        peers, places = self._peers, self._places
        if not (peer in peers.last or peers.has_room(now)) or not (place in places.last or places.has_room(now)):
            return False
        peers.last[peer] = places.last[place] = now + PLACE_NS
        return True


class _Recent:
    """At most so many distinct names within PEER_MEMORY_NS."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.last: dict[str, int] = {}
        """Until when each may be seen. One that is out of date may still be here, as long as there is room."""
        self._expires_ns = 0

    def has_room(self, now: int) -> bool:
        """Whether one more fits; forgets what is out of date, and looks for that only when some of it may be."""
        if len(self.last) >= self._most and now >= self._expires_ns:
            self.last = {name: seen for name, seen in self.last.items() if now - seen < PEER_MEMORY_NS}
            self._expires_ns = min(self.last.values(), default=now) + PEER_MEMORY_NS
        return len(self.last) < self._most


class Relief:
    """Backs off a kind that runs into limits of this machine, such as ports: twice as long each time, up to 16 s."""

    WORDS = frozenset({Outcome.NO_FD, Outcome.NO_BUFFER, Outcome.NO_PORT})
    LONGEST_NS = 16 * SECOND_NS

    def __init__(self) -> None:
        self._word: dict[Kind, Outcome] = {}
        self._until: dict[Kind, int] = {}
        self.pause_ns: dict[Kind, int] = {}
        """The last pause of each kind that was short of something lately; while empty, a success teaches nothing."""

    def take(self, kind: Kind, outcome: Outcome | None, now: int) -> None:
        """Learn what became of a probe of this kind: short of a resource, or sent (then the next shortage begins anew)."""
        if outcome in self.WORDS:
            if now >= self._until.get(kind, 0):
                self._word[kind] = outcome
                self.pause_ns[kind] = min(2 * self.pause_ns.get(kind, SECOND_NS // 2), self.LONGEST_NS)
                self._until[kind] = now + self.pause_ns[kind]
        elif outcome is None or not outcome.is_local:
            self.pause_ns.pop(kind, None)

    def withheld(self, kind: Kind, now: int) -> Outcome | None:
        """The shortage for which nothing of this kind should be sent now; None where it should."""
        return self._word[kind] if now < self._until.get(kind, 0) else None
