"""Which network plugin it is, from what its pods and nodes are called."""

import pytest

from collector.discovery.cluster.kept import Node
from collector.discovery.cluster.network_plugin import PLUGINS, chosen
from collector.policy.profile import PROFILES

K3S = Node("n1", "", (), cordoned=False, ready=True, labels={"node.kubernetes.io/instance-type": "k3s"})


@pytest.mark.parametrize(
    ("found", "nodes", "name"),
    [
        ([], [], "generic"),
        (["calico"], [], "calico"),
        (["cilium"], [K3S], "cilium"),
        (["calico", "none"], [], "calico"),
        (["cilium", "kube-router"], [], "cilium"),
        (["calico", "cilium"], [], "generic"),
        (["kube-network-policies"], [], "kube-network-policies"),
        (["kube-network-policies", "calico"], [], "calico"),
        (["none"], [], "none"),
        (["none", "kube-router"], [], "kube-router"),
        ([], [K3S], "kube-router"),
        (["none"], [K3S], "kube-router"),
    ],
)
def test_one_that_enforces_counts_and_of_two_nobody_knows(found: list[str], nodes: list[Node], name: str) -> None:
    assert chosen(found, nodes) == name


def test_every_plugin_that_is_looked_for_is_one_that_something_is_known_of() -> None:
    assert PLUGINS.keys() <= PROFILES.keys()
