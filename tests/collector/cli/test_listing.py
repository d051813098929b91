import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.cli.listing import FORMULA, age_text, agent_lines, cell_lines, csv_text, csv_value, group_lines, lines_of

HOSTILE = ['=cmd|"/c calc"!A0', "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", 'a"b,c\nd', "\x1b[31mred", "%0a=1"]


def cell(**changes: Any) -> dict[str, Any]:
    return {
        "from": {"vantage": "n1", "node": "n1", "zone": "z1", "namespace": "netmatrix", "pod": "a"},
        "to": {
            "name": "pod/shop/cart",
            "node": "n2",
            "zone": "z1",
            "namespace": "shop",
            "pod": "cart",
            "address": "10.0.0.1",
            "port": 1,
        },
        "layer": "pod",
        "kind": "udp",
        "family": "ipv4",
        "path": "0" * 16,
        "sent": 10,
        "received": 8,
        "late": 1,
        "failed": {"timeout": 1},
        "local": {},
        "loss": 0.2,
        "p50_us": 1.0,
        "p99_us": 2.0,
        "min_us": 1.0,
        "max_us": 2.0,
        "timed": "kernel",
        "age_seconds": 3.2,
        "state": "measured",
        "because": "2 of 10 probes lost within 60 s",
        **changes,
    }


def test_a_cell_is_one_line_with_its_reason() -> None:
    lines = cell_lines([cell()], colour=False).splitlines()
    assert lines[0].split() == ["FROM", "TO", "LAYER", "KIND", "FAMILY", "SENT", "LOSS", "P50/P99", "AGE", "BECAUSE"]
    assert lines[1].split()[:7] == ["n1", "pod/shop/cart", "pod", "udp", "ipv4", "10", "20.0%"]
    assert lines[1].endswith("2 of 10 probes lost within 60 s: 1 timeout, 1 late")


def test_what_is_unknown_shows_no_loss_of_before() -> None:
    line = cell_lines([cell(state="unknown", because="no report for 12 s")], colour=False).splitlines()[1]
    assert "20.0%" not in line
    assert " ? " in line
    assert " ~ " in cell_lines([cell(state="unsampled")], colour=False)


def test_empty_lists_have_a_head() -> None:
    assert cell_lines([], colour=True).startswith("FROM  TO")
    assert agent_lines([]).startswith("VANTAGE  NODE")
    assert group_lines({"cells": []}, colour=False).startswith("FROM  TO")


@pytest.mark.parametrize(("seconds", "text"), [(None, "never"), (0.4, "0 s"), (119, "119 s"), (120, "2 min"), (7200, "2 h")])
def test_ages(seconds: float | None, text: str) -> None:
    assert age_text(seconds) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_survive_59_no_csv_field_is_a_formula_and_no_line_an_order(text: str) -> None:
    written = csv_text(["name", "loss"], [{"name": text, "loss": None}])
    rows = list(csv.reader(io.StringIO(written)))
    assert len(rows) == 2
    assert not rows[1][0].startswith(FORMULA)
    assert "\x1b" not in written
    assert rows[1][1] == ""


@settings(max_examples=100)
@given(st.text(max_size=20))
def test_survive_59_any_text_is_one_field_of_one_row(text: str) -> None:
    rows = list(csv.reader(io.StringIO(csv_text(["a", "b"], [{"a": text, "b": "end"}]))))
    assert rows[1][1] == "end"
    assert not rows[1][0].startswith(FORMULA)


def test_numbers_stay_numbers() -> None:
    assert [csv_value(value) for value in (-1, 0.5, None, "n1")] == [-1, 0.5, None, "n1"]


@pytest.mark.parametrize("text", HOSTILE)
def test_survive_59_no_list_line_is_an_order_to_the_terminal(text: str) -> None:
    assert all(character.isprintable() or character == "\n" for character in lines_of(("A", "LOSS"), [(text, text)]))
    assert len(lines_of(("A", "LOSS"), [(text, text)]).splitlines()) == 2
