"""Spans of time as people write them in configuration: `500ms`, `1s`, `10m`, `2h`."""

import re

_UNITS_NS = {"ms": 1_000_000, "s": 1_000_000_000, "m": 60_000_000_000, "h": 3_600_000_000_000}
_TEXT = re.compile(r"([0-9]{1,9})(ms|s|m|h)")


class Duration(int):
    """A span of time in nanoseconds."""

    __slots__ = ()

    @classmethod
    def parse(cls, text: object) -> "Duration":
        """The span that a text such as `500ms` names; raises ValueError where it names none."""
        match = _TEXT.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError("expected a duration such as 500ms, 1s, 10m or 2h")
        return cls(int(match[1]) * _UNITS_NS[match[2]])

    @property
    def milliseconds(self) -> int:
        """The span in whole milliseconds."""
        return self // 1_000_000

    def __str__(self) -> str:
        """The span as it would be written, in the largest unit that leaves no remainder."""
        for unit, size in reversed(_UNITS_NS.items()):
            if self >= size and self % size == 0:
                return f"{self // size}{unit}"
        return f"{self.milliseconds}ms"
