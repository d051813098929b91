"""The flights of datagrams: their courses, one under way, how it was answered, and what is remembered of those that have ended.

In: paths, and flights that were answered or given up. Out: what a prober keeps of a path, and the flight of a packet that comes
once more. Everything here is bounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from msgspec import Struct

from agent.probes.lines import Line
from agent.probes.prober import NO_FACTS, Note, Probe
from wire.outcome import Outcome
from wire.path import Family, Path
from wire.window import FactName

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True, eq=False)
class Course:
    """What a prober keeps of one path."""

    path: Path
    sort: tuple[Family, bool, int]
    """Family, whether its packets must stay whole, and how long they are: what a batch of packets has in common."""
    port: int = 0
    text: str = ""
    address: bytes = b""
    """`struct sockaddr` of where it goes, which `text` says as well; a name may lead elsewhere with the next probe."""
    is_apart: bool = False
    """It is that of a burst: what happens on it is told of no path."""
    newest: int = 0
    """The highest number of a probe that was answered."""
    silent: int = 0
    """Probes given up since the last answer."""


class Flight(Struct, eq=False, gc=False):
    """One probe under way. `sent_ns` is monotonic, `transmitted_ns` the kernel's stamp, 0 until it is there."""

    probe: Probe
    course: Course
    identifier: int
    token: bytes
    """What must come back."""
    address: bytes
    """`struct sockaddr` of where it went."""
    line: Line
    sent_ns: int
    offset_ns: int
    transmitted_ns: int = 0


class Answer(Struct, frozen=True, gc=False):
    """What the kind read in a reply that is one of ours beyond doubt."""

    notes: Sequence[Note] = ()
    dwell_ns: int = 0
    dwell_exact: bool = True
    """The reflector's own time is known to the kernel's precision."""
    outcome: Outcome | None = None
    """A word that makes the answer a failure."""
    confirmed: bool = False
    facts: Mapping[FactName, str] = NO_FACTS


class Remembered(Generic[K, V]):
    """What was put here last: at least so many, and at most twice as many with what was put since `room` was asked.

    The whole of the older ones is forgotten at once.
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self._young: dict[K, V] = {}
        self._old: dict[K, V] = {}

    def get(self, key: K) -> V | None:
        """What was put here under this key, if that was not long ago."""
        return self._young.get(key) or self._old.get(key)

    def room(self) -> dict[K, V]:
        """Where to put what is to be remembered next. Ask for it again before long, since nothing is forgotten meanwhile."""
        if len(self._young) >= self._least:
            self._old, self._young = self._young, {}
        return self._young
