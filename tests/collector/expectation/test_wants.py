"""What is declared is probed, from those who may ask, and every closed path with what proves that its target listens."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from collector.expectation import wants as wants_module
from collector.expectation.cluster import Backing, Cluster, Service, ServicePort
from collector.expectation.controls import Place
from collector.expectation.wants import MOST_PATHS, Wanting, Wants
from collector.policy.ends import ContainerPort
from tests.collector.expectation.declaring import expectation, expectations
from tests.collector.policy.cluster import N1, N2, pod
from wire.path import Dns, Family, Http, Icmp, Layer, Tcp, Udp

OWN = (ContainerPort(8620, "TCP"), ContainerPort(8620, "UDP"))
XV = pod("x/v", "10.0.1.1", node="n1", labels={"app": "v"}, ports=OWN)
YV = pod("y/v", "10.0.2.1", "fd00::2:1", node="n2", labels={"app": "v"}, ports=OWN)
HOSTED = pod("hosts/agent", "192.168.0.2", node="n2", host_network=True, ports=OWN)
DB = pod("y/db-0", "10.0.2.9", node="n2", labels={"app": "db"}, ports=(ContainerPort(5432, "TCP", "sql"),))
SQL = ServicePort(80, "TCP", "sql")
SERVICE = Service("y", "db", (SQL,), (Backing(DB, SQL, 5432),), ("10.96.0.9",))
CLUSTER = Cluster((XV, YV, HOSTED, DB), (N1, N2), (SERVICE,))
PLACES = (Place("x", XV, 8620, "ux"), Place("y", YV, 8620, "uy"), Place("n2@host", HOSTED, 8620, "uh"))
BY_V = "{pods: {podSelector: {matchLabels: {app: v}}}}"
TO_DB = "{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}}"


def wants(
    *documents: dict[str, Any],
    policies: str = "",
    places: Sequence[Place] = PLACES,
    cluster: Cluster = CLUSTER,
    probed: Mapping[str, Sequence[int]] | None = None,
) -> Wants:
    return Wanting(
        expectations(*documents, policies=policies, cluster=cluster), places, probed=probed, domain="cluster.local"
    ).wants()


def shown(found: Wants) -> list[tuple[str, str, str, str, Any]]:
    return [
        (one.vantage, one.target.name, one.layer.value, one.target.address or one.target.host, one.ask) for one in found.paths
    ]


def test_vantages_of_the_own_namespace_probe_what_is_selected_at_the_ports() -> None:
    found = wants(expectation("x/a", f"{{to: [{TO_DB}], ports: [{{port: sql}}, {{protocol: ICMP}}], expect: allow}}"))
    assert shown(found) == [
        ("x", "pod/y/db-0", "pod", "10.0.2.9", Icmp()),
        ("x", "pod/y/db-0", "pod", "10.0.2.9", Tcp(5432)),
    ]
    assert found.paths[0].target.uid == ""
    assert found.notes == ()


def test_a_cluster_scoped_one_is_probed_from_every_vantage_that_it_selects() -> None:
    found = wants(expectation("a", f"{{from: [{BY_V}], to: [{TO_DB}], expect: allow}}"))
    assert [one.vantage for one in found.paths] == ["x", "y"]


def test_a_service_is_probed_through_its_clusterip_its_name_or_at_its_endpoints() -> None:
    def asked(via: str, ports: str = "[{port: 80}]") -> list[Any]:
        spec = f"{{to: [{{service: {{name: db, namespace: y, via: {via}}}}}], ports: {ports}, expect: allow}}"
        return shown(wants(expectation("x/a", spec)))

    assert asked("clusterIP") == [("x", "service/y/db", "service", "10.96.0.9", Tcp(80))]
    assert asked("endpoints") == [("x", "pod/y/db-0", "pod", "10.0.2.9", Tcp(5432))]
    by_name = ("x", "service/y/db", "service", "db.y.svc.cluster.local", Tcp(80))
    assert by_name in asked("name")
    http = asked("clusterIP", '[{protocol: HTTP, port: sql, path: /healthz, status: "200"}]')
    assert http == [("x", "service/y/db", "service", "10.96.0.9", Http(80, path="/healthz", expect_status="200"))]


def test_our_own_pods_are_probed_with_their_uid_and_over_udp_too() -> None:
    spec = "{to: [{pods: {namespaceSelector: {}, podSelector: {matchLabels: {app: v}}}}], expect: allow}"
    found = wants(expectation("x/a", spec))
    assert shown(found) == [
        ("x", "pod/y/v", "pod", "10.0.2.1", Tcp(8620)),
        ("x", "pod/y/v", "pod", "10.0.2.1", Udp(8620)),
    ]
    assert {one.target.uid for one in found.paths} == {"uy"}


def test_nodes_addresses_and_hosts_are_probed_on_their_layers() -> None:
    spec = f"""{{from: [{BY_V}], to: [{{nodes: {{}}}}, {{cidr: {{address: 203.0.113.7}}}}, {{host: {{name: a.test}}}}],
        family: [IPv4], ports: [{{protocol: ICMP}}], expect: allow}}"""
    found = wants(expectation("a", spec))
    assert {(one[1], one[2], one[3]) for one in shown(found)} == {
        ("node/n1", "host", "192.168.0.1"),
        ("node/n2", "host", "192.168.0.2"),
        ("external/203.0.113.7", "external", "203.0.113.7"),
        ("external/a.test", "external", "a.test"),
    }


def test_a_host_by_its_name_is_probed_over_every_family_of_the_vantage() -> None:
    spec = f"{{from: [{BY_V}], to: [{{host: {{name: a.test}}}}], ports: [{{port: 443}}], expect: allow}}"
    found = wants(expectation("a", spec))
    assert {(one.vantage, one.family, one.target.host) for one in found.paths} == {
        ("x", Family.IPV4, "a.test"),
        ("y", Family.IPV4, "a.test"),
        ("y", Family.IPV6, "a.test"),
    }


def test_a_name_server_is_asked_for_a_name() -> None:
    spec = f"{{to: [{TO_DB}], ports: [{{protocol: DNS, name: a.test}}], expect: allow}}"
    ((_, name, layer, _, ask),) = shown(wants(expectation("x/a", spec)))
    assert (name, layer, ask) == ("pod/y/db-0", "dns", Dns(name="a.test.", port=53))


def test_udp_of_others_is_not_probed_and_that_is_said() -> None:
    found = wants(expectation("x/a", f"{{to: [{TO_DB}], ports: [{{protocol: UDP, port: 53}}], expect: allow}}"))
    assert found.paths == ()
    assert found.notes == (("x/a", "UDP is not probed but towards our own agents"),)


def test_a_namespace_without_a_vantage_measures_nothing_and_that_is_said() -> None:
    found = wants(expectation("z/a", f"{{to: [{TO_DB}], expect: allow}}"))
    assert found.notes == (("z/a", "no vantage is among its sources, so that nothing measures it"),)


CLOSED_TO_X = """{netpol: y/db, spec: {podSelector: {matchLabels: {app: db}},
    ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: %s}}}]}]}}"""
DENY = expectation("x/a", f"{{to: [{TO_DB}], ports: [{{port: 5432}}], expect: deny}}")


def test_a_closed_path_has_a_control_from_a_vantage_that_is_let_through() -> None:
    found = wants(DENY, policies=CLOSED_TO_X % "y")
    assert [one.vantage for one in found.paths] == ["x", "y"]
    assert found.proofs == {"pod/y/db-0:5432": "vantage"}


def test_where_no_pod_is_let_through_the_targets_own_node_is() -> None:
    found = wants(DENY, policies=CLOSED_TO_X % "nobody")
    assert [one.vantage for one in found.paths] == ["n2@host", "x"]
    assert found.proofs == {"pod/y/db-0:5432": "vantage"}


@pytest.mark.parametrize(("probed", "proof"), [({"y/db-0": (5432,)}, "kubelet"), ({"y/db-0": (8080,)}, "none"), ({}, "none")])
def test_without_either_the_kubelet_proves_it_or_nothing(probed: dict[str, Sequence[int]], proof: str) -> None:
    found = wants(DENY, policies=CLOSED_TO_X % "nobody", places=PLACES[:2], probed=probed)
    assert found.proofs == {"pod/y/db-0:5432": proof}
    assert [one.vantage for one in found.paths] == ["x"]


def test_of_many_paths_the_same_500_are_probed_and_one_more_source_changes_few() -> None:
    def many(count: int) -> Wants:
        pods = [pod(f"x/v{place}", f"10.1.{place // 250}.{1 + place % 250}", node="n1", ports=OWN) for place in range(count)]
        targets = [pod(f"y/t{place}", f"10.2.0.{1 + place}", labels={"app": "db"}, ports=DB.ports) for place in range(20)]
        places = [Place(one.name, one, 8620) for one in pods]
        return wants(expectation("x/a", f"{{to: [{TO_DB}], expect: allow}}"), places=places, cluster=Cluster((*pods, *targets)))

    before, after = many(50), many(51)
    assert len(before.paths) == len(after.paths) == MOST_PATHS
    assert before.notes == (("x/a", "500 of 1000 paths are probed, which are the most of one declaration"),)
    assert len(set(before.paths) - set(after.paths)) <= 20


def test_survive_33_no_number_of_declarations_makes_a_plan_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan with too many paths for one vantage is refused, and so is everybody else's."""
    monkeypatch.setattr(wants_module, "MOST_OF_VANTAGE", 20)
    documents = [
        expectation(f"x/e{number:02}", f"{{to: [{TO_DB}], ports: [{{port: {1000 + number}}}], expect: allow}}")
        for number in range(30)
    ]
    found = wants(*documents)
    assert Counter(one.vantage for one in found.paths) == {"x": 20}
    assert [name for name, said in found.notes if "the most of one vantage" in said] == [
        f"x/e{number}" for number in range(20, 30)
    ]
    assert set(found.paths) == set(wants(*documents[:20]).paths), "newcomers take nobody's place"


def test_wants_do_not_depend_on_the_order_of_anything() -> None:
    documents = [DENY, expectation("b", f"{{to: [{TO_DB}], expect: allow}}")]
    turned = Cluster(CLUSTER.pods[::-1], CLUSTER.nodes[::-1], CLUSTER.services)
    there = wants(*documents, policies=CLOSED_TO_X % "y")
    back = wants(*documents, policies=CLOSED_TO_X % "y", places=PLACES[::-1], cluster=turned)
    assert there == back
    assert Layer.POD in {one.layer for one in there.paths}
