"""What Grafana shows is made of metrics that there are; tests/lab/test_dashboards.py asks a real Prometheus for all of it."""

import json
import re
from pathlib import Path

import pytest
import yaml

from collector.export import names
from collector.export.names import Family
from collector.export.own import OwnMetrics
from manifests.dashboards.__main__ import FOLDER, files
from manifests.dashboards.boards import DASHBOARDS
from manifests.dashboards.panels import Dashboard, written
from tests.rules.tree import ROOT

MOST_BYTES = 262_144
"""What an annotation of `kubectl apply` holds; an object larger than that needs server-side apply."""


def metric_names() -> set[str]:
    found = set()
    for one in vars(names).values():
        if isinstance(one, Family):
            found |= {one.name} if one.kind != "histogram" else {f"{one.name}_{end}" for end in ("bucket", "sum", "count")}
    own = re.findall(r"^# HELP ([a-z_]+) ", OwnMetrics().render().decode(), re.MULTILINE)
    return found | set(own)


def test_the_files_are_what_the_definition_makes() -> None:
    made = files()
    assert {file.name for file in FOLDER.iterdir() if file.suffix in {".json", ".yaml"}} == set(made)
    for name, content in made.items():
        assert (FOLDER / name).read_text() == content, f"run python -m manifests.dashboards for {name}"


@pytest.mark.parametrize("one", DASHBOARDS, ids=lambda one: one.name)
def test_a_query_names_metrics_that_there_are_and_the_chosen_cluster(one: Dashboard) -> None:
    known = metric_names()
    for panel in one.panels:
        for query in panel.queries:
            named = set(re.findall(r"\b(?:netmatrix|process)_[a-z0-9_]+", query.expression))
            # process_cpu_seconds_total and the like are of prometheus-client, and only where there is a /proc.
            assert {name for name in named if name.startswith("netmatrix_")} <= known, panel.title
            assert named
            assert 'cluster=~"$cluster"' in query.expression
            assert "$scope" not in query.expression


@pytest.mark.parametrize("one", DASHBOARDS, ids=lambda one: one.name)
def test_a_dashboard_says_what_it_shows_and_fits_into_an_object(one: Dashboard) -> None:
    whole = written(one, DASHBOARDS)
    assert len(json.dumps(whole)) < MOST_BYTES
    assert len(whole["uid"]) <= 40
    assert "id" not in whole
    places = set()
    for panel in whole["panels"]:
        box = panel["gridPos"]
        assert box["x"] + box["w"] <= 24
        for column in range(box["x"], box["x"] + box["w"]):
            for row in range(box["y"], box["y"] + box["h"]):
                assert (column, row) not in places, f"{panel['title']} lies over another panel"
                places.add((column, row))
        if panel["type"] != "row":
            assert panel["description"].endswith(".")
            assert panel["datasource"]["uid"] == "${datasource}"
    ids = [panel["id"] for panel in whole["panels"]]
    assert len(set(ids)) == len(ids)


def test_the_sidecar_finds_every_dashboard() -> None:
    component = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    assert component["generatorOptions"]["labels"] == {"grafana_dashboard": "1"}
    files_ = [file for one in component["configMapGenerator"] for file in one["files"]]
    assert sorted(files_) == sorted(file.name for file in FOLDER.glob("*.json"))


def test_the_page_on_dashboards_names_each_of_them() -> None:
    text = Path(ROOT / "docs" / "dashboards.md").read_text()
    for one in DASHBOARDS:
        assert one.title in text
        assert f"netmatrix-{one.name}.json" in text
