"""A group-by of the matrix as text for a terminal.

In: what `/api/v1/matrix?by=` answers, as decoded JSON. Out: lines no wider than asked for. Nothing is fetched or printed here,
and no control character of a name ever reaches the terminal. What is not known looks different from what is healthy and from
what is lost by its symbol, not by colour alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

GREEN: Final = "32"
YELLOW: Final = "33"
RED: Final = "31"
GREY: Final = "90"
MAGENTA: Final = "35"

NO_PATH: Final = ("", GREY)
DEGRADED_LOSS: Final = 0.05
"""From this loss on a cell is red; below it, and above nothing, yellow."""
COMPACT_LEGEND: Final = (
    *(". no loss", ", below 1 %", ": below 10 %", "1-9 tens of percent", "# all lost"),
    *("? unknown", "x excluded", "o denied", "~ not in the plan now", "blank: no path"),
)
MARKS: Final = {"unsampled": "~", "excluded": "x", "closed": "o"}
"""States that are neither measured nor unknown."""
LEGEND: Final = (
    *("from row to column", "loss  p50/p99"),
    *("? unknown", "x excluded", "o denied", "~ not in the plan now", "blank: no path"),
)

Group = Mapping[str, Any]
Cell = Mapping[str, Any]


def clean(text: object) -> str:
    """A text with every character that a terminal might obey, or that turns writing around, shown as U+FFFD."""
    return "".join(character if character.isprintable() else "\ufffd" for character in str(text))


def painted(text: str, colour: str, *, wanted: bool) -> str:
    """The text in an ANSI colour, or as it is."""
    return f"\x1b[{colour}m{text}\x1b[0m" if wanted and text.strip() else text


def loss_text(loss: float | None) -> str:
    """A loss ratio in percent, which never rounds a loss to nothing nor a reply away."""
    if loss is None:
        return "-"
    if 0 < loss < 0.0005:  # noqa: PLR2004 - half of the last digit shown
        return "<0.1%"
    if 0.9995 <= loss < 1:  # noqa: PLR2004 - half of the last digit shown
        return "99.9%"
    return "100%" if loss == 1 else f"{100 * loss:.1f}%"


def latency_text(microseconds: Sequence[float | None]) -> str:
    """Latencies such as `45/120µs`, all in the unit of the longest; empty where there is none."""
    known = [value for value in microseconds if value is not None]
    if not known:
        return ""
    unit, size = next((pair for pair in (("s", 1e6), ("ms", 1e3)) if max(known) >= pair[1]), ("µs", 1.0))
    return "/".join("-" if value is None else _number(value / size) for value in microseconds) + unit


def _number(value: float) -> str:
    """Two digits, which are enough to compare."""
    decimals = 0 if value >= 10 or value == 0 else 1 if value >= 1 else 2  # noqa: PLR2004 - powers of ten
    return f"{value:.{decimals}f}"


def colour_of(cell: Cell) -> str:
    """The colour that goes with a cell's symbol."""
    if cell.get("state") == "unknown":
        return MAGENTA
    if cell.get("state") != "measured" or cell.get("loss") is None:
        return GREY
    loss = float(cell["loss"])
    return GREEN if loss == 0 else YELLOW if loss < DEGRADED_LOSS else RED


def symbol(cell: Cell) -> str:
    """A cell in one character; COMPACT_LEGEND says which."""
    if mark := MARKS.get(str(cell.get("state"))):
        return mark
    if cell.get("state") != "measured" or cell.get("loss") is None:
        return "?"
    loss = float(cell["loss"])
    if loss in {0.0, 1.0}:
        return "#" if loss else "."
    if loss < 0.1:  # noqa: PLR2004 - COMPACT_LEGEND has the bounds
        return "," if loss < 0.01 else ":"  # noqa: PLR2004 - the same
    return str(int(loss * 10))


def _words(cell: Cell) -> tuple[str, str]:
    """Loss and latency of a cell, or its state."""
    if mark := MARKS.get(str(cell.get("state"))):
        return mark, str(cell["state"])
    if cell.get("state") != "measured" or cell.get("loss") is None:
        return "?", "unknown"
    return loss_text(float(cell["loss"])), latency_text([cell.get("p50_us"), cell.get("p99_us")])


