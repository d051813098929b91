"""The admin tiers: ClusterNetworkPolicy v1alpha2 before and after NetworkPolicy."""

import pytest

from collector.policy.ends import Connection, ContainerPort, Host
from collector.policy.evaluate import Answer
from tests.collector.policy.cluster import DNS, N1, N2, PING, WEB6, WORLD, XA, XB, YA, YB, Cluster, pod, read

DENY_IN = "{netpol: x/deny, spec: {policyTypes: [Ingress]}}"
ALLOW_IN = "{netpol: x/allow, spec: {ingress: [{}]}}"


def cnp(name: str, tier: str, rules: str, *, priority: int = 10, subject: str = "{namespaces: {}}") -> str:
    return f"{{cnp: {name}, spec: {{tier: {tier}, priority: {priority}, subject: {subject}, {rules}}}}}"


def rule(action: str, peers: str = "{namespaces: {}}", more: str = "") -> str:
    return f"ingress: [{{action: {action}, from: [{peers}]{more}}}]"


def cluster(*texts: str) -> Cluster:
    return Cluster("\n---\n".join(texts))


@pytest.mark.parametrize(
    ("tier", "action", "others", "allowed"),
    [
        ("Admin", "Accept", DENY_IN, True),
        ("Admin", "Deny", ALLOW_IN, False),
        ("Admin", "Pass", ALLOW_IN, True),
        ("Admin", "Pass", DENY_IN, False),
        ("Baseline", "Deny", ALLOW_IN, True),
        ("Baseline", "Accept", DENY_IN, False),
        ("Baseline", "Deny", "", False),
        ("Baseline", "Accept", "", True),
    ],
)
def test_admin_comes_first_and_baseline_only_where_no_network_policy_selects(
    tier: str, action: str, others: str, allowed: bool
) -> None:
    assert cluster(cnp("p", tier, rule(action)), others).allows(YA, XA) is allowed


def test_pass_leaves_the_rest_of_its_tier_out_and_baseline_still_comes() -> None:
    passes = cnp("first", "Admin", rule("Pass"), priority=1)
    assert cluster(passes, cnp("second", "Admin", rule("Deny"), priority=2)).allows(YA, XA)
    assert not cluster(passes, cnp("base", "Baseline", rule("Deny"))).allows(YA, XA)


def test_the_lower_priority_number_and_the_earlier_rule_win() -> None:
    accept, deny = cnp("a", "Admin", rule("Accept"), priority=5), cnp("d", "Admin", rule("Deny"), priority=6)
    assert cluster(accept, deny).allows(YA, XA)
    ordered = "ingress: [{action: Deny, from: [{namespaces: {}}]}, {action: Accept, from: [{namespaces: {}}]}]"
    assert not cluster(cnp("o", "Admin", ordered)).allows(YA, XA)


def test_equal_priorities_that_contradict_each_other_are_unspecified() -> None:
    accept, deny = cnp("a", "Admin", rule("Accept")), cnp("d", "Admin", rule("Deny"))
    decision = cluster(accept, deny).decide(YA, XA)
    assert decision.answer is Answer.UNSPECIFIED
    assert "ClusterNetworkPolicy a" in decision.because
    assert "ClusterNetworkPolicy d" in decision.because
    assert cluster(accept, cnp("b", "Admin", rule("Accept"))).allows(YA, XA)


def test_a_policy_without_rules_for_a_direction_does_not_isolate() -> None:
    assert cluster(cnp("p", "Admin", "ingress: []")).allows(YA, XA)
    assert cluster(
        cnp("p", "Admin", rule("Deny", "{pods: {namespaceSelector: {}, podSelector: {matchLabels: {pod: b}}}}"))
    ).allows(YA, XA)


def test_a_subject_is_namespaces_or_pods_and_never_on_the_host_network() -> None:
    only_b = (
        "{pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: x}}, podSelector: {matchLabels: {pod: b}}}}"
    )
    some = cluster(cnp("p", "Admin", rule("Deny"), subject=only_b))
    assert [some.allows(YA, target) for target in (XA, XB, YB)] == [True, False, True]
    host = pod("x/b", "192.168.0.2", node="n2", host_network=True)
    assert cluster(cnp("p", "Admin", rule("Deny"))).allows(YA, host)
    assert cluster(cnp("p", "Admin", rule("Deny"))).allows(host, XA)


