import io

import pytest

from lab.demo import _Screen

GROUP = {
    "rows": ["n1"],
    "columns": ["n1"],
    "cells": [
        {"from": "n1", "to": "n1", "sent": 4, "received": 4, "loss": 0.0, "p50_us": 9.0, "p99_us": 9.0, "state": "measured"}
    ],
}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")


def test_on_a_terminal_a_matrix_takes_the_place_of_the_last_one() -> None:
    out = Terminal()
    screen = _Screen(out)
    screen.matrix(GROUP, above=["one"], below=["below"])
    height = out.getvalue().count("\n")
    out.truncate(0)
    screen.matrix(GROUP, above=["two"], below=["below"])
    assert out.getvalue().lstrip("\0").startswith(f"\x1b[{height}A\x1b[J")


def test_a_line_that_stays_is_not_drawn_over() -> None:
    out = Terminal()
    screen = _Screen(out)
    screen.matrix(GROUP, above=["one"], below=[])
    screen.line("the matrix is in out.json")
    screen.matrix(GROUP, above=["two"], below=[])
    assert "\x1b[J" not in out.getvalue()


def test_long_words_are_wrapped_so_that_the_height_is_known() -> None:
    out = Terminal()
    _Screen(out).matrix(GROUP, above=["many words " * 20], below=[])
    assert max(len(line) for line in out.getvalue().split("\n") if "\x1b" not in line) <= 60


def test_elsewhere_there_is_neither_colour_nor_cursor_and_events_are_lines_of_their_own() -> None:
    out = io.StringIO()
    screen = _Screen(out)
    screen.matrix(GROUP, above=["one"], below=["below"])
    screen.event("FAULT")
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().endswith("below\nFAULT\n")


def test_a_collector_that_does_not_answer_is_said_and_no_reason_to_stop() -> None:
    out = io.StringIO()
    _Screen(out).matrix(None, above=["one"], below=[])
    assert "the collector does not answer" in out.getvalue()
