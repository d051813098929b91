"""What differs among network plugins, row by row, and what is said where nobody knows."""

import pytest
from msgspec import structs

from collector.policy.ends import Connection
from collector.policy.evaluate import Answer
from collector.policy.labels import Selector
from collector.policy.profile import PROFILES
from collector.policy.rules import Opaque, PodPeer
from tests.collector.policy.cluster import N2, PING, XA, XB, YA, Cluster, namespace, pod

ALLOW, DENY, UNSPECIFIED, UNKNOWN = Answer.ALLOW, Answer.DENY, Answer.UNSPECIFIED, Answer.UNKNOWN
BLOCK = "{netpol: x/p, spec: {ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}}"
PEERS = "{netpol: x/p, spec: {ingress: [{from: [{namespaceSelector: {}}]}]}}"
WITH_PORTS = "{netpol: x/p, spec: {ingress: [{from: [{namespaceSelector: {}}], ports: [{port: 80}]}]}}"
DENY_ALL = "{netpol: x/p, spec: {policyTypes: [Ingress]}}"


@pytest.mark.parametrize(
    ("name", "pods", "nodes"),
    [
        ("generic", UNSPECIFIED, UNSPECIFIED),
        ("strict", ALLOW, ALLOW),
        ("calico", ALLOW, ALLOW),
        ("cilium", DENY, DENY),
        ("antrea", ALLOW, ALLOW),
        ("kube-router", ALLOW, ALLOW),
        ("kube-network-policies", ALLOW, ALLOW),
        ("tungsten-fabric", ALLOW, ALLOW),
    ],
)
def test_whether_a_block_matches_addresses_of_the_cluster(name: str, pods: Answer, nodes: Answer) -> None:
    cluster = Cluster(BLOCK, PROFILES[name])
    assert (cluster.answer(YA, XA), cluster.answer(N2, XA)) == (pods, nodes)


@pytest.mark.parametrize(
    ("name", "denied", "peers", "with_ports"),
    [
        ("generic", UNSPECIFIED, UNSPECIFIED, UNSPECIFIED),
        ("calico", DENY, ALLOW, DENY),
        ("cilium", DENY, ALLOW, DENY),
        ("antrea", DENY, ALLOW, DENY),
        ("kube-router", ALLOW, ALLOW, ALLOW),
        ("kube-network-policies", UNSPECIFIED, UNSPECIFIED, UNSPECIFIED),
        ("tungsten-fabric", DENY, ALLOW, DENY),
    ],
)
def test_icmp(name: str, denied: Answer, peers: Answer, with_ports: Answer) -> None:
    answers = [Cluster(text, PROFILES[name]).answer(YA, XA, PING) for text in (DENY_ALL, PEERS, WITH_PORTS)]
    assert answers == ([denied, peers, with_ports])


def test_icmp_is_open_where_no_policy_selects_the_pod() -> None:
    assert {Cluster("", profile).answer(YA, XA, PING) for profile in PROFILES.values()} == {ALLOW}


@pytest.mark.parametrize(
    ("name", "answer"), [("calico", UNSPECIFIED), ("cilium", ALLOW), ("antrea", ALLOW), ("generic", UNSPECIFIED)]
)
def test_a_pod_that_reaches_itself_through_its_service(name: str, answer: Answer) -> None:
    assert Cluster(DENY_ALL, PROFILES[name]).answer(XA, XA, Connection("TCP", 80, via_service=True)) is answer


@pytest.mark.parametrize("name", PROFILES)
def test_whether_a_pod_on_the_host_network_is_selected_is_known_of_three(name: str) -> None:
    host = pod("x/h", "192.168.0.2", node="n2", host_network=True)
    known = name in {"calico", "cilium", "kube-network-policies"}
    cluster = Cluster(DENY_ALL, PROFILES[name])
    assert cluster.answer(YA, host) is (ALLOW if known else UNSPECIFIED)
    by_labels = Cluster("{netpol: x/p, spec: {ingress: [{from: [{podSelector: {}}]}]}}", PROFILES[name])
    assert by_labels.answer(host, XA) is (DENY if known else UNSPECIFIED)


def test_an_exception_closes_nothing_and_with_tungsten_fabric_it_may() -> None:
    block = "{ipBlock: {cidr: 10.0.0.0/8, except: [10.0.2.0/24]}}"
    text = f"{{netpol: x/p, spec: {{ingress: [{{from: [{block}, {{namespaceSelector: {{}}}}], ports: [{{port: 80}}]}}]}}}}"
    assert Cluster(text, PROFILES["calico"]).answer(YA, XA) is ALLOW
    decision = Cluster(text, PROFILES["tungsten-fabric"]).decide(YA, XA)
    assert decision.answer is UNSPECIFIED
    assert "an exception in rule 0 of NetworkPolicy x/p may close it" in decision.because
    assert Cluster(text, PROFILES["tungsten-fabric"]).answer(XB, XA) is ALLOW, "whose address is in no exception"
    only = "{netpol: x/p, spec: {ingress: [{from: [{namespaceSelector: {}}]}]}}"
    assert Cluster(only, PROFILES["tungsten-fabric"]).answer(YA, XA) is ALLOW


