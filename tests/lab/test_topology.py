import itertools
from ipaddress import ip_address, ip_network

import pytest

from lab.inventory import inventory
from lab.roles import Role
from lab.rules import SEEN, SINK, relay_tap
from lab.shape import Fabric, Shape
from lab.topology import PODS, Topology, netns_prefix
from wire.path import Family

STANDARD = Topology.of(Shape(), "demo")


def test_a_lab_of_one_name_is_always_the_same() -> None:
    assert Topology.of(Shape(), "demo") == STANDARD


def test_nodes_are_shared_out_over_zones_in_blocks() -> None:
    assert {zone: [node.name for node in nodes] for zone, nodes in STANDARD.zones.items()} == {
        "z1": ["n1", "n2"],
        "z2": ["n3", "n4"],
        "z3": ["n5", "n6"],
    }


def test_every_zone_has_a_node_whatever_the_numbers() -> None:
    for nodes, zones in itertools.product(range(1, 12), range(1, 12)):
        if zones <= nodes:
            assert len(Topology.of(Shape(nodes=nodes, zones=zones), "x").zones) == zones


def test_every_address_is_given_out_once() -> None:
    topology = Topology.of(Shape(nodes=60, zones=3), "x")
    places = [place.addresses for places in (topology.nodes, topology.pods, topology.services) for place in places]
    addresses = [address for place in places for address in place.values()]
    assert len(addresses) == len(set(addresses))
    assert addresses == [str(ip_address(address)) for address in addresses]


def test_a_pod_lies_in_its_nodes_network() -> None:
    for pod in STANDARD.pods:
        for family, address in pod.addresses.items():
            assert ip_address(address) in ip_network(STANDARD.node[pod.node].pod_networks[family])
            assert ip_address(address) in ip_network(PODS[family])


def test_agents_alone_are_on_further_networks_with_addresses_and_frames_of_their_own() -> None:
    topology = Topology.of(Shape(nodes=60, zones=3, networks=("default", "storage", "backup")), "x")
    attached = [attachment for pod in topology.pods for attachment in pod.attachments]
    assert all(bool(pod.attachments) == bool(pod.vantage) for pod in topology.pods)
    assert len(attached) == 2 * len(topology.vantages)
    macs = [*(node.mac for node in topology.nodes), *(found.mac for found in attached)]
    assert len(set(macs)) == len(macs)
    for found in attached:
        for family, address in found.addresses.items():
            assert ip_address(address) in ip_network(found.prefixes[family])
            assert ip_address(address) not in ip_network(PODS[family])
    assert {str(found.prefixes[Family.IPV4]) for found in attached} == {"10.31.0.0/16", "10.32.0.0/16"}


def test_the_inventory_lists_further_networks_with_each_vantage() -> None:
    topology = Topology.of(Shape(nodes=2, zones=1, networks=("default", "storage")), "x")
    keys = {pod.vantage: "k" for pod in topology.vantages}
    (network,) = inventory(topology, keys)["vantages"][0]["networks"]
    assert network == {"name": "storage", "addresses": ["10.31.1.2", "fd32:1::2"], "mtu": 1500}


@pytest.mark.parametrize(
    ("families", "mtu"), [((Family.IPV4,), 1450), ((Family.IPV4, Family.IPV6), 1450), ((Family.IPV6,), 1430)]
)
def test_a_tunnel_takes_its_headers_from_what_a_pod_can_send(families: tuple[Family, ...], mtu: int) -> None:
    assert Topology.of(Shape(fabric=Fabric.VXLAN, families=families), "x").mtu == mtu
    assert Topology.of(Shape(families=families), "x").mtu == 1500


@pytest.mark.parametrize(
    ("networks", "sentence"),
    [
        (("storage",), "networks must be different names, and the first one default"),
        (("default", "a", "a"), "networks must be different names, and the first one default"),
        (("default", "Storage"), "networks: 'Storage' is not 1 to 8 of a-z and 0-9 that begin with a letter"),
        (("default", "a", "b", "c", "d"), "networks must be at most 4"),
    ],
)
def test_networks_that_cannot_be_built_are_refused(networks: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Shape(networks=networks)


def test_every_node_has_one_agent_and_every_namespace_one_vantage() -> None:
    assert [pod.node for pod in STANDARD.pods if pod.role is Role.AGENT] == [node.name for node in STANDARD.nodes]
    assert [pod.namespace for pod in STANDARD.pods if pod.role is Role.VANTAGE] == ["shop", "pay"]
    assert len({pod.vantage for pod in STANDARD.vantages}) == 8


def test_a_service_has_two_backends_on_different_nodes() -> None:
    for service in STANDARD.services:
        assert len({pod.node for pod in service.backends}) == 2
        assert {pod.namespace for pod in service.backends} == {service.namespace}


def test_interface_names_fit_into_the_kernel() -> None:
    topology = Topology.of(Shape(nodes=60, zones=1), "x")
    names = [*SINK.values(), *SEEN.values()]
    names += [name for node in topology.nodes for name in (node.port, relay_tap(node))] + [
        pod.interface for pod in topology.pods
    ]
    assert max(map(len, names)) <= 15


def test_no_lab_begins_with_the_name_of_another() -> None:
    assert all(name.startswith("nmx-demo-") for name in STANDARD.namespaces)
    assert not any(name.startswith(netns_prefix("dem")) for name in STANDARD.namespaces)
    assert len(STANDARD.namespaces) == len(set(STANDARD.namespaces))


@pytest.mark.parametrize("family", list(Family))
def test_a_lab_of_one_family_has_no_address_of_the_other(family: Family) -> None:
    topology = Topology.of(Shape(families=(family,)), "x")
    assert topology.external
    assert list(topology.dns.addresses) == list(topology.external.addresses) == [family]
    for places in (topology.nodes, topology.pods, topology.services):
        assert all(list(place.addresses) == [family] for place in places)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"nodes": 0}, "nodes is 0, allowed are 1 to 60"),
        ({"nodes": 2, "zones": 3}, "zones is 3, allowed are 1 to the number of nodes, 2"),
        ({"namespaces": ("Shop",)}, "namespaces: 'Shop' is not a DNS label"),
        ({"namespaces": ("netmatrix",)}, "is the lab's own"),
        ({"namespaces": ("a", "a")}, "namespaces must be at most 20 different names"),
        ({"families": ()}, "families must be ipv4, ipv6 or both"),
        ({"services": ("nowhere/web",)}, "services: 'nowhere/web' is not one of shop, pay"),
        ({"services": ("shop/web", "shop/web")}, "services must be different"),
    ],
)
def test_a_shape_that_cannot_be_built_is_refused_in_one_sentence(words: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Shape(**words)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["", "a-b", "A", "a/b", "seventeenletters1", "a b", "../x"])
def test_a_name_that_could_be_mistaken_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="of a lab is not 1 to 16 characters of a-z 0-9"):
        Topology.of(Shape(), name)


def test_the_inventory_names_everything_the_collector_should_probe() -> None:
    words = inventory(STANDARD, {pod.vantage: "k" * 64 for pod in STANDARD.vantages})
    assert [node["name"] for node in words["nodes"]] == ["n1", "n2", "n3", "n4", "n5", "n6"]
    assert {vantage["namespace"] for vantage in words["vantages"]} == {"netmatrix", "shop", "pay"}
    assert [service["endpoints"] for service in words["services"]] == [2, 2]
    assert [host["host"] for host in words["external"]] == ["www.example.test"]
    assert inventory(Topology.of(Shape(external=False), "x"), {p.vantage: "" for p in STANDARD.vantages})["external"] == []
