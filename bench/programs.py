"""Processes of a measurement: started in a namespace, ended for sure."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.measurement import Unavailable

END_SECONDS = 10.0
_POLL = 0.02


def binary(name: str, package: str) -> str:
    """Where a program is; raises Unavailable naming the Debian package that brings it."""
    found = shutil.which(name)
    if found is None:
        raise Unavailable(f"there is no {name} here: install the Debian package {package}, or run `make bench`")
    return found


class Program:
    """One process, in a network namespace where one is named; `log` takes what it writes."""

    def __init__(
        self, command: Sequence[str], *, log: Path, netns: str = "", environment: Mapping[str, str] | None = None
    ) -> None:
        inside = ["nsenter", f"--net=/run/netns/{netns}"] if netns else []
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*inside, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
            )
        self._log = log
        self._name = Path(command[0]).name

    @property
    def pid(self) -> int:
        """Process id: nsenter becomes the program itself."""
        return self._process.pid

    def __enter__(self) -> Self:
        """Nothing more: it runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """End it."""
        self.end()

    def check(self) -> None:
        """Raise RuntimeError with the end of its log where it has ended by itself."""
        if self._process.poll() is not None:
            last = self._log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"{self._name} ended with {self._process.returncode}:\n{last}")

    def wait_until(self, ready: Callable[[], bool], *, seconds: float = 30.0) -> None:
        """Wait until something holds; raises RuntimeError where it does not in time, or where the process ends."""
        deadline = time.monotonic() + seconds
        while not ready():
            self.check()
            if time.monotonic() > deadline:
                last = self._log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{self._name} is not ready after {seconds:g} s:\n{last}")
            time.sleep(_POLL)

    def end(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = END_SECONDS) -> None:
        """Ask it to end, and end it where it does not."""
        if self._process.poll() is None:
            self._process.send_signal(number)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
