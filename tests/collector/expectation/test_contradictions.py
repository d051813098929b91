"""What is wrong with declarations is said without a packet, and nothing wrong is silently true."""

from typing import Any

import pytest

from collector.expectation.cluster import Cluster, Service
from collector.expectation.contradictions import Contradiction, contradictions
from tests.collector.expectation.declaring import CLOSED, CLUSTER, WEB_PORT, expectation, expectations
from tests.collector.policy.cluster import N1, N2, XA, XB, pod

TO_Y = "{to: [{pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}}}], ports: [{port: 80}], expect: %s}"

SELECTING = "{to: [{pods: {podSelector: %s}}], expect: allow}"


def found(*documents: dict[str, Any], **more: Any) -> list[tuple[str, str, str]]:
    return [(one.name, one.sort, one.because) for one in contradictions(expectations(*documents, **more))]


def test_nothing_is_wrong_with_what_policies_agree_with() -> None:
    assert found(expectation("x/a", TO_Y % "allow")) == []
    assert found(expectation("x/a", TO_Y % "deny"), policies=CLOSED) == []
    assert found(expectation("x/a", TO_Y % "none"), policies=CLOSED) == []


def test_an_open_path_that_policies_close_is_found_with_the_policy_and_a_pair() -> None:
    document = expectation("x/a", (TO_Y % "allow")[:-1] + ", severity: critical, owner: team-a}")
    (one,) = contradictions(expectations(document, policies=CLOSED))
    assert one == Contradiction(
        "x/a",
        "policies",
        because="it says allow, and the policies in force close x/a to y/a, TCP 80: "
        "ingress: no rule of NetworkPolicy y/closed allows it (2 of 2 kinds of paths)",
        severity="critical",
        owner="team-a",
        source="x/a",
        target="y/a",
        policy="NetworkPolicy y/closed",
    )


def test_a_closed_path_that_no_policy_closes_is_found() -> None:
    ((_, sort, because),) = found(expectation("x/a", TO_Y % "deny"))
    assert sort == "policies"
    assert because.startswith("it says deny, and the policies in force open x/a to y/a, TCP 80: no policy is about either end")


def test_what_cannot_be_read_or_is_left_to_the_plugin_is_no_contradiction() -> None:
    assert found(expectation("x/a", TO_Y % "allow"), policies=CLOSED, read=False) == []
    ping = "{to: [{pods: {namespaceSelector: {}}}], ports: [{protocol: ICMP}], expect: deny}"
    assert found(expectation("x/a", ping), policies=CLOSED)  # not y alone
    only_y = TO_Y.replace("port: 80", "protocol: ICMP") % "allow"
    assert [sort for _, sort, _ in found(expectation("x/a", only_y), policies=CLOSED)] == ["policies"]


def test_one_open_target_is_enough_for_each_source_where_any_is_to_match() -> None:
    half = "{netpol: y/half, spec: {podSelector: {matchLabels: {pod: a}}}}"
    assert found(expectation("x/a", TO_Y % "allow"), policies=half)
    assert found(expectation("x/a", (TO_Y % "allow")[:-1] + ", match: any}"), policies=half) == []
    assert found(expectation("x/a", (TO_Y % "allow")[:-1] + ", match: any}"), policies=CLOSED)


def test_two_that_contradict_each_other_are_found_by_a_path_that_both_mean() -> None:
    ours, theirs = expectation("x/a", TO_Y % "allow"), expectation("b", "{to: [{pods: {}}], expect: deny}")
    said = [one for one in found(ours, theirs) if one[1] == "another"]
    assert said == [("b", "another", "ReachabilityExpectation x/a says allow of x/a to y/a, TCP 80")]
    apart = expectation("b", "{to: [{pods: {}}], ports: [{port: 81}], expect: deny}")
    assert not [one for one in found(ours, apart) if one[1] == "another"]


