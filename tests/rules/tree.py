"""The files of the project, as the rules see them: all that is written by hand, tracked yet or not."""

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("wire", "agent", "collector", "lab", "bench", "simulator")
MADE = {"__pycache__", "build", "dist"}
"""Folders that commands make."""


def _walk(folder: Path) -> Iterator[Path]:
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            if entry.name == ".ci" or (not entry.name.startswith(".") and entry.name not in MADE | {"lib"}):
                yield from _walk(entry)
        elif not entry.name.startswith(".") or entry.name == ".gitignore":
            yield entry


def files(*suffixes: str) -> list[Path]:
    """All files, or those with one of these suffixes."""
    return [file for file in _walk(ROOT) if not suffixes or file.suffix in suffixes]


def modules(*folders: str) -> list[Path]:
    """The Python files of these folders, of all that hold code where none is named."""
    return [file for file in files(".py") if file.relative_to(ROOT).parts[0] in (folders or CODE)]


def named(file: Path) -> str:
    """A file's name as one would type it in the project's folder."""
    return str(file.relative_to(ROOT))
