"""Where snapshots come from: one interface, whether it is a file or a cluster."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from collector.discovery.snapshot import Snapshot
from collector.discovery.standings import Standing
from collector.discovery.static import InventoryFile
from collector.settings import Settings


class Event(NamedTuple):
    """What is to be said at an object."""

    kind: str
    """As the API calls it."""
    namespace: str
    """Empty for what is in none."""
    name: str
    key: str
    """Names what is said, so that it is not said twice."""
    reason: str
    """One word."""
    sentence: str
    """With nothing unprintable in it."""
    warning: bool


class Source(Protocol):
    """Yields whole snapshots."""

    @property
    def snapshot(self) -> Snapshot:
        """The last good one, empty while there was none."""

    @property
    def ready(self) -> bool:
        """Whether there was one."""

    def known(self) -> Mapping[str, Any]:
        """What it knows of itself: `source`, and how old what it knows may be."""

    def configure(self, settings: Settings) -> None:
        """Follow other settings from now on."""

    def complain(self, sentence: str) -> None:
        """Say where the configuration is from why it is refused, where that can be."""

    async def say(self, event: Event) -> str:
        """Say something at an object, where that can be: `sent`, `away`, `failed` or `refused`."""

    def tell(self, standings: Iterable[Standing]) -> None:
        """Say where the expectations are from how it stands with them, where that can be."""

    async def follow(self) -> None:
        """Do whatever keeps it up to date, for ever."""

    async def changed(self) -> bool:
        """Look once; True where there is another snapshot."""


class StaticSource:
    """An inventory file; raises BadFileError where it is none. `refused` is called for each change that is not taken."""

    ready = True

    def __init__(self, path: Path, *, refused: Callable[[], None]) -> None:
        self._file = InventoryFile(path, refused=refused)

    @property
    def snapshot(self) -> Snapshot:
        """The last good one."""
        return self._file.snapshot

    def known(self) -> Mapping[str, Any]:
        """That it is a file."""
        return {"source": "inventory", "age_seconds": 0.0}

    def configure(self, settings: Settings) -> None:
        """Nothing: an inventory says everything."""

    def complain(self, sentence: str) -> None:
        """Nothing: a file has no Events."""

    async def say(self, event: Event) -> str:  # noqa: ARG002 - as the interface has it
        """Nothing: the same."""
        return "refused"

    def tell(self, standings: Iterable[Standing]) -> None:
        """Nothing: a file has no status."""

    async def follow(self) -> None:
        """Nothing: it is looked at when it is asked."""

    async def changed(self) -> bool:
        """Look at the file."""
        return await asyncio.to_thread(self._file.changed)
