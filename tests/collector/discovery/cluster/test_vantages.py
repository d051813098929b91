"""Which pods are vantages, under which names, and when nothing bad that is seen of them counts."""

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.discovery.cluster.addresses import MAX_ADDRESSES
from collector.discovery.cluster.kept import Namespace, Node, Pod
from collector.discovery.cluster.vantages import MAX_LISTED, Found, vantages_of
from collector.discovery.cluster.world import Because, World
from collector.discovery.snapshot import Vantage
from collector.settings import DiscoverySettings
from wire.text import NAME_PATTERN

NOW = 1_800_000_000.0
SETTLING = DiscoverySettings().settling / 1e9
NODES = (
    Node("n1", "za", ("192.0.2.1",), cordoned=False, ready=True),
    Node("n2", "zb", ("192.0.2.2",), cordoned=False, ready=False),
)
SPACES = (
    Namespace("netmatrix", vantages=False),
    Namespace("netmatrix-host", vantages=True),
    Namespace("shop", vantages=True),
    Namespace("alien", vantages=False),
)


def pod(name: str = "agent-1", *, created: float = NOW - 3600, **changed: Any) -> Pod:
    found = Pod(
        namespace="netmatrix",
        name=name,
        uid=f"uid-{name}",
        component="agent",
        node="n1",
        addresses=("10.244.0.1", "fd44::1"),
        host_network=False,
        ready=True,
        ready_since=created + 5,
        created=created,
        terminating=False,
        ended=False,
        port=0,
        networks="",
    )
    return replace(found, **changed)


def found(*pods: Pod, nodes: tuple[Node, ...] = NODES) -> Found:
    return vantages_of(World(nodes=nodes, namespaces=SPACES, pods=pods), DiscoverySettings(), NOW)


def one(*pods: Pod) -> Vantage:
    (vantage,) = found(*pods).vantages
    return vantage


def test_an_agent_is_named_for_its_node_and_a_vantage_for_itself() -> None:
    vantage = pod("netmatrix-vantage-0", namespace="shop", component="vantage")
    host = pod("agent-x7", namespace="netmatrix-host", component="vantage", host_network=True, addresses=("192.0.2.1",))
    assert [one.name for one in found(pod(), vantage, host).vantages] == ["n1", "n1@host", "shop/netmatrix-vantage-0"]


def test_whoever_may_create_pods_in_a_namespace_speaks_for_no_node_from_there() -> None:
    host = pod("agent-x7", namespace="netmatrix-host", component="vantage", host_network=True, addresses=("192.0.2.1",))
    other = replace(host, namespace="shop", uid="later", created=NOW - 60)
    assert [(one.name, one.uid) for one in found(host, other).vantages] == [
        ("n1@host", "uid-agent-x7"),
        ("shop/agent-x7", "later"),
    ]


def test_it_has_its_pods_addresses_uid_and_port() -> None:
    agent = one(pod(port=9000))
    assert (agent.addresses, agent.uid, agent.port, agent.pod) == (("10.244.0.1", "fd44::1"), "uid-agent-1", 9000, "agent-1")
    assert one(pod()).port == 8620


def test_survive_22_of_two_agents_on_a_node_the_newer_one_counts_once_it_has_an_address_whatever_the_order() -> None:
    old, fresh = pod("old"), pod("fresh", created=NOW - 60, addresses=("10.244.0.2",))
    for pods in ((old, fresh), (fresh, old)):
        assert one(*pods).uid == "uid-fresh"
    assert one(old, replace(fresh, addresses=())).uid == "uid-old"
    assert one(replace(old, terminating=True), replace(fresh, addresses=())).uid == "uid-old"


def test_survive_23_a_node_that_came_back_under_its_name_has_another_uid() -> None:
    assert one(pod(uid="before")).uid != one(pod(uid="after")).uid


def test_a_pod_that_waits_for_its_address_keeps_the_row_of_its_node() -> None:
    agent = one(pod(addresses=(), ready=False, ready_since=0.0))
    assert (agent.name, agent.addresses, agent.excluded) == ("n1", (), "not_ready")


def test_survive_19_a_terminating_pod_is_excluded_whatever_else_it_is() -> None:
    assert one(pod(terminating=True)).excluded == "terminating"
    assert one(pod(terminating=True, ready=False, node="n2")).excluded == "terminating"


def test_survive_19_a_pod_is_not_excluded_since_its_node_is_not_ready_for_that_is_what_must_be_seen() -> None:
    assert one(pod(ready=False)).excluded == "not_ready"
    assert one(pod(ready=False, node="n2")).excluded == ""


def test_one_that_has_just_become_ready_settles_and_it_is_known_when() -> None:
    young = found(pod(ready_since=NOW - 1), pod("b", namespace="shop", ready_since=NOW - 4))
    assert [one.excluded for one in young.vantages] == ["settling", "settling"]
    assert young.settled == NOW - 4 + SETTLING
    assert found(pod(ready_since=NOW - SETTLING)).settled is None
    assert one(pod(ready_since=NOW - SETTLING)).excluded == ""


def test_survive_7_a_node_whose_clock_is_days_ahead_does_not_keep_its_agent_excluded() -> None:
    assert one(pod(ready_since=NOW + 200_000)).excluded == ""
    assert one(pod(ready_since=NOW - 200_000)).excluded == ""


@pytest.mark.parametrize(
    "changed",
    [{"ended": True}, {"node": ""}, {"node": "gone"}],
    ids=["one that has ended", "one without a node", "one whose node is not known"],
)
def test_what_is_no_vantage_is_left_out_without_a_word(changed: dict[str, Any]) -> None:
    assert found(pod(**changed)) == Found((), (), None)


