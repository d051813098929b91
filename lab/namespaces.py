"""Linux network namespaces by name: what runs in them, calls from inside, and their end.

In: names under /run/netns. All that a lab leaves on a machine is found through them, so a lab can be removed from nothing but
its name, and no process outside of its namespaces is ever touched.
"""

import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

from lab.topology import netns_prefix

T = TypeVar("T")
Identity = tuple[int, int]
"""Device and inode of a namespace's file."""

DIRECTORY = Path("/run/netns")
CLONE_NEWNET = 0x40000000  # linux/sched.h
_GIVE_UP_AFTER = 5.0
_POLL = 0.005
_libc = ctypes.CDLL(None, use_errno=True)


def existing(lab: str) -> list[str]:
    """Names of the namespaces that a lab has on this machine."""
    if not DIRECTORY.exists():
        return []
    return sorted(path.name for path in DIRECTORY.iterdir() if path.name.startswith(netns_prefix(lab)))


def labs() -> set[str]:
    """Names of labs that have namespaces on this machine."""
    if not DIRECTORY.exists():
        return set()
    found = {path.name.split("-")[1] for path in DIRECTORY.iterdir() if path.name.count("-") > 1}
    return {lab for lab in found if existing(lab)}


def command_inside(netns: str, *command: str) -> list[str]:
    """A command line that runs `command` in a namespace."""
    return ["nsenter", f"--net={DIRECTORY / netns}", *command]


def call_inside(netns: str, function: Callable[[], T]) -> T:
    """What `function` returns when a thread in the namespace calls it; raises what it raises.

    A socket that is made there stays there, whoever uses it later. The thread ends with the call, since a namespace belongs
    to a thread and an interpreter lends its threads to anybody.
    """
    result: list[T] = []
    failure: list[BaseException] = []

    def visit() -> None:
        try:
            _enter(netns)
            result.append(function())
        except BaseException as error:  # noqa: BLE001 - it is raised again, in the thread that asked
            failure.append(error)

    thread = threading.Thread(target=visit, name=f"inside {netns}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def _enter(netns: str) -> None:
    with (DIRECTORY / netns).open("rb") as handle:
        if _libc.setns(handle.fileno(), CLONE_NEWNET) != 0:  # os.setns came with Python 3.12
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))


def identify(netns_names: Iterable[str]) -> dict[Identity, str]:
    """What the kernel knows namespaces by, which outlives their names. One that is gone is left out."""
    found = {}
    for name in netns_names:
        with suppress(FileNotFoundError):
            status = (DIRECTORY / name).stat()
            found[status.st_dev, status.st_ino] = name
    return found


def processes(netns_names: Iterable[str]) -> dict[str, list[int]]:
    """Process ids by namespace, from one pass over /proc. A namespace that is gone has none."""
    names = list(netns_names)
    return {name: [] for name in names} | processes_of(identify(names))


def processes_of(identities: Mapping[Identity, str]) -> dict[str, list[int]]:
    """The same for namespaces that may have lost their names."""
    found: dict[str, list[int]] = {name: [] for name in identities.values()}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "ns" / "net").stat()
        except OSError:
            continue  # It ended just now, or it is a zombie.
        if owner := identities.get((status.st_dev, status.st_ino)):
            found[owner].append(int(entry.name))
    return found


def command_of(pid: int) -> list[str]:
    """The command line of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def send_signal(netns: str, number: signal.Signals) -> list[int]:
    """Send a signal to every process in a namespace; returns whom."""
    pids = processes([netns])[netns]
    for pid in pids:
        _kill(pid, number)
    return pids


def end_processes(netns_names: Iterable[str], *, where: Callable[[int], bool] = lambda _: True) -> None:
    """SIGKILL for every process in the namespaces that `where` holds for, and wait until they are gone.

    Raises TimeoutError when some are still there after five seconds.
    """
    end_processes_of(identify(netns_names), where=where)


def end_processes_of(identities: Mapping[Identity, str], *, where: Callable[[int], bool] = lambda _: True) -> None:
    """The same for namespaces that may have lost their names."""
    deadline = time.monotonic() + _GIVE_UP_AFTER
    while True:
        left = [pid for pids in processes_of(identities).values() for pid in pids if where(pid)]
        if not left:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {left} do not end")
        for pid in left:
            _kill(pid, signal.SIGKILL)
        time.sleep(_POLL)


def await_end(netns: str, *, patience: float) -> None:
    """Wait until nothing runs in a namespace any more, up to so many seconds."""
    deadline = time.monotonic() + patience
    while processes([netns])[netns] and time.monotonic() < deadline:
        time.sleep(_POLL)


def remove(netns_names: Iterable[str]) -> None:
    """Delete namespaces, and with them every interface, route and rule in them."""
    names = [name for name in netns_names if (DIRECTORY / name).exists()]
    if names:
        run_batch("\n".join(f"netns del {name}" for name in names))


def run_batch(lines: str, netns: str | None = None, *, tool: str = "ip") -> None:
    """Run a batch of `ip` (or `bridge`) commands, all in one process; raises RuntimeError with what it said."""
    where = ["-n", netns] if netns else []
    _run([tool, *where, "-batch", "-"], lines + "\n")


def load_rules(netns: str, rules: str) -> None:
    """Load nftables rules into a namespace in one transaction; raises RuntimeError with what nft said."""
    _run(command_inside(netns, "nft", "-f", "-"), rules)


def write_sysctls(settings: Mapping[str, Mapping[str, str]]) -> None:
    """Write sysctls under net, by namespace: `{"nmx-x-n1": {"ipv4/ip_forward": "1"}}`. Those the kernel lacks are left out."""
    for netns, values in settings.items():
        call_inside(netns, partial(_write_all, values))


def _write_all(values: Mapping[str, str]) -> None:
    # /proc/sys/net shows the namespace of the thread that opens a file there.
    for name, value in values.items():
        path = Path("/proc/sys/net") / name
        if path.exists():
            path.write_text(value)


def _kill(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _run(command: list[str], text: str) -> str:
    done = subprocess.run(command, input=text, text=True, capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def query_inside(netns: str, *command: str) -> str:
    """What a command prints in a namespace; raises RuntimeError when it fails."""
    return _run(command_inside(netns, *command), "")
