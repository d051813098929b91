"""What was said of a token is remembered, within bounds, and counts for a time. Pure: `now` comes in, in Unix seconds.

A pass is a token that the API server found valid. It is fresh for five minutes, due for another review after that, and over
when its token expires. While the API server is away no token can be renewed either, so a pass that is over has a grace of an
hour then: an API server that is away for an hour stops no report. Whether the pod of a pass still exists is not asked here.
"""

from collections import OrderedDict
from enum import Enum
from typing import Generic, TypeVar

from msgspec import Struct

from collector.admission import Refusal
from collector.identity.review import Reviewed

FRESH_SECONDS = 300.0
REFUSED_SECONDS = 10.0
"""How long a token that was refused is not asked about again."""
GRACE_SECONDS = 3600.0
MAX_PASSES = 16_384
"""5,000 agents have 10,000 tokens while theirs are renewed. 8 MiB."""
MAX_REFUSED = 4096
V = TypeVar("V")


class Standing(Enum):
    """What a pass is worth at a moment."""

    FRESH = "fresh"
    DUE = "due"
    """It counts, and another review is due."""
    OVER = "over"
    """Its token has expired: it counts only if no review can be had."""
    GONE = "gone"
    """It counts for nothing."""


class Pass(Struct, frozen=True):
    """A token that was found valid."""

    holder: Reviewed
    reviewed_at: float
    expires: float

    def standing(self, now: float) -> Standing:
        """What it is worth now. A clock that was set back makes nothing fresh for longer."""
        if now >= self.expires + GRACE_SECONDS:
            return Standing.GONE
        if now >= self.expires:
            return Standing.OVER
        return Standing.FRESH if abs(now - self.reviewed_at) < FRESH_SECONDS else Standing.DUE


class _Bounded(Generic[V]):
    """The values that were used last, by digest."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: OrderedDict[bytes, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, digest: bytes) -> V | None:
        value = self._values.get(digest)
        if value is not None:
            self._values.move_to_end(digest)
        return value

    def put(self, digest: bytes, value: V) -> None:
        self._values[digest] = value
        self._values.move_to_end(digest)
        if len(self._values) > self._most:
            self._values.popitem(last=False)

    def drop(self, digest: bytes) -> None:
        self._values.pop(digest, None)


class Passes:
    """Passes and refusals, each kind in memory of its own: no flood of bad tokens displaces a good one."""

    def __init__(self, *, max_passes: int = MAX_PASSES, max_refused: int = MAX_REFUSED) -> None:
        self._passes: _Bounded[Pass] = _Bounded(max_passes)
        self._refused: _Bounded[tuple[Refusal, float]] = _Bounded(max_refused)

    def __len__(self) -> int:
        """How many tokens are remembered."""
        return len(self._passes) + len(self._refused)

    def found(self, digest: bytes, now: float) -> Pass | Refusal | None:
        """What is remembered of a token and still counts, at least for as long as no review can be had."""
        known = self._passes.get(digest)
        if known is not None:
            if known.standing(now) is not Standing.GONE:
                return known
            self._passes.drop(digest)
        refused = self._refused.get(digest)
        if refused is not None and abs(now - refused[1]) < REFUSED_SECONDS:
            return refused[0]
        return None

    def keep(self, digest: bytes, said: Reviewed | Refusal, *, expires: float, now: float) -> None:
        """Remember a review, which replaces what was said before."""
        if isinstance(said, Refusal):
            self._passes.drop(digest)
            self._refused.put(digest, (said, now))
        else:
            self._refused.drop(digest)
            self._passes.put(digest, Pass(said, now, expires))
