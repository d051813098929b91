"""Who was told of which incident, and when: the last thousand times.

In: notifications that a receiver took, or refused for good. Out: those of one incident, for its timeline.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final, NamedTuple

from collector.notify.notices import Notice, Status

MOST: Final = 1000


class Delivery(NamedTuple):
    """One notification that reached its receiver."""

    at: float
    """In Unix seconds."""
    receiver: str
    status: Status
    taken: bool
    """Whether the receiver took it; else it refused it for good."""


class Deliveries:
    """See the module."""

    def __init__(self) -> None:
        self._kept: deque[tuple[str, Delivery]] = deque(maxlen=MOST)

    def note(self, receiver: str, notices: Iterable[Notice], *, at: float, taken: bool) -> None:
        """Remember that a receiver took these, or refused them."""
        self._kept.extend((one.id, Delivery(at, receiver, one.status, taken)) for one in notices)

    def of(self, incident: str) -> list[Delivery]:
        """Those of one incident, by its id, the oldest first."""
        return [one for name, one in self._kept if name == incident]