@pytest.mark.parametrize(
    ("spec", "sort", "because"),
    [
        (
            "{to: [{pods: {}}], from: [{pods: {podSelector: {matchLabels: {pod: z}}}}], expect: allow}",
            "nothing",
            "from: pods selects nothing",
        ),
        ("{to: [{pods: {podSelector: {matchLabels: {pod: z}}}}], expect: allow}", "nothing", "to: pods selects nothing"),
        ("{to: [{workload: {kind: Deployment, name: api}}], expect: allow}", "nothing", "to: Deployment x/api selects nothing"),
        ("{to: [{service: {name: web}}], expect: allow}", "service", "to: there is no service x/web"),
        (
            "{to: [{service: {name: web, namespace: y}}], ports: [{port: 80}], expect: allow}",
            "port",
            "to: service y/web has no port TCP 80",
        ),
        ("{to: [{pods: {}}], ports: [{port: sql}], expect: allow}", "port", "to: pods: no pod declares port TCP sql"),
        ("{to: [{pods: {}}], ports: [{port: 81}], expect: allow}", "port", "to: pods: no pod declares port TCP 81"),
        (
            "{to: [{pods: {}}], from: [{pods: {namespaceSelector: {}}}], expect: allow}",
            "elsewhere",
            "from: pods of other namespaces need the kind ClusterReachabilityExpectation, and are left out",
        ),
        (
            SELECTING % "{matchLabels: {pod: a}, matchExpressions: [{key: pod, operator: NotIn, values: [a]}]}",
            "itself",
            "to: pods.podSelector selects nothing whatever there is: pod would have to be 'a' and not be",
        ),
        (
            SELECTING % "{matchExpressions: [{key: a, operator: Exists}, {key: a, operator: DoesNotExist}]}",
            "itself",
            "to: pods.podSelector selects nothing whatever there is: a would have to be there and not be",
        ),
        (
            "{to: [{pods: {}}], expect: none, slo: {loss: {max: 1%}}}",
            "itself",
            "slo is an objective of open paths, and expect is none",
        ),
        (
            "{to: [{pods: {}}], expect: allow, enforcement: {denyOutcome: reject}}",
            "itself",
            "enforcement is about closed paths, and expect is allow",
        ),
        (
            "{to: [{pods: {}}], expect: none, match: any}",
            "itself",
            "match any is about open paths, and expect is none",
        ),
        ("{to: [{pods: {}}], family: [IPv6], expect: allow}", "", ""),
    ],
)
def test_what_is_missing_or_of_no_effect_is_said(spec: str, sort: str, because: str) -> None:
    said = [(one, two) for _, one, two in found(expectation("x/a", spec))]
    assert ((sort, because) in said) if sort else not said


def test_a_service_without_endpoints_and_ends_without_a_family_in_common_are_nothing() -> None:
    empty = Cluster((XA, XB), (N1, N2), (Service("x", "web", (WEB_PORT,)),))
    said = found(expectation("x/a", "{to: [{service: {name: web}}], expect: allow}"), cluster=empty)
    assert said == [("x/a", "nothing", "to: service x/web has no ready endpoint")]
    split = Cluster((pod("x/four", "10.0.0.1"), pod("x/six", "fd00::1", labels={"six": "1"})))
    spec = """{from: [{pods: {podSelector: {matchLabels: {pod: four}}}}],
        to: [{pods: {podSelector: {matchLabels: {six: "1"}}}}], expect: allow}"""
    said = found(expectation("x/a", spec), cluster=split)
    assert said == [("x/a", "nothing", "no source and target that differ have an address of the same family")]


def test_a_pod_that_declares_no_ports_may_have_any() -> None:
    bare = Cluster((XA, pod("x/bare", "10.0.1.9", ports=())))
    spec = "{to: [{pods: {podSelector: {matchLabels: {pod: bare}}}}], ports: [{port: 81}], expect: allow}"
    assert found(expectation("x/a", spec), cluster=bare) == []


def test_nodes_addresses_and_hosts_are_looked_at_as_well() -> None:
    spec = (
        """{from: [{nodes: {}}], to: [{pods: {}}, {cidr: {address: 203.0.113.7}}, {host: {name: a.example}}], expect: allow}"""
    )
    said = found(expectation("a", spec), policies="{netpol: x/closed, spec: {}}")
    assert [sort for _, sort, _ in said] == ["policies"]
    assert CLUSTER.nodes
