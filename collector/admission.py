"""Who is asking: from a bearer token to a vantage, before anything else of a request is looked at.

Static mode: the token is the vantage's key of the inventory. Cheap checks come first. A token is only ever looked up by its
digest: what the time of a look-up may tell is about a digest, and no token follows from that.
"""

import hashlib
from collections.abc import Iterable
from enum import StrEnum

from collector.discovery.snapshot import Vantage

MAX_TOKEN = 4096
"""Longest token in characters; projected ServiceAccount tokens have about 1,200."""
_SCHEME = "bearer "


class Refusal(StrEnum):
    """Why a request of an agent is not taken: the closed list that is counted. The matrix has further words of its own."""

    NO_TOKEN = "no_token"  # noqa: S105 - the name of a reason
    MALFORMED_TOKEN = "malformed_token"  # noqa: S105 - the same
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105 - the same
    FOREIGN_ROW = "foreign_row"
    """A report of another vantage than the token's."""
    RETIRED_BOOT = "retired_boot"
    """A report of a process that another one of the same vantage has replaced."""
    OTHER_INSTANCE = "other_instance"
    """A report for another collector process; the agent sends it again for this one."""
    REPEATED = "repeated"
    """A report that was taken before."""
    OVERSIZED = "oversized"
    TOO_SLOW = "too_slow"
    TRUNCATED = "truncated"
    ENCODING = "encoding"
    COMPRESSION = "compression"
    MALFORMED = "malformed"
    SHED = "shed"
    """Too many reports at once; try again later."""


class RefusedError(Exception):
    """A request that is not taken."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Admission:
    """The vantages by the digests of their keys. A value: another snapshot has another one."""

    def __init__(self, vantages: Iterable[Vantage]) -> None:
        self._names = {_digest(vantage.key.encode()): vantage.name for vantage in vantages if vantage.key}

    def vantage_of(self, authorization: str | None) -> str:
        """The vantage that an Authorization header is the token of; raises RefusedError."""
        if not authorization:
            raise RefusedError(Refusal.NO_TOKEN)
        token = authorization[len(_SCHEME) :]
        if len(token) > MAX_TOKEN or authorization[: len(_SCHEME)].lower() != _SCHEME:
            raise RefusedError(Refusal.MALFORMED_TOKEN)
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            raise RefusedError(Refusal.MALFORMED_TOKEN)
        name = self._names.get(_digest(token.encode()))
        if name is None:
            raise RefusedError(Refusal.UNKNOWN_TOKEN)
        return name


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()
