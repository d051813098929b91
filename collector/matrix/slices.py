"""Questions in slices: a generator that pauses every few milliseconds and returns its answer at the end.

Between two slices reports may be applied and rows laid, but the matrix must not be replanned: whoever runs the slices begins
again when its generation has changed. Every row is seen as it was at one moment.
"""

from collections.abc import Generator
from typing import TypeVar

_T = TypeVar("_T")

Slices = Generator[None, None, _T]


def finished(slices: Slices[_T]) -> _T:
    """The answer, without a pause."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            answer: _T = end.value
            return answer
