"""Where the control plane's programs are; made by `make cluster-assets`, or as KUBEBUILDER_ASSETS says."""

import subprocess
from functools import cache
from pathlib import Path

_SCRIPT = Path(__file__).parents[2] / "scripts" / "cluster-assets"
_CANNOT = 3


class MissingError(Exception):
    """The programs are not there and cannot be made on this machine; its text says why in one sentence."""


@cache
def folder() -> Path:
    """The folder with etcd, kube-apiserver, kube-controller-manager and kubectl; builds them first where they are missing.

    Raises MissingError where that cannot be, and RuntimeError, with what the compiler said, where the build fails.
    """
    made = subprocess.run([_SCRIPT], stderr=subprocess.PIPE, text=True, check=False)
    if made.returncode == _CANNOT:
        raise MissingError(made.stderr.strip())
    if made.returncode:
        raise RuntimeError(made.stderr.strip())
    where = subprocess.run([_SCRIPT, "--where"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(where.stdout.strip())
