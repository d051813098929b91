"""Every failure and attack that must be survived has a test that is named after it, or a scenario that says so."""

import ast
import re
from pathlib import Path

from lab.scenario import load
from tests.rules.tree import modules

SCENARIOS = Path(__file__).parents[2] / "lab" / "scenarios"
DUE = set(range(1, 65))
"""All that the programs themselves answer for; how they are built, and how long they last, has commands of its own."""


def proven() -> set[int]:
    names = [
        node.name
        for file in modules("tests")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    scenarios = [load(file) for file in SCENARIOS.glob("*.yaml")]
    named = [*names, *(scenario.name.replace("-", "_") for scenario in scenarios)]
    found = {int(number) for name in named for number in re.findall(r"survive_(\d+)", name)}
    return found | {number for scenario in scenarios for number in scenario.survives or ()}


def test_no_case_that_must_be_survived_is_without_a_test() -> None:
    missing = sorted(DUE - proven())
    assert missing == [], f"no test is named survive_NN, and no scenario says so, for {', '.join(map(str, missing))}"
