"""The flights of datagrams: one under way, how it was answered, and what is remembered of those that have ended.

In: flights that were answered or given up. Out: the flight of a packet that comes once more, whether an answer was overtaken,
and how long a path has been silent. Everything here is bounded.
"""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from agent.probes.lines import Line
from agent.probes.prober import NO_FACTS, Note, Probe
from wire.outcome import Outcome
from wire.window import FactName

REMEMBERED_ANSWERS = 4096
"""At least so many, and at most twice as many."""
REMEMBERED_PATHS = 65_536


class Flight(Struct, eq=False, gc=False):
    """One probe under way. `sent_ns` is monotonic, `transmitted_ns` the kernel's stamp, 0 until it is there."""

    probe: Probe
    identifier: int
    nonce: bytes
    line: Line
    sent_ns: int = 0
    offset_ns: int = 0
    transmitted_ns: int = 0
    sequence: int = 0
    address: bytes = b""
    """`struct sockaddr` of where it went."""
    payload: bytes = b""
    """What must come back, where that is short enough to be remembered."""


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


class Ended:
    """What is remembered of flights that have ended."""

    def __init__(self) -> None:
        # What was answered last and the time before that: the whole of the older ones is forgotten at once.
        self._answered: dict[int, Flight] = {}
        self._answered_before: dict[int, Flight] = {}
        self._newest: dict[int, int] = {}
        self._silent: dict[int, int] = {}
        """Probes in a row that were given up, by path; no entry where the last one was answered."""

    def answered(self, identifier: int) -> Flight | None:
        """The flight with this identifier, if it was answered not long ago."""
        return self._answered.get(identifier) or self._answered_before.get(identifier)

    def take(self, flight: Flight) -> bool:
        """Remember an answer; False where a later probe of its path was answered before it."""
        if len(self._answered) >= REMEMBERED_ANSWERS:
            self._answered, self._answered_before = {}, self._answered
        self._answered[flight.identifier] = flight
        path, number, newest = flight.probe.path.id, flight.probe.number, self._newest
        if self._silent:
            self._silent.pop(path, None)
        if number < newest.get(path, 0):
            return False
        if len(newest) >= REMEMBERED_PATHS:
            newest.clear()
        newest[path] = number
        return True

    def miss(self, flight: Flight) -> int:
        """Remember a silence; how many they are in a row on its path."""
        if len(self._silent) >= REMEMBERED_PATHS:
            self._silent.clear()
        path = flight.probe.path.id
        silent = self._silent[path] = self._silent.get(path, 0) + 1
        return silent
