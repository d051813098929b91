"""What the documents show: commands, blocks of code, links and headings.

In: the Markdown files of the project. Out: each piece with the document and the line where it stands.
Decisions are dated and never rewritten, and may show what is gone; they are left out.
"""

import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.rules.tree import files, named

DOCUMENTS = tuple(file for file in files(".md") if "decisions" not in file.parts)
SHELLS = ("sh", "console")
_FENCE = re.compile(r"^```([a-z]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_PROMPT = "$ "


class Shown(NamedTuple):
    """A piece of a document."""

    document: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands, as an editor takes it: `docs/page.md:7`."""
        return f"{named(self.document)}:{self.line}"


class Command(NamedTuple):
    """A command line that a document shows, without its comment."""

    shown: Shown
    words: tuple[str, ...]

    @property
    def line(self) -> str:
        """As one would type it."""
        return self.shown.text

    @property
    def program(self) -> str:
        """What is run: `netmatrix`, `kubectl`, `make`, or a module of Python such as `python -m agent`."""
        first = self.words[0].removeprefix(".venv/bin/")
        if first == "kubectl" and self.words[1] == "netmatrix":
            return "netmatrix"
        return f"python -m {self.words[2]}" if first == "python" and self.words[1:2] == ("-m",) else first

    @property
    def arguments(self) -> tuple[str, ...]:
        """The words after the program."""
        return self.words[{"netmatrix": 2 if self.words[0] == "kubectl" else 1}.get(self.program, len(self.program.split())) :]


def blocks(*languages: str) -> Iterator[Shown]:
    """The fenced blocks in one of these languages."""
    for document in DOCUMENTS:
        text = document.read_text()
        for fence in _FENCE.finditer(text):
            if fence[1] in languages:
                yield Shown(document, text.count("\n", 0, fence.start()) + 2, fence[1], fence[2])


def _lines(block: Shown) -> Iterator[Shown]:
    """The command lines of a block for a shell: those after a prompt in a `console`, those that go on after `\\` in one."""
    texts = block.text.splitlines()
    number = 0
    while number < len(texts):
        start, text = number, texts[number]
        while text.endswith("\\"):
            number += 1
            text = text[:-1].rstrip() + " " + texts[number].strip()
        number += 1
        if block.language == "console":
            if not text.startswith(_PROMPT):
                continue
            text = text.removeprefix(_PROMPT)
        if text.strip() and not text.startswith("#"):
            yield block._replace(line=block.line + start, text=text)


def command_in(shown: Shown) -> Command:
    """A line taken apart as a shell does."""
    return Command(shown._replace(text=re.sub(r"\s+#.*$", "", shown.text)), tuple(shlex.split(shown.text, comments=True)))


@cache
def commands() -> tuple[Command, ...]:
    """Every command line of every fenced block that is for a shell, also where two documents show the same."""
    return tuple(command_in(line) for block in blocks(*SHELLS) for line in _lines(block))


def within_sentences(pattern: str) -> Iterator[Shown]:
    """What stands between backquotes in one line and looks like that."""
    for document in DOCUMENTS:
        text = document.read_text()
        for found in re.finditer(rf"`({pattern})`", text):
            yield Shown(document, text.count("\n", 0, found.start()) + 1, "", found[1])


def mentions() -> Iterator[Command]:
    """The command lines within a sentence, of one of our programs and with at least one word after it."""
    for one in within_sentences(r"(?:(?:kubectl )?netmatrix|(?:\.venv/bin/)?python -m [a-z.]+) [^`\n]+"):
        yield command_in(one._replace(text=re.sub(r"[\[\]]", "", one.text) if " [--" in one.text else one.text))


def slug(heading: str) -> str:
    """What a heading is linked by, as GitHub makes it: lower case, no punctuation, a dash for each space."""
    bare = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", bare).strip().replace(" ", "-")


@cache
def anchors(document: Path) -> frozenset[str]:
    """What links to a document may have after `#`."""
    bare = _FENCE.sub("", document.read_text())
    found: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", bare, re.MULTILINE):
        name = slug(heading)
        found.append(f"{name}-{found.count(name)}" if name in found else name)
    return frozenset(found)


def links(document: Path) -> Iterator[Shown]:
    """Where its links and pictures lead, and the addresses between angle brackets."""
    text = document.read_text()
    for link in re.finditer(r"\]\(([^)\s]+)\)|<(https?://[^>]+)>", text):
        yield Shown(document, text.count("\n", 0, link.start()) + 1, "", link[1] or link[2])


def file_of(target: str, document: Path) -> Path:
    """The file that a link without a host leads to."""
    path = target.partition("#")[0]
    return (document.parent / path).resolve() if path else document
