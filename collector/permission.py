"""Who may have something done: probes now, or all expectations verified.

In: a token, and what is to be done. Out: who it is, or a refusal. Whoever can tell is a Permission. OperatorKeys is that of
static mode, where the token is a key in a file; that of a cluster is `collector.identity.operators`.
"""

from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from collector.admission import Refusal, RefusedError, digest_of

LEAST_KEY: Final = 16
"""Characters of an operator's key, at least; shorter ones are as if they were not there."""
MAX_KEYS_BYTES: Final = 65_536


class Action(StrEnum):
    """What can be done. In a cluster each is a resource of the API group `netmatrix.io` that exists for authorization alone."""

    PROBE = "probes"
    VERIFY = "verifications"
    READ = "matrices"
    """All that is read, where that needs a right."""

    @property
    def verb(self) -> str:
        """As authorization calls it."""
        return "get" if self is Action.READ else "create"


class Permission(Protocol):
    """Tells who may do what."""

    async def permitted(self, token: str, action: Action) -> str:
        """The name of whoever has this token, and may do that; raises RefusedError."""


class OperatorKeys:
    """The keys in a file, one a line, which is read anew for every action; all actions are refused where there is no file."""

    def __init__(self, file: Path | None) -> None:
        self._file = file

    async def permitted(self, token: str, action: Action) -> str:  # noqa: ARG002 - whoever has a key may do all there is
        """See Permission."""
        try:
            text = self._file.read_bytes()[:MAX_KEYS_BYTES].decode("ascii") if self._file else ""
        except (OSError, UnicodeDecodeError):
            text = ""
        keys = [key for line in text.splitlines() if len(key := line.strip()) >= LEAST_KEY]
        if not keys:
            raise RefusedError(Refusal.NOT_PERMITTED)
        if digest_of(token) not in set(map(digest_of, keys)):
            raise RefusedError(Refusal.UNKNOWN_TOKEN)
        return "operator"
