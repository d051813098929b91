import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import dns.message
import pytest

from lab.cluster import Cluster
from lab.faults import Blackhole
from lab.namespaces import call_inside, run_batch
from lab.roles import BACKEND_PORT, SERVICE_PORT, Role
from lab.shape import Fabric, Shape
from lab.topology import ROUTER_OUTSIDE, Pod
from tests.lab.conftest import Get, Ping
from wire.path import Family

SIOCGIFMTU = 0x8921  # linux/sockios.h
pytestmark = pytest.mark.lab


def mtu(interface: str) -> int:
    with socket.socket() as asking:
        request = struct.pack("16si12x", interface.encode(), 0)
        return int(struct.unpack("16si12x", fcntl.ioctl(asking, SIOCGIFMTU, request))[1])


@contextmanager
def broken(cluster: Cluster, fault: Blackhole) -> Iterator[None]:
    cluster._apply(fault)
    try:
        yield
    finally:
        cluster._clear(fault)


def backend(cluster: Cluster) -> Pod:
    return next(pod for pod in cluster.topology.pods if pod.role is Role.BACKEND)


def test_every_pod_reaches_every_pod_and_every_node_in_both_families(grounds: Cluster, ping: Ping) -> None:
    topology = grounds.topology
    for pod in topology.pods:
        for others in (topology.pods, topology.nodes):
            for address in (address for other in others for address in other.addresses.values()):
                assert ping(pod.netns, address), f"{pod.name} on {pod.node} does not reach {address}"


def test_pod_to_pod_is_not_translated(grounds: Cluster, get: Get) -> None:
    for agent in grounds.topology.vantages:
        for family, address in backend(grounds).addresses.items():
            assert get(agent.netns, address, BACKEND_PORT).split()[-1] == agent.addresses[family]


def test_packets_between_pods_are_as_long_as_the_fabric_allows(grounds: Cluster) -> None:
    topology = grounds.topology
    for pod in topology.pods:
        lengths = call_inside(pod.netns, lambda: {name: mtu(name) for _, name in socket.if_nameindex()})
        assert lengths["eth0"] == topology.mtu
        assert lengths.get("net1", 1500) == 1500


def test_on_a_fabric_of_tunnels_pods_talk_in_them_and_nodes_do_not(grounds: Cluster, ping: Ping) -> None:
    topology = grounds.topology
    with broken(grounds, Blackhole(node="n2", layer="pod")):
        assert not ping(topology.agent_on("n1").netns, topology.agent_on("n2").addresses[Family.IPV4], patience=0.2)
        assert ping(topology.agent_on("n1").netns, topology.node["n2"].addresses[Family.IPV4])
        if topology.shape.fabric is Fabric.VXLAN:
            assert {drop.protocol for drop in grounds.drops.records if drop.dst.startswith("10.30.2.")} == {"icmp"}


def test_a_further_network_is_reached_through_its_own_interface_only(grounds: Cluster, ping: Ping) -> None:
    here, there = grounds.topology.agent_on("n1"), grounds.topology.agent_on("n3")
    for address in there.attachments[0].addresses.values():
        assert ping(here.netns, address)
        with broken(grounds, Blackhole(node="n3", network="storage")):
            assert not ping(here.netns, address, patience=0.2)
            assert all(ping(here.netns, other) for other in there.addresses.values())
    run_batch("link set net1 down", here.netns)
    try:
        assert not ping(here.netns, there.attachments[0].addresses[Family.IPV4], patience=0.2)
    finally:
        run_batch("link set net1 up", here.netns)
    backend_pod = next(pod for pod in grounds.topology.pods if not pod.attachments)
    assert not ping(backend_pod.netns, there.attachments[0].addresses[Family.IPV4], patience=0.2)


