"""A collector of a test as a Service in a namespace, as the API server's proxy sees it."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.cluster.kubelet import node, running
from tests.cluster.plane import Plane

SERVICE = "netmatrix-collector"


@contextmanager
def published(plane: Plane, space: str, address: str, port: int) -> Iterator[None]:
    """In a namespace that there is, the Service of a collector leads to an address and port of this machine for the block."""
    core, name = f"/api/v1/namespaces/{space}", f"{space}-1"
    plane.api.apply(
        f"{core}/services/{SERVICE}",
        {
            "apiVersion": "v1",
            "kind": "Service",
            "spec": {"selector": {"app": SERVICE}, "ports": [{"name": "http-metrics", "port": 8080, "targetPort": port}]},
        },
    )
    plane.api.create("/api/v1/nodes", node(name, ["192.0.2.77"]))
    pod = plane.api.apply(
        f"{core}/pods/collector",
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"labels": {"app": SERVICE}},
            "spec": {"nodeName": name, "containers": [{"name": "main", "image": "example.test/none:1"}]},
        },
    )
    plane.api.merge(f"{core}/pods/collector/status", {"status": running(pod, [address], ready=True)})
    try:
        yield
    finally:
        plane.api.delete(f"{core}/pods/collector", grace=0)
        plane.api.delete(f"/api/v1/nodes/{name}")
