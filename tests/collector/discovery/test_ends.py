import pytest

from collector.derivation import ExpectSettings
from collector.discovery.ends import Landing, ends, profile_in
from collector.discovery.snapshot import (
    Backed,
    Backend,
    DnsServer,
    Door,
    External,
    Namespace,
    Node,
    Pod,
    PodPort,
    Service,
    ServicePort,
    Snapshot,
    Vantage,
)
from collector.policy import ends as seen
from collector.policy.profile import PROFILES

SNAPSHOT = Snapshot(
    nodes=(Node("n1", addresses=("172.30.0.1",), labels={"pool": "big"}),),
    vantages=(
        Vantage("n1", "n1", "netmatrix", "agent-1", ("10.30.1.2",), uid="u1"),
        Vantage(
            "shop/v",
            "n1",
            "shop",
            "v",
            ("10.30.1.3",),
            labels={"app": "v"},
            ports=(PodPort(8620, name="http-echo"),),
            annotations={"opencontrail.org/network": "blue"},
        ),
        Vantage("n1@host", "n1", "hosts", "agent-h", ("172.30.0.1",), host_network=True),
    ),
    namespaces=(Namespace("shop", {"team": "a"}),),
    pods=(Pod("shop", "db-0", ("10.30.1.9",), "n1", {"app": "db"}, (PodPort(5432, name="sql"),)),),
    services=(
        Service(
            "db",
            "shop",
            ("10.96.0.9",),
            80,
            doors=(
                Door("endpoint", "db-0", ("10.30.1.9",), 5432, "n1"),
                Door("endpoint", "gone", ("10.30.1.8",), 5432, "n1"),
                Door("node_port", "n1", ("172.30.0.1",), 30080, "n1"),
            ),
        ),
    ),
    backed=(
        Backed(
            "shop",
            "db",
            ("10.96.0.9",),
            (ServicePort(80), ServicePort(81)),
            (
                Backend(("10.30.1.9",), 80, 5432, "db-0"),
                Backend(("10.30.1.7",), 80, 5432, "unknown"),
                Backend(("172.30.0.1",), 81, 6443),
                Backend(("192.0.2.7",), 81, 6443),
            ),
        ),
    ),
    external=(
        External("a", ("icmp",), address="192.0.2.1"),
        External("b", ("icmp",), host="b.example"),
    ),
    dns=(DnsServer("shop/none", ("10.96.0.10",), ("a.",)),),
)
ENDS = ends(SNAPSHOT)
DB = ENDS.pods["shop/db-0"]


def test_a_vantage_is_its_pod_with_its_labels_and_those_of_its_namespace() -> None:
    pod = ENDS.vantages["shop/v"]
    assert pod.labels == {"app": "v"}
    assert pod.ports == (seen.ContainerPort(8620, "TCP", "http-echo"),)
    assert pod.annotations == {"opencontrail.org/network": "blue"}
    assert pod.namespace == seen.Namespace("shop", {"team": "a", "kubernetes.io/metadata.name": "shop"})


def test_a_vantage_of_which_nothing_is_said_has_its_echo_port_over_tcp_and_udp_and_a_namespace_with_its_name() -> None:
    pod = ENDS.vantages["n1"]
    assert pod.ports == (seen.ContainerPort(8620, "TCP"), seen.ContainerPort(8620, "UDP"))
    assert pod.namespace.labels == {"kubernetes.io/metadata.name": "netmatrix"}
    assert ENDS.uids["netmatrix/agent-1"] == "u1"


def test_an_address_is_that_of_a_pod_or_a_node_and_else_a_host() -> None:
    assert ENDS.address("10.30.1.9") is DB
    assert ENDS.address("172.30.0.1") == seen.Node("n1", ("172.30.0.1",), {"pool": "big"}), "and not the pod on its network"
    assert ENDS.address("192.0.2.99") == seen.Host(("192.0.2.99",))


def test_a_pod_and_a_node_are_where_they_are() -> None:
    assert ENDS.target("pod/shop/db-0") == (Landing(DB),)
    assert ENDS.target("node/n1") == (Landing(ENDS.nodes["n1"]),)
    assert ENDS.target("pod/shop/none") == ()


def test_a_service_is_what_is_behind_it_with_the_port_that_it_has_there() -> None:
    assert ENDS.target("service/shop/db") == [
        Landing(DB, 5432, via_service=True),
        Landing(None, 5432, via_service=True),
    ], "a pod that is not known is nobody, and no host"
    assert [one.end for one in ENDS.backends("shop/db", 81)] == [ENDS.nodes["n1"], seen.Host(("192.0.2.7",))]


def test_an_endpoint_is_its_pod_and_a_node_port_is_the_service_from_somewhere() -> None:
    assert ENDS.target("endpoint/shop/db/db-0") == (Landing(DB, 5432),)
    assert ENDS.target("endpoint/shop/db/gone") == (Landing(None, 5432),)
    assert ENDS.target("node_port/shop/db/n1")[0] == Landing(DB, 5432, via_service=True, rewritten=True)


def test_a_service_of_which_only_endpoints_are_listed_is_those() -> None:
    alone = ends(Snapshot(pods=SNAPSHOT.pods, services=SNAPSHOT.services))
    assert [one.end and str(one.end) for one in alone.target("service/shop/db")] == ["shop/db-0", None]


def test_a_host_outside_has_an_address_or_a_name_and_a_name_server_of_which_nothing_is_known_is_nobody() -> None:
    assert ENDS.target("external/a") == (Landing(seen.Host(("192.0.2.1",))),)
    assert ENDS.target("external/b") == (Landing(seen.Host((), "b.example")),)
    assert ENDS.target("dns/shop/none") == (Landing(None),)


@pytest.mark.parametrize(
    ("found", "set_", "name"),
    [("calico", "auto", "calico"), ("calico", "cilium", "cilium"), ("no such", "auto", "generic")],
)
def test_the_profile_is_the_one_that_was_found_unless_another_is_set(found: str, set_: str, name: str) -> None:
    settings = ExpectSettings(cni_profile=set_)  # type: ignore[arg-type]
    assert profile_in(Snapshot(profile=found), settings) == PROFILES[name]


def test_the_open_point_of_tungsten_fabric_is_a_setting() -> None:
    found = Snapshot(profile="tungsten-fabric")
    assert profile_in(found, ExpectSettings(tf_isolated_to_open="deny")).isolated_to_open == "deny"
