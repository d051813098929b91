"""How the control plane's programs are found and made, without making them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "cluster-assets"
PINS = (ROOT / "tests" / "cluster" / "assets" / "go.mod").read_text()
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
CANNOT = 3


def run(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "KUBEBUILDER_ASSETS"}
    return subprocess.run([SCRIPT, *words], env=clean | environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def without_go(tmp_path: Path) -> str:
    """A PATH on which there is all that the script uses, but no Go."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in ("bash", "cat", "cut", "dirname", "sed", "sha256sum", "uname"):
        found = shutil.which(tool)
        assert found
        (folder / tool).symlink_to(found)
    return str(folder)


def test_without_go_it_says_so_in_one_sentence_and_leaves_nothing(tmp_path: Path, without_go: str) -> None:
    result = run(PATH=without_go, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert result.returncode == CANNOT
    assert result.stderr.startswith("no Go on this machine")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "cache").exists()


def test_programs_of_ones_own_are_taken_as_they_are_if_they_are_all_there(tmp_path: Path, without_go: str) -> None:
    for program in PROGRAMS:
        result = run(PATH=without_go, KUBEBUILDER_ASSETS=str(tmp_path))
        assert result.returncode == CANNOT
        assert result.stderr == f"KUBEBUILDER_ASSETS is {tmp_path}, where there is no program {program}\n"
        (tmp_path / program).touch(mode=0o755)
    result = run(PATH=without_go, KUBEBUILDER_ASSETS=str(tmp_path))
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert run("--where", KUBEBUILDER_ASSETS=str(tmp_path)).stdout == f"{tmp_path}\n"


def test_a_build_that_breaks_leaves_nothing_that_looks_whole(tmp_path: Path, without_go: str) -> None:
    for tool in ("flock", "mkdir", "mv", "rm"):
        (Path(without_go) / tool).symlink_to(shutil.which(tool) or "")
    broken = '#!/bin/bash\n[ "$CGO_ENABLED" = 0 ] || exit 2\n[[ $* != *kubectl* ]] || exit 1\n: >"${@: -2:1}"\n'
    (Path(without_go) / "go").write_text(broken)
    (Path(without_go) / "go").chmod(0o755)
    result = run(PATH=without_go, XDG_CACHE_HOME=str(tmp_path / "cache"))
    assert result.returncode == 1
    assert "kube-controller-manager: 0 s" in result.stderr
    (place,) = (tmp_path / "cache" / "netmatrix" / "cluster-assets").iterdir()
    assert place.suffix == ".lock"


def test_all_modules_of_kubernetes_are_of_one_release() -> None:
    (release,) = re.findall(r"^\tk8s.io/kubernetes v1\.(\S+)", PINS, re.MULTILINE)
    replaced = re.findall(r"^\t(k8s\.io/\S+) => (\S+) v0\.(\S+)$", PINS, re.MULTILINE)
    assert {(old == new, version) for old, new, version in replaced} == {(True, release)}
    assert len(replaced) > 20
    assert f"v1.{release}-" in run("--where", XDG_CACHE_HOME="/nowhere").stdout
