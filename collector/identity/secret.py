"""The Secret that the authority is kept in: filled by the first collector, changed by whoever is first, never without a look.

In: the authority that this process has, if it has one, and the time. Out: the one that is in force. The Secret is shipped
empty, so nobody needs the right to create any. Collectors that look at once agree: an update names the version that was read.
"""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from collector.discovery.cluster.client import Answer, ApiAwayError, reason_of
from collector.identity.asking import Asks
from collector.identity.authority import NAMES, Authority, AuthorityError, advanced, made, read, written

SECRET: Final = "netmatrix-authority"  # noqa: S105 - the name of an object
SECONDS = 10.0
_ATTEMPTS = 5
_CONFLICT = 409


async def settled(api: Asks, namespace: str, ours: Authority | None, *, now: float) -> Authority:
    """The authority in force, as the Secret has it by now; an empty one is filled, with ours where there is one.

    Raises AuthorityError where it holds something else, which is left as it is, and ApiAwayError where there is no answer.
    """
    path = f"/api/v1/namespaces/{namespace}/secrets/{SECRET}"
    for _ in range(_ATTEMPTS):
        answer = await api.ask("GET", path, seconds=SECONDS)
        secret, data = _decoded(answer)
        kept = read(_texts(data)) if data else ours or made(now)
        wanted = advanced(kept, now)
        if data and wanted is kept:
            return kept
        foreign = {name: value for name, value in data.items() if name not in NAMES}
        change = await api.ask("PUT", path, body=secret | {"data": foreign | _packed(wanted)}, seconds=SECONDS)
        if change.good:
            return wanted
        if change.status != _CONFLICT:  # else somebody was faster: what is there now?
            raise ApiAwayError(reason_of(change))
    raise ApiAwayError(f"others changed Secret {SECRET} each time before we could")


def _decoded(answer: Answer) -> tuple[dict[str, Any], dict[str, str]]:
    """The Secret as it was sent, and what is in it, in base64."""
    if not answer.good:
        raise ApiAwayError(reason_of(answer))
    try:
        secret = msgspec.json.decode(answer.body, type=dict[str, Any])
        return secret, msgspec.convert(secret.get("data") or {}, dict[str, str])
    except ValueError:  # msgspec's errors are a ValueError
        raise ApiAwayError("it answers something else than a Secret") from None


def _texts(data: Mapping[str, str]) -> dict[str, str]:
    try:
        return {name: b64decode(value).decode() for name, value in data.items() if name in NAMES}
    except ValueError:  # of base64 and of UTF-8
        raise AuthorityError("it holds something else than text") from None


def _packed(authority: Authority) -> dict[str, str]:
    return {name: b64encode(text.encode()).decode() for name, text in written(authority).items()}
