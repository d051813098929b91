"""Figures of a corpus: precision, recall and the like, each with its 95 % interval. Pure.

In: what became of each scenario. A true positive is the right kind, component and direction in time; every other incident is a
false positive, every fault that none was for a miss. A scenario that could not be played counts nowhere, and is told.
"""

from collections.abc import Mapping, Sequence
from math import ceil, sqrt
from typing import Any, Final, TypedDict

from lab.run import Result
from lab.scenario import Scenario


class Fault(TypedDict):
    """What became of one fault."""

    kind: str
    seconds: float | None
    """From the fault to the open incident; None where there was none in time."""
    layer: bool
    """Whether the incident was on the right layer."""
    single: bool
    """Whether it was the only one."""
    because: str


class Played(TypedDict):
    """What became of one scenario."""

    name: str
    where: str
    kind: str
    faults: list[Fault]
    false: list[str]
    """Incidents that nobody expected."""
    error: str


def played(kind: str, scenario: Scenario, result: Result) -> Played:
    """Of a scenario of the lab."""
    wanted = len(scenario.expect.incidents)
    incidents = [entry for entry in result.expectations if "component" in entry["expected"]][:wanted]
    false = [entry for entry in result.expectations if "false_incidents" in entry["expected"]]
    names = [name for entry in false for name in entry["measured"].get("names", [])]
    faults: list[Fault] = [
        {
            "kind": kind,
            "seconds": entry["measured"].get("detected_seconds"),
            "layer": entry["passed"],
            "single": not names,
            "because": entry["because"],
        }
        for entry in incidents
    ]
    return {
        "name": scenario.name,
        "where": "lab",
        "kind": kind,
        "faults": faults,
        "false": names,
        "error": result.error or result.not_applicable,
    }


def figures(every: Sequence[Played]) -> dict[str, Any]:
    """All of them together, and by where they were played."""
    return {
        **_figures(every),
        "by_place": {where: _figures([one for one in every if one["where"] == where]) for where in ("lab", "simulator")},
        "scenarios": list(every),
    }


def _figures(every: Sequence[Played]) -> dict[str, Any]:
    valid = [one for one in every if not one["error"]]
    faults = [fault for one in valid for fault in one["faults"]]
    hits = [fault for fault in faults if fault["seconds"] is not None]
    false = sum(len(one["false"]) for one in valid)
    seconds: dict[str, list[float]] = {}
    for fault in hits:
        if fault["seconds"] is not None:
            seconds.setdefault(fault["kind"], []).append(fault["seconds"])
    return {
        "count": len(valid),
        "not_played": len(every) - len(valid),
        "precision": share(len(hits), len(hits) + false),
        "recall": share(len(hits), len(faults)),
        "layer": share(sum(fault["layer"] for fault in hits), len(hits)),
        "single_incident": share(sum(fault["single"] for fault in hits), len(hits)),
        "false_incidents": false,
        "false_incidents_harmless": sum(len(one["false"]) for one in valid if not one["faults"]),
        "detection_seconds": {
            kind: {"count": len(values), "median": quantile(values, 0.5), "p95": quantile(values, 0.95)}
            for kind, values in sorted(seconds.items())
        },
    }


BARS: Final = {"precision": 0.98, "recall": 0.95, "layer": 0.95, "single_incident": 0.95}


def summary(found: Mapping[str, Any]) -> str:
    """All of them in one line."""
    shares = [
        f"{name} {found[name]['value']} ({found[name]['hits']} of {found[name]['of']}, "
        f"{found[name]['interval'][0]:.2f} to {found[name]['interval'][1]:.2f})"
        for name in BARS
    ]
    return f"{found['count']} scenarios: {', '.join(shares)}, {found['false_incidents']} false incidents"


def missed(found: Mapping[str, Any]) -> list[str]:
    """Bars that are missed for sure, each in words: the whole interval lies below. Few scenarios prove little."""
    sentences = [
        f"{name} is {found[name]['value']:.3f} ({found[name]['hits']} of {found[name]['of']}), the bar is {bar:g}"
        for name, bar in BARS.items()
        if found[name]["interval"][1] < bar
    ]
    if found["not_played"]:
        sentences.append(f"{found['not_played']} could not be played")
    return sentences


def share(hits: int, of: int) -> Mapping[str, Any]:
    """A share with its interval (Wilson, 1927), which is from 0 to 1 where there is nothing."""
    if not of:
        return {"value": None, "hits": 0, "of": 0, "interval": [0.0, 1.0]}
    z, value = 1.959964, hits / of
    middle, wide = value + z * z / (2 * of), z * sqrt(value * (1 - value) / of + z * z / (4 * of * of))
    low, high = max(0.0, (middle - wide) / (1 + z * z / of)), min(1.0, (middle + wide) / (1 + z * z / of))
    return {"value": round(value, 4), "hits": hits, "of": of, "interval": [round(low, 4), round(high, 4)]}


def quantile(values: Sequence[float], q: float) -> float:
    """The value that a share of `q` does not exceed; raises ValueError for none."""
    if not values:
        raise ValueError("no values have no quantile")
    return sorted(values)[max(0, ceil(q * len(values)) - 1)]
