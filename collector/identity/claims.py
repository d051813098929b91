"""What a token claims of itself, before anybody is asked whether it is true: good for refusing, never for letting in.

In: a bearer token. Out: claims, or the reason why the API server need not be asked. Whoever sends random tokens, or those of
somebody else, so costs us microseconds and the API server nothing.
"""

import binascii
import re
from base64 import urlsafe_b64decode

import msgspec
from msgspec import Struct, field

from collector.admission import Refusal, RefusedError

LEEWAY_SECONDS = 60.0
"""How far our clock may be ahead of the API server's, whose word counts."""
_COMPACT = re.compile(r"([A-Za-z0-9_-]{2,})\.([A-Za-z0-9_-]{2,})\.([A-Za-z0-9_-]{2,})")


class _Pod(Struct, frozen=True):
    uid: str = ""


class _Bound(Struct, frozen=True):
    pod: _Pod = _Pod()


class _Header(Struct, frozen=True):
    alg: str


class _Payload(Struct, frozen=True):
    exp: float
    aud: list[str] | str = ""
    sub: str = ""
    bound: _Bound = field(default=_Bound(), name="kubernetes.io")


class Claims(Struct, frozen=True):
    """What of a token decides whether it is worth a review."""

    pod_uid: str
    """Of the pod that it says it is bound to."""
    expires: float
    """In Unix seconds."""
    subject: str = ""
    """Whose it says it is."""


def claims_of(token: str, *, audience: str, now: float, bound: bool = True) -> Claims:
    """The claims of a token in compact form (RFC 7519; `kubernetes.io` as in KEP-1205); `now` in Unix seconds.

    Raises RefusedError where it cannot be a token for `audience` that has not expired, and is bound to a pod unless `bound` is
    false.
    """
    parts = _COMPACT.fullmatch(token)
    if parts is None:
        raise RefusedError(Refusal.MALFORMED_TOKEN)
    try:
        msgspec.json.decode(_unpacked(parts[1]), type=_Header)
        payload = msgspec.json.decode(_unpacked(parts[2]), type=_Payload)
    except (binascii.Error, ValueError, RecursionError):  # msgspec's errors are a ValueError
        raise RefusedError(Refusal.MALFORMED_TOKEN) from None
    if audience not in ([payload.aud] if isinstance(payload.aud, str) else payload.aud):
        raise RefusedError(Refusal.OTHER_AUDIENCE)
    if payload.exp + LEEWAY_SECONDS <= now:
        raise RefusedError(Refusal.EXPIRED_TOKEN)
    if bound and not payload.bound.pod.uid:
        raise RefusedError(Refusal.UNBOUND_TOKEN)
    return Claims(payload.bound.pod.uid, payload.exp, payload.sub)


def _unpacked(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))
