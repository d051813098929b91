"""Whether two snapshots are alike to somebody who looks at a part of them only. Most objects of both are the same ones."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def alike(before: Sequence[T], after: Sequence[T], seen: Callable[[T], T]) -> bool:
    """Whether two lists are, in order; `seen` leaves of an object what is looked at, and is asked of those that differ."""
    if before is after:
        return True
    return len(before) == len(after) and all(
        one is other or one == other or seen(one) == seen(other) for one, other in zip(before, after, strict=True)
    )
