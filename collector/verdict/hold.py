"""The hold: when a finding becomes an incident, and when an incident is over. A table, and nothing that depends on luck.

In: for one incident, whether this pass sees its cause. Out: its phase. Seen once is pending; confirmed is firing; not seen is
resolving, and seen again is firing still; not seen for long enough is closed.
"""

from enum import Enum, auto
from typing import Final, NamedTuple


class Phase(Enum):
    """Where an incident stands."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVING = "resolving"
    CLOSED = "closed"


class Sight(Enum):
    """What one pass has seen of it."""

    SEEN = auto()
    CONFIRMED = auto()
    """Seen often and long enough."""
    ABSENT = auto()
    CLEAR = auto()
    """Absent for long enough."""


TABLE: Final = {
    (Phase.PENDING, Sight.SEEN): Phase.PENDING,
    (Phase.PENDING, Sight.CONFIRMED): Phase.FIRING,
    (Phase.PENDING, Sight.ABSENT): Phase.PENDING,
    (Phase.PENDING, Sight.CLEAR): Phase.CLOSED,
    (Phase.FIRING, Sight.SEEN): Phase.FIRING,
    (Phase.FIRING, Sight.CONFIRMED): Phase.FIRING,
    (Phase.FIRING, Sight.ABSENT): Phase.RESOLVING,
    (Phase.FIRING, Sight.CLEAR): Phase.CLOSED,
    (Phase.RESOLVING, Sight.SEEN): Phase.FIRING,
    (Phase.RESOLVING, Sight.CONFIRMED): Phase.FIRING,
    (Phase.RESOLVING, Sight.ABSENT): Phase.RESOLVING,
    (Phase.RESOLVING, Sight.CLEAR): Phase.CLOSED,
}


class Hold(NamedTuple):
    """How long one cause has been seen, or not."""

    phase: Phase
    first_ns: int
    """When it was first seen."""
    last_ns: int
    """When it was last seen."""
    sightings: int = 1
    since: str = ""
    """The same in words."""


class Limits(NamedTuple):
    """What an incident takes to fire and to close."""

    sightings: int
    pending_ns: int
    clear_ns: int


def held(hold: Hold, now_ns: int, *, seen: bool, counts: bool, ready: bool, limits: Limits) -> Hold:
    """After another pass; it `counts` where it shows something that the ones before did not.

    Firing takes enough sightings and a finding that is `ready`, closing `clear_ns` without it, or `pending_ns` while pending.
    """
    last = now_ns if seen else hold.last_ns
    count = hold.sightings + (seen and counts)
    if seen:
        sight = Sight.CONFIRMED if ready and count >= limits.sightings else Sight.SEEN
    else:
        limit = limits.pending_ns if hold.phase is Phase.PENDING else limits.clear_ns
        sight = Sight.CLEAR if now_ns - hold.last_ns >= limit else Sight.ABSENT
    return hold._replace(phase=TABLE[hold.phase, sight], last_ns=last, sightings=count)
