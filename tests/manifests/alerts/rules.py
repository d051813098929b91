"""The rules and their tests, as files that are read, and the programs that take them."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.manifests.rendering import MANIFESTS

FOLDER = MANIFESTS / "alerts"
RULES = FOLDER / "rules.yaml"
TESTS = sorted((FOLDER / "tests").glob("*.yaml"))
TOOLS = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "amtool": "prometheus-alertmanager",
}
"""Commands that these tests use, and the Debian package of each."""
FUNCTIONS = re.compile(r"\b(netmatrix_\w+)\b")


def tool(name: str) -> str:
    """Where a program is; skips the test where it is not."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name} (package {TOOLS[name]})")
    return found


def ran(*command: str | Path) -> tuple[int, str]:
    """Status and output of a program."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


def groups() -> dict[str, list[dict[str, Any]]]:
    """The rules by the name of their group."""
    return {group["name"]: group["rules"] for group in yaml.safe_load(RULES.read_text())["groups"]}


def rules() -> Iterator[dict[str, Any]]:
    """All of them."""
    for group in groups().values():
        yield from group


def alerts() -> list[dict[str, Any]]:
    """Those that are alerts."""
    return [rule for rule in rules() if "alert" in rule]


def metrics(expression: str) -> set[str]:
    """The names of metrics in an expression."""
    return set(FUNCTIONS.findall(re.sub(r'"[^"]*"', "", expression)))
