"""Who is asking: from a bearer token to a vantage, before anything else of a request is looked at.

Whoever can tell is an Admission. SharedKeys is that of static mode, where the token is the vantage's key of the inventory; that
of a cluster is in `collector.identity`. Cheap checks come first. A token is only ever looked up by its digest: what the time of
a look-up may tell is about a digest, and no token follows from that.
"""

import hashlib
from collections.abc import Iterable
from enum import StrEnum
from typing import Protocol

from collector.discovery.snapshot import Vantage

MAX_TOKEN = 4096
"""Longest token in characters; projected ServiceAccount tokens have about 1,200."""
_SCHEME = "bearer "


class Refusal(StrEnum):
    """Why a request of an agent is not taken: the closed list that is counted. The matrix has further words of its own."""

    NO_TOKEN = "no_token"  # noqa: S105 - the name of a reason
    MALFORMED_TOKEN = "malformed_token"  # noqa: S105 - the same
    UNKNOWN_TOKEN = "unknown_token"  # noqa: S105 - the same
    """No vantage's key, or one that the API server does not find valid."""
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - the same
    OTHER_AUDIENCE = "other_audience"
    """A token for somebody else than the collector."""
    OTHER_ACCOUNT = "other_account"
    """A valid token of a ServiceAccount that is not the agents'."""
    UNBOUND_TOKEN = "unbound_token"  # noqa: S105 - the same
    """A valid token that is not bound to a pod, and so to no vantage."""
    UNKNOWN_POD = "unknown_pod"
    """A token of a pod that is no vantage, no more, or not yet."""
    OTHER_NODE = "other_node"
    """A token of a pod on another node than discovery saw it on."""
    REVIEW_RATE = "review_rate"
    """Too many tokens wait for the API server's review; try again later."""
    REVIEW_AWAY = "review_away"
    """The API server reviews no tokens now; try again later."""
    FOREIGN_ROW = "foreign_row"
    """A report of another vantage than the token's."""
    RETIRED_BOOT = "retired_boot"
    """A report of a process that another one of the same vantage has replaced."""
    OTHER_INSTANCE = "other_instance"
    """A report for another collector process; the agent sends it again for this one."""
    REPEATED = "repeated"
    """A report that was taken before."""
    NOT_PERMITTED = "not_permitted"
    """A valid token of somebody who may not have that done."""
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


class Admission(Protocol):
    """Tells who asks."""

    def install(self, vantages: Iterable[Vantage]) -> None:
        """Let these vantages in, and no others from now on."""

    async def vantage_of(self, authorization: str | None, remote: str) -> str:
        """The vantage that an Authorization header is the token of; raises RefusedError.

        `remote` is the address that asks. It proves nothing, and strangers never keep whoever asks from their own waiting.
        """


class SharedKeys:
    """The vantages by the digests of their keys."""

    def __init__(self, vantages: Iterable[Vantage] = ()) -> None:
        self._names: dict[bytes, str] = {}
        self.install(vantages)

    def install(self, vantages: Iterable[Vantage]) -> None:
        """See Admission."""
        self._names = {digest_of(vantage.key): vantage.name for vantage in vantages if vantage.key}

    async def vantage_of(self, authorization: str | None, remote: str = "") -> str:  # noqa: ARG002 - nobody waits here
        """See Admission."""
        token = bearer(authorization)
        name = self._names.get(digest_of(token))
        if name is None:  # only now, since it takes as long as all else
            raise RefusedError(Refusal.UNKNOWN_TOKEN if token.isprintable() and " " not in token else Refusal.MALFORMED_TOKEN)
        return name


def bearer(authorization: str | None) -> str:
    """The token of an Authorization header (RFC 6750 section 2.1), 1 to MAX_TOKEN characters of ASCII; raises RefusedError."""
    if not authorization:
        raise RefusedError(Refusal.NO_TOKEN)
    if authorization[: len(_SCHEME)].lower() != _SCHEME:
        raise RefusedError(Refusal.MALFORMED_TOKEN)
    return presentable(authorization[len(_SCHEME) :])


def presentable(token: str) -> str:
    """The same token where it may be one: 1 to MAX_TOKEN characters of ASCII; raises RefusedError.

    A header may have any bytes, and those that are no UTF-8 come as characters that cannot be encoded again.
    """
    if not 0 < len(token) <= MAX_TOKEN or not token.isascii():
        raise RefusedError(Refusal.MALFORMED_TOKEN)
    return token


def digest_of(token: str) -> bytes:
    """What a token is looked up by, and all that is ever kept of one."""
    return hashlib.sha256(token.encode()).digest()
