"""netmatrix's own echo through the user's ingress, from the ConfigMap to the matrix: every hop of it is real."""

import json
import os
from collections import Counter
from collections.abc import Iterator

import pytest

from lab.shape import Shape
from tests.cluster.ingress import Ingress
from tests.cluster.installation import CONFIGURATION, SPACE, TEAM, Cell, becomes_well, cells, install
from tests.cluster.kubectl import Kubectl
from tests.cluster.live import LiveCluster, live
from tests.cluster.plane import Plane, eventually
from tests.conftest import what_the_lab_lacks

pytestmark = pytest.mark.timeout(300)
NODES = ("n1", "n2")


@pytest.fixture(scope="module")
def installed(own_plane: Plane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveCluster, Kubectl]]:
    if why := what_the_lab_lacks():
        pytest.skip(why)
    shape = Shape(nodes=len(NODES), zones=1, namespaces=(TEAM,))
    with live(own_plane, shape, f"ingr{os.getpid()}", tmp_path_factory.mktemp("pods")) as cluster:
        kubectl = install(cluster)
        becomes_well(cluster, patience=90)
        yield cluster, kubectl


def configure(kubectl: Kubectl, ingress_url: str) -> None:
    """Change the ConfigMap as a user does."""
    text = CONFIGURATION.replace("settling: 1s", f"settling: 1s, ingress_url: '{ingress_url}'")
    assert text != CONFIGURATION
    patch = json.dumps({"data": {"config.yaml": text}})
    kubectl.run("-n", SPACE, "patch", "configmap", "netmatrix", "--type=merge", "-p", patch)


def through(cluster: LiveCluster) -> list[Cell]:
    """Cells of the way through the ingress."""
    return [cell for cell in cells(cluster, "&layer=external") if cell["to"]["name"] == "external/ingress"]


def failed(cluster: LiveCluster) -> Counter[str]:
    """Why probes through the ingress failed."""
    return sum((Counter(cell["failed"]) for cell in through(cluster)), Counter())


def test_the_own_echo_is_probed_through_the_ingress_of_the_configuration_and_its_faults_are_told_apart(
    installed: tuple[LiveCluster, Kubectl],
) -> None:
    cluster, kubectl = installed
    echo = cluster.plane.api.get(f"/api/v1/namespaces/{SPACE}/services/netmatrix-echo")["spec"]
    port = next(one["port"] for one in echo["ports"] if one["name"] == "http-echo")
    node = cluster.lab.topology.node["n2"]
    ingress = Ingress(node.netns, next(iter(node.addresses.values())), (echo["clusterIP"], port))
    with ingress.serving():
        configure(kubectl, ingress.url)

        def measured() -> bool:
            well = {cell["from"]["vantage"] for cell in through(cluster) if cell["received"] and not cell["loss"]}
            return well >= set(NODES)

        eventually(measured, patience=90, what="the echo through the ingress from every node")
        assert {cell["kind"] for cell in through(cluster)} == {"http"}
        assert {path for path, _ in ingress.asked} == {"/echo"}
        ingress.broken = True
        eventually(lambda: failed(cluster)["http_status"], what="an answer of the ingress that is none of the echo's")
    eventually(lambda: failed(cluster)["refused"], what="an ingress that is away")
    configure(kubectl, "")
    eventually(
        lambda: all(one["state"] == "unsampled" for one in through(cluster)), patience=90, what="the ingress to be let go"
    )
