"""The tables of keys in docs/configuration.md, from the types and the docstrings under their fields.

`python -m tests.rules.reference` writes them; a test compares. A docstring is the meaning, and its last sentence the default
where it begins with that word. What is written stands between a mark and the end of
the table.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

from msgspec import Struct, inspect, structs

from collector.configuration import written
from collector.discovery.static import Inventory
from collector.settings import Settings
from tests.rules.tree import ROOT

PAGE = ROOT / "docs" / "configuration.md"
TABLES: dict[str, tuple[type[Struct], bool]] = {
    "<!-- made from collector/settings.py -->": (Settings, True),
    "<!-- made from collector/discovery/snapshot.py -->": (Inventory, False),
}
"""The mark above each table, the type, and whether there is a column for defaults."""
ELSEWHERE = {(Settings, "external")}
"""What has its rows in another table."""


def page() -> str:
    """The document, with the tables as they should be."""
    text = PAGE.read_text()
    for mark, (type_, defaults) in TABLES.items():
        before, found, after = text.partition(f"{mark}\n\n")
        assert found, f"{PAGE.name} lacks the mark {mark}"
        text = before + found + table(type_, defaults=defaults) + re.sub(r"\A(\|.*\n)*", "", after)
    return text


def table(type_: type[Struct], *, defaults: bool) -> str:
    """The rows of a type in Markdown."""
    lines = ["| key | meaning | default |", "|---|---|---|"] if defaults else ["| key | meaning |", "|---|---|"]
    for path, meaning, default in rows(type_):
        lines.append(f"| `{path}` | {meaning} |" + (f" {default} |" if defaults else ""))
    return "\n".join(lines) + "\n"


def rows(type_: type[Struct], prefix: str = "", owner: object = None) -> Iterator[tuple[str, str, str]]:
    """Path, meaning and default of every key in a tree of structs; `[]` stands for the place in a list."""
    for field in structs.fields(type_):
        path = f"{prefix}{field.encode_name}"
        value = getattr(owner, field.name, None) if owner is not None else field.default
        inner = nested(inspect.type_info(field.type))
        if (type_, field.name) in ELSEWHERE:
            continue
        if inner is not None:
            yield from rows(inner[0], f"{path}{inner[1]}.", value if isinstance(value, Struct) else None)
            continue
        meaning, _, said = docstring(type_, field.name).partition(" Default")
        yield path, meaning.removesuffix("."), default(value, said)


def nested(type_: inspect.Type) -> tuple[type[Struct], str] | None:
    """The struct that a key holds, and `[]` where it holds a list of them; None where it holds something else."""
    match type_:
        case inspect.StructType(cls=inner):
            return inner, ""
        case inspect.VarTupleType(item_type=inspect.StructType(cls=inner)):
            return inner, "[]"
        case inspect.UnionType(types=types):
            return next((found for one in types if (found := nested(one))), None)
    return None


def default(value: object, said: str) -> str:
    """A default as one would write it; in words where the docstring says it in words, after a colon."""
    if said.startswith(":"):
        return said.strip(": .")
    text = written(value)
    if isinstance(text, bool):
        text = str(text).lower()
    return f"`[{', '.join(map(str, text))}]`" if isinstance(text, list) else f"`{text}`"


def docstring(type_: type, name: str) -> str:
    """What stands under a field, in one line, wherever the field is inherited from; raises KeyError where nothing does."""
    return next(found[name] for cls in type_.__mro__ if name in (found := docstrings(cls)))


@cache
def docstrings(cls: type) -> dict[str, str]:
    """What stands under the fields of a class."""
    if not cls.__module__.startswith("collector."):
        return {}
    tree = ast.parse(Path(sys.modules[cls.__module__].__file__ or "").read_text())
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__)
    found = {}
    for field, after in pairwise(body):
        match field, after:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = " ".join(text.split())
    return found


if __name__ == "__main__":
    PAGE.write_text(page())
