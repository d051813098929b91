"""What NetworkPolicy says, rule by rule of its API (networking/v1 types.go and the published concepts)."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.policy.ends import Connection, ContainerPort, Host
from collector.policy.evaluate import Answer
from collector.policy.network_policy import network_policy
from tests.collector.policy.cluster import (
    DNS,
    N1,
    N2,
    PING,
    WEB6,
    WORLD,
    XA,
    XB,
    YA,
    YB,
    Cluster,
    namespace,
    pod,
    read,
)
from wire.path import Family

DENY_IN = "{netpol: x/deny, spec: {podSelector: {}, policyTypes: [Ingress]}}"
DENY_OUT = "{netpol: x/deny, spec: {podSelector: {}, policyTypes: [Egress]}}"


def test_without_policies_everything_is_open() -> None:
    decision = Cluster("").decide(XA, YA)
    assert decision.answer is Answer.ALLOW
    assert decision.because == "no policy is about either end"


def test_a_connection_needs_both_directions() -> None:
    cluster = Cluster(DENY_OUT + "\n---\n{netpol: y/open, spec: {ingress: [{}]}}")
    assert not cluster.allows(XA, YA)
    assert cluster.allows(YA, XA)
    assert cluster.allows(YA, YB)


def test_a_direction_says_nothing_of_the_other() -> None:
    assert Cluster(DENY_IN).allows(XA, YA)
    assert Cluster(DENY_OUT).allows(YA, XA)


def test_policies_add_up_and_none_takes_away() -> None:
    both = DENY_IN + "\n---\n{netpol: x/web, spec: {ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}]}]}}"
    assert Cluster(both).allows(XB, XA)
    assert not Cluster(both).allows(YA, XA)


def test_a_policy_is_about_the_pods_of_its_own_namespace() -> None:
    assert Cluster(DENY_IN).allows(XA, YA)


@pytest.mark.parametrize(
    ("spec", "isolates_in", "isolates_out"),
    [
        ("{}", True, False),
        ("{ingress: [{}]}", True, False),
        ("{egress: []}", True, False),
        ("{egress: null}", True, False),
        ("{egress: [{}]}", True, True),
        ("{policyTypes: []}", True, False),
        ("{policyTypes: [Egress]}", False, True),
        ("{policyTypes: [Ingress], egress: [{}]}", True, False),
    ],
)
def test_types_that_are_left_out_are_ingress_and_egress_where_it_has_rules(
    spec: str, isolates_in: bool, isolates_out: bool
) -> None:
    (policy,) = read(f"{{netpol: x/p, spec: {spec}}}")
    assert {direction.value for direction in policy.rules} == {
        word for word, holds in (("ingress", isolates_in), ("egress", isolates_out)) if holds
    }


@pytest.mark.parametrize("selector", ["", "podSelector: null, ", "podSelector: {}, ", "podSelector: {matchLabels: {}}, "])
def test_a_missing_or_empty_pod_selector_is_every_pod(selector: str) -> None:
    cluster = Cluster(f"{{netpol: x/p, spec: {{{selector}policyTypes: [Ingress]}}}}")
    assert not cluster.allows(YA, XA)
    assert not cluster.allows(YA, XB)


@pytest.mark.parametrize(
    ("rules", "allowed"), [("null", False), ("[]", False), ("[{}]", True), ("[{from: [], ports: []}]", True)]
)
def test_no_rules_deny_and_one_empty_rule_allows_all(rules: str, allowed: bool) -> None:
    cluster = Cluster(f"{{netpol: x/p, spec: {{policyTypes: [Ingress], ingress: {rules}}}}}")
    assert cluster.allows(YA, XA) is allowed
    assert cluster.allows(WORLD, XA) is allowed


def test_peers_and_ports_must_both_match() -> None:
    cluster = Cluster("{netpol: x/p, spec: {ingress: [{from: [{podSelector: {matchLabels: {pod: b}}}], ports: [{port: 80}]}]}}")
    assert cluster.allows(XB, XA)
    assert not cluster.allows(XB, XA, Connection("TCP", 81))
    assert not cluster.allows(YB, XA)


@pytest.mark.parametrize(
    ("peer", "allowed"),
    [
        ("{podSelector: {}}", {"x/a", "x/b"}),
        ("{podSelector: {matchLabels: {pod: b}}}", {"x/b"}),
        ("{namespaceSelector: {}}", {"x/a", "x/b", "y/a", "y/b"}),
        ("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}}", {"y/a", "y/b"}),
        ("{namespaceSelector: {}, podSelector: {matchLabels: {pod: b}}}", {"x/b", "y/b"}),
        ("{namespaceSelector: {matchLabels: {team: y}}, podSelector: {matchLabels: {pod: b}}}", set()),
        (
            "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}, podSelector: {matchLabels: {pod: b}}}",
            {"y/b"},
        ),
        (
            "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}}, {podSelector: {matchLabels: {pod: b}}}",
            {"y/a", "y/b", "x/b"},
        ),
    ],
)
def test_selectors_of_one_peer_narrow_and_peers_widen(peer: str, allowed: set[str]) -> None:
    cluster = Cluster(f"{{netpol: x/p, spec: {{podSelector: {{matchLabels: {{pod: t}}}}, ingress: [{{from: [{peer}]}}]}}}}")
    target = pod("x/t", "10.0.1.9")
    assert {str(source) for source in (XA, XB, YA, YB) if cluster.allows(source, target)} == allowed
    assert not cluster.allows(WORLD, target)
    assert not cluster.allows(N1, target)


@pytest.mark.parametrize(
    ("expression", "selected"),
    [
        ("{key: pod, operator: In, values: [a, c]}", {"a"}),
        ("{key: pod, operator: NotIn, values: [a]}", {"b", "none"}),
        ("{key: pod, operator: Exists}", {"a", "b"}),
        ("{key: pod, operator: DoesNotExist}", {"none"}),
        ("{key: other, operator: NotIn, values: [a]}", {"a", "b", "none"}),
        ("{key: pod, operator: Exists}, {key: pod, operator: NotIn, values: [b]}", {"a"}),
    ],
)
def test_every_expression_must_hold_and_not_in_holds_without_the_key(expression: str, selected: set[str]) -> None:
    cluster = Cluster(f"{{netpol: x/p, spec: {{podSelector: {{matchExpressions: [{expression}]}}, policyTypes: [Ingress]}}}}")
    pods = {"a": XA, "b": XB, "none": pod("x/none", "10.0.1.3", labels={})}
    assert {name for name, target in pods.items() if not cluster.allows(YA, target)} == selected


def test_an_operator_of_another_version_is_refused_in_a_sentence() -> None:
    with pytest.raises(ValueError, match=r"Invalid enum value 'Near' - at `\$\.spec\.podSelector\.matchExpressions"):
        read("{netpol: x/p, spec: {podSelector: {matchExpressions: [{key: a, operator: Near}]}}}")


BLOCK = "{netpol: x/p, spec: {policyTypes: [Egress], egress: [{to: [%s]}]}}"


@pytest.mark.parametrize(
    ("peer", "address", "allowed"),
    [
        ("{ipBlock: {cidr: 203.0.113.0/24}}", "203.0.113.7", True),
        ("{ipBlock: {cidr: 203.0.113.0/24}}", "203.0.114.7", False),
        ("{ipBlock: {cidr: 203.0.113.213/24}}", "203.0.113.7", True),
        ("{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.7/32]}}", "203.0.113.7", False),
        ("{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.7/32]}}, {ipBlock: {cidr: 203.0.113.7/32}}", "203.0.113.7", True),
        ("{ipBlock: {cidr: 0.0.0.0/0}}", "2001:db8::1", False),
        ("{ipBlock: {cidr: '::/0'}}", "2001:db8::1", True),
        ("{ipBlock: {cidr: '::/0'}}", "203.0.113.7", False),
    ],
)
def test_a_block_is_of_its_family_less_its_exceptions_which_deny_nothing(peer: str, address: str, allowed: bool) -> None:
    family = Family.IPV6 if ":" in address else Family.IPV4
    assert Cluster(BLOCK % peer).allows(XA, Host((address,)), Connection("TCP", 80, family)) is allowed


@pytest.mark.parametrize(
    ("ports", "tcp", "udp", "sctp"),
    [
        ("[{}]", True, False, False),
        ("[{protocol: UDP}]", False, True, False),
        ("[{protocol: SCTP}]", False, False, True),
        ("[{port: 80}]", True, False, False),
        ("[{port: 81}]", False, False, False),
        ("[{protocol: UDP, port: 80}]", False, True, False),
        ("[{protocol: null, port: 80}, {protocol: SCTP}]", True, False, True),
        ("[{port: 79, endPort: 80}]", True, False, False),
        ("[{port: 80, endPort: 81}]", True, False, False),
        ("[{port: 81, endPort: 90}]", False, False, False),
    ],
)
def test_a_missing_protocol_is_tcp_and_a_range_has_both_its_ends(ports: str, tcp: bool, udp: bool, sctp: bool) -> None:
    cluster = Cluster(f"{{netpol: x/p, spec: {{ingress: [{{ports: {ports}}}]}}}}")
    assert [cluster.allows(YA, XA, Connection(protocol, 80)) for protocol in ("TCP", "UDP", "SCTP")] == [tcp, udp, sctp]


def test_a_named_port_is_that_of_the_destination_in_both_directions_and_of_its_protocol() -> None:
    other = pod("y/c", "10.0.2.3", ports=(ContainerPort(8080, "TCP", "web"), ContainerPort(80, "UDP", "web")))
    into = Cluster("{netpol: y/p, spec: {ingress: [{ports: [{port: web}]}]}}")
    assert into.allows(XA, YA)
    assert not into.allows(XA, other)
    assert into.allows(XA, other, Connection("TCP", 8080))
    assert not into.allows(XA, other, Connection("UDP", 80))
    out = Cluster("{netpol: x/p, spec: {policyTypes: [Egress], egress: [{ports: [{port: web}]}]}}")
    assert out.allows(XA, YA)
    assert not out.allows(XA, other)
    assert out.allows(XA, other, Connection("TCP", 8080))
    assert not out.allows(XA, WORLD)


def test_a_named_port_that_a_pod_does_not_have_is_no_port_of_it() -> None:
    assert not Cluster("{netpol: x/p, spec: {ingress: [{ports: [{port: metrics}]}]}}").allows(YA, XA)


def test_a_named_port_with_a_block_is_resolved_on_the_selected_pod() -> None:
    cluster = Cluster("{netpol: x/p, spec: {ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}], ports: [{port: web}]}]}}")
    assert cluster.allows(WORLD, XA)
    assert not cluster.allows(WORLD, XA, Connection("TCP", 81))


def test_a_pod_always_reaches_itself() -> None:
    decision = Cluster(DENY_IN + "\n---\n" + DENY_OUT).decide(XA, XA)
    assert (decision.answer, decision.because) == (Answer.ALLOW, "a pod always reaches itself")


def test_a_pod_and_its_own_node_always_reach_each_other_and_other_nodes_are_outside() -> None:
    cluster = Cluster(DENY_IN + "\n---\n" + DENY_OUT)
    assert cluster.allows(N1, XA)
    assert cluster.allows(XA, N1)
    assert not cluster.allows(N2, XA)
    assert not cluster.allows(XA, N2)
    assert Cluster("{netpol: x/p, spec: {ingress: [{from: [{ipBlock: {cidr: 192.168.0.0/24}}]}]}}").allows(N2, XA)


def test_a_pod_on_the_host_network_may_be_selected_or_not() -> None:
    host = pod("x/h", "192.168.0.2", node="n2", host_network=True)
    assert Cluster(DENY_IN).answer(YA, host) is Answer.UNSPECIFIED
    assert Cluster("{netpol: x/p, spec: {ingress: [{}]}}").answer(YA, host) is Answer.ALLOW
    by_labels = Cluster("{netpol: x/p, spec: {ingress: [{from: [{podSelector: {}}]}]}}")
    assert by_labels.answer(host, XA) is Answer.UNSPECIFIED
    assert by_labels.answer(host, XB) is Answer.ALLOW  # on the same node
    assert (
        Cluster("{netpol: x/p, spec: {ingress: [{from: [{ipBlock: {cidr: 192.168.0.0/24}}]}]}}").answer(host, XA)
        is Answer.ALLOW
    )


def test_of_icmp_only_the_plugin_says_anything() -> None:
    assert Cluster(DENY_IN).answer(YA, XA, PING) is Answer.DENY
    assert Cluster("").answer(YA, XA, PING) is Answer.ALLOW


def test_a_service_is_asked_for_by_its_endpoints_and_a_pod_through_its_own_is_open_to_the_plugin() -> None:
    through = Connection("TCP", 80, via_service=True)
    assert Cluster(DENY_IN).answer(XA, XA, through) is Answer.UNSPECIFIED
    assert Cluster("").answer(XA, XA, through) is Answer.ALLOW
    assert Cluster(DENY_IN).answer(YA, XA, through) is Answer.DENY


def test_each_family_is_judged_by_the_address_that_a_pod_has_of_it() -> None:
    cluster = Cluster("{netpol: x/p, spec: {ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}}")
    assert cluster.allows(YA, XA)
    assert not cluster.allows(YA, XA, WEB6)
    decision = cluster.decide(pod("y/c", "10.0.2.3"), XA, WEB6)
    assert (decision.answer, decision.because) == (Answer.UNKNOWN, "y/c has no ipv6 address")


def test_a_host_that_is_known_by_its_name_alone_may_be_in_any_block_and_is_in_one_of_all_addresses() -> None:
    host = Host((), "www.example.test")
    assert Cluster("").allows(XA, host)
    assert not Cluster(DENY_OUT).allows(XA, host)

    def to(block: str) -> Answer:
        return Cluster(f"{{netpol: x/p, spec: {{policyTypes: [Egress], egress: [{{to: [{block}]}}]}}}}").answer(XA, host)

    assert to("{ipBlock: {cidr: 0.0.0.0/0}}") is Answer.ALLOW
    assert to("{ipBlock: {cidr: 0.0.0.0/0, except: [10.0.0.0/8]}}") is Answer.UNSPECIFIED
    assert to("{ipBlock: {cidr: 192.0.2.0/24}}") is Answer.UNSPECIFIED
    assert to("{ipBlock: {cidr: '::/0'}}") is Answer.DENY
    assert to("{namespaceSelector: {}}") is Answer.DENY


def test_the_name_label_of_a_namespace_is_always_there() -> None:
    assert namespace("x", team="a").labels == {"team": "a", "kubernetes.io/metadata.name": "x"}


def test_it_says_which_policy_direction_and_rule_decided() -> None:
    text = "{netpol: x/web, spec: {ingress: [{ports: [{port: 443}]}, {ports: [{port: 80}]}]}}"
    (reason,) = Cluster(text).decide(YA, XA).reasons
    assert (reason.direction, reason.policy, reason.rule) == ("ingress", "NetworkPolicy x/web", 1)
    assert str(reason) == "ingress: rule 1 of NetworkPolicy x/web allows it"
    (reason,) = Cluster(text).decide(YA, XA, DNS).reasons
    assert (reason.rule, reason.answer) == (None, Answer.DENY)
    assert str(reason) == "ingress: no rule of NetworkPolicy x/web allows it"


@pytest.mark.parametrize(
    "spec",
    [
        "{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]}",
        "{ingress: [{from: [{ipBlock: {cidr: x}}]}]}",
        "{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}, podSelector: {}}]}]}",
        "{ingress: [{ports: [{port: 0}]}]}",
        "{ingress: [{ports: [{protocol: ICMP}]}]}",
        "{policyTypes: [Both]}",
        "{ingress: {}}",
    ],
)
def test_what_cannot_be_a_policy_is_a_value_error(spec: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read(f"{{netpol: x/p, spec: {spec}}}")


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["spec", "ingress", "from", "ports", "ipBlock", "cidr", "podSelector"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(spec=nested)
def test_no_document_makes_anything_but_a_policy_or_a_value_error(spec: object) -> None:
    with suppress(ValueError):
        network_policy({"metadata": {"name": "p"}, "spec": spec})
