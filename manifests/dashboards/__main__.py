"""The command `python -m manifests.dashboards`: writes every dashboard, and ConfigMaps that Grafana's sidecar finds."""

import json
from pathlib import Path
from typing import Final

import yaml

from manifests.dashboards.boards import DASHBOARDS
from manifests.dashboards.panels import Dashboard, written

FOLDER: Final = Path(__file__).resolve().parent


def text(one: Dashboard) -> str:
    """The JSON of a dashboard."""
    return json.dumps(written(one, DASHBOARDS), indent=1, ensure_ascii=False) + "\n"


def kustomization() -> str:
    """ConfigMaps with the label that the sidecar looks for, one a dashboard: each stays far below what an object may hold."""
    generators = [{"name": f"netmatrix-dashboard-{one.name}", "files": [f"netmatrix-{one.name}.json"]} for one in DASHBOARDS]
    component = {
        "apiVersion": "kustomize.config.k8s.io/v1alpha1",
        "kind": "Component",
        "generatorOptions": {
            "disableNameSuffixHash": True,
            "labels": {"grafana_dashboard": "1"},
            "annotations": {"grafana_folder": "netmatrix"},
        },
        "configMapGenerator": [{**one, "namespace": "netmatrix"} for one in generators],
    }
    head = "# Made by `python -m manifests.dashboards`. A component: add it to a kustomization beside the base.\n"
    return head + yaml.safe_dump(component, sort_keys=False)


def files() -> dict[str, str]:
    """Every file of this folder that is made, by its name."""
    return {f"netmatrix-{one.name}.json": text(one) for one in DASHBOARDS} | {"kustomization.yaml": kustomization()}


if __name__ == "__main__":
    for name, content in files().items():
        (FOLDER / name).write_text(content)
