"""Every failure and attack that must be survived has a test that is named after it."""

import ast
import re

from tests.rules.tree import modules

DUE = {*range(1, 13), *range(29, 34), *range(37, 43), 44, 45, *range(49, 53), *range(56, 60), 61}
"""Cases that hold by now; others come with the parts that they are about."""


def proven() -> set[int]:
    names = [
        node.name
        for file in modules("tests")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    return {int(number) for name in names for number in re.findall(r"survive_(\d+)", name)}


def test_no_case_that_must_be_survived_is_without_a_test() -> None:
    missing = sorted(DUE - proven())
    assert missing == [], f"no test is named survive_NN for {', '.join(map(str, missing))}"
