"""YAML files that people write, read strictly: in comes text, out comes a valid value or one sentence.

Only the JSON part of YAML is taken: mappings with text keys, sequences, text, whole numbers, true, false and null. Anchors,
aliases and tags are refused, so a file cannot expand to more than what is written in it. A number must look like one: `1:20`
is text here, since YAML 1.1 would read some IPv6 addresses as numbers to base 60.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import yaml
from msgspec import inspect

from collector.duration import Duration

MAX_BYTES = 4 * 1024 * 1024
"""Longest file: some ten thousand vantages."""
MAX_DEPTH = 16
_SHOWN = 64

T = TypeVar("T")

Loader: type[yaml.SafeLoader] = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))
"""libyaml where PyYAML was built with it: ten times as fast, and it yields the same events."""

_WHOLE = re.compile(r"[-+]?[0-9]{1,18}")
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}


class BadFileError(ValueError):
    """A file that is refused. The text is one sentence that names the file, the path in it and what is allowed."""


def bad(name: str, path: str, sentence: str) -> BadFileError:
    """The refusal of what stands at `path` in the file `name`."""
    return BadFileError(": ".join(part for part in (name, path, sentence) if part))


def read_text(file: Path) -> str:
    """The text of a file; raises BadFileError where it cannot be read, is longer than MAX_BYTES or is not UTF-8."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise bad(file.name, "", f"longer than {MAX_BYTES} bytes")
        return content.decode()
    except OSError as error:
        raise bad(str(file), "", f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise bad(file.name, "", f"not UTF-8 at byte {error.start}") from None


def parse(text: str, type_: type[T], *, name: str) -> T:
    """The value of type `type_` that the YAML in `text` describes; `name` is the file's, for the sentence.

    Raises BadFileError: `config.yaml: plan.intervall: unknown key; allowed are interval, timeout`.
    """
    try:
        document = _document(text, name)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise bad(name, where, f"not YAML: {' '.join(problem.split())}") from None
    return converted({} if document is None else document, type_, name=name)


def converted(document: object, type_: type[T], *, name: str = "") -> T:
    """The value of type `type_` that is in a document already read; raises BadFileError, as above."""
    for path, sentence in strangers(document, type_):
        raise bad(name, path, sentence)
    try:
        return msgspec.convert(document, type_, dec_hook=_custom)
    except msgspec.ValidationError as error:
        raise refusal(name, error, document) from None


def strangers(value: object, type_: type[Any], path: str = "") -> Iterator[tuple[str, str]]:
    """What the type does not know of a value that stands at `path`: where, and a sentence that says what it does know."""
    yield from _strangers(value, inspect.type_info(type_), path)


def _custom(type_: type, value: object) -> object:
    if type_ is Duration:
        return Duration.parse(value)
    raise NotImplementedError


@dataclass(slots=True)
class _Open:
    """A mapping or sequence that is still being read."""

    content: dict[str, object] | list[object]
    key: str | None = None


def _document(text: str, name: str) -> object:
    """The one document in a text, built from events on a stack of its own: depth costs no recursion."""
    stack: list[_Open] = [_Open([])]
    for event in yaml.parse(text, Loader=Loader):
        line = f"line {event.start_mark.line + 1}" if event.start_mark else ""
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise bad(name, line, "anchors and aliases are not taken")
        if isinstance(event, yaml.NodeEvent) and getattr(event, "tag", None) not in (None, "!"):
            raise bad(name, line, "tags are not taken")
        if isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
        elif isinstance(event, yaml.CollectionStartEvent):
            if len(stack) > MAX_DEPTH:
                raise bad(name, line, f"nested deeper than {MAX_DEPTH}")
            opened = _Open({} if isinstance(event, yaml.MappingStartEvent) else [])
            _put(stack[-1], opened.content, name, line)
            stack.append(opened)
        elif isinstance(event, yaml.ScalarEvent):
            _put(stack[-1], _scalar(event), name, line)
        elif isinstance(event, yaml.DocumentStartEvent) and stack[0].content:
            raise bad(name, line, "more than one document")
    documents = cast("list[object]", stack[0].content)
    return documents[0] if documents else None


def _scalar(event: yaml.ScalarEvent) -> object:
    if event.style in ("'", '"', "|", ">"):
        return str(event.value)
    if event.value in _WORDS:
        return _WORDS[event.value]
    return int(event.value) if _WHOLE.fullmatch(event.value) else str(event.value)


def _put(into: _Open, value: object, name: str, line: str) -> None:
    match into:
        case _Open(list() as items):
            items.append(value)
        case _Open(dict(), None):
            if not isinstance(value, str):
                raise bad(name, line, "a key must be text")
            into.key = value
        case _Open(dict() as mapping, str() as key):
            if key in mapping:
                raise bad(name, line, f"key {_short(key)} stands twice")
            mapping[key] = value
            into.key = None


def _strangers(value: object, expected: inspect.Type, path: str) -> Iterator[tuple[str, str]]:
    """Paths of keys that no field has and of words that are on no list, each with a sentence that says what is allowed."""
    match expected, value:
        case inspect.StructType(fields=fields), dict():
            types = {field.encode_name: field.type for field in fields}
            for key, part in value.items():
                where = f"{path}.{_short(key)}".lstrip(".")
                if key not in types:
                    yield where, f"unknown key; allowed are {', '.join(sorted(types))}"
                else:
                    yield from _strangers(part, types[key], where)
        case inspect.VarTupleType(item_type=item), list():
            for place, part in enumerate(value):
                yield from _strangers(part, item, f"{path}[{place}]")
        case inspect.UnionType(types=types), dict() | list():
            for one in types:
                yield from _strangers(value, one, path)
        case inspect.EnumType(cls=words), str() if value not in [word.value for word in words]:
            yield path, f"{_short(value)} is not allowed; allowed are {', '.join(word.value for word in words)}"
        case inspect.LiteralType(values=words), str() if value not in words:
            yield path, f"{_short(value)} is not allowed; allowed are {', '.join(map(str, words))}"


_LOCATED = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)


def refusal(name: str, error: Exception, document: object) -> BadFileError:
    """The sentence for an error of msgspec, which says what it expected and where."""
    match = _LOCATED.fullmatch(str(error))
    what, path = (match["what"], match["path"] or "") if match else (str(error), "")
    missing = re.fullmatch(r"Object missing required field `(.*)`", what)
    if missing:
        return bad(name, f"{path}.{missing[1]}".lstrip("."), "missing")
    if what.startswith("Expected"):
        what = what[0].lower() + what[1:]
    pattern = re.search(r"matching regex (.*)", what)
    if pattern:
        what = f"{_short(_at(document, path))} has characters or a form that are not allowed here"
    return bad(name, path, what.replace("`", "").replace("object", "mapping").replace("array", "list"))


def _at(document: object, path: str) -> str:
    for key, place in re.findall(r"([^.\[\]]+)|\[([0-9]+)\]", path):
        match document:
            case dict() if key in document:
                document = document[key]
            case list() if place:
                document = document[int(place)]
    return str(document)


def _short(text: str) -> str:
    """A text of the user's as it may stand in a message: printable and not long (log injection)."""
    shown = "".join(c if c.isprintable() else "?" for c in text[:_SHOWN])
    return shown if len(text) <= _SHOWN else shown + "..."
