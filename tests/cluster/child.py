"""One program of the control plane: started, paused, continued and ended by its process id, and never outliving the tests."""

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# The kernel ends a child when the thread that started it ends (PR_SET_PDEATHSIG), so this one lasts as long as the process.
_SPAWNER = ThreadPoolExecutor(1, "spawner")
_POLL = 0.02


class Child:
    """A program with its log in a file. It ends with this process, however that ends."""

    def __init__(self, command: Sequence[str], log: Path) -> None:
        self.command = list(command)
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id; raises RuntimeError where it does not run."""
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{Path(self.command[0]).name} does not run: {self.last_words()}")
        return self._process.pid

    def start(self, ready: Callable[[], bool], *, patience: float = 60.0) -> None:
        """Start it and wait until it is ready.

        Raises RuntimeError with the end of its log where it ends instead, and TimeoutError where it takes too long.
        """
        with self.log.open("ab") as output:
            self._process = _SPAWNER.submit(
                lambda: subprocess.Popen(
                    ["setpriv", "--pdeathsig", "KILL", *self.command], stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
            ).result()
        deadline = time.monotonic() + patience
        while not ready():
            pid = self.pid
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {pid}, {Path(self.command[0]).name}, is not ready: {self.last_words()}")
            time.sleep(_POLL)

    def stop(self, *, patience: float = 30.0, how: signal.Signals = signal.SIGTERM) -> None:
        """End it; SIGKILL where it takes longer than `patience` seconds. One that does not run is no error."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGCONT)
        process.send_signal(how)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; raises RuntimeError where it does not run."""
        _ = self.pid
        assert self._process is not None
        self._process.send_signal(number)

    def last_words(self) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return "it has no log"
        return " / ".join(self.log.read_text(errors="replace").splitlines()[-3:])
