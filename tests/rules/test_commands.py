"""The commands of the Makefile and the scripts behind them keep their word."""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.conftest import TOOLS
from tests.image.test_image import TOOLS as BUILDERS
from tests.rules.tree import ROOT, files, named

pytest_plugins = ["pytester"]

SKIPPING = """
import pytest

def test_that_cannot_run() -> None:
    pytest.skip("needs a tool that is not here")

def test_that_can() -> None:
    pass
"""


def run(*command: str | Path, folder: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(("ci", "outcomes"), [("", {"passed": 1, "skipped": 1}), ("true", {"passed": 1, "failed": 1})])
def test_a_skip_is_a_failure_in_ci_and_only_there(
    ci: str, outcomes: dict[str, int], pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", ci)
    pytester.makeconftest((ROOT / "tests" / "conftest.py").read_text())
    pytester.makepyfile(SKIPPING)
    result = pytester.runpytest_inprocess("-ra", "-p", "no:cacheprovider", "-p", "no:asyncio")
    result.assert_outcomes(**outcomes)
    result.stdout.fnmatch_lines(["*needs a tool that is not here*"])


def test_the_interpreters_that_are_tested_are_real_recent_and_of_different_versions() -> None:
    lines = [line.split(" ", 1) for line in run(ROOT / "scripts" / "pythons").stdout.splitlines()]
    versions = [tuple(map(int, version.split("."))) for version, _ in lines]
    assert len(versions) == len(set(versions)) > 0
    assert min(versions) >= (3, 11)
    assert all(Path(python).is_file() for _, python in lines)


def test_a_package_that_is_missing_is_named_with_what_it_is_for(tmp_path: Path) -> None:
    """As somebody who cannot install it: this `id` says so, and there is no `apt-get` to ask."""
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    script = ROOT / "scripts" / "packages"
    result = run(script, "which only a trial uses", "sh:dash", "no-such-command:no-such-package", PATH=path)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "no-such-package" in result.stderr
    assert "which only a trial uses" in result.stderr
    assert "dash" not in result.stderr
    assert run(script, "which only a trial uses", "sh:dash", PATH=path).stdout == ""


@pytest.mark.parametrize(("name", "tools"), [("LAB", TOOLS), ("BUILDERS", BUILDERS)])
def test_what_the_makefile_installs_is_what_the_tests_ask_for(name: str, tools: dict[str, str]) -> None:
    (line,) = re.findall(rf"^{name} := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert dict(entry.split(":") for entry in line.split()) == tools


def test_the_lock_has_a_hash_for_everything_and_everything_that_is_asked_for() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    blocks = re.findall(r"^([a-z0-9-]+)==\S+.*\\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", lock, re.MULTILINE)
    assert len(blocks) == len(re.findall(r"^[a-z]", lock, re.MULTILINE))
    asked = re.findall(r'^\s+"([A-Za-z0-9-]+)>=|\["([a-z]+)>=', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert {(one or other).lower() for one, other in asked} <= {name for name, _ in blocks}
    assert len(asked) > 10


def blocks(lock: str) -> set[str]:
    """Each requirement of a lock with its hashes."""
    return set(re.split(r"^(?=[a-z])", (ROOT / lock).read_text(), flags=re.MULTILINE)) - {""}


def test_what_the_image_gets_is_locked_as_everything_else_and_has_no_tool_in_it() -> None:
    image, everything = blocks("requirements-image.lock"), blocks("requirements.lock")
    assert image < everything
    names = {block.split("==")[0] for block in image}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["collector"]]
    assert {re.split(r"[^A-Za-z0-9-]", one)[0].lower() for one in asked} <= names
    assert not names & {"pytest", "mypy", "ruff", "hatchling", "hypothesis"}


@pytest.mark.parametrize("script", [file for file in files("") if file.parent.name in {"scripts", ".ci"}], ids=named)
def test_every_script_can_be_run_and_says_what_it_does(script: Path) -> None:
    first, second, *_ = script.read_text().splitlines()
    assert os.access(script, os.X_OK)
    assert first.startswith("#!/bin/")
    assert second.startswith("# ")
    assert run(first.removeprefix("#!"), "-n", script).returncode == 0
