"""What a lab can do to long packets and full queues, and the errors that its nodes can send."""

import errno
import socket
from typing import Literal

import pytest

from lab.cluster import Cluster
from lab.faults import FullQueue, MtuBlackhole, Reject, SmallMtu
from lab.namespaces import call_inside, query_inside
from lab.roles import ECHO_PORT
from lab.shape import Fabric
from lab.topology import TUNNEL_OVERHEAD
from tests.lab.conftest import Ping
from tests.lab.test_breaking import BOTH, address, broken, pod
from wire.path import Family

pytestmark = pytest.mark.lab

HEADERS = {Family.IPV4: 28, Family.IPV6: 48}


def sent(netns: str, to: str, packet_bytes: int) -> str:
    """What a UDP packet of so many bytes with DF meets: an error's name, or nothing, since where it goes nobody listens."""
    family = Family.of(to)
    version, level, option = (
        (socket.AF_INET, socket.IPPROTO_IP, 10) if family is Family.IPV4 else (socket.AF_INET6, socket.IPPROTO_IPV6, 23)
    )

    def here() -> str:
        with socket.socket(version, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(level, option, 3)  # IP_MTU_DISCOVER, IP_PMTUDISC_PROBE
            sock.setsockopt(level, {10: 11, 23: 25}[option], 1)  # IP_RECVERR
            sock.settimeout(0.3)
            sock.connect((to, 9))
            try:
                sock.send(bytes(packet_bytes - HEADERS[family]))
                sock.recv(1)
            except TimeoutError:
                return ""
            except OSError as error:
                return errno.errorcode[error.errno or 0]
        raise AssertionError("nobody answers there")

    return call_inside(netns, here)


def tunnel(cluster: Cluster) -> int:
    return TUNNEL_OVERHEAD[cluster.topology.outer] if cluster.topology.shape.fabric is Fabric.VXLAN else 0


@pytest.mark.parametrize("family", BOTH)
@pytest.mark.parametrize("direction", ["in", "out"])
def test_a_hole_for_long_packets_swallows_them_from_the_byte_on_that_it_says(
    grounds: Cluster, family: Family, direction: Literal["in", "out"]
) -> None:
    far, near = pod(grounds, "n1"), pod(grounds, "n3")
    source, to = (far, address(grounds, "n3", family)) if direction == "in" else (near, address(grounds, "n1", family))
    longest = 1400 - tunnel(grounds)
    with broken(grounds, MtuBlackhole(node="n3", direction=direction, longer_than=1400)):
        before = len(grounds.drops.records)
        assert sent(source, to, longest) == "ECONNREFUSED"
        assert sent(source, to, longest + 1) == ""
        assert not grounds.drops.complete()
        assert len(grounds.drops.records) == before + 1
    assert sent(source, to, longest + 1) == "ECONNREFUSED"


@pytest.mark.parametrize("family", BOTH)
@pytest.mark.parametrize(
    "fault", [SmallMtu(node="n3", direction="in", bytes=1400), SmallMtu(from_="n1", to="n3", bytes=1400)], ids=["in", "pair"]
)
def test_a_router_in_front_of_a_smaller_link_says_that_a_packet_is_too_big(
    grounds: Cluster, family: Family, fault: SmallMtu
) -> None:
    source, to = pod(grounds, "n1"), address(grounds, "n3", family)
    with broken(grounds, fault):
        assert sent(source, to, 1401) == "EMSGSIZE"
        assert sent(source, to, 1400) == "ECONNREFUSED"
        assert sent(pod(grounds, "n3"), address(grounds, "n1", family), 1401) == "ECONNREFUSED"
    assert sent(source, to, 1401) == "ECONNREFUSED"


@pytest.mark.parametrize("family", BOTH)
def test_a_node_that_refuses_says_so_to_its_own_pods_and_lets_answers_pass(
    grounds: Cluster, ping: Ping, family: Family
) -> None:
    source, to = pod(grounds, "n1"), address(grounds, "n3", family)
    with broken(grounds, Reject(from_="n1", to="n3", says="unreachable")):
        assert sent(source, to, 500) == "EHOSTUNREACH"
        assert ping(pod(grounds, "n3"), address(grounds, "n1", family))
        assert ping(source, address(grounds, "n2", family))
    assert ping(source, to)


@pytest.mark.parametrize("family", BOTH)
def test_a_full_queue_refuses_probes_over_udp_and_nothing_else(grounds: Cluster, ping: Ping, family: Family) -> None:
    source, to = pod(grounds, "n2"), address(grounds, "n3", family)

    def refused(port: int) -> set[str]:
        version, level, option = (
            (socket.AF_INET, socket.IPPROTO_IP, 11) if family is Family.IPV4 else (socket.AF_INET6, socket.IPPROTO_IPV6, 25)
        )
        found = set()
        with socket.socket(version, socket.SOCK_DGRAM) as sock:
            sock.setsockopt(level, option, 1)  # without IP_RECVERR the kernel keeps such a drop to itself
            for _ in range(30):
                try:
                    sock.sendto(bytes(300), (to, port))
                except OSError as error:
                    found.add(errno.errorcode[error.errno or 0])
        return found

    with broken(grounds, FullQueue("n2")):
        assert "ENOBUFS" in call_inside(source, lambda: refused(ECHO_PORT))
        assert "ENOBUFS" not in call_inside(source, lambda: refused(ECHO_PORT + 1))
        assert len(ping(source, to, count=50)) == 50
    assert "ENOBUFS" not in call_inside(source, lambda: refused(ECHO_PORT))
    assert "noqueue" in query_inside(source, "tc", "qdisc", "show", "dev", "eth0")
