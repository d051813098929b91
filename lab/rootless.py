"""The lab without root: the same command again, as root of a user namespace of its own.

In: the words of a command line. Out: another program in the place of this one, with a network, mounts and a /run of its own,
which all end with the last process in them. What it makes is out of everybody's sight, so a socket that people shall reach is
opened before, and a later command goes in where an earlier one has built.
"""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from lab import state

PROBE_GROUP = 65532
"""Group whose members may open ping sockets in pods; agents run in it where there is such a group."""
DOOR = "NETMATRIX_LAB_DOOR"
"""Environment variable with the descriptor of a socket that listens outside."""

_REPOSITORY = Path(__file__).resolve().parent.parent
_OWN = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
_PREPARE = "mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/netns && ip link set lo up"
_SWITCHES = {
    "kernel/apparmor_restrict_unprivileged_userns": "1",
    "kernel/unprivileged_userns_clone": "0",
    "user/max_user_namespaces": "0",
    "user/max_net_namespaces": "0",
}
"""Sysctls that refuse user namespaces, each with the value that does."""
_OPENED = {"0": "1", "1": "0"}


def group() -> int:
    """Group of the programs in pods: 0 where no other one exists, which is all that a user without root can have."""
    ranges = [[int(word) for word in line.split()] for line in Path("/proc/self/gid_map").read_text().splitlines()]
    free = Path("/proc/self/setgroups").read_text().strip() == "allow"
    return PROBE_GROUP if free and any(first <= PROBE_GROUP < first + count for first, _, count in ranges) else 0


def refusal(settings: Path = Path("/proc/sys")) -> str:
    """Why this user cannot have a user namespace, in one sentence that says what to do; empty where that is possible."""
    tried = subprocess.run([*_OWN, "sh", "-c", _PREPARE], capture_output=True, text=True, check=False)
    if tried.returncode == 0:
        return ""
    for name, closed in _SWITCHES.items():
        setting = settings / name
        if setting.exists() and setting.read_text().strip() == closed:
            value = _OPENED[closed] if name.startswith("kernel/") else "10000"
            return (
                f"without root the lab needs a user namespace, and {name.replace('/', '.')}={closed} forbids it: "
                f"run this command as root, or first `sysctl -w {name.replace('/', '.')}={value}`"
            )
    said = (tried.stderr.strip().splitlines() or ["without a word"])[-1]
    return f"without root the lab needs a user namespace, which this machine refuses ({said}): run this command as root"


def become(words: Sequence[str], door: socket.socket | None = None) -> NoReturn:
    """Go on as `python -m lab WORDS` in namespaces of its own, with a listening socket of the outside."""
    environment = _environment()
    if door:
        door.set_inheritable(True)
        environment[DOOR] = str(door.fileno())
    script = f'{_PREPARE} && exec "$@"'
    os.execvpe(_OWN[0], [*_OWN, "sh", "-c", script, "sh", *_command(words)], environment)  # noqa: S606 - nothing else is left to do here


def doors() -> list[socket.socket]:
    """The socket that was opened outside, if there is one; each call returns another handle of it."""
    return [socket.socket(fileno=os.dup(int(os.environ[DOOR])))] if DOOR in os.environ else []


def labs() -> dict[str, int]:
    """Labs that this user has in user namespaces, each with a process inside of it."""
    own = _namespace("self")
    found: dict[str, int] = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == os.getuid() and _namespace(entry.name) != own:
                place = entry / "root" / state.ROOT.relative_to("/")
                found |= {path.name: int(entry.name) for path in place.iterdir() if path.is_dir()}
        except OSError:
            continue  # It ended just now, or it has no lab, or it is none of ours.
    return found


def visit(pid: int, words: Sequence[str]) -> int:
    """Run `python -m lab WORDS` where a process is; returns its exit status."""
    return subprocess.run(_there(pid, words), env=_environment(), check=False).returncode


def inspect(pid: int, *words: str) -> str:
    """A command line that runs a command in the network of a process, for people."""
    return shlex.join(["nsenter", "-t", str(pid), "-U", "-n", "--preserve-credentials", *words])


def _there(pid: int, words: Sequence[str]) -> list[str]:
    return ["nsenter", "--target", str(pid), "--user", "--mount", "--preserve-credentials", *_command(words)]


def _command(words: Sequence[str]) -> list[str]:
    return [sys.executable, "-m", "lab", *words]


def _environment() -> dict[str, str]:
    # Whoever enters other mounts stands in another directory.
    return {**os.environ, "PYTHONPATH": str(_REPOSITORY)}


def _namespace(process: str) -> str:
    return str(Path(f"/proc/{process}/ns/user").readlink())
