"""What waits for one receiver: at most one notification per incident, and not more than a certain number. Pure.

In: news. Out: what to send next. A receiver that is away for hours finds what matters now: of an incident that opened and was
over in the meantime, only that it is over. Whatever is not sent for it is counted.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, NamedTuple

from collector.notify.notices import Notice, Status

MOST: Final = 200
"""Most that wait: all open incidents, and three times as many that were over before they were told."""
FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 60.0


class Left(NamedTuple):
    """What was left out since something else came in."""

    superseded: int
    """Told no more, since the same incident has other news."""
    dropped: int
    """The oldest, for want of room."""


class Outbox:
    """See the module."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._waiting: dict[str, Notice] = {}
        self._out: tuple[Notice, ...] = ()
        """What is being sent; it comes back where that fails."""

    def __len__(self) -> int:
        """How many are not sent yet."""
        return len(self._out) + len(self._waiting)

    def put(self, news: Iterable[Notice]) -> Left:
        """Let these wait too."""
        superseded = 0
        for notice in news:
            superseded += self._waiting.pop(notice.id, None) is not None
            self._waiting[notice.id] = notice
        return Left(superseded, self._trim())

    def take(self, most: int | None = None) -> tuple[Notice, ...]:
        """Those that wait longest, or all, to be sent."""
        self._out = tuple(self._waiting.values())[:most]
        for notice in self._out:
            del self._waiting[notice.id]
        return self._out

    @property
    def out(self) -> tuple[Notice, ...]:
        """What is being sent."""
        return self._out

    def sent(self) -> int:
        """What was taken is out of our hands; how many they were."""
        count, self._out = len(self._out), ()
        return count

    def back(self) -> Left:
        """What was taken waits again, before all others, unless there is other news of the same by now."""
        out = {notice.id: notice for notice in self._out if notice.id not in self._waiting}
        superseded = len(self._out) - len(out)
        self._waiting, self._out = {**out, **self._waiting}, ()
        return Left(superseded, self._trim())

    def all(self) -> tuple[Notice, ...]:
        """All that is not sent yet."""
        return (*self._out, *self._waiting.values())

    def drop(self, status: Status) -> None:
        """Forget those that wait to say this."""
        self._waiting = {id_: notice for id_, notice in self._waiting.items() if notice.status is not status}

    def _trim(self) -> int:
        excess = max(0, len(self._waiting) - self._most)
        for id_ in list(self._waiting)[:excess]:
            del self._waiting[id_]
        return excess


def pause_seconds(name: str, failures: int, asked: float | None = None) -> float:
    """How long to wait after so many failures in a row, at least as long as the receiver has asked for, within bounds.

    It doubles each time; half of it is a hash of the receiver's name and the number, so that not all are asked at once.
    """
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 16))
    digest = blake2b(f"{name} {failures}".encode(), digest_size=4).digest()
    waited = longest * (0.5 + int.from_bytes(digest, "big") / 2**33)
    return min(LONGEST_SECONDS, max(waited, asked or 0.0))
