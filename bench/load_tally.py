"""What the load generator has seen: counts, and how long answers took."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

_QUANTILES: Final = (("p50", 0.5), ("p99", 0.99), ("max", 1.0))


class Tally:
    """Counts since the last `reset`."""

    def __init__(self) -> None:
        self.reporting: set[str] = set()
        """Agents that have had a report taken, ever."""
        self._counts: Counter[str] = Counter()
        self._report_seconds: list[float] = []
        self._plan_seconds: list[float] = []
        self._entries = 0
        self._plan_bytes = 0

    def reset(self) -> None:
        """Begin again, once all agents have connected."""
        self._counts.clear()
        self._report_seconds, self._plan_seconds = [], []
        self._entries = self._plan_bytes = 0

    def count(self, word: str) -> None:
        """Something happened, such as `report 429`."""
        self._counts[word] += 1

    def taken(self, agent: str, seconds: float, entries: int) -> None:
        """A report was acknowledged."""
        self.reporting.add(agent)
        self._counts["report 200"] += 1
        self._report_seconds.append(seconds)
        self._entries += entries

    def planned(self, seconds: float, size: int) -> None:
        """A plan came."""
        self._counts["plan 200"] += 1
        self._plan_seconds.append(seconds)
        self._plan_bytes += size

    def figures(self, seconds: float) -> dict[str, Any]:
        """All of it, for a span of so many seconds."""
        taken = self._counts["report 200"]
        return {
            "seconds": round(seconds, 3),
            "reports_per_second": round(taken / seconds, 2),
            "entries_per_report": round(self._entries / taken, 1) if taken else None,
            "report_ms": _quantiles(self._report_seconds),
            "plans_per_second": round(len(self._plan_seconds) / seconds, 2),
            "plan_bytes": round(self._plan_bytes / len(self._plan_seconds)) if self._plan_seconds else None,
            "answers": dict(sorted(self._counts.items())),
        }


def _quantiles(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    if not ordered:
        return {}
    return {name: round(1000 * ordered[min(int(q * len(ordered)), len(ordered) - 1)], 3) for name, q in _QUANTILES}


def summed(parts: Iterable[dict[str, float]]) -> dict[str, float]:
    """The sums by name."""
    total: dict[str, float] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total.get(name, 0.0) + value
    return total
