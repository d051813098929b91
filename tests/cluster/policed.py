"""Two namespaces with policies, expectations and pods of whatever a test wants, and the kinds that they need."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from collector.discovery.snapshot import Snapshot
from tests.cluster.api import Api, Object
from tests.cluster.kubelet import node, running
from tests.cluster.plane import Plane, eventually
from tests.cluster.test_discovery import namespace, pod

SHOP, PAY = "policies-shop", "policies-pay"
NET = "/apis/networking.k8s.io/v1"
OWN = "/apis/netmatrix.io/v1alpha1"
CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
MANIFEST = Path(__file__).parents[2] / "manifests" / "base" / "custom-resources.yaml"
LABELS = {"team": "checkout"}


def crds() -> list[Object]:
    return list(yaml.safe_load_all(MANIFEST.read_text()))


def opaque_crd(group: str, plural: str, kind: str, scope: str) -> Object:
    """A kind of somebody else's, with whatever in it."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v2", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"},
            "versions": [version],
        },
    }


def policy(name: str, space: str, spec: Object) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": space},
        "spec": spec,
    }


def expectation(name: str, **spec: Any) -> Object:
    whole = {"to": [{"pods": {"podSelector": {"matchLabels": {"app": "db"}}}}], "ports": [{"port": 5432}], "expect": "allow"}
    return {
        "apiVersion": "netmatrix.io/v1alpha1",
        "kind": "ReachabilityExpectation",
        "metadata": {"name": name, "namespace": SHOP},
        "spec": {**whole, **spec},
    }


@contextmanager
def policed(plane: Plane) -> Iterator[Api]:
    """Two namespaces; nothing of it, and no kind that is not Kubernetes' own, is left."""
    api = plane.api
    annotations = {"opencontrail.org/isolation": "false", "netmatrix.io/derive": "false", "other": "x"}
    for name, labels in ((SHOP, LABELS), (PAY, {})):
        made = namespace(name, labels)
        made["metadata"]["annotations"] = annotations
        api.apply(f"/api/v1/namespaces/{name}", made)
    eventually(lambda: all(api.items(f"/api/v1/namespaces/{space}/serviceaccounts") for space in (SHOP, PAY)))
    api.create("/api/v1/nodes", node("policies-1", ["192.0.2.77"], zone="za"))
    yield api
    for space in (SHOP, PAY):
        for path in (f"{NET}/namespaces/{space}/networkpolicies", f"/api/v1/namespaces/{space}/pods"):
            for found in api.items(path):
                api.delete(f"{path}/{found['metadata']['name']}", grace=0)
        for path in (f"/api/v1/namespaces/{space}/services", f"/apis/discovery.k8s.io/v1/namespaces/{space}/endpointslices"):
            for found in api.items(path):
                api.delete(f"{path}/{found['metadata']['name']}")
    for found in api.items(CRDS):
        api.delete(f"{CRDS}/{found['metadata']['name']}")
    api.delete("/api/v1/nodes/policies-1")
    eventually(lambda: not api.items(CRDS))


def install(api: Api, *definitions: Object) -> None:
    """Have the API server know these kinds."""
    for one in definitions:
        api.create(CRDS, one)
    for one in definitions:
        path = f"{CRDS}/{one['metadata']['name']}"

        def established(path: str = path) -> bool:
            conditions = api.get(path).get("status", {}).get("conditions") or []
            return any(found["type"] == "Established" and found["status"] == "True" for found in conditions)

        eventually(established)


def run(api: Api, space: str, name: str, labels: dict[str, str], address: str, **spec: Any) -> None:
    body = pod(space, name, "policies-1", "none")
    body["metadata"]["labels"] = labels
    body["spec"]["containers"][0] |= spec
    made = api.create(f"/api/v1/namespaces/{space}/pods", body)
    api.merge(f"/api/v1/namespaces/{space}/pods/{name}/status", {"status": running(made, [address], ready=True)})


def found(names: Any) -> list[str]:
    """Those of this test, among what others leave in the same cluster."""
    return [str(one) for one in names if "policies-" in str(one) or "here" in str(one)]


def is_read(snapshot: Snapshot) -> bool:
    """Whether there is a snapshot, and it has the policies."""
    return bool(snapshot.nodes) and snapshot.policies_read
