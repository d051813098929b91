"""Every block of YAML or JSON that a document shows is taken by what it is written for; a new kind needs a place here."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.discovery.static import parse_inventory
from collector.expectation.document import CLUSTER_SCOPED, NAMESPACED, declared
from collector.settings import Settings, parse_settings
from lab.scenario import parse as parse_scenario
from tests.documents.shown import Shown, blocks
from tests.manifests.alerts.rules import tool
from tests.manifests.rendering import MANIFESTS, parsed, rendered_in

KUSTOMIZATION = {"resources", "components", "patches", "images"}


def an_expectation(text: str, _: Path) -> None:
    for document in parsed(text):
        declared(document)


def a_configuration(text: str, _: Path) -> None:
    parse_settings(text, name="shown.yaml")


def an_inventory(text: str, _: Path) -> None:
    parse_inventory(text, name="shown.yaml")


def a_scenario(text: str, _: Path) -> None:
    parse_scenario(text.encode(), "shown.yaml")


def a_kustomization(text: str, folder: Path) -> None:
    """Of somebody whose folder is beside ours, whatever it is called in the document."""
    there = text.replace("netmatrix/manifests/", "MANIFESTS/").replace("- ../dashboards", "- MANIFESTS/dashboards")
    kustomization = yaml.safe_load(there)
    if set(kustomization) == {"components"}:
        kustomization["resources"] = ["MANIFESTS/base"]
    assert rendered_in(folder, kustomization)


def of_prometheus(text: str, folder: Path) -> None:
    """Checked with the rules that it names at the place where we have them."""
    file = folder / "prometheus.yaml"
    file.write_text(text.replace("/etc/prometheus/netmatrix/", f"{MANIFESTS}/alerts/"))
    done = subprocess.run([tool("promtool"), "check", "config", file], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr


def reader(content: Any) -> Callable[[str, Path], None] | None:
    """What takes such a document; None where nobody has thought of it."""
    keys = set(content)
    if content.get("kind") in {NAMESPACED, CLUSTER_SCOPED}:
        return an_expectation
    if content.get("kind") == "Kustomization" or keys <= KUSTOMIZATION:
        return a_kustomization
    if "timeline" in keys:
        return a_scenario
    if "vantages" in keys:
        return an_inventory
    if "rule_files" in keys or "scrape_configs" in keys:
        return of_prometheus
    return a_configuration if keys <= set(Settings.__struct_fields__) else None


@pytest.mark.parametrize("block", list(blocks("yaml")), ids=lambda one: one.place)
def test_every_block_of_yaml_is_taken_by_what_it_is_for(block: Shown, tmp_path: Path) -> None:
    first = parsed(block.text)[0]
    read = reader(first)
    assert read is not None, f"{block.place}: nobody reads the keys {', '.join(first)}"
    read(block.text, tmp_path)


@pytest.mark.parametrize("block", list(blocks("json")), ids=lambda one: one.place)
def test_every_block_of_json_is_json(block: Shown) -> None:
    assert json.loads(block.text)


def test_every_block_is_in_a_language_that_a_test_reads() -> None:
    """`text` is what a program prints, and pictures in letters."""
    others = [block.place for block in blocks("", "py", "python", "bash", "shell", "yml", "toml", "none")]
    assert others == []
