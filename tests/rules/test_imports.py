"""The import contracts hold, and each of them fails where it should."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rules.tree import CODE, ROOT

LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")

PLANTED = (
    ("wire.codec", "agent.limits"),
    ("wire.codec", "numpy"),
    ("wire.report", "time"),
    ("agent.backlog", "collector.duration"),
    ("agent.limits", "bench.usage"),
    ("agent.limits", "socket"),
    ("agent.schedule", "agent.runner"),
    ("agent.settings", "kubernetes"),
    ("agent.settings", "aiohttp"),
    ("agent.windows", "numpy"),
    ("agent.windows", "asyncio"),
    ("agent.probes.tcp", "agent.probes.icmp"),
    ("collector.duration", "collector.document"),
    ("collector.expectation.peers", "collector.expectation.document"),
    ("collector.matrix.store", "kubernetes"),
    ("collector.notify.notices", "collector.notify.post"),
    ("collector.plan.mesh", "structlog"),
    ("collector.policy.rules", "collector.policy.evaluate"),
    ("collector.sessions", "agent.limits"),
    ("collector.verdict.cells", "collector.verdict.cause"),
    ("lab.faults", "collector.matrix.store"),
    ("lab.rules", "agent.limits"),
    ("lab.rules", "simulator.score"),
    ("simulator.cluster", "simulator.play"),
)
"""Wrong imports: by which module, of what."""

STRAYS = ("agent.stray", "collector.stray")
"""Modules that have no place in the layers of their program."""


def file_of(module: str) -> str:
    return module.replace(".", "/") + ".py"


def contracts(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LINT_IMPORTS, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is said of a copy of the project with every wrong import planted at once."""
    folder = tmp_path_factory.mktemp("planted")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in CODE:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for module, imported in PLANTED:
        with (folder / file_of(module)).open("a") as text:
            text.write(f"\nimport {imported}\n")
    for module in STRAYS:
        (folder / file_of(module)).write_text('"""A module without a place."""\n')
    result = contracts(folder)
    assert result.returncode == 1, result.stdout + result.stderr
    return result.stdout


def test_the_contracts_hold() -> None:
    result = contracts(ROOT)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize(("module", "imported"), PLANTED)
def test_a_wrong_import_breaks_the_build(module: str, imported: str, broken: str) -> None:
    assert f"{module} -> {imported} (l." in broken


@pytest.mark.parametrize("module", STRAYS)
def test_a_module_without_a_place_breaks_the_build(module: str, broken: str) -> None:
    assert f"\n- {module}\n" in broken


def test_no_contract_holds_that_a_planted_import_should_break(broken: str) -> None:
    assert [line for line in broken.splitlines() if line.endswith("KEPT")] == []
