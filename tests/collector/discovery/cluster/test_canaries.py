"""Which pods are canaries, and from when on they count."""

from collector.discovery.cluster.assemble import assemble
from collector.discovery.cluster.canaries import Canaries, canaries_of
from collector.discovery.cluster.kept import Pod
from collector.discovery.cluster.vantages import vantages_of
from collector.discovery.cluster.world import World
from collector.settings import DiscoverySettings
from tests.collector.discovery.cluster.test_vantages import NODES, NOW, SETTLING, SPACES, pod


def world(*pods: Pod) -> World:
    return World(nodes=NODES, namespaces=SPACES, pods=pods)


def found(*pods: Pod) -> Canaries:
    return canaries_of(world(*pods), DiscoverySettings(), NOW)


def test_a_canary_is_no_vantage_and_a_vantage_no_canary() -> None:
    pods = pod("agent-1"), pod("canary-1", component="canary", probed_ports=(8620,))
    (canary,) = found(*pods).pods
    assert (canary.name, canary.node, canary.ready, canary.probed_ports) == ("canary-1", "n1", True, (8620,))
    assert [one.pod for one in vantages_of(world(*pods), DiscoverySettings(), NOW).vantages] == ["agent-1"]


def test_only_those_of_netmatrixs_own_namespace_count_however_they_are_labelled() -> None:
    assert found(pod("canary-1", component="canary", namespace="shop")).pods == ()


def test_one_on_the_network_of_its_node_that_has_ended_or_is_nowhere_is_none() -> None:
    for changed in ({"host_network": True}, {"ended": True}, {"node": "n9"}, {"addresses": ()}):
        assert found(pod("canary-1", component="canary", **changed)).pods == ()


def test_it_does_not_count_before_it_has_settled_since_its_policy_may_still_be_on_its_way() -> None:
    young = found(pod("canary-1", component="canary", ready_since=NOW - 1))
    assert ([one.ready for one in young.pods], young.settled) == ([False], NOW - 1 + SETTLING)
    for changed in ({"ready": False, "ready_since": 0.0}, {"terminating": True}):
        assert [one.ready for one in found(pod("canary-1", component="canary", **changed)).pods] == [False]


def test_the_snapshot_is_made_anew_when_a_canary_has_settled_though_all_agents_have() -> None:
    pods = pod("agent-1"), pod("canary-1", component="canary", ready_since=NOW - 1)
    assert assemble(world(*pods), DiscoverySettings(), now=NOW).settled == NOW - 1 + SETTLING
