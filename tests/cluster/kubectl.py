"""The real kubectl, as a test asks for it."""

import json
import subprocess
from pathlib import Path

from tests.cluster.api import Object
from tests.cluster.plane import Plane


class Kubectl:
    """kubectl of whoever a kubeconfig file is for; the administrator unless given."""

    def __init__(self, plane: Plane, kubeconfig: Path | None = None) -> None:
        self._program = plane.programs / "kubectl"
        self._kubeconfig = kubeconfig or plane.kubeconfig

    def run(self, *words: str, given: str = "") -> str:
        """What it prints; raises RuntimeError with what it complains of where it fails. `given` is its standard input."""
        done = subprocess.run(
            [self._program, f"--kubeconfig={self._kubeconfig}", *words],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(words)}: {done.stderr.strip()}")
        return done.stdout

    def apply(self, file: Path) -> None:
        """Server-side apply of a file, or of a kustomize folder."""
        how = "-k" if file.is_dir() else "-f"
        self.run("apply", "--server-side", how, str(file))

    def render(self, folder: Path) -> str:
        """The objects of a kustomize folder, as YAML."""
        return self.run("kustomize", str(folder))

    def objects(self, *words: str) -> list[Object]:
        """What `get` finds."""
        found = json.loads(self.run("get", *words, "--output=json"))
        return list(found["items"]) if "items" in found else [found]
