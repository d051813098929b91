import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cli.table import clean, latency_text, loss_text, render_matrix, symbol


def cell(source: str, target: str, loss: float | None = 0.0, *, state: str = "measured") -> dict[str, Any]:
    received = loss is not None and loss < 1
    latencies = {"p50_us": 45.2 if received else None, "p99_us": 120.4 if received else None}
    return {"from": source, "to": target, "loss": loss, "state": state, **latencies}


def group(nodes: int, *cells: dict[str, Any], name: str = "n{}") -> dict[str, Any]:
    names = [name.format(number) for number in range(1, nodes + 1)]
    all_cells = {(one, other): cell(one, other) for one in names for other in names if one != other}
    all_cells.update({(one["from"], one["to"]): one for one in cells})
    return {"by": "node", "rows": names, "columns": names, "cells": list(all_cells.values())}


def test_six_nodes_stand_in_one_line_each_on_a_wide_terminal() -> None:
    text = render_matrix(group(6, cell("n2", "n5", 0.125)), colour=False, width=120)
    lines = text.splitlines()
    assert lines[0].split() == [f"n{i}" for i in range(1, 7)]
    assert lines[2].split("  ")[0] == "n2"
    assert "0.0%  45/120µs" in lines[1]
    assert "12.5%  45/120µs" in lines[2]
    assert len(lines) == 9


def test_six_nodes_fit_on_eighty_columns_in_two_lines_each() -> None:
    lines = render_matrix(group(6), colour=False, width=80).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("n1")
    assert lines[2].startswith("  ")
    assert "45/120µs" in lines[2]


def test_sixty_nodes_take_one_character_each_under_numbers() -> None:
    text = render_matrix(group(60, cell("n3", "n9", 1.0), cell("n3", "n10", None, state="unknown")), colour=False, width=80)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) == 2 + 60 + 1 + 2
    row = lines[2 + 2]
    start = lines[1].index("1")
    assert (row[start + 2], row[start + 8], row[start + 9], row[start + 10]) == (" ", "#", "?", ".")
    assert lines[1][start + 8] == "9"


def test_what_does_not_fit_at_all_comes_in_blocks() -> None:
    lines = render_matrix(group(60, name="node-{:03d}.example.test"), colour=False, width=40).splitlines()
    assert max(map(len, lines)) <= 40
    assert sum(line.lstrip().startswith("1 node-001") for line in lines) > 1


@pytest.mark.parametrize("width", [30, 200])
def test_what_is_denied_is_neither_lost_nor_healthy(width: int) -> None:
    text = render_matrix(group(3, cell("n1", "n2", None, state="closed")), colour=False, width=width)
    assert re.search(r"^(1 )?n1 .*\bo\b", text, re.MULTILINE)
    assert "o denied" in text
    assert symbol(cell("n1", "n2", None, state="closed")) not in {symbol(cell("n1", "n2", loss)) for loss in (0.0, 0.5, 1.0)}


@pytest.mark.parametrize("width", [30, 80, 200])
def test_unknown_unsampled_lost_and_healthy_differ_without_colour(width: int) -> None:
    cells = [cell("n1", "n2", None, state="unknown"), cell("n1", "n3", None, state="unsampled"), cell("n1", "n4", 1.0)]
    line = next(
        line for line in render_matrix(group(6, *cells), colour=False, width=width).splitlines() if re.match(r"(1 )?n1 ", line)
    )
    assert "?" in line
    assert "~" in line
    assert ("#" if width == 30 else "100%") in line


def test_colour_comes_only_when_asked_for_and_changes_no_character() -> None:
    matrix = group(6, cell("n1", "n2", 0.5))
    for width in (30, 80, 200):
        plain, coloured = (render_matrix(matrix, colour=colour, width=width) for colour in (False, True))
        assert "\x1b" not in plain
        assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == plain


def test_an_unknown_cell_with_numbers_of_before_is_unknown() -> None:
    text = render_matrix(group(2, cell("n1", "n2", 0.5, state="unknown")), colour=False, width=80)
    assert "50.0%" not in text
    assert "?  unknown" in text


@pytest.mark.parametrize("empty", [{}, {"rows": [], "columns": [], "cells": []}, {"rows": ["a"], "columns": [], "cells": []}])
def test_nothing_is_said_to_be_nothing(empty: dict[str, Any]) -> None:
    assert render_matrix(empty, colour=True, width=80) == "nothing measured yet\n"


@pytest.mark.parametrize(
    ("loss", "text", "sign"),
    [
        (0.0, "0.0%", "."),
        (1e-6, "<0.1%", ","),
        (0.005, "0.5%", ","),
        (0.05, "5.0%", ":"),
        (0.1, "10.0%", "1"),
        (0.99999, "99.9%", "9"),
        (1.0, "100%", "#"),
    ],
)
def test_a_loss_is_never_rounded_to_nothing_nor_to_all(loss: float, text: str, sign: str) -> None:
    assert loss_text(loss) == text
    assert symbol({"state": "measured", "loss": loss}) == sign


@pytest.mark.parametrize(
    ("latencies", "text"),
    [
        ([45.4, 120.2], "45/120µs"),
        ([945.0, 1200.0], "0.94/1.2ms"),
        ([2_500_000.0], "2.5s"),
        ([None, 3.0], "-/3.0µs"),
        ([None, None], ""),
    ],
)
def test_latencies_are_in_the_unit_of_the_longest(latencies: list[float | None], text: str) -> None:
    assert latency_text(latencies) == text


HOSTILE = ["\x1b[2J\x1b[31mowned", "a\nb", "a\rb", "\u202eevil", "\x9b31m", "\x00", "tab\tbed"]


@pytest.mark.parametrize("width", [30, 80, 300])
def test_survive_59_no_name_reaches_the_terminal_as_an_order(width: int) -> None:
    cells = [cell(one, other) for one in HOSTILE for other in HOSTILE]
    text = render_matrix({"rows": HOSTILE, "columns": HOSTILE, "cells": cells}, colour=False, width=width)
    assert all(character.isprintable() or character == "\n" for character in text)
    assert "[31m" in text


@settings(max_examples=40)
@given(st.lists(st.text(max_size=12), unique=True, max_size=8), st.integers(20, 200), st.booleans())
def test_survive_59_any_names_in_any_width(names: list[str], width: int, colour: bool) -> None:
    cells = [cell(one, other, 0.5) for one in names for other in names]
    text = render_matrix({"rows": names, "columns": names, "cells": cells}, colour=colour, width=width)
    rest = re.sub(r"\x1b\[[0-9]+m", "", text)
    assert all(character.isprintable() or character == "\n" for character in rest)


def test_printable_text_is_left_alone() -> None:
    assert clean("n1.example/µs") == "n1.example/µs"
