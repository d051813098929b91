"""What holds for every object, whatever it is: where it lives, how it is labelled, which image it runs."""

import re
import tomllib
from pathlib import Path

import pytest

from tests.manifests.rendering import (
    ADDED,
    ALL,
    INSTALLED,
    MANIFESTS,
    Object,
    container_of,
    kubectl,
    name_of,
    parsed,
    rendered,
    rendered_in,
    the,
    workloads,
)
from tests.rules.test_commands import run
from tests.rules.tree import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
SELECTED = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}
OF_KUBERNETES = re.compile(r"v1|apps/v1|(apiextensions|rbac\.authorization|networking|scheduling|discovery)\.k8s\.io/v1")
OUTSIDE = {
    "Namespace/-/netmatrix",
    "Namespace/-/netmatrix-host",
    "PriorityClass/-/netmatrix",
    "CustomResourceDefinition/-/reachabilityexpectations.netmatrix.io",
    "CustomResourceDefinition/-/clusterreachabilityexpectations.netmatrix.io",
    "ClusterRole/-/netmatrix-collector",
    "ClusterRoleBinding/-/netmatrix-collector",
    "ClusterRole/-/netmatrix-operator",
}
"""What cannot be in a namespace."""


@pytest.fixture(params=ALL)
def objects(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    return rendered(request.param, tmp_path_factory.getbasetemp())


def test_install_yaml_is_what_the_base_renders(tmp_path: Path) -> None:
    again = tmp_path / "install.yaml"
    assert run(ROOT / "scripts" / "manifests", again, KUBECTL=kubectl()).returncode == 0
    kept = (MANIFESTS / "install.yaml").read_text()
    assert parsed(kept) == parsed(again.read_text()), "run scripts/manifests"
    assert kept.splitlines()[:2] == again.read_text().splitlines()[:2]


def test_every_folder_is_looked_at_by_these_tests() -> None:
    folders = {str(file.parent.relative_to(MANIFESTS)) for file in MANIFESTS.rglob("kustomization.yaml")}
    assert folders == {*ALL, "components/release", "dashboards"}  # those have tests of their own


def test_the_release_is_said_in_one_place_and_is_that_of_the_project(objects: list[Object]) -> None:
    for workload in workloads(objects):
        assert container_of(workload)["image"] == f"netmatrix:{VERSION}"
        assert "imagePullPolicy" not in container_of(workload), "it is what the tag says: a loaded image is used"
    release = MANIFESTS / "components" / "release" / "kustomization.yaml"
    said = [file for file in MANIFESTS.rglob("*.yaml") if VERSION in file.read_text() and file.name != "install.yaml"]
    assert said == [release]
    assert f"ARG VERSION={VERSION}\n" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("document", ["README.md", "docs/install.md"])
def test_the_documents_build_and_load_the_image_that_the_manifests_run(document: str) -> None:
    assert set(re.findall(r"netmatrix:(\d[\w.]*)", (ROOT / document).read_text())) == {VERSION}


def test_the_page_on_installing_names_every_overlay_and_component_that_there_is() -> None:
    page = (ROOT / "docs" / "install.md").read_text()
    assert set(re.findall(r"^\| `manifests/([\w/-]+)` \|", page, re.MULTILINE)) == set(ALL)


def test_every_object_and_pod_has_the_recommended_labels(objects: list[Object]) -> None:
    for one in objects:
        pods = [one["spec"]["template"]] if "template" in one.get("spec", {}) else []
        for labelled in (one, *pods):
            labels = labelled["metadata"]["labels"]
            assert labels["app.kubernetes.io/name"] == labels["app.kubernetes.io/instance"] == "netmatrix", name_of(one)
            assert labels["app.kubernetes.io/part-of"] == "netmatrix"
            assert labels["app.kubernetes.io/version"] == VERSION
            assert "app.kubernetes.io/managed-by" in labels


def test_what_belongs_to_one_part_says_to_which(objects: list[Object]) -> None:
    shared = {"Namespace", "PriorityClass"}
    for one in objects:
        if one["kind"] not in shared and not one["metadata"]["name"].endswith("-nonroot"):
            component = one["metadata"]["labels"].get("app.kubernetes.io/component")
            assert component in {"agent", "canary", "collector", "operator", "vantage"}, name_of(one)


def test_selectors_take_the_pods_that_they_mean_and_can_stay_when_the_version_changes(objects: list[Object]) -> None:
    for workload in workloads(objects):
        chosen = workload["spec"]["selector"]["matchLabels"]
        assert chosen.keys() == SELECTED
        assert chosen.items() <= workload["spec"]["template"]["metadata"]["labels"].items(), name_of(workload)


@pytest.mark.parametrize("name", INSTALLED)
def test_services_and_policies_select_one_workload_of_their_namespace(name: str) -> None:
    objects = rendered(name)
    pods = [one["spec"]["template"]["metadata"]["labels"] for one in workloads(objects)]
    for one in objects:
        if one["kind"] in {"Service", "NetworkPolicy"}:
            spec = one["spec"]
            chosen = spec["selector"] if one["kind"] == "Service" else spec["podSelector"]["matchLabels"]
            assert sum(chosen.items() <= labels.items() for labels in pods) == 1, name_of(one)


def test_every_object_is_in_a_namespace_of_ours_or_cannot_be_in_one(objects: list[Object]) -> None:
    for one in objects:
        namespace = one["metadata"].get("namespace")
        assert namespace in {"netmatrix", "netmatrix-host"} or name_of(one) in OUTSIDE or is_for_any_namespace(one), name_of(
            one
        )


def is_for_any_namespace(one: Object) -> bool:
    """A vantage is applied to the namespace that it is to measure from."""
    names = {"netmatrix-vantage", "netmatrix-ca"}
    return one["metadata"]["labels"].get("app.kubernetes.io/component") == "vantage" and one["metadata"]["name"] in names


def test_only_what_is_meant_for_the_prometheus_operator_needs_kinds_that_kubernetes_does_not_have(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Where a kind is not known, `kubectl apply` fails."""
    kinds = {name: {one["apiVersion"] for one in rendered(name, tmp_path_factory.getbasetemp())} for name in ALL}
    assert {name for name in ALL if not all(map(OF_KUBERNETES.fullmatch, kinds[name]))} == {
        "components/prometheus-operator",
        "overlays/kube-prometheus",
        "overlays/kube-prometheus-stack",
    }


def test_no_object_is_there_twice(objects: list[Object]) -> None:
    names = [name_of(one) for one in objects]
    assert len(names) == len(set(names))


def test_nothing_secret_is_shipped(objects: list[Object]) -> None:
    for one in objects:
        if one["kind"] == "Secret":
            assert not one.keys() & {"data", "stringData"}, name_of(one)


def test_a_vantage_takes_the_namespace_and_the_labels_of_its_users_and_keeps_its_own(tmp_path: Path) -> None:
    objects = rendered_in(
        tmp_path,
        {
            "namespace": "team-a",
            "resources": ["MANIFESTS/components/vantage", "MANIFESTS/components/vantage-egress"],
            "labels": [{"pairs": {"tier": "front"}, "includeTemplates": True}],
        },
    )
    assert {one["metadata"]["namespace"] for one in objects} == {"team-a"}
    vantage = the(objects, "StatefulSet", "netmatrix-vantage")
    labels = vantage["spec"]["template"]["metadata"]["labels"]
    assert labels["tier"] == "front"
    assert "tier" not in vantage["spec"]["selector"]["matchLabels"]
    assert the(objects, "NetworkPolicy", "netmatrix-vantage")["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    (subject,) = the(objects, "RoleBinding", "netmatrix-ca")["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "netmatrix-collector", "namespace": "netmatrix"}


def test_an_image_elsewhere_is_said_once_in_an_overlay_of_ones_own(tmp_path: Path) -> None:
    images = [{"name": "netmatrix", "newName": "registry.example.com/tools/netmatrix", "newTag": "7"}]
    objects = rendered_in(tmp_path, {"resources": ["MANIFESTS/overlays/small"], "images": images})
    assert {container_of(one)["image"] for one in workloads(objects)} == {"registry.example.com/tools/netmatrix:7"}


def test_what_is_added_to_an_installation_repeats_nothing_of_it() -> None:
    installed = {name_of(one) for one in rendered("base")}
    for name in ADDED:
        assert not installed & {name_of(one) for one in rendered(name)}, name
