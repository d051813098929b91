"""What people declare goes before what follows from policies, and ends that nothing tells apart are treated alike."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from collector.derivation import ExpectSettings
from collector.expectation.cluster import Backing, Cluster, Service, ServicePort
from collector.expectation.derived import profile_in_force
from collector.expectation.document import declared
from collector.expectation.expected import Expectation, Expectations
from collector.policy.ends import Connection, End, Host, Pod
from collector.policy.evaluate import Answer, Policies
from collector.policy.profile import GENERIC, PROFILES
from collector.policy.rules import Opaque
from tests.collector.expectation.declaring import CLOSED, SHOP, expectation, expectations
from tests.collector.policy.cluster import DNS, N1, N2, PING, WEB, WEB6, WORLD, XA, XB, YA, YB, namespace, pod
from tests.collector.policy.drawn import cluster_policies, network_policies, opaque, pods_of_a_cluster, selectors
from wire.path import Family


def answers(found: Expectation) -> tuple[str, str, str]:
    return found.answer.value, found.source, found.name


def test_without_declarations_the_policies_decide_and_are_named() -> None:
    found = expectations(policies=CLOSED).of(XA, YA, WEB)
    assert answers(found) == ("deny", "networkpolicy", "")
    assert (found.policy, found.rule, found.direction) == ("NetworkPolicy y/closed", None, "ingress")
    opened = expectations(policies=CLOSED + "\n---\n{netpol: y/open, spec: {ingress: [{}]}}").of(XA, YA, WEB)
    assert (opened.answer, opened.policy, opened.rule, opened.direction) == (
        Answer.ALLOW,
        "NetworkPolicy y/open",
        0,
        "ingress",
    )


def test_the_source_of_what_an_admin_or_an_annotation_closes_is_said() -> None:
    admin = """{cnp: a, spec: {tier: Admin, priority: 1, subject: {namespaces: {}},
        ingress: [{action: Deny, from: [{namespaces: {}}]}]}}"""
    assert answers(expectations(policies=admin).of(XA, YA, WEB)) == ("deny", "cnp", "")
    isolated = namespace("z", {"opencontrail.org/isolation": "true"})
    target = pod("z/a", "10.0.3.1", home=isolated)
    found = expectations(profile=PROFILES["tungsten-fabric"]).of(XA, target, WEB)
    assert answers(found) == ("deny", "tf", "")


def test_declared_beats_derived_and_says_what_it_goes_before() -> None:
    one = expectation("x/a", "{to: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {pod: a}}}}], expect: allow}")
    known = expectations(one, policies=CLOSED)
    found = known.of(XA, YA, WEB)
    assert answers(found) == ("allow", "declared", "x/a")
    assert (
        found.because == "ReachabilityExpectation x/a says allow, although ingress: no rule of NetworkPolicy y/closed allows it"
    )
    assert found.policy == "NetworkPolicy y/closed"
    assert known.of(XA, YB, WEB).source == "networkpolicy"


def test_a_namespaced_one_asks_from_its_own_namespace_alone() -> None:
    one = expectation("x/a", "{from: [{pods: {namespaceSelector: {}}}], to: [{pods: {namespaceSelector: {}}}], expect: deny}")
    known = expectations(one)
    assert known.of(XA, YA, WEB).source == "declared"
    assert known.of(YB, YA, WEB).source == "none"


def test_without_a_source_every_pod_of_the_namespace_asks_or_every_pod_of_all() -> None:
    assert expectations(expectation("x/a", "{to: [{pods: {}}], expect: deny}")).of(XA, XB, WEB).name == "x/a"
    everywhere = expectations(expectation("a", "{to: [{pods: {}}], expect: deny}"))
    assert everywhere.of(YA, XB, WEB).name == "a"
    assert everywhere.of(N1, XB, WEB).source == "none"


def test_a_port_is_meant_by_number_name_range_or_protocol() -> None:
    def meant(ports: str, connection: Connection, target: End = YA) -> bool:
        spec = f"{{to: [{{pods: {{}}}}], ports: {ports}, expect: deny}}"
        return expectations(expectation("a", spec)).of(XA, target, connection).source == "declared"

    assert meant("[{port: 80}]", WEB)
    assert meant("[{port: web}]", WEB)
    assert meant("[{port: 70, endPort: 90}]", WEB)
    assert meant("[{protocol: TCP}]", WEB)
    assert meant("[{protocol: HTTP, port: 80, path: /healthz}]", WEB)
    assert meant("[{protocol: DNS, name: a.test}]", DNS)
    assert meant("[{protocol: ICMP}]", PING)
    assert meant("[]", WEB)
    assert meant("[]", DNS)
    assert not meant("[]", PING)
    assert meant("[]", PING, pod("y/bare", "10.0.2.9", ports=()))
    assert not meant("[{port: 81}]", WEB)
    assert not meant("[{port: dns}]", WEB)
    assert not meant("[{protocol: UDP, port: 80}]", WEB)


def test_a_family_that_is_not_named_is_not_meant() -> None:
    known = expectations(expectation("a", "{to: [{pods: {}}], family: [IPv6], expect: deny}"))
    assert known.of(XA, YA, WEB).source == "none"
    assert known.of(XA, YA, WEB6).source == "declared"


def test_an_end_without_an_address_of_the_family_is_unknown_whatever_is_declared() -> None:
    four = pod("y/four", "10.0.2.9")
    found = expectations(expectation("a", "{to: [{pods: {}}], expect: allow}")).of(XA, four, WEB6)
    assert (found.answer, found.because) == (Answer.UNKNOWN, "y/four has no ipv6 address")


def test_a_service_is_meant_by_its_endpoints_and_their_ports() -> None:
    through = Connection("TCP", 80, via_service=True)
    one = expectation("y/a", "{to: [{service: {name: web}}], ports: [{port: 8080}], expect: deny}")
    known = expectations(one)
    assert known.of(YA, YB, through, "y/web").name == "y/a"
    assert known.of(YA, YB, through).name == "y/a"
    assert known.of(YA, YB, through, "y/other").source == "none"
    assert known.of(YA, YB, WEB).source == "none"
    assert known.of(YA, YB, Connection("TCP", 8080, via_service=True)).source == "none"
    by_name = expectation("y/a", "{to: [{service: {name: web}}], ports: [{port: http}], expect: deny}")
    assert expectations(by_name).of(YA, YB, through).name == "y/a"
    endpoints = expectation("y/a", "{to: [{service: {name: web, via: endpoints}}], expect: deny}")
    assert expectations(endpoints).of(YA, YB, WEB).name == "y/a"
    assert expectations(endpoints).of(YA, YB, through).source == "none"


def test_a_service_whose_endpoints_differ_is_partly_open() -> None:
    half = "{netpol: y/half, spec: {podSelector: {matchLabels: {pod: a}}}}"
    found = expectations(policies=half).through(XA, SHOP, 8080)
    assert found.answer is Answer.UNSPECIFIED
    assert found.because == "1 of 2 endpoints of service y/web are open"
    one = expectation("a", "{to: [{service: {name: web, namespace: y}}], match: any, expect: allow}")
    assert expectations(one, policies=half).through(XA, SHOP, 8080).answer is Answer.ALLOW
    assert expectations(policies=CLOSED).through(XA, SHOP, 8080).answer is Answer.DENY
    assert expectations().through(XA, SHOP, 81).because == "service y/web has no ready endpoint for port 81"


def test_hosts_and_nodes_are_meant_by_address_name_and_labels() -> None:
    spec = """{from: [{nodes: {selector: {matchLabels: {role: worker}}}}],
        to: [{cidr: {address: 203.0.113.7}}, {host: {name: api.example.com}},
            {nodes: {selector: {matchLabels: {role: control}}}}],
        ports: [{protocol: ICMP}], expect: deny}"""
    known = expectations(expectation("a", spec))
    for target in (WORLD, Host(("198.51.100.1",), "API.example.com."), Host((), "api.example.com"), N2):
        assert known.of(N1, target, PING).source == "declared"
    assert known.of(N2, WORLD, PING).source == "none"
    assert known.of(N1, N1, PING).source == "none"
    assert known.of(N1, Host(("203.0.113.8",)), PING).source == "none"


@pytest.mark.parametrize(
    ("workload", "name", "marks", "selected"),
    [
        ("Deployment", "api-7d9f8b6c5d-x2x4z", {"pod-template-hash": "7d9f8b6c5d"}, True),
        ("Deployment", "api-v2-7d9f8b6c5d-x2x4z", {"pod-template-hash": "7d9f8b6c5d"}, False),
        ("Deployment", "api-0", {"statefulset.kubernetes.io/pod-name": "api-0"}, False),
        ("ReplicaSet", "api-x2x4z", {}, True),
        ("StatefulSet", "api-0", {"statefulset.kubernetes.io/pod-name": "api-0", "controller-revision-hash": "a"}, True),
        ("StatefulSet", "api-b-0", {"statefulset.kubernetes.io/pod-name": "api-b-0"}, False),
        ("DaemonSet", "api-x2x4z", {"controller-revision-hash": "a"}, True),
        ("DaemonSet", "api-01234", {"statefulset.kubernetes.io/pod-name": "api-01234", "controller-revision-hash": "a"}, False),
        ("Job", "api-x2x4z", {"batch.kubernetes.io/job-name": "api"}, True),
        ("CronJob", "api-29000000-x2x4z", {"batch.kubernetes.io/job-name": "api-29000000"}, True),
        ("CronJob", "api-x2x4z", {}, False),
    ],
)
def test_a_workload_is_its_pods_by_what_its_controller_gave_them(
    workload: str, name: str, marks: dict[str, str], selected: bool
) -> None:
    spec = f"{{to: [{{workload: {{kind: {workload}, name: api}}}}], expect: deny}}"
    target = pod(f"x/{name}", "10.0.1.9", labels=marks)
    assert (expectations(expectation("x/a", spec)).of(XA, target, WEB).source == "declared") is selected


def test_two_that_contradict_each_other_leave_it_unknown() -> None:
    one = expectation("a", "{to: [{pods: {}}], expect: allow, severity: critical}")
    other = expectation("b", "{to: [{pods: {}}], expect: deny}")
    found = expectations(one, other).of(XA, YA, WEB)
    assert found.answer is Answer.UNKNOWN
    assert found.because == ("ClusterReachabilityExpectation a says allow, and ClusterReachabilityExpectation b says deny")


def test_one_that_only_measures_says_nothing_and_stands_back() -> None:
    none = expectation("a", "{to: [{pods: {}}], expect: none, severity: critical}")
    deny = expectation("b", "{to: [{pods: {}}], expect: deny}")
    assert answers(expectations(none, policies=CLOSED).of(XA, YA, WEB)) == ("unspecified", "declared", "a")
    assert answers(expectations(none, deny).of(XA, YA, WEB)) == ("deny", "declared", "b")


def test_the_most_severe_of_several_speaks() -> None:
    documents = [
        expectation("a", "{to: [{pods: {}}], expect: deny}"),
        expectation("b", "{to: [{pods: {}}], expect: deny, severity: critical, owner: team-b}"),
    ]
    found = expectations(*documents).of(XA, YA, WEB)
    assert (found.name, found.severity, found.owner) == ("b", "critical", "team-b")


def test_what_a_declaration_says_of_time_and_quality_is_handed_on() -> None:
    spec = """{to: [{pods: {}}], expect: allow, match: any, grace: {afterChange: 10s, afterPodStart: 5s},
        confirm: {failures: 2, of: 4}, slo: {loss: {max: 1%}}, enforcement: {denyOutcome: reject},
        mute: {until: "2026-01-01T00:00:00Z", reason: migration}}"""
    found = expectations(expectation("a", spec)).of(XA, YA, WEB)
    assert (found.grace_ns, found.start_grace_ns, found.confirm) == (10 * 10**9, 5 * 10**9, (2, 4))
    assert found.slo is not None
    assert (found.deny_outcome, found.match) == ("reject", "any")
    assert (found.mute_reason, found.muted_until_ns) == ("migration", 1_767_225_600 * 10**9)


@pytest.mark.parametrize(
    ("settings_", "because"),
    [
        (ExpectSettings(derive=False), "nothing is derived from policies (expect.derive)"),
        (ExpectSettings(exclude=("y",)), "nothing is derived about namespace y"),
        (ExpectSettings(include=("z",)), "nothing is derived about namespaces that expect.include does not name"),
        (
            ExpectSettings(directions=("egress",)),
            "ingress: no rule of NetworkPolicy y/closed allows it, which expect.kinds and expect.directions leave out",
        ),
        (
            ExpectSettings(kinds=("ClusterNetworkPolicy",)),
            "ingress: no rule of NetworkPolicy y/closed allows it, which expect.kinds and expect.directions leave out",
        ),
    ],
)
def test_what_the_settings_leave_out_is_unspecified(settings_: ExpectSettings, because: str) -> None:
    found = expectations(policies=CLOSED, settings=settings_).of(XA, YA, WEB)
    assert (found.answer, found.source, found.because) == (Answer.UNSPECIFIED, "none", because)


def test_settings_that_leave_nothing_out_change_nothing() -> None:
    for settings_ in (ExpectSettings(include=("y",)), ExpectSettings(exclude=("z",)), ExpectSettings(directions=("ingress",))):
        assert expectations(policies=CLOSED, settings=settings_).of(XA, YA, WEB).answer is Answer.DENY


def test_a_namespace_opts_out_by_an_annotation() -> None:
    target = pod("y/a", "10.0.2.1", home=namespace("y", {"netmatrix.io/derive": "false"}))
    assert expectations(policies=CLOSED).of(XA, target, WEB).because == "nothing is derived about namespace y"


def test_icmp_can_be_left_out_alone() -> None:
    known = expectations(policies=CLOSED, settings=ExpectSettings(icmp="ignore"))
    assert known.of(XA, YA, PING).because == "nothing is derived about ICMP (expect.icmp)"
    assert known.of(XA, YA, WEB).answer is Answer.DENY


def test_without_the_right_to_read_policies_nothing_follows_from_there_being_none() -> None:
    assert expectations(read=False).of(XA, YA, WEB).answer is Answer.UNKNOWN
    one = expectation("a", "{to: [{pods: {}}], expect: allow}")
    assert expectations(one, read=False).of(XA, YA, WEB).answer is Answer.ALLOW


def test_a_plugin_that_enforces_nothing_makes_no_leak_of_every_policy() -> None:
    found = expectations(policies=CLOSED, profile=PROFILES["none"]).of(XA, YA, WEB)
    assert (found.answer, found.source) == (Answer.UNSPECIFIED, "none")
    assert found.because.endswith("and the network plugin enforces no policies")


def test_a_refusal_is_no_deny_where_the_plugin_is_known_to_drop() -> None:
    assert expectations(policies=CLOSED, profile=PROFILES["calico"]).of(XA, YA, WEB).deny_outcome == "timeout"
    assert expectations(policies=CLOSED, profile=PROFILES["kube-router"]).of(XA, YA, WEB).deny_outcome == "any"
    assert expectations(policies=CLOSED, profile=GENERIC).of(XA, YA, WEB).deny_outcome == "any"


def test_the_profile_is_the_one_that_is_found_or_the_one_that_is_set() -> None:
    assert profile_in_force("calico", ExpectSettings()).name == "calico"
    assert profile_in_force("calico", ExpectSettings(cni_profile="cilium")).name == "cilium"
    assert profile_in_force("something", ExpectSettings()).name == "generic"
    assert profile_in_force("cilium", ExpectSettings(ipblock_matches_pods=True)).blocks_match_pods is True
    assert profile_in_force("tungsten-fabric", ExpectSettings(tf_isolated_to_open="deny")).isolated_to_open == "deny"


def test_every_profile_can_be_set() -> None:
    for name in PROFILES:
        assert profile_in_force("generic", ExpectSettings(cni_profile=name)).name == name  # type: ignore[arg-type]


peers = st.one_of(
    st.fixed_dictionaries(
        {"pods": st.fixed_dictionaries({}, optional={"namespaceSelector": selectors, "podSelector": selectors})}
    ),
    st.builds(lambda own: {"nodes": {"selector": own}}, selectors),
    st.just({"cidr": {"address": "203.0.113.7"}}),
)
asks = st.sampled_from([{"port": 80}, {"port": "web"}, {"protocol": "UDP"}, {"port": 50, "endPort": 90}, {"protocol": "ICMP"}])


def _valid(one: dict[str, Any]) -> bool:
    try:
        declared(one)
    except ValueError:
        return False
    return True


declarations = st.builds(
    lambda scope, name, spec: {
        "kind": "ReachabilityExpectation" if scope else "ClusterReachabilityExpectation",
        "metadata": {"name": name, **({"namespace": scope} if scope else {})},
        "spec": spec,
    },
    st.sampled_from(["", "x", "y"]),
    st.sampled_from(["a", "b", "c"]),
    st.fixed_dictionaries(
        {
            "to": st.lists(peers | st.just({"service": {"name": "web", "namespace": "y"}}), min_size=1, max_size=2),
            "expect": st.sampled_from(["allow", "deny", "none"]),
        },
        optional={"from": st.lists(peers, max_size=2), "ports": st.lists(asks, max_size=2), "family": st.just(["IPv6"])},
    ),
).filter(_valid)
connections = st.builds(
    Connection,
    st.sampled_from(["TCP", "UDP", "ICMP"]),
    st.sampled_from([80, 53, 0]),
    st.sampled_from(Family),
    st.booleans(),
)


@settings(deadline=None)
@given(
    pods=pods_of_a_cluster(),
    policies=st.lists(network_policies | cluster_policies, max_size=4),
    hidden=st.lists(opaque, max_size=1),
    documents=st.lists(declarations, max_size=3),
    profile=st.sampled_from(sorted(PROFILES)),
    connection=connections,
    nodes=st.lists(st.sampled_from(["n1", "n2", ""]), min_size=6, max_size=6),
    host=st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_ends_with_equal_keys_have_equal_expectations(
    *,
    pods: list[Pod],
    policies: list[Any],
    hidden: list[Opaque],
    documents: list[Any],
    profile: str,
    connection: Connection,
    nodes: list[str],
    host: list[bool],
) -> None:
    pods = [structs.replace(one, node=nodes[place], host_network=host[place]) for place, one in enumerate(pods)]
    port = ServicePort(8080, "TCP", "web")
    service = Service("y", "web", (port,), tuple(Backing(one, port, 80) for one in pods[:2]))
    cluster = Cluster(tuple(pods), (N1, N2), (service,))

    def made() -> Expectations:
        return Expectations(Policies(policies, hidden, PROFILES[profile]), [declared(one) for one in documents], cluster)

    kept: dict[Any, tuple[Answer, str, str]] = {}
    known = made()
    ends: list[End] = [*pods, N1, N2, WORLD]
    for source in ends:
        for target in ends:
            alone = made().of(source, target, connection)
            found = kept.setdefault(known.pair_key(source, target), (alone.answer, alone.source, alone.name))
            assert found == (alone.answer, alone.source, alone.name)
            cached = known.of(source, target, connection)
            assert (cached.answer, cached.source, cached.name) == found
