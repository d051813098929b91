"""Names say what a thing is, and a module is short enough to be read in one go."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.rules.tree import files, modules, named

EMPTY_WORDS = {
    *("utils", "util", "helpers", "helper", "common", "base", "manager", "core", "misc", "data", "info", "handler"),
    *("processor", "new", "v2", "lite"),
}
"""Words that fit everything and so say nothing, and words that tell a name's history."""

ASKED_FOR = {"data_received", "get_extra_info"}
"""Names that asyncio prescribes."""

LONGEST = 400


def words(name: str) -> set[str]:
    return set(re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()))


def definitions(module: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name


def test_no_module_is_longer_than_400_lines() -> None:
    lengths = {named(file): len(file.read_text().splitlines()) for file in files(".py")}
    assert {name: length for name, length in lengths.items() if length > LONGEST} == {}


def test_every_module_says_in_its_first_line_what_it_is() -> None:
    assert [named(file) for file in modules() if not (ast.get_docstring(ast.parse(file.read_text())) or "").strip()] == []


def test_no_file_or_folder_has_an_empty_word_in_its_name() -> None:
    assert [named(file) for file in files(".py") if words(named(file).removesuffix(".py")) & EMPTY_WORDS] == []


def test_no_class_or_function_has_an_empty_word_in_its_name() -> None:
    found = [f"{named(file)}: {name}" for file in modules() for name in definitions(file) if words(name) & EMPTY_WORDS]
    assert [line for line in found if line.split(": ")[1] not in ASKED_FOR] == []


def test_words_are_told_apart_in_either_style() -> None:
    assert words("PlanManager_data") == {"plan", "manager", "data"}
    assert words("database") == {"database"}