def test_what_leaves_for_a_node_or_the_outside_is_translated(grounds: Cluster, get: Get) -> None:
    topology = grounds.topology
    assert topology.external
    for family, address in topology.external.addresses.items():
        assert get(topology.agent_on("n2").netns, address, 80) == f"external {ROUTER_OUTSIDE[family]}"
    seen: list[str] = []
    listener = call_inside(
        topology.node["n3"].netns, lambda: socket.create_server((topology.node["n3"].addresses[Family.IPV4], 0))
    )
    with listener:
        listener.settimeout(5)

        def accept() -> None:
            visitor, address = listener.accept()
            visitor.close()
            seen.append(address[0])

        visit = threading.Thread(target=accept)
        visit.start()
        call_inside(topology.agent_on("n2").netns, lambda: socket.create_connection(listener.getsockname(), 2).close())
        visit.join()
    assert seen == [topology.node["n2"].addresses[Family.IPV4]]


def test_a_cluster_address_leads_to_every_backend_from_every_node(grounds: Cluster, get: Get) -> None:
    service = grounds.topology.services[0]
    names = {f"{pod.name}.{pod.namespace}" for pod in service.backends}
    for node in grounds.topology.nodes:
        agent = grounds.topology.agent_on(node.name)
        for family, address in service.addresses.items():
            # 30 calls miss one of two backends once in half a billion.
            answers = [get(agent.netns, address, SERVICE_PORT).split() for _ in range(30)]
            assert {name for name, _ in answers} == names
            assert {source for _, source in answers} == {agent.addresses[family]}


def test_a_backend_reaches_itself_through_its_service(grounds: Cluster, get: Get) -> None:
    service = grounds.topology.services[0]
    pod = service.backends[0]
    for address in service.addresses.values():
        answers = {get(pod.netns, address, SERVICE_PORT).split()[0] for _ in range(30)}
        assert f"{pod.name}.{pod.namespace}" in answers


@pytest.mark.parametrize("family", list(Family))
def test_the_name_server_answers_behind_its_cluster_address(grounds: Cluster, family: Family) -> None:
    topology = grounds.topology
    assert topology.external
    kind = {Family.IPV4: (socket.AF_INET, "A"), Family.IPV6: (socket.AF_INET6, "AAAA")}[family]
    with call_inside(topology.agent_on("n3").netns, lambda: socket.socket(kind[0], socket.SOCK_DGRAM)) as stub:
        stub.settimeout(2)
        stub.connect((topology.dns.addresses[family], 53))
        stub.send(dns.message.make_query("www.example.test", kind[1]).to_wire())
        answer = dns.message.from_wire(stub.recv(512))
    assert [str(item) for item in answer.answer[0]] == [topology.external.addresses[family]]


def test_tunnels_and_further_networks_work_over_ipv6_alone(ping: Ping) -> None:
    shape = Shape(
        nodes=2, zones=1, namespaces=(), families=(Family.IPV6,), fabric=Fabric.VXLAN, networks=("default", "storage")
    )
    cluster = Cluster(shape, f"t{os.getpid()}s")
    try:
        cluster._build()
        here, there = cluster.topology.vantages
        assert ping(here.netns, there.addresses[Family.IPV6])
        assert ping(here.netns, there.attachments[0].addresses[Family.IPV6])
        with broken(cluster, Blackhole(node=there.node, protocol="vxlan")):
            assert not ping(here.netns, there.addresses[Family.IPV6], patience=0.2)
            assert ping(here.netns, cluster.topology.node[there.node].addresses[Family.IPV6])
        assert cluster.drops.complete() == ""
    finally:
        cluster._demolish()


def test_two_labs_of_different_names_do_not_meet(grounds: Cluster, ping: Ping) -> None:
    other = Cluster(grounds.topology.shape, f"{grounds.topology.lab}2")
    try:
        other._build()
        agent = other.topology.agent_on("n1")
        assert ping(agent.netns, other.topology.agent_on("n2").addresses[Family.IPV4])
        assert ping(grounds.topology.agent_on("n1").netns, grounds.topology.agent_on("n2").addresses[Family.IPV4])
    finally:
        other._demolish()
    assert ping(grounds.topology.agent_on("n1").netns, grounds.topology.agent_on("n2").addresses[Family.IPV4])
