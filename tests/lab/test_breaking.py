"""Each fault bites, is counted to the packet, and its undo restores the network."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from lab.cluster import Cluster
from lab.conntrack import flush
from lab.faults import Blackhole, BrokenDnat, DeadNode, Delay, Fault, Loss, Partition, Snat
from lab.namespaces import call_inside, processes
from lab.roles import BACKEND_PORT, ECHO_PORT, SERVICE_PORT, Role
from lab.shape import Fabric
from lab.tampering import FullTable, Tamper
from tests.lab.conftest import Get, Ping
from wire.path import Family

pytestmark = pytest.mark.lab
BOTH = list(Family)


@contextmanager
def broken(cluster: Cluster, *faults: Fault) -> Iterator[None]:
    for fault in faults:
        cluster._apply(fault)
    try:
        yield
    finally:
        cluster._clear(None)


def pod(cluster: Cluster, node: str) -> str:
    return cluster.topology.agent_on(node).netns


def address(cluster: Cluster, node: str, family: Family = Family.IPV4) -> str:
    return cluster.topology.agent_on(node).addresses[family]


@pytest.mark.parametrize("family", BOTH)
def test_random_loss_takes_its_share_and_every_lost_ping_is_one_counted_drop(
    grounds: Cluster, ping: Ping, family: Family
) -> None:
    before = grounds.drops.count(protocol="icmp")
    with broken(grounds, Loss(node="n3", direction="in", percent=20)):
        answered = len(ping(pod(grounds, "n1"), address(grounds, "n3", family), count=400, gap=0.0005))
        assert not grounds.drops.complete()
    assert 400 - answered == grounds.drops.count(protocol="icmp") - before
    # By the binomial law 400 probes at 20 % lose 48 to 114 with more than 99.99 %.
    assert 48 <= 400 - answered <= 114
    assert {drop.direction for drop in grounds.drops.records if drop.node == "n3"} == {"in"}
    assert len(ping(pod(grounds, "n1"), address(grounds, "n3", family), count=50)) == 50


def test_loss_of_a_directed_pair_spares_the_way_back_and_everybody_else(grounds: Cluster, ping: Ping) -> None:
    with broken(grounds, Loss(from_="n1", to="n3", percent=100)):
        assert not ping(pod(grounds, "n1"), address(grounds, "n3"), count=3, patience=0.2)
        requests = grounds.drops.count(src=address(grounds, "n1"), dst=address(grounds, "n3"), protocol="icmp", direction="out")
        assert not ping(pod(grounds, "n3"), address(grounds, "n1"), count=3, patience=0.2)
        replies = grounds.drops.count(src=address(grounds, "n1"), dst=address(grounds, "n3"), protocol="icmp", direction="out")
        assert (requests, replies) == (3, 6)
        assert ping(pod(grounds, "n1"), address(grounds, "n2"))
        assert ping(pod(grounds, "n2"), address(grounds, "n3"))
    assert ping(pod(grounds, "n1"), address(grounds, "n3"))


def test_a_black_hole_for_one_layer_or_protocol_spares_the_others(grounds: Cluster, ping: Ping, get: Get) -> None:
    target = next(pod for pod in grounds.topology.pods if pod.role is Role.BACKEND)
    node = grounds.topology.node[target.node]
    source = next(name for name in grounds.topology.node if name != target.node)
    for family in BOTH:
        with broken(grounds, Blackhole(node=node.name, layer="host")):
            assert not ping(pod(grounds, source), node.addresses[family], patience=0.2)
            assert ping(pod(grounds, source), target.addresses[family])
        with broken(grounds, Blackhole(node=node.name, layer="pod")):
            assert ping(pod(grounds, source), node.addresses[family])
            assert not ping(pod(grounds, source), target.addresses[family], patience=0.2)
        with broken(grounds, Blackhole(node=node.name, protocol="icmp")):
            assert not ping(pod(grounds, source), target.addresses[family], patience=0.2)
            assert get(pod(grounds, source), target.addresses[family], BACKEND_PORT)


def test_a_partition_parts_the_zones_and_nothing_inside_them(grounds: Cluster, ping: Ping) -> None:
    with broken(grounds, Partition(("z1", "z2"))):
        assert ping(pod(grounds, "n1"), address(grounds, "n2"))
        assert ping(pod(grounds, "n4"), address(grounds, "n3"))
        assert not ping(pod(grounds, "n1"), address(grounds, "n3"), patience=0.2)
        assert not ping(pod(grounds, "n4"), address(grounds, "n2"), patience=0.2)
    assert ping(pod(grounds, "n1"), address(grounds, "n3"))


def test_a_dead_node_is_silent_and_its_programs_are_gone_until_it_is_powered_on(grounds: Cluster, ping: Ping) -> None:
    target = next(pod for pod in grounds.topology.pods if pod.role is Role.BACKEND)
    source = next(name for name in grounds.topology.node if name != target.node)
    with broken(grounds, DeadNode(target.node)):
        assert not ping(pod(grounds, source), target.addresses[Family.IPV4], patience=0.2)
        assert not ping(pod(grounds, source), grounds.topology.node[target.node].addresses[Family.IPV6], patience=0.2)
        assert processes([target.netns]) == {target.netns: []}
    grounds._programs.wait_until_listening([target])
    assert ping(pod(grounds, source), target.addresses[Family.IPV4])


@pytest.mark.parametrize("how", ["nowhere", "removed"])
def test_broken_dnat_breaks_one_service_on_one_node(grounds: Cluster, get: Get, how: str) -> None:
    service = grounds.topology.services[0]
    for cluster_ip in service.addresses.values():
        with broken(grounds, BrokenDnat(node="n1", service="shop/web", how=how)):  # type: ignore[arg-type]
            with pytest.raises(OSError, match=r"timed out|unreachable|Unreachable|refused|No route"):
                get(pod(grounds, "n1"), cluster_ip, SERVICE_PORT, timeout=0.5)
            assert get(pod(grounds, "n2"), cluster_ip, SERVICE_PORT)
            for backend in service.backends:
                assert get(pod(grounds, "n1"), backend.addresses[Family.IPV4], BACKEND_PORT)
        assert get(pod(grounds, "n1"), cluster_ip, SERVICE_PORT)


@pytest.mark.parametrize("family", BOTH)
def test_unexpected_snat_shows_the_node_to_peers_also_in_a_flow_that_was_there_before(grounds: Cluster, family: Family) -> None:
    there = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}[family]
    with (
        call_inside(pod(grounds, "n1"), lambda: socket.socket(there, socket.SOCK_DGRAM)) as sender,
        call_inside(pod(grounds, "n3"), lambda: socket.socket(there, socket.SOCK_DGRAM)) as receiver,
    ):
        receiver.settimeout(2)
        receiver.bind((address(grounds, "n3", family), 0))
        sender.connect(receiver.getsockname()[:2])

        def source() -> str:
            sender.send(b"?")
            return str(receiver.recvfrom(10)[1][0])

        assert source() == address(grounds, "n1", family)
        with broken(grounds, Snat("n1")):
            node = grounds.topology.node["n1"]
            flat = grounds.topology.shape.fabric is Fabric.FLAT
            assert source() == (node.addresses if flat else node.tunnel_addresses)[family]
        assert source() == address(grounds, "n1", family)


@pytest.mark.parametrize("family", BOTH)
def test_dropped_stamp_packets_are_told_apart_by_sequence_and_direction(grounds: Cluster, family: Family) -> None:
    here, there = address(grounds, "n1", family), address(grounds, "n3", family)
    kind = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}[family]
    with call_inside(pod(grounds, "n1"), lambda: socket.socket(kind, socket.SOCK_DGRAM)) as sender:
        with broken(grounds, Loss(node="n3", direction="in", percent=100)):
            for sequence in range(1, 11):
                sender.sendto(sequence.to_bytes(4, "big") + bytes(40), (there, ECHO_PORT))
            assert not grounds.drops.complete()
            assert grounds.drops.count(src=here, dst=there, protocol="udp", direction="in", sequences=(3, 7)) == 4
        with broken(grounds, Loss(node="n1", direction="out", percent=100)):
            sender.sendto((99).to_bytes(4, "big") + bytes(40), (there, ECHO_PORT))
            assert not grounds.drops.complete()
            assert grounds.drops.count(src=here, dst=there, direction="out", sequences=(98, 99)) == 1


@pytest.mark.parametrize(
    ("fault", "added_ms"),
    [
        (Delay(node="n3", direction="in", ms=20), 20),
        (Delay(node="n3", direction="out", ms=20), 20),
        (Delay(node="n3", ms=10), 20),
        (Delay(from_="n1", to="n3", ms=15), 15),
    ],
    ids=str,
)
def test_delay_is_added_in_its_direction_and_loses_nothing(grounds: Cluster, ping: Ping, fault: Delay, added_ms: int) -> None:
    with broken(grounds, fault):
        for family in BOTH:
            trips = ping(pod(grounds, "n1"), address(grounds, "n3", family), count=20)
            assert len(trips) == 20
            assert added_ms / 1000 <= min(trips) < added_ms / 1000 + 0.010
        assert min(ping(pod(grounds, "n1"), address(grounds, "n2"), count=20)) < 0.005
    assert min(ping(pod(grounds, "n1"), address(grounds, "n3"), count=20)) < 0.005


def test_loss_and_delay_work_at_the_same_port_together(grounds: Cluster, ping: Ping) -> None:
    for direction, drop in (("in", "in"), ("out", "out")):
        with broken(grounds, Delay(node="n3", ms=5), Loss(node="n3", direction=direction, percent=50)):  # type: ignore[arg-type]
            before = grounds.drops.count(protocol="icmp")
            trips = ping(pod(grounds, "n1"), address(grounds, "n3"), count=100, gap=0.0005)
            assert not grounds.drops.complete()
            assert 100 - len(trips) == grounds.drops.count(protocol="icmp") - before
            assert grounds.drops.records[-1].direction == drop
            assert min(trips) >= 0.010


@pytest.mark.parametrize("family", BOTH)
def test_a_megabyte_passes_the_relay_unharmed_in_both_directions(grounds: Cluster, family: Family) -> None:
    content = hashlib.shake_256(b"netmatrix").digest(1_000_000)
    kind = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}[family]
    with broken(grounds, Delay(node="n3", ms=2)):
        listener = call_inside(
            pod(grounds, "n3"), lambda: socket.create_server((address(grounds, "n3", family), 0), family=kind)
        )
        with listener:
            listener.settimeout(10)

            def mirror() -> None:
                visitor, _ = listener.accept()
                with visitor, suppress(OSError):
                    received = bytearray()
                    while chunk := visitor.recv(65536):
                        received += chunk
                    visitor.sendall(received)

            thread = threading.Thread(target=mirror)
            thread.start()
            returned = bytearray()
            with call_inside(pod(grounds, "n1"), lambda: socket.create_connection(listener.getsockname()[:2], 5)) as caller:
                caller.sendall(content)
                caller.shutdown(socket.SHUT_WR)
                while chunk := caller.recv(65536):
                    returned += chunk
            thread.join()
    assert bytes(returned) == content


def test_forgetting_connections_is_no_error_where_there_are_none(grounds: Cluster) -> None:
    flush(grounds.topology.node["n1"].netns)
    flush(grounds.topology.node["n1"].netns)


@pytest.mark.parametrize("family", BOTH)
def test_a_changed_bit_is_found_by_a_checksum_and_hurts_only_the_pair_that_is_meant(
    grounds: Cluster, ping: Ping, family: Family
) -> None:
    with broken(grounds, Tamper(from_="n1", to="n3", how="corrupt")):
        assert not ping(pod(grounds, "n1"), address(grounds, "n3", family), patience=0.2)
        assert ping(pod(grounds, "n1"), address(grounds, "n2", family))
    assert ping(pod(grounds, "n1"), address(grounds, "n3", family))


def test_a_full_table_drops_what_would_begin_a_connection_and_lets_others_go_on(grounds: Cluster, get: Get) -> None:
    target = next(pod for pod in grounds.topology.pods if pod.role is Role.BACKEND)
    source = next(name for name in grounds.topology.node if name != target.node)
    where = target.addresses[Family.IPV4], BACKEND_PORT
    with call_inside(pod(grounds, source), lambda: socket.create_connection(where, 10)) as old:
        with broken(grounds, FullTable(node=source)):
            with pytest.raises(OSError, match="timed out"):
                get(pod(grounds, source), *where, timeout=0.3)
            old.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert old.recv(4096).startswith(b"HTTP/1.1 200")
        assert get(pod(grounds, source), *where)
