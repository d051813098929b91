"""An address of this machine for as long as a test needs one: the API server proxies to no loopback address."""

import fcntl
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def ip(*words: str) -> None:
    subprocess.run(["/usr/sbin/ip", *words], check=True, capture_output=True)


@contextmanager
def alone(what: str) -> Iterator[None]:
    """No other worker is in here with the same word: the addresses of all labs are the same, and this machine is one."""
    with (Path(tempfile.gettempdir()) / f"netmatrix-{what}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def at_home(address: str) -> Iterator[None]:
    """The address is one of this machine's; needs root."""
    name = f"nm{os.getpid()}"  # another worker may have one at this moment
    ip("link", "add", name, "type", "veth", "peer", "name", f"{name}p")
    try:
        ip("address", "add", f"{address}/32", "dev", name)
        ip("link", "set", name, "up")
        yield
    finally:
        ip("link", "delete", name)
