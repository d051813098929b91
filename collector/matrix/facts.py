"""What was seen last on paths, as text: few of all cells have any, and most say the same."""

from collections.abc import Iterable, Mapping
from typing import Final

from wire.window import FactName

MAX_PATHS: Final = 100_000
"""Paths whose facts are kept; those that were told of longest ago leave first."""
MAX_SHARED: Final = 20_000
"""Different facts that are shared by all that have the same."""

_Said = tuple[tuple[str, str], ...]
_NAMES: Final = frozenset(name.value for name in FactName)


class Facts:
    """Facts by path id, each of 128 characters at most."""

    def __init__(self) -> None:
        self._of: dict[int, _Said] = {}
        self._shared: dict[_Said, _Said] = {}

    def learn(self, paths: Iterable[int], facts: Iterable[tuple[int, str, str]]) -> None:
        """Keep what was seen on each path, as (entry, name, text), instead of what was seen of that sort before."""
        known = self._of
        for path, (_, name, text) in zip(paths, facts, strict=True):
            said = known.pop(path, None)
            if said is None or (name, text) not in said:
                said = self._said(said or (), name, text)
            if said:
                known[path] = said
        while len(known) > MAX_PATHS:
            del known[next(iter(known))]

    def _said(self, before: _Said, name: str, text: str) -> _Said:
        if name not in _NAMES:
            return before
        said = tuple(sorted({**dict(before), name: text}.items())) if before else ((name, text),)
        if len(self._shared) >= MAX_SHARED:
            self._shared.clear()
        return self._shared.setdefault(said, said)

    def of(self, path: int) -> Mapping[str, str]:
        """What was seen last on a path."""
        return dict(self._of.get(path, ()))