@pytest.mark.parametrize(
    ("protocol", "tcp80", "tcp81", "udp53"),
    [
        ("tcp: {destinationPort: {number: 80}}", True, False, False),
        ("tcp: {destinationPort: {range: {start: 80, end: 81}}}", True, True, False),
        ("tcp: {}", True, True, False),
        ("udp: {destinationPort: {number: 53}}", False, False, True),
        ("destinationNamedPort: web", True, False, False),
        ("destinationNamedPort: dns", False, False, True),
        ("sctp: {}", False, False, False),
    ],
)
def test_protocols(protocol: str, tcp80: bool, tcp81: bool, udp53: bool) -> None:
    found = cluster(cnp("p", "Admin", rule("Deny", more=f", protocols: [{{{protocol}}}]")))
    denied = [not found.allows(YA, XA, connection) for connection in (Connection("TCP", 80), Connection("TCP", 81), DNS)]
    assert denied == [tcp80, tcp81, udp53]


def test_networks_match_pods_too_and_only_their_own_family() -> None:
    found = cluster(cnp("p", "Admin", "egress: [{action: Deny, to: [{networks: [10.0.0.0/8]}]}]"))
    assert not found.allows(XA, YA)
    assert found.allows(XA, YA, WEB6)
    assert found.allows(XA, WORLD)


def test_nodes_and_domain_names() -> None:
    workers = cluster(cnp("p", "Admin", "egress: [{action: Deny, to: [{nodes: {matchLabels: {role: worker}}}]}]"))
    assert not workers.allows(XA, N1)
    assert workers.allows(XA, N2)
    assert workers.allows(XA, YA)
    names = cluster(
        cnp(
            "p",
            "Admin",
            "egress: [{action: Accept, to: [{domainNames: ['*.example.com', example.org]}]},"
            " {action: Deny, to: [{networks: [0.0.0.0/0]}]}]",
        )
    )

    def reaches(name: str) -> Answer:
        return names.answer(XA, Host(("203.0.113.7",), name))

    assert [reaches(name) for name in ("www.example.com", "a.b.example.com.", "example.org")] == [Answer.ALLOW] * 3
    assert [reaches(name) for name in ("example.com", "www.example.org", "notexample.org")] == [Answer.DENY] * 3
    assert reaches("") is Answer.UNSPECIFIED


@pytest.mark.parametrize(
    ("action", "others", "allowed"), [("Accept", DENY_IN, False), ("Deny", "", False), ("Pass", ALLOW_IN, False)]
)
def test_a_peer_of_another_version_fails_closed(action: str, others: str, allowed: bool) -> None:
    assert cluster(cnp("p", "Admin", rule(action, "{somethingNew: {}}")), others).allows(YA, XA) is allowed


def test_without_protocols_icmp_is_meant_too() -> None:
    assert not cluster(cnp("p", "Admin", rule("Deny"))).allows(YA, XA, PING)
    assert cluster(cnp("p", "Admin", rule("Deny", more=", protocols: [{tcp: {}}]"))).allows(YA, XA, PING)


def test_a_pod_reaches_itself_and_not_through_its_service() -> None:
    denied = cluster(cnp("p", "Admin", rule("Deny")))
    assert denied.allows(XA, XA)
    assert not denied.allows(XA, XA, Connection("TCP", 80, via_service=True)), "which its API says"


def test_named_ports_are_those_of_the_destination() -> None:
    other = pod("y/c", "10.0.2.3", ports=(ContainerPort(81, "TCP", "web"),))
    found = cluster(
        cnp("p", "Admin", "egress: [{action: Deny, to: [{namespaces: {}}], protocols: [{destinationNamedPort: web}]}]")
    )
    assert not found.allows(XA, YA)
    assert found.allows(XA, other)


def test_it_says_which_rule_decided() -> None:
    (reason,) = (
        cluster(cnp("p", "Admin", "ingress: [{name: all, action: Deny, from: [{namespaces: {}}]}]")).decide(YA, XA).reasons
    )
    assert str(reason) == "ingress: rule 0 (all) of ClusterNetworkPolicy p denies it"


@pytest.mark.parametrize(
    "spec",
    [
        "{tier: NetworkPolicy, priority: 1, subject: {namespaces: {}}}",
        "{tier: Admin, priority: 1001, subject: {namespaces: {}}}",
        "{tier: Admin, priority: 1, subject: {}}",
        "{tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Allow, from: []}]}",
        (
            "{tier: Admin, priority: 1, subject: {namespaces: {}},"
            " ingress: [{action: Deny, from: [{namespaces: {}}], protocols: [{}]}]}"
        ),
    ],
)
def test_what_cannot_be_a_policy_is_a_value_error(spec: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(f"{{cnp: p, spec: {spec}}}")
