"""Lists of cells, groups and agents as lines for a terminal and as CSV. Pure: JSON as the API answers it in, text out."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from collector.cli.table import MARKS, clean, colour_of, latency_text, loss_text, painted

Row = Sequence[str]

CELL_HEAD: Final = ("FROM", "TO", "LAYER", "KIND", "FAMILY", "SENT", "LOSS", "P50/P99", "AGE", "BECAUSE")
GROUP_HEAD: Final = ("FROM", "TO", "SENT", "RECEIVED", "LATE", "FAILED", "LOSS", "P50/P99", "STATE", "CELLS", "UNKNOWN")
AGENT_HEAD: Final = ("VANTAGE", "NODE", "ZONE", "NAMESPACE", "STATE", "AGE", "SEQUENCE", "GAPS", "LAG P99", "MEMORY")
NUMBERS: Final = frozenset(
    {
        "SENT",
        "RECEIVED",
        "LATE",
        "FAILED",
        "LOSS",
        "P50/P99",
        "AGE",
        "CELLS",
        "UNKNOWN",
        "SEQUENCE",
        "GAPS",
        "LAG P99",
        "MEMORY",
    }
)

CELL_FIELDS: Final = (
    *("layer", "kind", "family", "path", "sent", "received", "late", "loss"),
    *("p50_us", "p99_us", "min_us", "max_us", "timed", "age_seconds", "state", "because"),
)
FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")
"""What a spreadsheet would take for the beginning of a formula or a command."""


def lines_of(head: Row, rows: Iterable[Row], *, colours: Sequence[str] | None = None) -> str:
    """Aligned columns under a head, numbers to the right; `colours` has one colour per row."""
    table = [[clean(text) for text in row] for row in rows]
    widths = [max(len(word), *(len(row[place]) for row in table), 0) for place, word in enumerate(head)] if table else None
    widths = widths or [len(word) for word in head]
    lines = [_line(head, head, widths)]
    for number, row in enumerate(table):
        line = _line(head, row, widths)
        lines.append(painted(line, colours[number], wanted=True) if colours else line)
    return "\n".join(lines) + "\n"


def _line(head: Row, row: Row, widths: Sequence[int]) -> str:
    places = zip(head, row, widths, strict=True)
    return "  ".join(f"{text:>{width}}" if word in NUMBERS else f"{text:<{width}}" for word, text, width in places).rstrip()


def age_text(seconds: float | None) -> str:
    """An age such as `3 s` or `12 min`; `never` for None."""
    if seconds is None:
        return "never"
    if seconds < 120:  # noqa: PLR2004 - from two minutes on seconds say nothing more
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"  # noqa: PLR2004 - the same for minutes


def cell_lines(cells: Sequence[Mapping[str, Any]], *, colour: bool) -> str:
    """Cells, one a line."""
    rows = [
        (
            str(cell["from"]["vantage"]),
            str(cell["to"]["name"]),
            str(cell["layer"]),
            str(cell["kind"]),
            str(cell["family"]),
            str(cell["sent"]),
            _loss(cell),
            latency_text([cell["p50_us"], cell["p99_us"]]),
            age_text(cell["age_seconds"]),
            _because(cell),
        )
        for cell in cells
    ]
    return lines_of(CELL_HEAD, rows, colours=[colour_of(cell) for cell in cells] if colour else None)


def group_lines(group: Mapping[str, Any], *, colour: bool) -> str:
    """Groups, one a line with all their numbers."""
    cells = group["cells"]
    rows = [
        (
            *(str(cell[name]) for name in ("from", "to", "sent", "received", "late", "failed")),
            _loss(cell),
            latency_text([cell["p50_us"], cell["p99_us"]]),
            *(str(cell[name]) for name in ("state", "cells", "unknown")),
        )
        for cell in cells
    ]
    return lines_of(GROUP_HEAD, rows, colours=[colour_of(cell) for cell in cells] if colour else None)


def agent_lines(agents: Sequence[Mapping[str, Any]]) -> str:
    """Agents, one a line."""
    rows = []
    for agent in agents:
        health = agent["health"] or {}
        lag, memory = health.get("loop_lag_p99_ns"), health.get("resident_bytes")
        rows.append(
            (
                *(str(agent[name]) for name in ("vantage", "node", "zone", "namespace", "state")),
                age_text(agent["age_seconds"]),
                *(str(agent[name]) for name in ("sequence", "gaps")),
                "" if lag is None else latency_text([lag / 1000]),
                f"{memory / 2**20:.0f} MiB" if memory else "",
            )
        )
    return lines_of(AGENT_HEAD, rows)


def _loss(cell: Mapping[str, Any]) -> str:
    """`?`, `x` and `~` stand for what is not known now, or no fault; a loss would look like one."""
    return {"unknown": "?", **MARKS}.get(cell["state"]) or loss_text(cell["loss"])


def _because(cell: Mapping[str, Any]) -> str:
    words = [f"{count} {word}" for word, count in sorted(cell["failed"].items())]
    words += [f"{cell['late']} late"] if cell["late"] else []
    because = str(cell["because"])
    return f"{because}: {', '.join(words)}" if words else because


def csv_text(fields: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Comma-separated values under a head; None is empty, and no text is a formula to a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(fields)
    for row in rows:
        writer.writerow([csv_value(row.get(field)) for field in fields])
    return out.getvalue()


def csv_value(value: object) -> object:
    """A value that a spreadsheet shows and never runs: texts that look like formulas begin with an apostrophe."""
    if value is None or isinstance(value, (int, float)):
        return value
    return "'" + clean(value) if str(value).startswith(FORMULA) else clean(value)


def flat_cells(cells: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[dict[str, object]]]:
    """Fields and rows of cells for csv_text."""
    ends = {"from": ("vantage", "node", "zone", "namespace"), "to": ("name", "node", "zone", "namespace", "address", "port")}
    fields = [f"{end}_{name}" for end, names in ends.items() for name in names] + list(CELL_FIELDS)
    rows: list[dict[str, object]] = []
    for cell in cells:
        row: dict[str, object] = {f"{end}_{name}": cell[end].get(name) for end, names in ends.items() for name in names}
        rows.append(row | {name: cell[name] for name in CELL_FIELDS})
    return fields, rows
