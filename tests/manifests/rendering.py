"""The manifests as `kubectl kustomize` renders them, and how to find one's way in them."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.rules.tree import ROOT

Object = dict[str, Any]

MANIFESTS = ROOT / "manifests"
INSTALLED = ("base", *sorted(f"overlays/{folder.name}" for folder in (MANIFESTS / "overlays").iterdir()))
"""What installs netmatrix, one of which a cluster has."""
ADDED = tuple(f"components/{name}" for name in ("canary", "host-network", "prometheus-operator", "vantage", "vantage-egress"))
"""What is applied besides."""
PATCHING = tuple(f"components/{name}" for name in ("operators-restricted", "scrape-annotations"))
"""What changes the base in a kustomization that names both."""
ALL = (*INSTALLED, *ADDED, *PATCHING)
WORKLOADS = ("DaemonSet", "Deployment", "StatefulSet")


@cache
def kubectl() -> str:
    """The kubectl of the control plane that the tests build, else the one of this machine."""
    place = subprocess.run(
        [ROOT / "scripts" / "cluster-assets", "--where"], capture_output=True, text=True, check=True
    ).stdout.strip()
    built = Path(place) / "kubectl"
    found = str(built) if os.access(built, os.X_OK) else shutil.which("kubectl")
    if found is None:
        pytest.skip(f"needs kubectl, which renders manifests; {ROOT / 'scripts' / 'cluster-assets'} builds one")
    return found


@cache
def _text(folder: Path) -> str:
    return subprocess.run([kubectl(), "kustomize", folder], capture_output=True, text=True, check=True).stdout


@cache
def _patched(name: str, scratch: Path) -> str:
    folder = scratch / name.replace("/", "-")
    folder.mkdir(exist_ok=True)
    relative = os.path.relpath(MANIFESTS, folder)
    kustomization = {"resources": [f"{relative}/base"], "components": [f"{relative}/{name}"]}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return _text(folder)


def rendered(name: str, scratch: Path | None = None) -> list[Object]:
    """The objects of a folder below manifests/; what only patches is applied to the base, in a folder within `scratch`."""
    if name in PATCHING:
        assert scratch is not None
        return parsed(_patched(name, scratch))
    return parsed(_text(MANIFESTS / name))


def rendered_in(folder: Path, kustomization: Object) -> list[Object]:
    """The objects of a kustomization that somebody writes next to ours; `MANIFESTS` in it stands for the folder of ours."""
    relative = os.path.relpath(MANIFESTS, folder)
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization).replace("MANIFESTS", relative))
    return parsed(_text(folder))


def parsed(text: str) -> list[Object]:
    """The objects of a file."""
    return list(yaml.load_all(text, yaml.CSafeLoader))


def name_of(thing: Object) -> str:
    """Such as `DaemonSet/netmatrix/netmatrix-agent`; a dash where there is no namespace."""
    metadata = thing["metadata"]
    return f"{thing['kind']}/{metadata.get('namespace', '-')}/{metadata['name']}"


def workloads(objects: Sequence[Object]) -> Iterator[Object]:
    """Those that make pods."""
    return (one for one in objects if one["kind"] in WORKLOADS)


def the(objects: Sequence[Object], kind: str, name: str) -> Object:
    """The one object of this kind and name."""
    (found,) = (one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name)
    return found


def container_of(workload: Object) -> Object:
    """Its one container."""
    (container,) = workload["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def rules(objects: Sequence[Object], kind: str, name: str) -> set[tuple[str, str, str, tuple[str, ...]]]:
    """The rules of a role, each right apart: group, resource, verb, names."""
    return {
        (group, resource, verb, tuple(rule.get("resourceNames", ())))
        for rule in the(objects, kind, name)["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
