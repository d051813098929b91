"""Which services are probed, through which doors, and which never are."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from collector.discovery.cluster.assemble import assemble
from collector.discovery.cluster.kept import Endpoint, Node, Service, ServicePort, Slice, SlicePort
from collector.discovery.cluster.services import Found, services_of
from collector.discovery.cluster.world import Because, World
from collector.discovery.snapshot import Door, Existing, External
from collector.discovery.snapshot import Service as Probed
from collector.document import parse
from collector.plan.compose import compose
from collector.settings import DiscoverySettings, PlanSettings, Settings

SETTINGS = DiscoverySettings()
NODES = tuple(Node(f"n{i}", "za", (f"192.0.2.{i}", f"2001:db8::{i}"), cordoned=i == 5, ready=i != 4) for i in range(1, 6))


def service(name: str = "cart", namespace: str = "shop", **changed: Any) -> Service:
    made = Service(
        namespace=namespace,
        name=name,
        uid=f"uid-{name}",
        type="ClusterIP",
        addresses=("10.96.0.10", "fd96::a"),
        ports=(ServicePort(80, "main"),),
        external_name="",
        balancers=(),
        local=False,
        probe="tcp",
        dns=False,
    )
    return replace(made, **changed)


def slice_of(of: Service, *endpoints: Endpoint, port: int = 8080, family: str = "IPv4", **changed: Any) -> Slice:
    made = Slice(of.namespace, f"{of.name}-x", of.name, family, (SlicePort(of.ports[0].name, port),), endpoints)
    return replace(made, **changed)


def endpoint(address: str, *, ready: bool = True, node: str = "n1", pod: str = "") -> Endpoint:
    return Endpoint(address, ready, node, pod)


KUBERNETES = service("kubernetes", "default", addresses=("10.96.0.1",), ports=(ServicePort(443, "https"),), probe="")
API_SERVER = slice_of(KUBERNETES, endpoint("192.0.2.1", node=""), port=6443)


def found(*services: Service, slices: tuple[Slice, ...] = (), settings: DiscoverySettings = SETTINGS) -> Found:
    return services_of(World(nodes=NODES, services=services, slices=(API_SERVER, *slices)), settings)


def one(of: Service, *endpoints: Endpoint) -> Probed:
    (probed,) = found(of, slices=(slice_of(of, *endpoints),)).services
    return probed


def why(*services: Service, slices: tuple[Slice, ...] = ()) -> list[tuple[Because, str]]:
    result = found(*services, slices=slices)
    assert result.services == ()
    assert result.external == ()
    return [(refusal.because, refusal.sentence) for refusal in result.refused]


def test_who_does_not_ask_is_not_probed() -> None:
    assert found(service(probe="")) == Found((), (), (), frozenset({("default", "kubernetes")}))


def test_the_api_servers_service_is_probed_through_its_cluster_ip_alone_whatever_anybody_writes_on_it() -> None:
    for probe in ("", "http:/secrets"):
        (probed,) = found(replace(KUBERNETES, probe=probe)).services
        assert (probed.probe, probed.port, probed.doors, probed.endpoints) == ("tcp", 443, (), None)


def test_the_own_echo_is_probed_over_tcp_and_http_by_everybody() -> None:
    ports = (ServicePort(8620, "stamp", "UDP"), ServicePort(8620, "http-echo"))
    echo = service("netmatrix-echo", "netmatrix", probe="", ports=ports)
    (probed,) = found(echo, slices=(slice_of(replace(echo, ports=ports[1:]), endpoint("10.244.0.1")),)).services
    assert (probed.probe, probed.also, probed.critical, probed.endpoints) == ("tcp", ("http:/echo",), True, 1)


def test_every_ready_endpoint_is_a_door_once_with_the_addresses_of_both_families() -> None:
    cart = service()
    slices = (
        slice_of(cart, endpoint("10.244.0.7", pod="cart-0"), endpoint("10.244.0.8", pod="cart-1", ready=False)),
        slice_of(cart, endpoint("FD44::0007", pod="cart-0"), endpoint("fd44::9", node="n2"), family="IPv6"),
    )
    (probed,) = found(cart, slices=slices).services
    assert probed.endpoints == 2
    assert sorted(probed.doors, key=lambda door: door.name) == [
        Door("endpoint", "cart-0", ("10.244.0.7", "fd44::7"), 8080, "n1"),
        Door("endpoint", "fd44::9", ("fd44::9",), 8080, "n2"),
    ]


def test_of_many_endpoints_a_few_are_probed_and_which_follows_from_their_names() -> None:
    cart = service()
    endpoints = [endpoint(f"10.244.0.{i}", pod=f"cart-{i}") for i in range(1, 101)]
    probed = one(cart, *endpoints)
    assert (len(probed.doors), probed.endpoints) == (SETTINGS.endpoints, 100)
    assert one(cart, *reversed(endpoints)).doors == probed.doors
    gone = {door.name for door in probed.doors[:1]}
    fewer = one(cart, *(one for one in endpoints if one.pod not in gone))
    assert set(probed.doors[1:]) < set(fewer.doors)


def test_survive_26_without_a_ready_endpoint_there_are_none_which_is_said_and_not_broken() -> None:
    probed = one(service(), endpoint("10.244.0.7", ready=False))
    assert (probed.endpoints, probed.doors) == (0, ())


def test_survive_26_a_headless_service_is_its_endpoints() -> None:
    probed = one(service(addresses=()), endpoint("10.244.0.7"))
    assert (probed.addresses, [door.kind for door in probed.doors]) == ((), ["endpoint"])


def test_http_asks_the_port_that_is_called_so_and_tcp_the_first() -> None:
    ports = (ServicePort(53, "dns", "UDP"), ServicePort(9000, "grpc"), ServicePort(80, "http-web"), ServicePort(443, "https"))
    assert one(service(ports=ports)).port == 9000
    assert one(service(ports=ports, probe="http:/")).port == 80
    named = (ServicePort(1, "a"), ServicePort(2, "b", app_protocol="http"))
    assert one(service(ports=named, probe="http:/")).port == 2


def test_a_node_port_is_probed_through_a_few_nodes_that_are_there_to_stay_in_the_services_families() -> None:
    cart = service(type="NodePort", addresses=("10.96.0.10",), ports=(ServicePort(80, "main", node_port=30080),))
    probed = one(cart, endpoint("10.244.0.7", node="n2"))
    doors = [door for door in probed.doors if door.kind == "node_port"]
    assert {door.name for door in doors} == {"n1", "n2", "n3"}, "not the one that is not ready, nor the cordoned one"
    assert all((door.port, len(door.addresses), door.name) == (30080, 1, door.node) for door in doors)
    local = one(replace(cart, local=True), endpoint("10.244.0.7", node="n2"))
    assert [door.name for door in local.doors if door.kind == "node_port"] == ["n2"]


def test_a_load_balancer_is_probed_by_its_addresses_or_as_a_host_by_its_name() -> None:
    probed = one(service(type="LoadBalancer", balancers=("198.51.100.7", "2001:db8:f::")), endpoint("10.244.0.7"))
    assert [(door.name, door.addresses[0]) for door in probed.doors[1:]] == [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8:f", "2001:db8:f::"),
    ]
    named = found(service(type="LoadBalancer", balancers=("lb.example.test",), probe="http:/x"))
    assert named.external == (External("shop/cart", ("http://lb.example.test:80/x",), host="lb.example.test"),)


def test_survive_26_an_external_name_is_resolved_by_the_agents() -> None:
    outside = service(type="ExternalName", addresses=(), ports=(), external_name="www.example.test.", probe="http:/a?b=c")
    assert found(outside).external == (External("shop/cart", ("http://www.example.test:80/a?b=c",), host="www.example.test"),)
    assert found(replace(outside, ports=(ServicePort(5432),), probe="tcp")).external[0].probes == ("tcp:5432",)
    assert why(replace(outside, probe="tcp")) == [(Because.PORT, "it has no TCP port")]


@pytest.mark.parametrize(
    "probe",
    [
        "icmp",
        "udp",
        "TCP",
        "tcp:80",
        " tcp",
        "tcp\n",
        "http:",
        "http://evil/",
        "http:relative",
        "http:/a b",
        "https:/",
        "true",
        "http:/" + "a" * 1100,
        "http:/\x00",
        "http:/é",
        '"><img src=x onerror=alert(1)>',
    ],
)
def test_survive_54_what_asks_for_no_probe_is_refused_with_what_is_allowed(probe: str) -> None:
    if probe == "http://evil/":
        assert one(service(probe=probe)).probe == "http://evil/", "a path of //evil/, and no other host"
        return
    ((because, sentence),) = why(service(probe=probe))
    assert because is Because.ANNOTATION
    assert sentence.endswith("expected tcp, or http: and a path")
    assert len(sentence) < 300


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "127.0.0.1",
        "::1",
        "fe80::1",
        "224.0.0.1",
        "0.0.0.0",
        "255.255.255.255",
        "::ffff:10.0.0.1",
        "64:ff9b::a9fe:a9fe",
        "100.100.100.200",
        "fd00:ec2::254",
        "10.0.0.300",
        "not an address",
        "fe80::1%eth0",
    ],
)
def test_survive_54_a_service_with_one_endpoint_that_is_never_probed_is_left_out_whole(address: str) -> None:
    """Its ClusterIP leads there too."""
    cart = service()
    ((because, _),) = why(cart, slices=(slice_of(cart, endpoint("10.244.0.7"), endpoint(address)),))
    assert because is Because.ADDRESS


def test_survive_54_a_service_that_leads_to_the_api_server_is_left_out() -> None:
    cart = service()
    sneaky = slice_of(cart, endpoint("192.0.2.1"), port=6443)
    assert why(cart, slices=(sneaky,)) == [(Because.API_SERVER, "it leads to the API server")]


def test_survive_54_the_api_server_cannot_be_hidden_behind_an_endpoint_of_the_same_name_or_one_that_is_not_ready() -> None:
    cart = service()
    plain = slice_of(cart, endpoint("10.244.0.7", pod="cart-0"))
    for hidden in (endpoint("192.0.2.1", pod="cart-0"), endpoint("192.0.2.1", pod="cart-1", ready=False)):
        assert why(cart, slices=(plain, slice_of(cart, hidden, port=6443))) == [
            (Because.API_SERVER, "it leads to the API server")
        ]


def test_survive_54_a_service_that_leads_to_the_api_servers_own_service_is_left_out() -> None:
    own = service("kubernetes", "default", probe="", addresses=("10.96.0.1",), ports=(ServicePort(443, "https"),))
    cart = service()
    result = found(own, cart, slices=(slice_of(cart, endpoint("10.96.0.1"), port=443),))
    assert [one.name for one in result.services] == ["kubernetes"]
    assert [one.because for one in result.refused] == [Because.API_SERVER]


@pytest.mark.parametrize("port", [2379, 10250, 10259])
def test_survive_54_a_service_that_leads_to_a_kubelet_or_etcd_is_left_out(port: int) -> None:
    cart = service()
    ((because, sentence),) = why(cart, slices=(slice_of(cart, endpoint("192.0.2.3"), port=port),))
    assert (because, sentence) == (Because.ADDRESS, f"192.0.2.3 is a node, and port {port} of one is Kubernetes' own")
    assert one(cart, endpoint("10.244.0.7")).doors, "a pod may use the same number"


@pytest.mark.parametrize("name", ["kubernetes.default.svc.cluster.local", "KUBERNETES.default.svc.cluster.local."])
def test_survive_54_an_external_name_of_the_api_server_is_refused(name: str) -> None:
    outside = service(type="ExternalName", addresses=(), external_name=name)
    assert why(outside) == [(Because.API_SERVER, "it leads to the API server")]


def test_survive_54_an_endpoint_at_a_nodes_address_is_not_probed_directly() -> None:
    probed = one(service(), endpoint("192.0.2.3"), endpoint("10.244.0.7"))
    assert [door.addresses for door in probed.doors] == [("10.244.0.7",)]


@pytest.mark.parametrize(
    "name",
    [
        "metadata.google.internal",
        "localhost",
        "x.localhost",
        "169.254.169.254",
        "2130706433",
        "0x7f000001",
        "127.1",
        "a b",
        '"',
    ],
)
def test_survive_54_an_external_name_of_the_machine_or_its_cloud_is_refused(name: str) -> None:
    outside = service(type="ExternalName", addresses=(), external_name=name)
    assert [because for because, _ in why(outside)] == [Because.ADDRESS]


def test_survive_54_nobody_has_all_places_by_asking_for_many() -> None:
    greedy = [service(f"s{i:04}", "greedy") for i in range(50)]
    result = found(*greedy, service(), settings=DiscoverySettings(services=10))
    assert len(result.services) == 10
    assert "cart" in {one.name for one in result.services}
    assert {refusal.because for refusal in result.refused} == {Because.TOO_MANY}
    assert len(result.refused) == 41


TEXT = st.text(max_size=60)
ADDRESSES = st.sampled_from(["10.244.0.7", "192.0.2.1", "169.254.1.1", "fd44::1", "fd00::", "x", ""]) | TEXT


@settings(max_examples=300, deadline=None)
@given(
    probe=st.sampled_from(["tcp", "http:/", "http:/a"]) | TEXT,
    kind=st.sampled_from(["ClusterIP", "ExternalName", "LoadBalancer", "NodePort", "?"]),
    external_name=TEXT,
    balancers=st.lists(ADDRESSES, max_size=3),
    endpoints=st.lists(ADDRESSES, max_size=4),
    port_name=TEXT,
    pod=st.sampled_from(["", "cart-0", "p" * 253]),
)
def test_survive_54_whatever_a_service_says_the_snapshot_is_one_that_an_inventory_could_be_and_has_a_plan(
    *, probe: str, kind: str, external_name: str, balancers: list[str], endpoints: list[str], port_name: str, pod: str
) -> None:
    cart = service(
        probe=probe,
        type=kind,
        external_name=external_name if kind == "ExternalName" else "",
        balancers=tuple(balancers),
        ports=(ServicePort(80, port_name, node_port=30080),),
    )
    world = World(
        nodes=NODES,
        services=(cart, KUBERNETES),
        slices=(API_SERVER, slice_of(cart, *(endpoint(e, pod=pod) for e in endpoints))),
    )
    made = assemble(world, SETTINGS, now=0.0)
    existing = Existing(**{field: getattr(made.snapshot, field) for field in Existing.__struct_fields__})
    assert parse(msgspec.json.encode(existing).decode(), Existing, name="s") == existing
    compose(made.snapshot, PlanSettings(), instance=1, generation=1, keys=())
    assert all(" " <= c <= "~" for refusal in made.refused for c in refusal.sentence)


DNS = service(
    "kube-dns",
    "kube-system",
    probe="",
    addresses=("10.96.0.53",),
    ports=(ServicePort(53, "dns", "UDP"), ServicePort(53, "dns-tcp")),
)


def test_the_clusters_name_servers_are_asked_through_their_service_and_each_directly() -> None:
    slices = Slice(
        "kube-system",
        "kube-dns-x",
        "kube-dns",
        "IPv4",
        (SlicePort("dns", 5353, "UDP"), SlicePort("dns-tcp", 5353)),
        (endpoint("10.244.0.3", pod="coredns-a"), endpoint("10.244.0.4", pod="coredns-b", ready=False)),
    )
    world = World(services=(DNS, KUBERNETES), slices=(slices, API_SERVER))
    through, direct = assemble(world, SETTINGS, now=0.0).snapshot.dns
    assert (through.name, through.addresses, through.port, through.critical) == (
        "kube-system/kube-dns",
        ("10.96.0.53",),
        53,
        True,
    )
    assert (direct.name, direct.addresses, direct.port) == ("kube-system/kube-dns/coredns-a", ("10.244.0.3",), 5353)
    assert through.names == direct.names == ("kubernetes.default.svc.cluster.local.", "example.com.")
    assert through.contains == direct.contains == "10.96.0.1"


def test_a_service_with_the_label_of_name_servers_is_one_besides_those_of_the_configuration() -> None:
    labelled = replace(DNS, namespace="openshift-dns", name="dns-edge", dns=True)
    assert [one.name for one in assemble(World(services=(labelled,)), SETTINGS, now=0.0).snapshot.dns] == [
        "openshift-dns/dns-edge"
    ]
    assert assemble(World(services=(replace(labelled, dns=False),)), SETTINGS, now=0.0).snapshot.dns == ()


def test_what_the_configuration_names_outside_comes_along_with_the_ingress() -> None:
    configured = External("example", ("icmp",), host="www.example.test")
    ingress = DiscoverySettings(ingress_url="https://echo.example.test/echo")
    made = assemble(World(), ingress, external=(configured,), mtu=1450, now=0.0).snapshot
    assert made.external == (External("ingress", (ingress.ingress_url,), host="echo.example.test"), configured)
    assert (made.mtu, made.domain) == (1450, "cluster.local")
    own = DiscoverySettings(cluster_domain="example.internal")
    assert assemble(World(), own, now=0.0).snapshot.domain == "example.internal"
    assert assemble(World(), DiscoverySettings(mtu=1400), mtu=1450, now=0.0).snapshot.mtu == 1400
    assert Settings().external == ()