def render_matrix(group: Group, *, colour: bool, width: int) -> str:
    """The table, from rows to columns, in the fullest of three forms that fits into `width` characters.

    `0.0%  45/120µs` in one line each; the same in two lines; one character each under numbers, in several blocks if needed.
    """
    rows, columns = list(group.get("rows", ())), list(group.get("columns", ()))
    if not rows or not columns:
        return "nothing measured yet\n"
    cells = {(cell["from"], cell["to"]): cell for cell in group.get("cells", ())}
    for form in (_one_line, _two_lines):
        lines = form(rows, columns, cells, colour=colour, width=width)
        if lines:
            return "\n".join([*lines, "", *_legend(LEGEND, width)]) + "\n"
    lines = _compact(rows, columns, cells, colour=colour, width=width)
    return "\n".join([*lines, "", *_legend(COMPACT_LEGEND, width)]) + "\n"


def _legend(items: Sequence[str], width: int) -> list[str]:
    lines = [items[0]]
    for item in items[1:]:
        if len(lines[-1]) + 3 + len(item) <= width:
            lines[-1] += f"   {item}"
        else:
            lines.append(item)
    return lines


def _grid(
    rows: Sequence[str], columns: Sequence[str], texts: Mapping[tuple[str, str], tuple[str, str]], *, colour: bool, width: int
) -> list[str]:
    """Lines of a table with one line per row, nothing where they would be wider than `width`. texts: (text, colour)."""
    head = max(len(clean(row)) for row in rows)
    widths = [max(len(clean(column)), *(len(texts.get((row, column), NO_PATH)[0]) for row in rows), 1) for column in columns]
    if head + sum(widths) + 2 * len(widths) > width:
        return []
    lines = [" " * head + "".join(f"  {clean(c):>{w}}" for c, w in zip(columns, widths, strict=True))]
    for row in rows:
        line = f"{clean(row):<{head}}"
        for column, size in zip(columns, widths, strict=True):
            text, shade = texts.get((row, column), NO_PATH)
            line += "  " + painted(f"{text:>{size}}", shade, wanted=colour)
        lines.append(line.rstrip())
    return lines


def _one_line(
    rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], Cell], *, colour: bool, width: int
) -> list[str]:
    texts = {}
    for pair, cell in cells.items():
        loss, rest = _words(cell)
        texts[pair] = (f"{loss}  {rest}".rstrip(), colour_of(cell))
    return _grid(rows, columns, texts, colour=colour, width=width)


def _two_lines(
    rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], Cell], *, colour: bool, width: int
) -> list[str]:
    """As _grid, with the latency under the loss. The second line of a row has a name of blanks, so that nothing collides."""
    pairs = {row: (f"{row}", f"{row}\x00") for row in rows}
    texts = {}
    for (row, column), cell in cells.items():
        if row in pairs:
            for name, word in zip(pairs[row], _words(cell), strict=True):
                texts[name, column] = (word, colour_of(cell))
    lines = _grid([name for row in rows for name in pairs[row]], columns, texts, colour=colour, width=width)
    head = max(len(clean(row)) for row in rows) + 1
    return [" " * head + line[head:] if place and not place % 2 else line for place, line in enumerate(lines)]


def _compact(
    rows: Sequence[str], columns: Sequence[str], cells: Mapping[tuple[str, str], Cell], *, colour: bool, width: int
) -> list[str]:
    """One character a cell; columns by number, whose names stand in front of the rows or in a list below."""
    digits = len(str(len(columns)))
    names = [clean(row) for row in rows]
    same = list(rows) == list(columns)
    if same:
        names = [f"{number:>{digits}} {name}" for number, name in enumerate(names, 1)]
    head = max(8, min(max(len(name) for name in names), width // 2))
    per_block = max(1, width - head - 1)
    lines: list[str] = []
    for start in range(0, len(columns), per_block):
        block = columns[start : start + per_block]
        numbers = [f"{number:>{digits}}" for number in range(start + 1, start + len(block) + 1)]
        lines += ([""] if lines else []) + [
            (" " * (head + 1) + "".join(number[place] for number in numbers)).rstrip() for place in range(digits)
        ]
        for row, name in zip(rows, names, strict=True):
            signs = ""
            for column in block:
                cell = cells.get((row, column))
                signs += " " if cell is None else painted(symbol(cell), colour_of(cell), wanted=colour)
            lines.append(f"{name[:head]:<{head}} {signs}".rstrip())
    if not same:
        lines += ["", *(f"{number:>{digits}} {clean(column)}"[:width] for number, column in enumerate(columns, 1))]
    return lines
