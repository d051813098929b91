"""Scenarios as people write them, read strictly: YAML to plain values to structs, or one sentence that says what is wrong.

The collector's files are configuration and take whole numbers only; scenarios also take fractions, and faults that are told
apart by a tag, so they have a reader of their own.
"""

import re
from collections.abc import Hashable, Iterator
from typing import Any, TypeVar

import msgspec
import yaml
from msgspec import inspect

from collector.duration import Duration

T = TypeVar("T")

MAX_BYTES = 256 * 1024
_LOCATED = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_STEP = re.compile(r"([^.\[\]]+)|\[([0-9]+)\]")


class Refused(ValueError):  # noqa: N818 - it is the user's error, not the program's
    """Input that is not taken; its text is one sentence that names the file, the place in it and what is allowed."""


class _Loader(yaml.SafeLoader):
    """YAML without aliases, which could grow without end, and without keys that stand twice, which are silently forgotten."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node; raises ComposerError for an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not taken", self.peek_event().start_mark)  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        """The mapping; raises ConstructorError where a key is no text or stands twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.constructor.ConstructorError(None, None, "a key must be text", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def values(text: bytes, name: str) -> object:
    """The plain values of a YAML text; raises Refused."""
    if len(text) > MAX_BYTES:
        raise Refused(f"{name}: longer than {MAX_BYTES} bytes")
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader, only stricter
    except yaml.MarkedYAMLError as error:
        line = f" line {error.problem_mark.line + 1}:" if error.problem_mark else ""
        raise Refused(f"{name}:{line} not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refused(f"{name}: not YAML: {' '.join(str(error).split())}") from None


def convert(content: object, wanted: type[T], name: str) -> T:
    """Plain values as a struct; raises Refused."""
    for path, allowed in _unknown_keys(content, inspect.type_info(wanted), ""):
        raise Refused(f"{name}: {path}: unknown key, allowed are {', '.join(sorted(allowed))}")
    try:
        return msgspec.convert(content, wanted, dec_hook=_duration)
    except msgspec.ValidationError as error:
        raise Refused(f"{name}: {_sentence(str(error), wanted, content)}") from None


def _duration(wanted: type, value: object) -> object:
    if wanted is Duration:
        return Duration.parse(value)
    raise NotImplementedError


def _unknown_keys(value: object, expected: inspect.Type, path: str) -> Iterator[tuple[str, list[str]]]:
    """Paths of keys that no field has, each with the keys that there are."""
    expected = _chosen(expected, value)
    match expected, value:
        case inspect.StructType() | inspect.DataclassType(), dict():
            types = {field.encode_name: field.type for field in expected.fields}
            tag = expected.tag_field if isinstance(expected, inspect.StructType) else None
            for key, part in value.items():
                where = f"{path}.{key}".lstrip(".")
                if key in types:
                    yield from _unknown_keys(part, types[key], where)
                elif key != tag:
                    yield where, [*types, *([tag] if tag else [])]
        case inspect.VarTupleType(item_type=item), list():
            for place, part in enumerate(value):
                yield from _unknown_keys(part, item, f"{path}[{place}]")
        case inspect.DictType(value_type=item), dict():
            for key, part in value.items():
                yield from _unknown_keys(part, item, f"{path}.{key}")


def _chosen(expected: inspect.Type, value: object) -> inspect.Type:
    """Of several structs the one that the value's tag names."""
    if not isinstance(expected, inspect.UnionType) or not isinstance(value, dict):
        return expected
    structs = [kind for kind in expected.types if isinstance(kind, inspect.StructType)]
    return next((kind for kind in structs if kind.tag_field is None or value.get(kind.tag_field) == kind.tag), expected)


def _sentence(message: str, wanted: type, content: object) -> str:
    """What msgspec says, in the words of somebody who writes YAML."""
    found = _LOCATED.fullmatch(message)
    what, path = (found["what"], found["path"] or "") if found else (message, "")
    missing = re.fullmatch(r"Object missing required field `(.*)`", what)
    if missing:
        return f"{path}.{missing[1]}: missing".lstrip(".")
    if what.startswith("Invalid"):
        place, allowed = _allowed(inspect.type_info(wanted), path, content)
        what = f"{place!r} is not one of {', '.join(allowed)}"
    elif what.startswith("Expected"):
        what = what[0].lower() + what[1:]
    what = what.replace("`", "").replace("object", "mapping").replace("array", "list")
    return f"{path}: {what}".removeprefix(": ")


def _allowed(place: inspect.Type, path: str, content: Any) -> tuple[object, list[str]]:  # noqa: ANN401 - whatever YAML held
    """The value at a path, and the words that may stand there."""
    for key, index in _STEP.findall(path):
        chosen = _chosen(place, content)
        match chosen:
            case inspect.StructType() | inspect.DataclassType():
                place = next((field.type for field in chosen.fields if field.encode_name == key), chosen)
            case inspect.VarTupleType(item_type=item):
                place = item
        content = content[key] if key else content[int(index)]
    kinds = place.types if isinstance(place, inspect.UnionType) else (place,)
    words = [str(value) for kind in kinds if isinstance(kind, inspect.LiteralType) for value in kind.values]
    words += [str(member.value) for kind in kinds if isinstance(kind, inspect.EnumType) for member in kind.cls]
    words += [str(kind.tag) for kind in kinds if isinstance(kind, inspect.StructType) and kind.tag is not None]
    return content, sorted(words)