def test_only_kube_router_refuses_aloud() -> None:
    assert {name for name, profile in PROFILES.items() if profile.refuses} == {"kube-router"}


def test_a_policy_that_cannot_be_read_makes_its_pods_unknown_and_no_others() -> None:
    opaque = Opaque("CiliumNetworkPolicy", "l7", "x", (PodPeer(pods=Selector(match_labels={"pod": "a"})),))
    cluster = Cluster("", opaque=(opaque,))
    decision = cluster.decide(YA, XA)
    assert decision.answer is UNKNOWN
    assert decision.because == "ingress: CiliumNetworkPolicy x/l7 is of a kind that is not understood"
    assert cluster.answer(YA, XB) is ALLOW


def test_a_denial_in_one_direction_stands_whatever_is_unknown_of_the_other() -> None:
    assert (
        Cluster(DENY_ALL, opaque=(Opaque("GlobalNetworkPolicy", "g", subjects=(PodPeer(namespace="y"),)),)).answer(YA, XA)
        is DENY
    )


ISOLATED = {"opencontrail.org/isolation": "true"}
FABRIC = PROFILES["tungsten-fabric"]
OPEN = pod("open/a", "10.0.3.1")
RED = pod("red/a", "10.0.4.1", home=namespace("red", ISOLATED))
RED_B = pod("red/b", "10.0.4.2", home=namespace("red", ISOLATED))
BLUE = pod("blue/a", "10.0.5.1", home=namespace("blue", {**ISOLATED, "opencontrail.org/isolation.service": "false"}))
SYSTEM = pod("kube-system/dns", "10.0.6.1")


def test_an_isolated_namespace_is_closed_to_others_and_open_within() -> None:
    cluster = Cluster("", FABRIC)
    assert [cluster.answer(*pair) for pair in ((OPEN, RED), (RED, BLUE), (BLUE, RED))] == [DENY, DENY, DENY]
    assert [cluster.answer(*pair) for pair in ((RED, RED_B), (SYSTEM, RED), (RED, SYSTEM))] == [ALLOW, ALLOW, ALLOW]
    assert cluster.decide(OPEN, RED).because == "namespace red is isolated (opencontrail.org/isolation)"


def test_policies_apply_within_an_isolated_namespace() -> None:
    assert Cluster("{netpol: red/p, spec: {policyTypes: [Ingress]}}", FABRIC).answer(RED, RED_B) is DENY


@pytest.mark.parametrize(("setting", "answer"), [("allow", ALLOW), ("deny", DENY), ("unknown", UNKNOWN)])
def test_whether_its_services_can_be_opened_is_a_setting_too(setting: str, answer: Answer) -> None:
    through = Connection("TCP", 80, via_service=True)
    fabric = structs.replace(FABRIC, opened_services=setting)
    assert Cluster("", fabric).answer(OPEN, BLUE, through) is answer
    assert Cluster("", fabric).answer(OPEN, BLUE) is DENY, "not through a service"
    assert Cluster("", fabric).answer(OPEN, RED, through) is DENY


def test_a_namespace_that_says_that_it_is_not_isolated_is_not_whatever_the_plugin() -> None:
    plain = pod("plain/a", "10.0.7.1", home=namespace("plain", {"opencontrail.org/isolation": "false"}))
    for profile in (FABRIC, PROFILES["generic"], PROFILES["calico"]):
        assert Cluster("", profile).answer(OPEN, plain) is ALLOW


@pytest.mark.parametrize(("setting", "answer"), [("allow", ALLOW), ("deny", DENY), ("unknown", UNKNOWN)])
def test_whether_it_reaches_others_is_a_setting_that_nobody_guesses(setting: str, answer: Answer) -> None:
    assert Cluster("", structs.replace(FABRIC, isolated_to_open=setting)).answer(RED, OPEN) is answer


def test_a_custom_network_is_unknown_to_others_and_open_within() -> None:
    custom = {"opencontrail.org/network": '{"name": "n"}'}
    one, other = (pod(f"green/{name}", f"10.0.7.{place}", home=namespace("green", custom)) for place, name in enumerate("ab"))
    assert Cluster("", FABRIC).answer(one, other) is ALLOW
    assert Cluster("", FABRIC).answer(one, OPEN) is UNKNOWN


def test_these_annotations_are_unknown_without_a_profile_and_nothing_to_other_plugins() -> None:
    assert Cluster("", PROFILES["generic"]).answer(OPEN, RED) is UNKNOWN
    assert Cluster("", PROFILES["calico"]).answer(OPEN, RED) is ALLOW
