"""An installation as a user makes it, on a live cluster, and what is seen of it from outside."""

from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

from tests.cluster.kubectl import Kubectl
from tests.cluster.live import LiveCluster
from tests.cluster.plane import eventually

MANIFESTS = Path(__file__).parents[2] / "manifests"
SPACE = "netmatrix"
TEAM = "shop"
CONFIGURATION = """
      discovery: {settling: 1s, external_name: www.example.test.}
      plan: {interval: 1s, timeout: 500ms, report: 1s, service_interval: 1s, host_interval: 1s, dns_interval: 1s}
"""
"""Everything happens sooner than by default."""
SPAN = "4s"
PATIENCE_SECONDS = 90.0
"""On a machine that has other things to do; where it has not, everything is well within five."""

Cell = Mapping[str, Any]


def install(cluster: LiveCluster) -> Kubectl:
    """Apply install.yaml with another configuration, a vantage in another namespace, and a service that asks for probes."""
    api, kubectl = cluster.plane.api, Kubectl(cluster.plane)
    text = (MANIFESTS / "install.yaml").read_text()
    own = indent(dedent(CONFIGURATION).strip(), "    ")
    configured = text.replace("  config.yaml: |\n", f"  config.yaml: |\n{own}\n")
    assert configured != text
    kubectl.run("apply", "--server-side", "-f", "-", given=configured)
    wants = {"metadata": {"labels": {"netmatrix.io/vantage": "true"}}}
    api.apply(f"/api/v1/namespaces/{TEAM}", {"apiVersion": "v1", "kind": "Namespace", **wants})
    kubectl.run("apply", "--server-side", "-n", TEAM, "-k", str(MANIFESTS / "components" / "vantage"))
    labels = {"app": "web"}
    containers = [{"name": "web", "image": "example.test/lab:1"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    api.apply(f"/apis/apps/v1/namespaces/{TEAM}/deployments/web", {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec})
    api.apply(
        f"/api/v1/namespaces/{TEAM}/services/web",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"annotations": {"netmatrix.io/probe": "http:/"}},
            "spec": {"selector": labels, "ipFamilyPolicy": "RequireDualStack", "ports": [{"port": 80, "targetPort": 8080}]},
        },
    )
    return kubectl


def cells(cluster: LiveCluster, query: str = "") -> list[Cell]:
    """Every cell over the last seconds; none while the collector does not answer."""
    try:
        found: list[Cell] = cluster.ask(f"/api/v1/matrix?span={SPAN}{query}")["cells"]
    except OSError:
        return []
    return found


def unwell(cluster: LiveCluster) -> list[str]:
    """What is not as it should be, in words: agents that are silent, pairs of nodes that nothing measures, and loss."""
    found = cells(cluster)
    nodes = [node.name for node in cluster.lab.topology.nodes]
    paths = {(cell["from"]["node"], cell["to"]["node"]) for cell in found if cell["layer"] == "pod" and cell["received"]}
    missing = [f"{one} > {other}: nothing" for one in nodes for other in nodes if one != other and (one, other) not in paths]
    return [*missing, *silent(cluster), *(shown(cell) for cell in found if cell["loss"])]


def silent(cluster: LiveCluster) -> list[str]:
    """Agents that do not report."""
    try:
        agents = cluster.ask("/api/v1/agents")["agents"]
    except OSError:
        return ["the collector does not answer"]
    return [f"{agent['vantage']} is {agent['state']}" for agent in agents if agent["state"] != "reporting"]


def shown(cell: Cell) -> str:
    """A cell in words."""
    path = f"{cell['from']['vantage']} > {cell['to']['name']} {cell['layer']} {cell['kind']} {cell['family']}"
    return f"{path}: {cell['because']} {dict(cell['failed'])} {dict(cell['local'])}"


def becomes_well(cluster: LiveCluster, *, patience: float = PATIENCE_SECONDS, also: Callable[[], bool] = lambda: True) -> None:
    """Wait until every pair of nodes is measured and nothing is lost; raises AssertionError with what is wrong."""
    last: list[str] = []

    def well() -> bool:
        last[:] = unwell(cluster)
        return not last and also()

    try:
        eventually(well, patience=patience)
    except AssertionError:
        agents = cluster.ask("/api/v1/agents")["agents"]
        raise AssertionError(f"not well within {patience:g} s: {len(last)} such as {last[:5]}, agents {agents}") from None
