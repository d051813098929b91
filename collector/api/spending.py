"""How much of the collector's time each vantage has used of late: nobody has more than a share of it, whatever they send.

A bucket for each that leaks: in comes what a request took of the processor, and while it is full the next one is turned away
for a while. What an agent sends after an hour alone fits into it, and so does a restart.
"""

from collections.abc import Callable
from typing import Final

MOST_NS: Final = 2_000_000_000
"""What a bucket holds: some hundred reports as long as may be, or as many plans."""
SHARE: Final = 0.05
"""What leaks out of it in the same time: the part of one core that a vantage may use for ever."""
LONGEST: Final = 1.25
"""What it holds at most, of that: whoever used far too much at once is turned away for ten seconds and not for minutes."""
MOST_VANTAGES: Final = 20_000
"""Buckets that are kept; those that are empty leave first, then the least full."""


class Spending:
    """See the module; `now_ns` is a clock that never goes back."""

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._buckets: dict[str, tuple[float, int]] = {}
        """How full each was, and when."""

    def has_room(self, vantage: str) -> bool:
        """Whether a vantage may have something done."""
        return self._level(vantage) < MOST_NS

    def spend(self, vantage: str, taken_ns: int) -> None:
        """Note what something took."""
        if taken_ns <= 0:
            return
        self._buckets[vantage] = min(self._level(vantage) + taken_ns, LONGEST * MOST_NS), self._now_ns()
        if len(self._buckets) > MOST_VANTAGES:
            ranked = sorted(self._buckets, key=self._level)
            for name in ranked[: MOST_VANTAGES // 10]:
                del self._buckets[name]

    def _level(self, vantage: str) -> float:
        level, at_ns = self._buckets.get(vantage, (0.0, 0))
        return max(0.0, level - SHARE * (self._now_ns() - at_ns))
