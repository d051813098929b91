"""Figures of many scenarios: precision, recall and the like, each with its 95 % interval. Pure."""

from collections.abc import Iterable, Sequence
from math import ceil, sqrt
from typing import Any

from simulator.play import Result


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson, 1927); from 0 to 1 where there is nothing."""
    if not of:
        return 0.0, 1.0
    z, share = 1.959964, hits / of
    middle, wide = share + z * z / (2 * of), z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, (middle - wide) / (1 + z * z / of)), min(1.0, (middle + wide) / (1 + z * z / of))


def share(hits: int, of: int) -> dict[str, Any]:
    """A share with its interval."""
    low, high = wilson(hits, of)
    return {"value": round(hits / of, 4) if of else None, "hits": hits, "of": of, "interval": [round(low, 4), round(high, 4)]}


def quantile(values: Sequence[float], q: float) -> float:
    """The value that a share of `q` does not exceed; raises ValueError for none."""
    if not values:
        raise ValueError("no values have no quantile")
    return sorted(values)[max(0, ceil(q * len(values)) - 1)]


def score(results: Iterable[Result]) -> dict[str, Any]:
    """All figures as a value that can be written as JSON."""
    every = list(results)
    faults = [fault for result in every for fault in result.faults]
    hit = [fault for fault in faults if fault.seconds is not None]
    false = sum(len(result.false) for result in every)
    seconds: dict[str, list[float]] = {}
    for fault in hit:
        if fault.seconds is not None:
            seconds.setdefault(fault.name, []).append(fault.seconds)
    return {
        "scenarios": len(every),
        "precision": share(len(hit), len(hit) + false),
        "recall": share(len(hit), len(faults)),
        "layer": share(sum(fault.layer for fault in hit), len(hit)),
        "single_incident": share(sum(fault.single for fault in hit), len(hit)),
        "false_incidents": false,
        "false_incidents_harmless": sum(len(result.false) for result in every if result.harmless),
        "detection_seconds": {
            name: {"count": len(values), "median": quantile(values, 0.5), "p95": quantile(values, 0.95)}
            for name, values in sorted(seconds.items())
        },
        "longest_pass_ms": max((result.pass_ms for result in every), default=0.0),
    }
