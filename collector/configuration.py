"""The collector's configuration while it runs: the file is looked at again and again, and taken whole or not at all.

In: the file. Out: `settings`, which are always valid and in force; what is wrong with the file, in one sentence; and what it
asks for that has to wait for the next start.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct, structs

from collector.discovery.cluster.assemble import ingress_of
from collector.discovery.denied import external_complaints
from collector.document import BadFileError, bad, read_text
from collector.duration import Duration
from collector.settings import Settings, parse_settings
from collector.watched import WatchedFile

AT_START: Final = ("agents", "discovery.cluster_domain", "discovery.namespace", "log", "matrix", "operators", "plan.report")
"""What is read at the start alone: what is listened on, what agents trust, and how much is kept in which steps."""

_log = structlog.get_logger()


def parse_configuration(text: str, *, name: str) -> Settings:
    """The settings that a YAML text describes, with everything checked that can be without a cluster; raises BadFileError."""
    settings = parse_settings(text, name=name)
    for place, external in enumerate(settings.external):
        for path, sentence in external_complaints(f"external[{place}]", external):
            raise bad(name, path, sentence)
    for external in ingress_of(settings.discovery):
        for _, sentence in external_complaints("", external):
            raise bad(name, "discovery.ingress_url", sentence)
    return settings


def load_configuration(path: Path | None) -> Settings:
    """The settings in a file, the defaults for None; raises BadFileError."""
    return Settings() if path is None else parse_configuration(read_text(path), name=path.name)


def written(value: object) -> object:
    """A tree of settings as it stands in a file."""
    match value:
        case Struct():
            return {field: written(getattr(value, field)) for field in value.__struct_fields__}
        case tuple():
            return [written(one) for one in value]
        case Duration() | StrEnum():
            return str(value)
    return value


class Candidate(Struct, frozen=True):
    """A good file that is not in force yet."""

    settings: Settings
    """What of it can be while we run."""
    waiting: tuple[str, ...]
    """The paths of what cannot before the next start."""


def candidate(before: Settings, after: Settings) -> Candidate:
    """What becomes of a file that says `after` while `before` is in force."""
    settings = after
    for path in AT_START:
        settings = _with(settings, before, path.split("."))
    return Candidate(settings, tuple(_differences(after, settings)))


def _with(settings: Settings, before: Settings, path: list[str]) -> Settings:
    section, *rest = path
    kept = getattr(before, section)
    if rest:
        kept = structs.replace(getattr(settings, section), **{rest[0]: getattr(kept, rest[0])})
    return structs.replace(settings, **{section: kept})


def _differences(one: Struct, other: Struct, prefix: str = "") -> Iterator[str]:
    for field in one.__struct_fields__:
        left, right, path = getattr(one, field), getattr(other, field), f"{prefix}{field}"
        if isinstance(left, Struct) and isinstance(right, Struct):
            yield from _differences(left, right, f"{path}.")
        elif left != right:
            yield path


class Configuration:
    """See the module. `path` is None for the defaults, which never change; raises BadFileError where the file is none."""

    def __init__(self, path: Path | None = None) -> None:
        self.name = path.name if path else "default configuration"
        """Of the file, as it stands in a sentence."""
        self._file = WatchedFile(path) if path else None
        self.settings = load_configuration(path)
        """Those in force."""
        self.refused = ""
        """Why the file as it is now is not; empty where it is."""
        self.waiting: tuple[str, ...] = ()
        """What of it comes into force with the next start."""

    def changed(self) -> Candidate | None:
        """Look once: what the file says where it has changed and is good. It is for the caller to take it, or refuse it.

        A bad one is refused here, and said once.
        """
        if self._file is None or not self._file.changed():
            return None
        try:
            return candidate(self.settings, load_configuration(self._file.path))
        except BadFileError as error:
            self.refuse(str(error))
            return None

    def take(self, candidate: Candidate) -> None:
        """Put it in force."""
        self.settings, self.waiting, self.refused = candidate.settings, candidate.waiting, ""
        _log.info("another configuration is in force", file=self.name)
        if self.waiting:
            _log.warning("settings that have to wait for the next start", settings=self.waiting)

    def refuse(self, sentence: str) -> None:
        """Leave what is in force in force, and say why."""
        self.refused = sentence
        _log.warning("the configuration is refused, the last one stays in force", because=sentence)
