"""What a check says of one point."""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct


class State(StrEnum):
    """How it stands with a point."""

    OK = "ok"
    WRONG = "wrong"
    UNKNOWN = "unknown"
    """It could not be looked at, which is never taken for well."""
    NOTE = "note"
    """Nothing is wrong, and it is good to know."""


class Finding(Struct, frozen=True):
    """One line of the answer."""

    point: str
    """What was looked at."""
    state: State
    said: str
    do: str = ""
    """What to do about it."""


class Missing(Struct, frozen=True):
    """Something that could not be looked at, and why, in a sentence."""

    because: str
    absent: bool = False
    """It is known not to exist."""


def ok(point: str, said: str) -> Finding:
    """All is well."""
    return Finding(point, State.OK, said)


def wrong(point: str, said: str, do: str) -> Finding:
    """It is not as it should be."""
    return Finding(point, State.WRONG, said, do)


def unknown(point: str, missing: Missing) -> Finding:
    """Nobody could say."""
    return Finding(point, State.UNKNOWN, missing.because, "ask somebody who may look at it")


def note(point: str, said: str, do: str = "") -> Finding:
    """Good to know."""
    return Finding(point, State.NOTE, said, do)


def several(names: Iterable[str], *, most: int = 5, count: int | None = None) -> str:
    """Names in a sentence, not all where they are many; `count` is how many there are where only some are at hand."""
    listed = list(names)
    more = (len(listed) if count is None else count) - min(len(listed), most)
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")