def test_a_pod_in_a_namespace_that_does_not_ask_is_refused() -> None:
    for component in ("agent", "vantage"):
        result = found(pod(namespace="alien", component=component))
        assert result.vantages == ()
        (refusal,) = result.refused
        assert (refusal.because, refusal.kind, refusal.uid) == (Because.NAMESPACE, "Pod", "uid-agent-1")


def test_survive_54_nobody_fills_the_plan_with_vantages_and_newcomers_take_nobodys_place() -> None:
    most = DiscoverySettings().vantages
    crowd = [pod(f"v{number:03}", namespace="shop", component="vantage", created=NOW - 900 + number) for number in range(200)]
    result = found(pod(), *reversed(crowd))
    assert [one.pod for one in result.vantages] == ["agent-1", *(f"v{number:03}" for number in range(most))]
    assert {one.because for one in result.refused} == {Because.TOO_MANY}
    assert len(result.refused) == 200 - most


def test_agents_and_those_in_the_network_of_their_node_are_as_many_as_there_are_nodes() -> None:
    nodes = tuple(Node(f"n{number}", "za", (f"192.0.2.{number}",), cordoned=False, ready=True) for number in range(40))
    agents = [pod(f"a{number}", node=f"n{number}") for number in range(40)]
    hosts = [
        pod(f"h{number}", namespace="netmatrix-host", component="vantage", node=f"n{number}", host_network=True)
        for number in range(40)
    ]
    assert len(found(*agents, *hosts, nodes=nodes).vantages) == 80


@pytest.mark.parametrize("address", ["192.0.2.1", "192.0.2.2"], ids=["of its own node", "of another node"])
def test_survive_54_a_further_network_does_not_lead_to_a_node(address: str) -> None:
    status = msgspec.json.encode([{"name": "shop/fast", "ips": [address]}, {"name": "shop/good", "ips": ["10.9.0.1"]}])
    assert [one.name for one in one(pod(networks=status.decode())).networks] == ["shop/good"]


def test_survive_54_of_a_long_list_of_networks_or_of_addresses_only_the_beginning_is_looked_at() -> None:
    ips = [f"10.9.0.{number}" for number in range(1, 40)]
    own = [{"name": "shop/own", "ips": ["10.244.0.1"]}] * MAX_LISTED
    many = {"name": "shop/many", "ips": ips}
    assert one(pod(networks=msgspec.json.encode([*own, many]).decode())).networks == ()
    (network,) = one(pod(networks=msgspec.json.encode([*own[1:], many]).decode())).networks
    assert network.addresses == tuple(ips[:MAX_ADDRESSES])
    result = found(pod(networks=msgspec.json.encode([{"name": "shop/none", "ips": ["nonsense"] * 1000}]).decode()))
    assert len(result.refused) == MAX_ADDRESSES


def test_survive_54_an_address_that_is_never_probed_is_left_out_and_the_others_stay() -> None:
    result = found(pod(addresses=("169.254.169.254", "10.244.0.1", "::1")))
    assert result.vantages[0].addresses == ("10.244.0.1",)
    assert [one.because for one in result.refused] == [Because.ADDRESS, Because.ADDRESS]


STATUS = msgspec.json.encode(
    [
        {"name": "cbr0", "interface": "eth0", "ips": ["10.244.0.1"], "default": True},
        {"name": "storage/fast", "interface": "net1", "ips": ["10.99.0.1", "FD99::0001"], "mtu": 9000, "mac": "02:00"},
        {"name": "storage/fast", "interface": "net2", "ips": ["10.99.0.2"]},
        {"name": "metadata", "ips": ["169.254.169.254"]},
        {"name": "default", "ips": ["10.98.0.1"]},
        {"name": '"><script>', "ips": ["10.98.0.2"]},
        {"name": "sriov", "interface": "net4"},
    ]
).decode()


def test_further_networks_are_read_from_what_multus_says_and_the_wrong_ones_are_refused() -> None:
    result = found(pod(networks=STATUS))
    (network,) = result.vantages[0].networks
    assert (network.name, network.addresses, network.mtu) == ("storage/fast", ("10.99.0.1", "fd99::1"), 9000)
    assert [(one.because, "never probed" in one.sentence) for one in result.refused] == [
        (Because.ADDRESS, True),
        (Because.ANNOTATION, False),
        (Because.ANNOTATION, False),
    ]


@pytest.mark.parametrize("text", ["{", "[1]", '{"a": 1}', '[{"ips": "x"}]', "\x00", "[" * 5000])
def test_a_list_of_networks_that_is_none_costs_the_pod_nothing_else(text: str) -> None:
    result = found(pod(networks=text))
    assert result.vantages[0].addresses == ("10.244.0.1", "fd44::1")
    assert [one.because for one in result.refused] == [Because.ANNOTATION]


@given(st.text(max_size=200), st.lists(st.text(max_size=40), max_size=4))
def test_survive_59_whatever_a_pod_says_of_its_networks_every_name_and_address_is_a_harmless_one(
    text: str, addresses: list[str]
) -> None:
    said = msgspec.json.encode([{"name": text, "ips": addresses}]).decode()
    result = found(pod(networks=said, addresses=tuple(addresses)))
    keyed = [replace(vantage, key="k" * 32) for vantage in result.vantages]
    assert msgspec.convert(msgspec.to_builtins(keyed), list[Vantage]) == keyed
    for network in result.vantages[0].networks:
        assert re.match(NAME_PATTERN, network.name)
    assert all(" " <= c <= "~" for one in result.refused for c in one.sentence)
