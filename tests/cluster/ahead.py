"""A program whose clocks are ahead by what a file says: an hour passes in an instant, for it and for nobody else.

`python -m tests.cluster.ahead FILE MODULE ARGUMENTS` runs a module so. The file holds a number of seconds, which only grows.
Everything of the program that has a deadline asks one of these clocks; what the kernel waits for is woken by the next request.
"""

import runpy
import struct
import sys
import time
from collections.abc import Callable
from mmap import ACCESS_READ, mmap
from pathlib import Path

_SECONDS = struct.Struct("d")


class Ahead:
    """How far, as whoever tests writes it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.seconds = 0.0
        self.leap(0.0)

    def leap(self, seconds: float) -> None:
        """So much further."""
        self.seconds += seconds
        with self._file.open("r+b" if self._file.exists() else "w+b") as written:
            written.write(_SECONDS.pack(self.seconds))


def _shift(file: Path) -> None:
    with file.open("rb") as opened:
        ahead = mmap(opened.fileno(), _SECONDS.size, access=ACCESS_READ)

    def seconds() -> float:
        found: float = _SECONDS.unpack_from(ahead)[0]
        return found

    def shifted(clock: Callable[[], float]) -> Callable[[], float]:
        return lambda: clock() + seconds()

    def shifted_ns(clock: Callable[[], int]) -> Callable[[], int]:
        return lambda: clock() + int(seconds() * 1e9)

    # Before anything is imported that keeps one of them as a default.
    time.monotonic, time.time = shifted(time.monotonic), shifted(time.time)
    time.monotonic_ns, time.time_ns = shifted_ns(time.monotonic_ns), shifted_ns(time.time_ns)


if __name__ == "__main__":
    _shift(Path(sys.argv[1]))
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
