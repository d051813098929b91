"""Every figure that a document gives has a command beside it, and that command measures something."""

import re
from pathlib import Path

import pytest

from bench.lines import MEASUREMENTS
from tests.documents.shown import DOCUMENTS
from tests.rules.tree import ROOT, named

ONLY = re.compile(r"python -m bench --only (?:'([^']+)'|(\w+))")
LINES = [bar.name for entry in MEASUREMENTS for bar in entry.make().bars]


@pytest.mark.parametrize("document", [one for one in DOCUMENTS if ONLY.search(one.read_text())], ids=named)
def test_every_choice_of_lines_chooses_some(document: Path) -> None:
    for quoted, bare in ONLY.findall(document.read_text()):
        assert any(re.search(quoted or bare, line) for line in LINES), f"no line of the bench is called {quoted or bare}"


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_every_row_of_figures_has_what_is_measured_what_is_wanted_and_the_command(name: str) -> None:
    (table,) = re.findall(r"^\| (?:figure|数字) \|.*?\n((?:\|.*\n)+)", (ROOT / name).read_text(), re.MULTILINE)
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[1:]]
    assert len(rows) > 5
    for row in rows:
        assert len(row) == 4, row
        assert all(row), row
        assert re.fullmatch(r"`python -m \w+[^`]*`", row[3]), row
