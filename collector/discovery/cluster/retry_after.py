"""How long a server asks us to wait (RFC 9110 section 10.2.3). Pure."""

MOST_SECONDS = 300.0
"""Nobody keeps us waiting longer."""


def seconds_of(header: str | None) -> float | None:
    """The seconds that a Retry-After header asks for, at most MOST_SECONDS; None where it is none, or a date.

    The API server sends seconds. A date would need two clocks that agree.
    """
    text = (header or "").strip()
    return min(float(text), MOST_SECONDS) if text.isascii() and text.isdigit() and len(text) <= 9 else None  # noqa: PLR2004 - digits
