"""What is written down of a running lab: enough for another process to undo its faults, and to start its programs again.

One JSON file per lab under /run, replaced as a whole, readable by root alone since keys are next to it.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, structs

from lab.faults import Fault
from lab.policies import Document
from lab.shape import Shape

ROOT = Path("/run/netmatrix-lab")
_FILE = "state.json"


class State(Struct, frozen=True):
    """A lab, apart from what follows from its shape and name."""

    name: str
    shape: Shape
    plan: dict[str, Any] = {}
    port: int = 0
    """Of the doorway on 127.0.0.1; 0 where there is none."""
    faults: tuple[Fault, ...] = ()
    """Active faults. Written before a fault is applied, and after it is undone."""
    enforced: tuple[Document, ...] = ()
    """Policies that the nodes enforce."""
    told: tuple[Document, ...] = ()
    """Policies that the collector's inventory has; the same ones, unless somebody wants them to differ."""
    expectations: tuple[Document, ...] = ()

    def with_faults(self, faults: tuple[Fault, ...]) -> "State":
        """The same lab with other faults."""
        return structs.replace(self, faults=faults)


def directory(name: str) -> Path:
    """Where a lab keeps its state, keys and logs."""
    return ROOT / name


def save(state: State) -> None:
    """Write it down; the old state is there until the new one is whole."""
    place = directory(state.name)
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = place / f".{_FILE}"
    draft.write_bytes(msgspec.json.format(msgspec.json.encode(state)))
    draft.replace(place / _FILE)


def load(name: str) -> State:
    """The state of a lab; raises LookupError where there is no such lab, or its state cannot be read."""
    try:
        return msgspec.json.decode((directory(name) / _FILE).read_bytes(), type=State)
    except (OSError, msgspec.DecodeError) as error:
        raise LookupError(f"there is no lab {name!r}: {error}") from None


def names() -> list[str]:
    """Labs that have a directory."""
    return sorted(path.name for path in ROOT.iterdir() if path.is_dir()) if ROOT.is_dir() else []


def forget(name: str) -> None:
    """Remove a lab's directory; no error where there is none."""
    shutil.rmtree(directory(name), ignore_errors=True)


def write_private(place: Path, files: Mapping[str, str]) -> None:
    """Write files that only root reads."""
    place.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, content in files.items():
        (place / name).write_text(content)
        (place / name).chmod(0o600)
