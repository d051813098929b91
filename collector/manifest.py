"""YAML as kubectl takes it, with the line on which each field stands.

In: the text of a file, with any number of documents, lists of objects among them. Out: one Manifest for each object, or one
sentence with the line. Unlike our own files these may have anchors, numbers of any form and keys that nobody here knows.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import yaml
from msgspec import Struct

from collector.document import BadFileError, bad

MAX_NODES: Final = 2_000_000
"""Most values of one file, those that aliases repeat included: a few of them could stand for more than any memory holds."""
MAX_DEPTH: Final = 64

Loader: Final = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))
_PLAIN: Final = {"tag:yaml.org,2002:null", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float"}
_SIXTIES = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")
"""Numbers to base 60, which Kubernetes reads as text."""
_PART = re.compile(r"[^.\[\]]+|\[[0-9]+\]")


class Manifest(Struct, frozen=True):
    """One object."""

    file: str
    """As it was named."""
    content: Mapping[str, Any]
    lines: Mapping[str, int]
    """Line of each field by its path, such as `spec.ingress[0].ports`; of the object itself by an empty one."""

    @property
    def kind(self) -> str:
        """Kind; empty where it has none."""
        return str(self.content.get("kind") or "")

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return str(self.content.get("apiVersion") or "").rpartition("/")[0]

    def line(self, path: str) -> int:
        """The line of a field, or of the nearest one around it that is there."""
        parts = _PART.findall(path)
        for length in range(len(parts), 0, -1):
            known = self.lines.get("".join(part if part[0] == "[" else f".{part}" for part in parts[:length]).lstrip("."))
            if known is not None:
                return known
        return self.lines[""]

    def fault(self, sentence: str) -> BadFileError:
        """The refusal of an object, for a sentence that begins with the path of what is wrong where that is known."""
        path = sentence.partition(": ")[0]
        where = path if " " not in path else ""
        return bad(self.file, f"line {self.line(where)}", sentence)


def manifests(text: str, *, file: str) -> list[Manifest]:
    """The objects in a text; raises BadFileError: `web.yaml: line 12: not YAML: ...`."""
    found = []
    try:
        for node in yaml.compose_all(text, Loader=Loader):
            if node is not None:
                found += list(_objects(_Reading(file).manifest(node)))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
        raise bad(file, f"line {mark.line + 1}" if mark else "", f"not YAML: {' '.join(problem.split())}") from None
    return found


def _objects(one: Manifest) -> Iterator[Manifest]:
    """What a List holds, as `kubectl get -o yaml` writes it, or the object itself; nothing where the document is empty."""
    items = one.content.get("items")
    if one.kind.endswith("List") and isinstance(items, list):
        for place, item in enumerate(items):
            if isinstance(item, dict):
                prefix = f"items[{place}]"
                lines = {
                    path.removeprefix(prefix).lstrip("."): line
                    for path, line in one.lines.items()
                    if path == prefix or path.startswith((f"{prefix}.", f"{prefix}["))
                }
                yield Manifest(one.file, item, lines)
    elif one.content:
        yield one


class _Reading:
    """One document on its way from nodes to values."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._lines: dict[str, int] = {}
        self._left = MAX_NODES
        self._constructor = yaml.constructor.SafeConstructor()

    def manifest(self, node: yaml.Node) -> Manifest:
        content = self._value(node, "", 0)
        if content is None:
            content = {}
        if not isinstance(content, dict):
            raise bad(self._file, f"line {node.start_mark.line + 1}", "an object of Kubernetes is a mapping")
        return Manifest(self._file, content, self._lines)

    def _value(self, node: yaml.Node, path: str, depth: int) -> object:
        line = node.start_mark.line + 1
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise bad(self._file, f"line {line}", f"nested deeper than {MAX_DEPTH}, or more than {MAX_NODES} values")
        self._lines.setdefault(path, line)
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path, depth)
            case yaml.SequenceNode():
                return [self._value(one, f"{path}[{place}]", depth + 1) for place, one in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, object]:
        self._constructor.flatten_mapping(node)  # `<<`, which kubectl takes too
        found: dict[str, object] = {}
        for key_node, value in node.value:
            key = key_node.value
            line = key_node.start_mark.line + 1
            if not isinstance(key, str):
                raise bad(self._file, f"line {line}", "a key must be text")
            where = f"{path}.{key}".lstrip(".")
            self._lines[where] = line
            found[key] = self._value(value, where, depth + 1)
        return found

    def _scalar(self, node: yaml.Node) -> object:
        if node.tag not in _PLAIN or _SIXTIES.fullmatch(node.value):
            return str(node.value)
        return self._constructor.construct_object(node)
