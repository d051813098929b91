"""What whoever is refused is told: a status and a sentence for each reason."""

from collections.abc import Mapping
from typing import Final

from collector.admission import Refusal

MAX_BODY: Final = 8192
"""Bytes of the body of an action."""
_SAID: Final[Mapping[Refusal, tuple[int, str]]] = {
    Refusal.NO_TOKEN: (401, 'the first field of the body must be "token"'),
    Refusal.MALFORMED_TOKEN: (401, "the token is malformed"),
    Refusal.UNKNOWN_TOKEN: (401, "the token is not known"),
    Refusal.EXPIRED_TOKEN: (401, "the token has expired"),
    Refusal.OTHER_AUDIENCE: (401, "the token is for another audience"),
    Refusal.NOT_PERMITTED: (403, "this is not permitted to whoever has the token"),
    Refusal.REVIEW_RATE: (503, "too many tokens wait for their review"),
    Refusal.REVIEW_AWAY: (503, "tokens cannot be reviewed now"),
    Refusal.OVERSIZED: (413, f"a body has at most {MAX_BODY} bytes"),
    Refusal.TOO_SLOW: (408, "the body was not complete in time"),
    Refusal.TRUNCATED: (400, "the body ended early or does not keep its framing"),
    Refusal.SHED: (429, "too many actions at once"),
}


def refusal_of(reason: Refusal) -> tuple[int, str]:
    """Status and sentence."""
    return _SAID[reason]
