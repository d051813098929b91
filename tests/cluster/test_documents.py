"""Every command of kubectl that the documents show, run against a real API server with netmatrix installed on it.

What changes something is run with `--dry-run=server`, so that the order of the documents does not matter.
"""

import re
import shlex
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.cluster.kubectl import Kubectl
from tests.cluster.kubelet import Kubelet, node
from tests.cluster.plane import Plane, eventually
from tests.documents.runs import Place, at
from tests.documents.shown import Command
from tests.rules.tree import ROOT

STANDS_FOR: Final = {"NAMESPACE": "shop", "NODE": "d1", "NAME": "web", "GROUP": "operators"}
CHANGING: Final = {"apply", "create", "delete", "label", "patch", "scale"}
READY: Final = ("deployment/netmatrix-collector", "daemonset/netmatrix-agent")
EXISTING: Final = """
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: {app: web}, ports: [{port: 80}]}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: kube-proxy, namespace: kube-system}}
"""
"""What of a cluster the documents speak of that is not netmatrix's."""


@pytest.fixture(scope="module")
def installed(own_plane: Plane) -> Iterator[Kubectl]:
    """As the README and docs/install.md install it, with a vantage in the namespace of their example."""
    kubectl = Kubectl(own_plane)
    for number in (1, 2):
        own_plane.api.create("/api/v1/nodes", node(f"d{number}", [f"192.0.2.{number}"], zone=f"z{number}"))
    for namespace in ("shop", "team-a"):
        own_plane.api.apply(f"/api/v1/namespaces/{namespace}", {"apiVersion": "v1", "kind": "Namespace"})
    kubectl.apply(ROOT / "manifests" / "install.yaml")
    kubectl.run("apply", "--server-side", "-n", "team-a", "-k", str(ROOT / "manifests" / "components" / "vantage"))
    kubectl.apply(ROOT / "manifests" / "components" / "canary")
    for document in yaml.safe_load_all(EXISTING):
        kubectl.run("apply", "--server-side", "-f", "-", given=yaml.safe_dump(document))
    with Kubelet(own_plane.client()).playing():
        for one in READY:
            eventually(partial(is_rolled_out, kubectl, one), what=one)
        yield kubectl


def is_rolled_out(kubectl: Kubectl, name: str) -> bool:
    kind, _, name = name.partition("/")
    (found,) = kubectl.objects(kind, name, "-n", "netmatrix")
    status = found["status"]
    return bool(status.get("numberReady" if kind == "daemonset" else "readyReplicas"))


def words_of(command: Command) -> list[str]:
    """As one would type it here, with names for the placeholders."""
    words = [re.sub(r"\b[A-Z]{4,}\b", lambda found: STANDS_FOR.get(found[0], found[0]), word) for word in command.words]
    return [*words, "--dry-run=server"] if CHANGING & set(words[1:4]) and words[1] != "auth" else words


@pytest.mark.parametrize("command", [one for one in at(Place.CLUSTER) if one.program == "kubectl"], ids=lambda one: one.line)
def test_every_command_of_kubectl_does_what_it_says(command: Command, own_plane: Plane, installed: Kubectl) -> None:
    assert installed
    done = subprocess.run(
        [own_plane.programs / "kubectl", f"--kubeconfig={own_plane.kubeconfig}", *words_of(command)[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, f"{command.shown.place}: {done.stderr}"


def test_the_token_of_whoever_may_act_is_made_as_shown(own_plane: Plane, installed: Kubectl, tmp_path: Path) -> None:
    assert installed
    (script,) = [one for one in at(Place.CLUSTER) if one.program.startswith("token=")]
    (tmp_path / "kubectl").symlink_to(own_plane.programs / "kubectl")
    shell = f"PATH={shlex.quote(str(tmp_path))}:$PATH\n{script.line}\necho $token"
    done = subprocess.run(
        ["sh", "-eu", "-c", shell],
        env={"PATH": "/usr/bin:/bin", "KUBECONFIG": str(own_plane.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(".") == 2
