"""The clock of a scenario, which stands still while the lab is at work on a fault.

To break something takes a moment, and on a busy machine seconds, in which it is neither whole nor broken. No time of the
scenario passes meanwhile, so that an interval which begins three seconds after a fault begins three seconds after it is there.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

SHORTEST_SECONDS = 0.02
"""Between two looks at a clock that stands still."""


class Pace:
    """Seconds of a scenario, from now on."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._held: list[tuple[float, float]] = []
        """When it stood still, in the clock's time; the last one may not be over."""

    @property
    def now(self) -> float:
        """The time of the scenario."""
        return self.at(self._clock())

    def at(self, moment: float) -> float:
        """The scenario's time at a moment of the clock that has come already."""
        return moment - self._began - sum(max(0.0, min(moment, end) - start) for start, end in self._held)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """No time passes within."""
        self._held.append((self._clock(), float("inf")))
        try:
            yield
        finally:
            self._held[-1] = self._held[-1][0], self._clock()

    async def until(self, time: float) -> None:
        """Wait for a time of the scenario."""
        while (left := time - self.now) > 0:  # noqa: ASYNC110 - it is a clock that is waited for
            await asyncio.sleep(max(left, SHORTEST_SECONDS))
