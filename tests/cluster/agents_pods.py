"""Pods of agents on the control plane, and what discovery makes of them: enough to ask who has a token."""

from collector.discovery.snapshot import Vantage
from tests.cluster.api import Object
from tests.cluster.plane import Plane, eventually

AGENT = "netmatrix-agent"


def namespace_of_agents(plane: Plane, name: str, *accounts: str) -> str:
    """A namespace with ServiceAccounts, and with the Secret and the ConfigMap of the authority, empty where there are none."""
    plane.api.apply(f"/api/v1/namespaces/{name}", {"apiVersion": "v1", "kind": "Namespace"})
    plane.api.apply(f"/api/v1/namespaces/{name}/secrets/netmatrix-authority", {"apiVersion": "v1", "kind": "Secret"})
    plane.api.apply(f"/api/v1/namespaces/{name}/configmaps/netmatrix-ca", {"apiVersion": "v1", "kind": "ConfigMap"})
    for account in accounts or (AGENT,):
        plane.api.apply(f"/api/v1/namespaces/{name}/serviceaccounts/{account}", {"apiVersion": "v1", "kind": "ServiceAccount"})
    eventually(lambda: plane.api.items(f"/api/v1/namespaces/{name}/serviceaccounts"), what="the ServiceAccounts")
    return name


def pod_on(plane: Plane, namespace: str, name: str, node: str, *, account: str = AGENT) -> Object:
    """A pod that is bound to a node; nobody runs it."""
    return plane.api.create(
        f"/api/v1/namespaces/{namespace}/pods",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace},
            "spec": {
                "nodeName": node,
                "serviceAccountName": account,
                "automountServiceAccountToken": False,
                "containers": [{"name": "agent", "image": "example.test/none:1"}],
            },
        },
    )


def vantage_of(pod: Object, *, address: str = "10.0.0.1", node: str = "") -> Vantage:
    """What discovery makes of an agent's pod."""
    node = node or pod["spec"]["nodeName"]
    metadata = pod["metadata"]
    return Vantage(
        name=node, node=node, namespace=metadata["namespace"], pod=metadata["name"], addresses=(address,), uid=metadata["uid"]
    )
