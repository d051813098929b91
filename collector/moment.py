"""A moment as everything writes it that leaves the collector: RFC 3339, in milliseconds and UTC, which sorts as text. Pure."""

from datetime import UTC, datetime


def written(seconds: float) -> str:
    """A moment in Unix seconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
