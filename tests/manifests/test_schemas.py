"""Every object against the schemas of every supported version of Kubernetes, without a cluster."""

import json

import kubernetes_validate
import pytest
from kubernetes_validate.utils import all_versions

from tests.manifests.rendering import ALL, name_of, rendered

OLDEST = (1, 33)
VERSIONS = sorted({tuple(map(int, version.split(".")[:2])) for version in all_versions()})
SUPPORTED = [f"{major}.{minor}" for major, minor in VERSIONS if (major, minor) >= OLDEST]
OF_OTHERS = {"monitoring.coreos.com/v1"}
"""Kinds that come with the Prometheus operator, whose schemas are its own."""


def test_all_versions_from_the_oldest_supported_one_are_known() -> None:
    assert SUPPORTED[0] == "1.33"
    assert len(SUPPORTED) >= 5


@pytest.mark.parametrize("version", SUPPORTED)
def test_every_object_is_what_this_version_of_kubernetes_expects(
    version: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    everywhere = [one for name in ALL for one in rendered(name, tmp_path_factory.getbasetemp())]
    different = {json.dumps(one, sort_keys=True): one for one in everywhere if one["apiVersion"] not in OF_OTHERS}
    assert len(different) > 20
    for one in different.values():
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            pytest.fail(f"{name_of(one)}: {error.message} at {'.'.join(map(str, error.path))}")


def test_a_misspelt_field_is_found() -> None:
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "dta": {}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, SUPPORTED[-1], strict=True)
