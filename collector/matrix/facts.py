"""What was seen last on paths, as text: few of all cells have any, and most say the same."""

from collections.abc import Mapping
from typing import Final

from wire.window import FactName

MAX_PATHS: Final = 100_000
"""Paths whose facts are kept; those that were told of longest ago leave first."""
MAX_SHARED: Final = 20_000
"""Different facts that are shared by all that have the same."""

_Said = tuple[tuple[FactName, str], ...]


class Facts:
    """Facts by path id, each of 128 characters at most."""

    def __init__(self) -> None:
        self._of: dict[int, _Said] = {}
        self._shared: dict[_Said, _Said] = {}

    def learn(self, path: int, name: FactName, text: str) -> None:
        """Keep what was seen on a path instead of what was seen of that sort before."""
        said = self._of.pop(path, ())
        if (name, text) not in said:
            said = tuple(sorted({**dict(said), name: text}.items()))
            if len(self._shared) >= MAX_SHARED:
                self._shared.clear()
            said = self._shared.setdefault(said, said)
        self._of[path] = said
        if len(self._of) > MAX_PATHS:
            del self._of[next(iter(self._of))]

    def of(self, path: int) -> Mapping[str, str]:
        """What was seen last on a path."""
        return {name.value: text for name, text in self._of.get(path, ())}
