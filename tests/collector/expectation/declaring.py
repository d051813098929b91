"""Declarations over a small cluster, to ask what is expected in it."""

from typing import Any

import yaml

from collector.expectation.cluster import Backing, Cluster, Service, ServicePort
from collector.expectation.document import declared
from collector.expectation.expected import Expectations
from collector.policy.evaluate import Policies
from tests.collector.policy.cluster import N1, N2, STRICT, XA, XB, YA, YB, read

CLOSED = "{netpol: y/closed, spec: {}}"
WEB_PORT = ServicePort(8080, "TCP", "http")
SHOP = Service("y", "web", (WEB_PORT,), (Backing(YA, WEB_PORT, 80), Backing(YB, WEB_PORT, 80)))
CLUSTER = Cluster((XA, XB, YA, YB), (N1, N2), (SHOP,))


def expectation(name: str, spec: str, **metadata: Any) -> dict[str, Any]:
    """`expectation("x/a", "...")` is namespaced, and `expectation("a", "...")` cluster-scoped."""
    space, _, own = name.rpartition("/")
    return {
        "kind": "ReachabilityExpectation" if space else "ClusterReachabilityExpectation",
        "metadata": {"name": own, **({"namespace": space} if space else {}), **metadata},
        "spec": yaml.safe_load(spec),
    }


def expectations(*documents: dict[str, Any], policies: str = "", cluster: Cluster = CLUSTER, **more: Any) -> Expectations:
    """What is expected under policies in the short form of `read`."""
    known = Policies(read(policies), more.pop("opaque", ()), more.pop("profile", STRICT))
    return Expectations(known, [declared(one) for one in documents], cluster, **more)
