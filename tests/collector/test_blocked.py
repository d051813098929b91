from typing import Any

import pytest
from msgspec.structs import replace

from collector.blocked import blocked_of
from collector.discovery.snapshot import Namespace, Node, Snapshot, Vantage
from collector.policy.document import opaque_of, policy_of

NAME = "shop/netmatrix-vantage-0"
SNAPSHOT = Snapshot(
    nodes=(Node("n1"),),
    namespaces=(Namespace("shop", {"kubernetes.io/metadata.name": "shop"}),),
    vantages=(
        Vantage("n1", "n1", "netmatrix", "agent-1", ("10.0.0.1",)),
        Vantage(NAME, "n1", "shop", "netmatrix-vantage-0", ("10.0.0.2",), labels={"app": "v"}),
    ),
)
COLLECTOR = {
    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "netmatrix"}},
    "podSelector": {"matchLabels": {"app.kubernetes.io/component": "collector"}},
}


def isolated(*egress: Any, kind: str = "NetworkPolicy", version: str = "networking.k8s.io/v1") -> dict[str, Any]:
    spec = {"podSelector": {}, "policyTypes": ["Egress"], "egress": list(egress)}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "deny", "namespace": "shop"}, "spec": spec}


def blocked(*documents: dict[str, Any], unheard: tuple[str, ...] = (NAME,)) -> dict[str, str]:
    return dict(blocked_of(unheard, replace(SNAPSHOT, policies=tuple(map(policy_of, documents))), own="netmatrix"))


def test_a_vantage_whose_namespace_isolates_its_egress_is_blocked_by_it_and_by_which_policy() -> None:
    found = blocked(isolated())
    assert list(found) == [NAME]
    assert found[NAME].startswith("blocked by its namespace: ")
    assert "shop/deny" in found[NAME]


@pytest.mark.parametrize(
    "egress",
    [{"to": [COLLECTOR], "ports": [{"port": "https-agents"}]}, {"to": [COLLECTOR], "ports": [{"port": 8443}]}, {}],
    ids=["the port by its name", "the port by its number", "everything"],
)
def test_one_that_is_let_through_is_not(egress: dict[str, Any]) -> None:
    assert blocked(isolated(egress)) == {}
    assert list(blocked(isolated({"to": [COLLECTOR], "ports": [{"port": 80}]}))) == [NAME], "another port is of no use"


def test_nobody_is_blocked_who_is_heard_of_or_is_no_namespaces_own_or_whose_policies_nobody_understands() -> None:
    assert blocked(isolated(), unheard=()) == {}
    assert blocked(isolated(), unheard=("n1", "shop/gone-0")) == {}
    on_the_host = tuple(replace(one, host_network=True) for one in SNAPSHOT.vantages)
    assert (
        blocked_of((NAME,), replace(SNAPSHOT, vantages=on_the_host, policies=(policy_of(isolated()),)), own="netmatrix") == {}
    )
    ingress = {**isolated(), "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}
    assert blocked(ingress) == {}, "nothing is said of what leaves"
    alien = replace(SNAPSHOT, opaque=(opaque_of(isolated(kind="CiliumNetworkPolicy", version="cilium.io/v2")),))
    assert blocked_of((NAME,), alien, own="netmatrix") == {}
    assert blocked_of((NAME,), SNAPSHOT, own="netmatrix") == {}, "there is no policy"
