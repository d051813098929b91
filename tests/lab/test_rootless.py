"""The lab as a user who has no right at all: the demo, and what is said where a machine does not allow it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import rootless

REPOSITORY = Path(rootless.__file__).resolve().parent.parent
NOBODY = 65534


@pytest.mark.parametrize(
    ("name", "closed", "sentence"),
    [
        (
            "kernel/apparmor_restrict_unprivileged_userns",
            "1\n",
            (
                "without root the lab needs a user namespace, and kernel.apparmor_restrict_unprivileged_userns=1 forbids it: "
                "run this command as root, or first `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`"
            ),
        ),
        (
            "user/max_user_namespaces",
            "0\n",
            (
                "without root the lab needs a user namespace, and user.max_user_namespaces=0 forbids it: "
                "run this command as root, or first `sysctl -w user.max_user_namespaces=10000`"
            ),
        ),
        (
            "kernel/unprivileged_userns_clone",
            "1\n",
            "without root the lab needs a user namespace, which this machine refuses (unshare: no): run this command as root",
        ),
    ],
)
def test_where_user_namespaces_are_refused_one_sentence_says_what_to_do(
    name: str, closed: str, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = tmp_path / name
    setting.parent.mkdir()
    setting.write_text(closed)
    monkeypatch.setattr(rootless, "_OWN", ["sh", "-c", "echo 'unshare: no' >&2; exit 1"])
    assert rootless.refusal(tmp_path) == sentence


def test_where_they_are_allowed_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootless, "_OWN", ["true"])
    assert rootless.refusal() == ""


def test_a_socket_of_the_outside_is_found_by_the_environment_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(rootless.DOOR, raising=False)
    assert rootless.doors() == []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv(rootless.DOOR, str(listener.fileno()))
        (door,) = rootless.doors()
        with door:
            assert door.getsockname() == listener.getsockname()
        assert listener.getsockname()


@pytest.fixture
def nobody() -> Iterator[list[str]]:
    """How to start the lab's Python as a user without rights, with interpreter and packages where such a user may read."""
    place = Path(tempfile.mkdtemp(prefix="netmatrix-lab-", dir="/tmp"))
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    interpreter, packages = Path(sys.base_prefix), place / "venv" / "lib" / version / "site-packages"
    shown = {interpreter: place / "python", Path(sysconfig.get_path("purelib")): packages, REPOSITORY: place / "code"}
    for folder in (*shown.values(), place / "venv" / "bin"):
        folder.mkdir(parents=True)
    (place / "venv" / "bin" / "python").symlink_to(interpreter / "bin" / version)
    (place / "venv" / "pyvenv.cfg").write_text(f"home = {interpreter / 'bin'}\n")
    (place / "out").mkdir()
    for folder in (place, *(path for path in place.rglob("*") if path.is_dir())):
        folder.chmod(0o755)
    (place / "out").chmod(0o777)
    mounts = [f"mount --bind {source} {target}" for source, target in shown.items()]
    if hidden := [folder for folder in reversed(interpreter.parents) if not folder.stat().st_mode & 0o001]:
        # An interpreter finds its library where it was installed, so it has to be seen there.
        mounts += [f"mount -t tmpfs -o mode=755 tmpfs {hidden[0]}", f"mkdir -p {interpreter}"]
        mounts += [f"mount --bind {place / 'python'} {interpreter}"]
    user = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups --inh-caps=-all"
    script = f'{" && ".join(mounts)} && cd {place / "code"} && exec {user} {place / "venv" / "bin" / "python"} "$@"'
    yield ["unshare", "--mount", "sh", "-c", script, "sh"]
    shutil.rmtree(place)


def out(nobody: list[str]) -> Path:
    return Path(nobody[4].split("cd ")[1].split(" ")[0]).parent / "out"


@pytest.fixture
def environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}


def processes_of_nobody() -> set[int]:
    """Those that are in another user namespace than ours, and so of a lab, and that still run."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == NOBODY and (entry / "ns/user").readlink() != OURS:
                (entry / "ns/net").readlink()  # which one that has ended and was not yet reaped has no more
                found.add(int(entry.name))
        except OSError:
            continue
    return found


OURS = Path("/proc/self/ns/user").readlink()


@pytest.mark.lab
def test_the_demo_runs_without_any_right_and_its_api_answers_outside(nobody: list[str], environment: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    before = processes_of_nobody()
    result = out(nobody) / "out.json"
    words = ["-m", "lab", "demo", "--for", "12s", "--json", str(result), "--port", str(port)]
    with subprocess.Popen([*nobody, *words], env=environment, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout
        for line in demo.stdout:
            if line.startswith("the page is at"):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/matrix?by=node", timeout=10) as answer:
                    assert json.load(answer)["rows"] == ["n1", "n2", "n3", "n4", "n5", "n6"]
        assert demo.wait(60) == 0
    cells = json.loads(result.read_text())["cells"]
    lossy = {cell["from"]["node"] for cell in cells if cell["layer"] == "pod" and cell["failed"]}
    assert {cell["layer"] for cell in cells if cell["received"]} >= {"pod", "host", "service", "external"}
    assert "n5" in lossy
    assert result.stat().st_uid == NOBODY
    assert processes_of_nobody() <= before, "nothing of it is left"


SCENARIO = """name: x
cluster: {nodes: 2, zones: 1, namespaces: [], services: [], external: false, fabric: vxlan}
expect: {cells: [{between: [1s, 2s], loss: {max: 0}}]}
"""


@pytest.mark.lab
def test_a_lab_that_was_left_running_is_found_broken_mended_and_removed(nobody: list[str], environment: dict[str, str]) -> None:
    scenario = out(nobody) / "x.yaml"
    scenario.write_text(SCENARIO)

    def lab(*words: str) -> tuple[int, str]:
        done = subprocess.run([*nobody, "-m", "lab", *words], env=environment, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    before = processes_of_nobody()
    try:
        status, text = lab("up", str(scenario))
        assert status == 0, text
        port = text.split("http://127.0.0.1:")[1].split()[0]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/agents", timeout=10) as answer:
            assert len(json.load(answer)["agents"]) == 2
        assert lab("up", str(scenario)) == (2, "a lab is running already: `python -m lab down` removes it\n")
        assert lab("fault", "loss", "node=n2", "percent=50")[1].startswith('active: {"kind":"loss","node":"n2"')
        assert lab("clear") == (0, "active: none\n")
    finally:
        assert lab("down") == (0, "removed lab\n")
    assert processes_of_nobody() <= before
    assert lab("fault", "loss", "node=n2") == (2, "no lab is running: `python -m lab up FILE` or `make demo` starts one\n")
    assert lab("down") == (0, "there is no lab\n")


def test_programs_run_in_the_group_that_may_ping_where_there_is_one() -> None:
    mapped = len(Path("/proc/self/gid_map").read_text().split()) == 3 and os.geteuid() == 0
    assert rootless.group() == (65532 if mapped else 0)
