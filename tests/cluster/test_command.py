"""`netmatrix` reaches a collector through a real API server, with a real kubectl and the rights of its user."""

import contextlib
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.cli import main
from tests.cluster.at_home import at_home
from tests.cluster.plane import Plane, eventually
from tests.cluster.published import SERVICE, published

ADDRESS = "10.203.113.1"
"""Of an interface of this machine: the API server proxies to no loopback address."""
SPACE = "command"
READER = "reader"
Capture = pytest.CaptureFixture[str]

INVENTORY = """
nodes: [{name: n1, zone: a}]
vantages: [{name: n1, node: n1, namespace: netmatrix, pod: agent, addresses: [10.203.113.9], key: %s}]
"""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    if os.geteuid() != 0:
        pytest.skip("an interface needs root")
    with at_home(ADDRESS):
        yield ADDRESS


@pytest.fixture(scope="module")
def collector(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a collector's operators."""
    folder = tmp_path_factory.mktemp("collector")
    (folder / "inventory.yaml").write_text(INVENTORY % secrets.token_hex(16))
    (folder / "config.yaml").write_text(f"agents: {{listen: '{address}:0'}}\noperators: {{listen: '{address}:0'}}\n")
    words = [
        sys.executable,
        "-m",
        "collector",
        "--inventory",
        str(folder / "inventory.yaml"),
        "--config",
        str(folder / "config.yaml"),
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            line = next(line for line in process.stdout if '"listening"' in line)
            yield int(line.partition('"operators":')[2].split(",")[0].strip(" }"))
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def context(plane: Plane, collector: int) -> Iterator[Path]:
    """The kubeconfig of somebody who may read the collector's service and nothing else."""
    core = f"/api/v1/namespaces/{SPACE}"
    plane.api.apply(core, {"apiVersion": "v1", "kind": "Namespace"})
    with published(plane, SPACE, ADDRESS, collector):
        rights = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{SPACE}"
        rule = {
            "apiGroups": [""],
            "resources": ["services/proxy"],
            "resourceNames": [f"http:{SERVICE}:http-metrics"],
            "verbs": ["get"],
        }
        plane.api.apply(
            f"{rights}/roles/{READER}", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": [rule]}
        )
        plane.api.apply(
            f"{rights}/rolebindings/{READER}",
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": READER},
                "subjects": [{"kind": "User", "name": READER, "apiGroup": "rbac.authorization.k8s.io"}],
            },
        )
        yield plane.credentials.user(READER)
    plane.api.delete(core)


@pytest.fixture
def ask(plane: Plane, context: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The words that lead to the collector of the test."""
    monkeypatch.delenv("NETMATRIX_SERVER", raising=False)
    monkeypatch.setenv("PATH", f"{plane.programs}:/usr/bin:/bin")
    return ["--kubeconfig", str(context), "-n", SPACE]


def test_it_reads_the_collector_with_no_more_than_the_right_to_its_service(ask: list[str], capsys: Capture) -> None:
    def listed() -> bool:
        main(["agents", *ask])
        return "n1" in capsys.readouterr().out

    eventually(listed, what="the API server's view of the endpoint")
    assert main(["agents", *ask]) == 1  # no agent has ever reported
    assert "never" in capsys.readouterr().out


def test_a_question_that_the_collector_refuses_is_refused_in_its_own_words(ask: list[str], capsys: Capture) -> None:
    assert main(["matrix", "--by", "nonsense", *ask]) == 2
    assert "by must be one of vantage, node" in capsys.readouterr().err


@pytest.mark.usefixtures("ask")
def test_without_the_right_it_says_who_may_not_do_what(plane: Plane, capsys: Capture) -> None:
    stranger = plane.credentials.user("stranger")
    assert main(["agents", "--kubeconfig", str(stranger), "-n", SPACE]) == 3
    said = capsys.readouterr().err
    assert said.startswith(f"netmatrix: the API server does not let us through to the collector in namespace {SPACE}: ")
    assert 'User "stranger" cannot get resource "services/proxy"' in said
    assert len(said.splitlines()) == 1


@pytest.mark.usefixtures("ask")
def test_where_nothing_is_installed_it_says_so(plane: Plane, capsys: Capture) -> None:
    assert main(["agents", "--kubeconfig", str(plane.kubeconfig), "-n", "nowhere"]) == 3
    assert "no endpoints available" in capsys.readouterr().err


def test_an_api_server_that_is_away_is_a_sentence(plane: Plane, ask: list[str], capsys: Capture) -> None:
    with plane.without_api_server():
        assert main(["agents", *ask]) == 3
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_nothing_is_left_of_the_way_there(ask: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with contextlib.suppress(SystemExit):
        main(["agents", *ask])
    assert list(tmp_path.iterdir()) == []
