"""What came out: lines with their runs, as a table for people and as JSON for machines."""

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from bench.measurement import Bar


class Line(Struct, frozen=True):
    """One bar and what was measured. `value` is the median of the runs; None where there is none."""

    name: str
    value: float | None
    unit: str
    bar: float | None
    ok: bool
    runs: tuple[float, ...]
    note: str = ""
    """Why there is no value."""


def line(bar: Bar, runs: Sequence[float], note: str = "") -> Line:
    """The line of a bar; without a run it is not ok, whether or not there is a bar."""
    value = statistics.median(runs) if runs else None
    ok = value is not None and (bar.most is None or value <= bar.most)
    return Line(bar.name, value, bar.unit, bar.most, ok, tuple(runs), note)


def table(lines: Iterable[Line]) -> str:
    """A table in Markdown: name, median, range, unit, bar, and whether it holds."""
    rows = [("line", "median", "range", "unit", "bar", "ok")]
    rows += [
        (
            one.name,
            _number(one.value),
            f"{_number(min(one.runs))} .. {_number(max(one.runs))}" if one.runs else one.note,
            one.unit,
            "" if one.bar is None else f"≤ {_number(one.bar)}",
            "yes" if one.ok else "NO",
        )
        for one in lines
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(text)


def write(lines: Sequence[Line], file: Path) -> None:
    """Write the lines as JSON; see docs/benchmarks.md for its form."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode({"lines": lines})) + b"\n")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value and abs(value) < 10:  # noqa: PLR2004 - figures
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"  # noqa: PLR2004 - figures
