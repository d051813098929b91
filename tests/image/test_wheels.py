"""Every locked wheel exists for the machines and the Pythons that an image may be of."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules.tree import ROOT

pytestmark = pytest.mark.lab  # asks the package index: once, and not on every Python

LIBRARIES = ("manylinux2014", "manylinux_2_28")
"""What wheels may ask of the C library: every image of the last years has 2.28."""


def python_of_the_image() -> str:
    (version,) = re.findall(r"python:(3\.\d+)-", (ROOT / "Dockerfile").read_text())
    return str(version)


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
@pytest.mark.parametrize("python", ["3.11", python_of_the_image()])
def test_every_locked_wheel_exists(machine: str, python: str, tmp_path: Path) -> None:
    """By what the index says of it; none is installed."""
    asked = ["install", "--dry-run", "--ignore-installed", "--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
    platforms = [f"--platform={library}_{machine}" for library in LIBRARIES]
    where = ["--target", str(tmp_path), "--implementation=cp", f"--python-version={python}", *platforms]
    command = [sys.executable, "-m", "pip", *asked, *where, "--requirement", "requirements-image.lock"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
