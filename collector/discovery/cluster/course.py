"""What to ask the API server next, and when: the course of one list and its watch, as a table. Pure.

In: what happened, as words of a closed list. Out: orders. Objects that are kept stay until a new list is whole, so nothing here
can lose one, and a list is asked for only where a watch cannot go on from what is known: the API server pays for lists.
"""

from collections.abc import Mapping
from enum import StrEnum, auto
from hashlib import blake2b
from typing import NamedTuple

from msgspec import Struct

FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
RARE_SECONDS = 300.0
"""How often it is asked for what need not be there, or for what we need not be allowed to see."""
STEADY_SECONDS = 5.0
"""A watch that lasted this long was no failure, however it ended."""
CALM_SECONDS = 60.0
"""A watch that lasted this long makes earlier lists forgotten."""
STUCK = 3
"""After so many watches in a row that the API server did not let go on, the state is asked for anew."""
_MOST_DOUBLINGS = 16


class Word(StrEnum):
    """What happened."""

    PAGED = auto()
    """A page came, and there are more."""
    LISTED = auto()
    """The last page came."""
    EXPIRED = auto()
    """The version, or the token of the next page, is too old (410 Gone)."""
    REFUSED = auto()
    """Another status that the API server will give again: 400, 403, 404, or the version of another history."""
    ABSENT = auto()
    """What need not be there is not (404), or may not be seen by us (403)."""
    OTHER = auto()
    """There may be another version of it."""
    BUSY = auto()
    """It asks to come later (429, 5xx)."""
    AWAY = auto()
    """No answer, or half of one."""
    ENDED = auto()
    """The watch ended as agreed, between two lines."""
    BROKEN = auto()
    """The watch broke or was silent: nothing is lost, since the next one goes on after the last whole line."""
    GARBLED = auto()
    """A line that is none of the protocol's, or an error event other than 410."""


class Then(StrEnum):
    """What follows."""

    PAGE = auto()
    WATCH = auto()
    LIST = auto()
    AGAIN = auto()
    """The same request once more."""


class Rule(NamedTuple):
    """What follows a word; whether that was a failure, may be so for ever if nothing but the same is asked, has time."""

    then: Then
    fails: bool = True
    stuck: bool = False
    rarely: bool = False


RULES: Mapping[Word, Rule] = {
    Word.PAGED: Rule(Then.PAGE, fails=False),
    Word.LISTED: Rule(Then.WATCH, fails=False),
    Word.EXPIRED: Rule(Then.LIST),
    Word.REFUSED: Rule(Then.AGAIN, stuck=True),
    Word.ABSENT: Rule(Then.LIST, fails=False, rarely=True),
    Word.OTHER: Rule(Then.LIST, fails=False),
    Word.BUSY: Rule(Then.AGAIN),
    Word.AWAY: Rule(Then.AGAIN),
    Word.ENDED: Rule(Then.WATCH, fails=False),
    Word.BROKEN: Rule(Then.WATCH),
    Word.GARBLED: Rule(Then.WATCH, stuck=True),
}


class Order(Struct, frozen=True):
    """The next request: a list from its start, its next page, or a watch."""

    wait_seconds: float
    watch: bool
    token: str = ""
    """Of the page, empty for the first one."""
    version: str = ""
    """After which the watch begins."""


class Course:
    """One list and its watch. `name` is what the spread of its waits follows from."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._watching = False
        self._token = ""
        self._failures = 0
        self._lists = 0
        self._stuck = 0
        self._asked_to_wait = 0.0
        self._waits = False
        self._rarely = False
        self._orders = 0
        self.version = ""
        """Of the last page, or of the last line of the watch that was understood."""

    def order(self) -> Order:
        """What to ask now."""
        self._orders += 1
        return Order(self._wait(), self._watching, self._token, self.version)

    def paged(self, token: str) -> None:
        """A page came, with the token of the next one."""
        self._token = token
        self._heard(Word.PAGED)

    def listed(self, version: str) -> None:
        """The last page came."""
        self.version = version
        self._heard(Word.LISTED)

    def failed(self, word: Word, *, retry_after: float | None = None) -> None:
        """A request came to nothing."""
        self._heard(word)
        self._asked_to_wait = retry_after or 0.0

    def watched(self, word: Word, *, lasted_seconds: float, version: str) -> None:
        """A watch that had begun is over; `version` is that of its last line that was understood."""
        if version != self.version:
            self._stuck = 0
        self.version = version
        if lasted_seconds >= STEADY_SECONDS:
            self._failures = 0
        if lasted_seconds >= CALM_SECONDS:
            self._lists = 0
        self._heard(word)
        if word is Word.ENDED and lasted_seconds < STEADY_SECONDS:
            self._failures += 1
            self._waits = True

    def _heard(self, word: Word) -> None:
        rule = RULES[word]
        then = rule.then
        self._asked_to_wait = 0.0
        self._waits, self._rarely = rule.fails, rule.rarely
        self._failures += rule.fails
        self._stuck += rule.stuck
        if rule.stuck and (self._stuck >= STUCK if self._watching else bool(self._token)):
            then = Then.LIST
        if then is Then.LIST:
            self._lists += rule.fails
            self._stuck = 0
            self._watching, self._token = False, ""
        elif then is Then.WATCH:
            self._watching, self._token = True, ""

    def _wait(self) -> float:
        """Doubled with every failure, and lists are waited for twice as long; half of it follows from a hash."""
        if not (self._waits or self._rarely):
            return 0.0
        doublings = max(self._failures, 0 if self._watching else self._lists + 1) - 1
        whole = min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * float(2 ** min(doublings, _MOST_DOUBLINGS)))
        whole = RARE_SECONDS if self._rarely else whole
        digest = blake2b(f"{self._name} {self._orders}".encode(), digest_size=4).digest()
        spread = int.from_bytes(digest, "big") / 2**32
        return max(self._asked_to_wait * (1 + spread / 10), whole * (0.5 + spread / 2))
