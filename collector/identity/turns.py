"""Whose turn it is: one at a time of each subject, and of all together so many in a second, in the order in which they came.

In: subjects, each of which waits until it may go on, or is told at once that too many wait. Nothing
here grows with how many ask.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncio_throttle.throttler import Throttler

from collector.admission import Refusal, RefusedError

MOST_OF_A_SUBJECT = 8
"""More than an agent has requests under way: whoever claims to be somebody else keeps nobody but that one waiting."""
WAITING_SECONDS = 4
"""So many seconds' worth of turns may be waited for: an agent waits 10 s for an answer."""


class _Subject:
    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.present = 0


class Turns:
    """See the module. `rate` is in turns a second, and may be set at any time."""

    def __init__(self, rate: int) -> None:
        # It polls every 10 ms and lets whoever polls first overtake: no harm while one at a time waits for it.
        self._throttle = Throttler(rate)
        self._next = asyncio.Lock()
        self._waiting = 0
        self._subjects: dict[str, _Subject] = {}

    @property
    def rate(self) -> int:
        """Most turns in any second."""
        return int(self._throttle.rate_limit)

    @rate.setter
    def rate(self, rate: int) -> None:
        self._throttle.rate_limit = rate

    @asynccontextmanager
    async def alone(self, subject: str) -> AsyncIterator[None]:
        """Hold what only one of a subject may; raises RefusedError where too many of it wait."""
        one = self._subjects.setdefault(subject, _Subject())
        if one.present >= MOST_OF_A_SUBJECT:
            raise RefusedError(Refusal.REVIEW_RATE)
        one.present += 1
        try:
            async with one.lock:
                yield
        finally:
            one.present -= 1
            if not one.present:
                del self._subjects[subject]

    async def turn(self) -> None:
        """Wait for one; raises RefusedError where that would take too long."""
        if self._waiting >= self.rate * WAITING_SECONDS:
            raise RefusedError(Refusal.REVIEW_RATE)
        self._waiting += 1
        try:
            async with self._next:
                await self._throttle.acquire()  # type: ignore[no-untyped-call]  # the library has no types
        finally:
            self._waiting -= 1
