"""What a measurement is: it lays out what it needs, and then measures round by round.

In: nothing but the machine. Out: one figure for each of its bars in every round. Contenders that are compared run in one round,
one right after the other under the same conditions, so that a ratio is taken within one round and never across two.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Protocol, Self

from msgspec import Struct


class Unavailable(Exception):  # noqa: N818 - a state of the machine, told in one sentence
    """The machine lacks what the measurement needs; its lines count as missed."""


class Spoilt(Exception):  # noqa: N818 - as above
    """The round measured something else than it should have, such as a contender that lost probes; it is taken again."""


class Bar(Struct, frozen=True):
    """One line of the table. `ok` where the median of its runs is at most `most`; None: a figure without a bar."""

    name: str
    """Short and stable, such as `icmp 5,000/s vs fping spaced`."""
    unit: str
    """Such as `ratio`, `µs/probe`, `s`, `MiB`."""
    most: float | None


class Measurement(Protocol):
    """One or several figures that are measured together in a round. Between rounds it is idle: others are measured then."""

    @property
    def bars(self) -> tuple[Bar, ...]:
        """The lines that a full round fills."""

    def __enter__(self) -> Self:
        """Lay out network namespaces, start what stays up; raises Unavailable where something is missing."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Take all of it down again, whatever happened."""

    def round(self, *, quick: bool) -> Mapping[str, float]:
        """The figures of one round, by the name of their bar; a short round may leave some out. Raises Spoilt."""
