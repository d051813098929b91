"""What a query string asks for, or one sentence that says what would be allowed.

Strict: a parameter that is unknown, doubled or out of range is an error and never ignored, since a filter that was misspelt
would otherwise answer for the whole cluster.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from multidict import MultiMapping

from collector.duration import Duration
from collector.matrix.places import DIMENSIONS
from collector.matrix.query import DEFAULT_SPAN_NS, Wanted
from wire.path import Family, Kind, Layer
from wire.text import MAX_NAME, NAME_PATTERN, type_name

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "layer": tuple(Layer),
    "kind": tuple(Kind),
    "family": tuple(Family),
    "totals": ("true", "false"),
    "measure": ("loss", "p99"),
}
FILTERS: Final = ("span", "totals", "layer", "kind", "family", "from", "to", "network")
MAX_WORST: Final = 1000

_name = re.compile(NAME_PATTERN)


class QuestionError(ValueError):
    """A query string that is refused; one sentence for whoever sent it, and what could be asked for instead."""

    status = 400

    def __init__(self, sentence: str, exists: Sequence[str] = ()) -> None:
        super().__init__(sentence)
        self.exists = tuple(exists)


def parameters(query: MultiMapping[str], allowed: tuple[str, ...]) -> dict[str, str]:
    """The parameters by name; an empty one is as if it were not there. Raises QuestionError."""
    found: dict[str, str] = {}
    for name, value in query.items():
        if name not in allowed:
            raise QuestionError(
                f"unknown parameter; allowed are {', '.join(allowed)}" if allowed else "no parameter is allowed here"
            )
        if name in found:
            raise QuestionError(f"{name} is given twice")
        if value and name in CHOICES and value not in CHOICES[name]:
            raise QuestionError(f"{name} must be one of {', '.join(CHOICES[name])}")
        if value and name in {"from", "to", "vantage", "network"} and (len(value) > MAX_NAME or not _name.fullmatch(value)):
            raise QuestionError(f"{name} must be a name: {type_name}")
        found[name] = value
    return {name: value for name, value in found.items() if value}


def wanted(found: Mapping[str, str]) -> Wanted:
    """Which cells are asked for."""
    return Wanted(
        layer=found.get("layer", ""),
        kind=found.get("kind", ""),
        family=found.get("family", ""),
        source=found.get("from", ""),
        target=found.get("to", ""),
        network=found.get("network", ""),
    )


def span_ns(found: Mapping[str, str], *, retention_ns: int) -> int | None:
    """How far back, None for the sums since the start. Raises QuestionError."""
    if found.get("totals") == "true":
        if "span" in found:
            raise QuestionError("totals have no span: leave one of the two out")
        return None
    if "span" not in found:
        return min(DEFAULT_SPAN_NS, retention_ns)
    try:
        span = Duration.parse(found["span"])
    except ValueError:
        span = Duration(0)
    if not 0 < span <= retention_ns:
        raise QuestionError(f"span must be a duration of up to {Duration(retention_ns)}, such as 30s")
    return span


def dimensions(by: str) -> tuple[str, str]:
    """Rows and columns of a group-by: `node` is node by node, `zone:service` is mixed, `service` is node by service."""
    rows, _, columns = by.partition(":")
    columns = columns or rows
    if by == "service":
        rows = "node"
    if rows not in DIMENSIONS or columns not in DIMENSIONS:
        raise QuestionError(f"by must be one of {', '.join(DIMENSIONS)}, or two of them as in node:service")
    return rows, columns


def count(found: Mapping[str, str], name: str, *, default: int, most: int) -> int:
    """A whole number from 1 to `most`. Raises QuestionError."""
    text = found.get(name, str(default))
    if not re.fullmatch(r"[0-9]{1,6}", text) or not 1 <= int(text) <= most:
        raise QuestionError(f"{name} must be a number from 1 to {most}")
    return int(text)


def moment(found: Mapping[str, str], name: str, *, default: float, now: float) -> float:
    """A time in seconds since 1970: RFC 3339, or how long ago as in `24h`. Raises QuestionError."""
    text = found.get(name, "")
    if not text:
        return default
    try:
        return now - Duration.parse(text) / 1e9
    except ValueError:
        pass
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise QuestionError(f"{name} must be a time such as 2026-03-01T12:00:00Z, or how long ago, such as 24h")
    return when.timestamp()
