"""The image, built by the Dockerfile on Debian's Python where no registry is at hand, and what runs in it."""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.rules.tree import ROOT

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1200)]  # the first build fetches Debian and the wheels

TOOLS = {"buildah": "buildah", "debootstrap": "debootstrap"}
"""Commands that build it, and the Debian package of each."""
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NAME = "localhost/netmatrix:test"
MOST_MEBIBYTES = 150
"""Of what is ours in it: Python and the system below come with the base."""
ADDRESS = "192.0.2.20"
INVENTORY = {
    "nodes": [{"name": "here", "zone": "z", "addresses": [ADDRESS]}],
    "vantages": [
        {"name": "here", "node": "here", "namespace": "netmatrix", "pod": "agent", "addresses": [ADDRESS], "key": "k" * 40}
    ],
    "external": [{"name": "there", "address": ADDRESS, "probes": ["icmp", "tcp:8080"]}],
}
CONFIGURATION = {
    "plan": {"interval": "1s", "report": "1s", "host_interval": "1s", "external_interval": "1s"},
    "log": {"format": "text"},
}
ENTER = f"""
set -eu
tree=$1 files=$2 user=$3
shift 3
mount --bind "$tree" "$tree"
mount -o remount,bind,ro "$tree"
mount -t proc proc "$tree/proc"
mount --bind /dev "$tree/dev"
mount --bind "$files" "$tree/mnt"
mount -o remount,bind,ro "$tree/mnt"
ip link set lo up
ip address add {ADDRESS}/32 dev lo
echo "${{user#*:}} ${{user#*:}}" >/proc/sys/net/ipv4/ping_group_range
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$tree" "$@"
"""
"""As a pod of the manifests: read-only, a network of its own, ping sockets for its group, no way to more rights."""
CACHE = "/var/cache/pip"
"""Of the build, so that wheels are fetched once."""
SEARCHED = os.environ["PATH"] + ":/usr/sbin:/sbin"


class Image(NamedTuple):
    tree: Path
    config: dict[str, Any]


def pip_configuration() -> tuple[str, list[Path]]:
    """How pip is set up here, variables included, for the pip of the build; and the files that it names."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    found = {
        key.rpartition(".")[2]: value.strip("'\"") for key, _, value in (line.partition("=") for line in listed.split("\n"))
    }
    kept = {key: found[key] for key in ("index-url", "extra-index-url", "trusted-host", "proxy", "cert") if found.get(key)}
    text = "\n".join(["[global]", f"cache-dir = {CACHE}", *(f"{key} = {value}" for key, value in kept.items()), ""])
    return text, [Path(kept["cert"])] if "cert" in kept else []


def done(*command: str | Path, **options: Any) -> str:
    """What a command that has to succeed prints."""
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, **options)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return str(ended.stdout).strip()


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if missing := [f"{tool} (package {package})" for tool, package in TOOLS.items() if not shutil.which(tool, path=SEARCHED)]:
        pytest.skip(f"needs {', '.join(missing)}")
    store = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "netmatrix" / "image"
    (store / "pip").mkdir(parents=True, exist_ok=True)
    buildah = ("buildah", "--root", store / "root", "--runroot", store / "run", "--storage-driver", "vfs")
    with (store / "building").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        based = done(ROOT / "scripts" / "image-debian", store, env=os.environ | {"PATH": SEARCHED})
        text, needed = pip_configuration()
        settings = tmp_path_factory.mktemp("pip") / "pip.conf"
        settings.write_text(text)
        volumes = [
            f"{settings}:/etc/pip.conf:ro",
            f"{store / 'pip'}:{CACHE}",
            *(f"{file}:{file}:ro" for file in needed),
        ]
        mounted = (word for volume in volumes for word in ("--volume", volume))
        done(*buildah, "rm", "--all")  # of a run that was killed
        done(*buildah, "build", "--isolation", "chroot", "--build-arg", f"PYTHON_IMAGE={based}", *mounted, "--tag", NAME, ".")
        container = done(*buildah, "from", NAME)
        try:
            described = json.loads(done(*buildah, "inspect", "--type", "image", NAME))
            yield Image(Path(done(*buildah, "mount", container)), described["OCIv1"]["config"])
        finally:
            done(*buildah, "rm", container)
            done(*buildah, "rmi", NAME)


@pytest.fixture(scope="session")
def said(image: Image, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the programs did in it."""
    files = tmp_path_factory.mktemp("mnt")
    files.chmod(0o755)
    (files / "inventory.yaml").write_text(yaml.safe_dump(INVENTORY))
    (files / "config.yaml").write_text(yaml.safe_dump(CONFIGURATION))
    (files / "token").write_text("k" * 40)
    shutil.copy(Path(__file__).parent / "inside.py", files)
    apart = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER, "enter")
    environment = dict(line.split("=", 1) for line in image.config["Env"])
    environment["PATH"] += ":/usr/sbin:/sbin"
    log = done(*apart, image.tree, files, image.config["User"], "python3", "/mnt/inside.py", env=environment)
    return json.loads(log.splitlines()[-1]) | {"log": log}


def test_both_programs_run_without_root_on_a_root_that_nobody_can_write_and_measure(said: Any) -> None:
    assert said["kinds"] == ["icmp", "tcp"], said["log"]
    assert said["timed"] == ["kernel"]
    assert said["ended"] == [0, 0], said["log"]
    assert said["user"] == [65532, 65532]
    assert said["written"] == []


def test_every_module_of_the_programs_finds_what_it_imports(said: Any) -> None:
    assert said["not_imported"] == []


def test_there_are_three_commands_and_the_plugin_of_kubectl(said: Any) -> None:
    assert said["commands"] == ["agent", "collector", "netmatrix", "kubectl-netmatrix"]
    assert said["version"] == f"netmatrix {VERSION}"


def test_nothing_in_it_compiles(said: Any) -> None:
    assert said["compilers"] == []


def test_it_says_what_it_is(image: Image) -> None:
    assert image.config["User"] == "65532:65532"
    assert image.config["Labels"]["org.opencontainers.image.version"] == VERSION
    assert image.config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"


def test_it_has_what_runs_and_little_else(image: Image) -> None:
    ours = image.tree / "opt" / "netmatrix"
    size = sum(file.lstat().st_size for file in ours.rglob("*"))
    assert size / 2**20 <= MOST_MEBIBYTES
    (packages,) = ours.glob("lib/python3*/site-packages")
    assert not {"lab", "bench", "tests", "pip", "pytest", "hatchling"} & {entry.name for entry in packages.iterdir()}
    assert {entry.name for entry in (ours / "bin").iterdir() if not entry.is_symlink()} == {
        *("agent", "collector", "netmatrix", "kubectl-netmatrix"),
    }
    assert sum(1 for _ in packages.rglob("*.pyc")) > 500, "nothing can be compiled later, when it starts"
