"""Whether we ourselves stood still, so that silence says nothing: a stalled loop, a machine that slept.

In: the times of our ticks, and how long the machine has slept. Out: yes or no. Pure: `now` is monotonic nanoseconds.
"""

from collections.abc import Callable

STALL_NS = 300_000_000
"""A tick this late means that we did not look at the sockets for so long."""


class Stalls:
    """The stalls of one runner, which looks at its sockets once a tick. `slept` is how long the machine has slept in all."""

    def __init__(self, slept: Callable[[], int], now: int, *, least_sleep_ns: int) -> None:
        self.last_ns: int | None = None
        """When we last found that we had stood still; None for never."""
        self._slept = slept
        self._slept_ns = slept()
        self._least_sleep_ns = least_sleep_ns
        self._looked_ns = now

    def look(self, now: int, tick_ns: int) -> tuple[bool, bool]:
        """We look now: whether we stood still since the last look, and whether the machine slept."""
        slept_ns = self._slept()
        overslept = slept_ns - self._slept_ns >= self._least_sleep_ns
        self._slept_ns = slept_ns
        stood_still = now - self._looked_ns - tick_ns > STALL_NS
        if stood_still or overslept:
            self.last_ns = now
        self._looked_ns = now
        return stood_still, overslept

    def rested(self, now: int) -> None:
        """There was nothing to look at until now, which was no stall, however long."""
        self._looked_ns = now
