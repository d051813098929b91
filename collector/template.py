"""Templates of JSON: a tree of what people write, in whose texts stand places for values. Pure, and nothing in it is executed.

In: a tree as it comes from YAML. Out: bytes of JSON. A value is put into a text of the tree before the tree becomes JSON, so
whatever it holds, it stays inside of that text; and it is not looked at for places again.

`{{ sentence }}` is the place of a value. `{{ status | firing=red | resolved=green | grey }}` stands for another word for each
word, and the last for all others. A text that is one place and nothing else becomes the value itself, a number as a number.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, NamedTuple

import msgspec

MAX_PLACES: Final = 64
MAX_BYTES: Final = 16_384
"""Longest template, as JSON."""
_SHOWN: Final = 40
_PLACE: Final = re.compile(r"\{\{([^{}]*)\}\}")

Value = str | int | float | None
Tree = dict[str, Any] | list[Any] | str | int | bool | None


class _Place(NamedTuple):
    """Where a value goes."""

    name: str
    words: Mapping[str, str]
    """What stands for which value."""
    other: str | None
    """What stands for all others; the value itself for None."""

    def word(self, values: Mapping[str, Value]) -> Value:
        value = values[self.name]
        if not self.words and self.other is None:
            return value
        text = _text(value)
        return self.words.get(text, text if self.other is None else self.other)


class Template:
    """See the module. Raises ValueError, in a sentence, where a place is none or names none of `names`."""

    def __init__(self, tree: Tree, names: Collection[str]) -> None:
        if len(msgspec.json.encode(tree)) > MAX_BYTES:
            raise ValueError(f"longer than {MAX_BYTES} bytes")
        self._places = 0
        self._tree = self._read(tree, names)

    def fill(self, values: Mapping[str, Value], *, escape: Callable[[str], str] = str) -> bytes:
        """JSON, with these values in their places; texts among them are escaped first, for whoever reads the texts."""
        harmless = {name: escape(value) if isinstance(value, str) else value for name, value in values.items()}
        return msgspec.json.encode(_filled(self._tree, harmless))

    def _read(self, tree: Tree, names: Collection[str]) -> object:
        match tree:
            case dict():
                return {key: self._read(part, names) for key, part in tree.items()}
            case list():
                return [self._read(part, names) for part in tree]
            case str():
                return self._parts(tree, names)
        return tree

    def _parts(self, text: str, names: Collection[str]) -> tuple[str | _Place, ...]:
        """A text between places, a place, a text and so on."""
        pieces = _PLACE.split(text)
        if any("{{" in piece or "}}" in piece for piece in pieces[::2]):
            raise ValueError(f"a place is written {{{{ name }}}}, and in {_short(text)} one has no end or no beginning")
        self._places += len(pieces) // 2
        if self._places > MAX_PLACES:
            raise ValueError(f"more than {MAX_PLACES} places")
        return tuple(_place(piece, names) if number % 2 else piece for number, piece in enumerate(pieces))


def _place(text: str, names: Collection[str]) -> _Place:
    name, *choices = (part.strip() for part in text.split("|"))
    if name not in names:
        raise ValueError(f"there is no value {_short(name)}; there are {', '.join(sorted(names))}")
    words: dict[str, str] = {}
    other = None
    for number, choice in enumerate(choices, start=1):
        of, equals, word = choice.partition("=")
        if equals:
            words[of.strip()] = word.strip()
        elif number == len(choices):
            other = choice
        else:
            raise ValueError(f"{_short(choice)} has no =, and is not the last choice of {name}")
    return _Place(name, words, other)


def _filled(tree: object, values: Mapping[str, Value]) -> object:
    match tree:
        case dict():
            return {key: _filled(part, values) for key, part in tree.items()}
        case list():
            return [_filled(part, values) for part in tree]
        case ("", _Place() as place, ""):
            return place.word(values)
        case tuple():
            return "".join(_text(part.word(values)) if isinstance(part, _Place) else part for part in tree)
    return tree


def _text(value: Value) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _short(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:_SHOWN])
