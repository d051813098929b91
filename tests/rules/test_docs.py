"""What the documents name exists: targets of make, programs, files, variables, keys. tests/documents does the rest."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from msgspec import Struct, inspect

from agent.settings import PREFIX, VARIABLES
from collector.discovery.static import Inventory
from collector.settings import Settings
from tests.rules.tree import ROOT, files, modules, named

DOCUMENTS = files(".md")
CONFIGURATION = ROOT / "docs" / "configuration.md"


def code_in(document: Path) -> str:
    """All that is set as code in a document: blocks and words between backquotes."""
    text = document.read_text()
    return "\n".join(
        re.findall(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", text, re.DOTALL)
        and [block or word for block, word in re.findall(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", text, re.DOTALL)]
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_make_target_that_a_document_names_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)\b", code_in(document))) <= targets


def is_program(name: str) -> bool:
    """Whether `python -m NAME` runs something: a package with a __main__, or a module that looks at its own name."""
    spec = find_spec(name)
    if spec is None or spec.submodule_search_locations is not None:
        return spec is not None and find_spec(f"{name}.__main__") is not None
    return spec.origin is not None and 'if __name__ == "__main__"' in Path(spec.origin).read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_program_that_a_document_names_exists(document: Path) -> None:
    programs = set(re.findall(r"python -m ([a-z.]+)", code_in(document)))
    assert {name for name in programs if not is_program(name)} == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=named)
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    """A decision is dated and never rewritten, so it may name what is gone."""
    if "decisions" in document.parts:
        return
    names = re.findall(
        r"^(?:(?:wire|agent|collector|lab|docs|tests|scripts)/[\w./-]*|\.ci/run)$", code_in(document), re.MULTILINE
    )
    assert [name for name in names if not (ROOT / name).exists()] == []


def test_every_variable_of_the_agent_is_documented_and_every_documented_one_exists() -> None:
    read = {PREFIX + name for name in VARIABLES}
    named_in_code = {
        name for file in modules("agent", "collector") for name in re.findall(r"NETMATRIX_[A-Z_]*[A-Z]", file.read_text())
    }
    documented = set(re.findall(r"NETMATRIX_[A-Z_]*[A-Z]", CONFIGURATION.read_text()))
    assert documented == read | named_in_code


def keys(type_: type[Struct], prefix: str = "") -> Iterator[str]:
    """Every key of a tree of structs with its path, such as `plan.kinds.icmp`; `[]` stands for the place in a list."""

    def below(found: inspect.Type, path: str) -> Iterator[str]:
        match found:
            case inspect.StructType(cls=inner):
                yield from keys(inner, f"{path}.")
            case inspect.VarTupleType(item_type=inspect.StructType(cls=inner)):
                yield from keys(inner, f"{path}[].")
            case inspect.UnionType(types=types):
                for one in types:
                    yield from below(one, path)

    info = inspect.type_info(type_)
    assert isinstance(info, inspect.StructType)
    for field in info.fields:
        path = f"{prefix}{field.encode_name}"
        nested = list(below(field.type, path))
        yield from nested or [path]


@pytest.mark.parametrize("type_", [Settings, Inventory])
def test_every_key_of_a_file_that_people_write_is_documented(type_: type[Struct]) -> None:
    documented = set(re.findall(r"^\| `([a-z_.\[\]]+)` \|", CONFIGURATION.read_text(), re.MULTILINE))
    assert set(keys(type_)) <= documented


def test_every_documented_key_exists() -> None:
    documented = set(re.findall(r"^\| `([a-z_.\[\]]+)` \|", CONFIGURATION.read_text(), re.MULTILINE))
    assert documented <= {*keys(Settings), *keys(Inventory)}
