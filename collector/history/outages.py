"""Outages: the spans in which something critical was open, each with its causes. Pure.

In: incidents as the API writes them. Out: spans apart from each other, the latest first: two at the same time are one.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct


class Outage(Struct, frozen=True):
    """One span, in the API's times."""

    start: str
    end: str | None
    """None while it goes on; where the collector ended before it, when it was last seen."""
    causes: tuple[Mapping[str, str], ...]
    """Id, start and sentence of each incident, the first one first."""


def outages(incidents: Iterable[Mapping[str, Any]]) -> list[Outage]:
    """Of incidents in any order."""
    critical = sorted((one for one in incidents if one.get("severity") == "critical"), key=lambda one: str(one["since"]))
    found: list[Outage] = []
    for one in critical:
        cause = {name: str(one[name]) for name in ("id", "since", "sentence")}
        start, end = str(one["since"]), _end(one)
        last = found[-1] if found else None
        if last is not None and (last.end is None or start <= last.end):
            later = None if last.end is None or end is None else max(last.end, end)
            found[-1] = Outage(last.start, later, (*last.causes, cause))
        else:
            found.append(Outage(start, end, (cause,)))
    return found[::-1]


def _end(one: Mapping[str, Any]) -> str | None:
    if one.get("closed"):
        return str(one["closed"])
    return str(one["seen"]) if one.get("cut_off") else None
