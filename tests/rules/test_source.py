"""What a linter does not know: where everything may be caught, and that a rule is set aside only for a reason."""

import ast
import re

from tests.rules.tree import files, modules, named

CATCH_ALL = {"agent/app.py", "agent/kinds.py", "agent/names.py", "agent/runner.py", "collector/app.py"}
"""The probe runner, and the supervisor of tasks in each program: there a fault in one part must not end the others."""


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """Any exception at all, and does not raise it again."""
    named_types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    broad = any(one is None or (isinstance(one, ast.Name) and one.id in {"Exception", "BaseException"}) for one in named_types)
    return broad and not any(isinstance(node, ast.Raise) for node in ast.walk(handler))


def test_everything_is_caught_only_in_the_runner_and_in_the_supervisors() -> None:
    found = {
        named(file)
        for file in modules("wire", "agent", "collector")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    }
    assert found <= CATCH_ALL


def test_a_lint_rule_is_set_aside_only_by_its_name_and_with_a_reason() -> None:
    bare = re.compile(r"#\s*no" + r"qa(?!: [A-Z]+[0-9]+(, ?[A-Z]+[0-9]+)* - \S)")
    assert [
        f"{named(file)}:{number}"
        for file in files(".py")
        for number, line in enumerate(file.read_text().splitlines(), start=1)
        if bare.search(line)
    ] == []


def test_a_rule_that_is_off_everywhere_says_why() -> None:
    text = next(file for file in files(".toml") if file.name == "pyproject.toml").read_text()
    (ignored,) = re.findall(r"^ignore = \[\n(.*?)^\]", text, re.MULTILINE | re.DOTALL)
    assert [line for line in ignored.splitlines() if not re.fullmatch(r'    "[A-Z0-9]+",\s+# \S.+', line)] == []
