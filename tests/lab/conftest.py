"""A small lab without agents, for tests of the network itself, and ways to look at it from inside a namespace."""

import itertools
import os
import select
import socket
import struct
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence

import pytest

from lab.cluster import Cluster, demolish
from lab.namespaces import call_inside
from lab.roles import Role
from lab.shape import Fabric, Shape

_echo_ids = itertools.count(os.getpid() % 30000)
_OUTCOMES = {4: (8, 0, socket.AF_INET, "icmp"), 6: (128, 129, socket.AF_INET6, "ipv6-icmp")}


def _checksum(packet: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(packet) // 2}H", packet))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _ping_here(address: str, count: int, gap: float, patience: float) -> list[float]:
    """Round trips in seconds of those that were answered."""
    request, reply, family, protocol = _OUTCOMES[6 if ":" in address else 4]
    ident = next(_echo_ids) & 0xFFFF
    sent: dict[int, float] = {}
    trips: list[float] = []
    with socket.socket(family, socket.SOCK_RAW, socket.getprotobyname(protocol)) as wire:

        def collect(until: float) -> None:
            # What has arrived is read however late we are, so that a busy machine does not look like loss.
            while len(trips) < count and select.select([wire], [], [], max(until - time.monotonic(), 0))[0]:
                packet = wire.recv(2048)
                if family == socket.AF_INET:
                    packet = packet[(packet[0] & 0xF) * 4 :]
                kind, _, _, whose, number = struct.unpack_from("!BBHHH", packet)
                if (kind, whose) == (reply, ident) and number in sent:
                    trips.append(time.monotonic() - sent.pop(number))

        for number in range(count):
            packet = struct.pack("!BBHHH", request, 0, 0, ident, number) + bytes(32)
            packet = packet[:2] + struct.pack("!H", _checksum(packet)) + packet[4:]
            sent[number] = time.monotonic()
            try:
                wire.sendto(packet, (address, 0))
            except OSError:
                continue
            collect(time.monotonic() + gap)
        collect(time.monotonic() + patience)
    return trips


Ping = Callable[..., list[float]]
Get = Callable[..., str]


@pytest.fixture
def ping() -> Ping:
    def inside(netns: str, address: str, *, count: int = 1, gap: float = 0.002, patience: float = 1.0) -> list[float]:
        return call_inside(netns, lambda: _ping_here(address, count, gap, patience))

    return inside


@pytest.fixture
def get() -> Get:
    def fetch(address: str, port: int, timeout: float) -> str:
        host = f"[{address}]" if ":" in address else address
        with urllib.request.urlopen(f"http://{host}:{port}/", timeout=timeout) as answer:
            return str(answer.read().decode().strip())

    def inside(netns: str, address: str, port: int, *, timeout: float = 10.0) -> str:
        return call_inside(netns, lambda: fetch(address, port, timeout))

    return inside


@pytest.fixture(scope="module", params=Fabric)
def grounds(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """Four nodes in two zones with the backends of one service, a name server, a host outside, and no agents."""
    shape = Shape(nodes=4, zones=2, namespaces=("shop",), fabric=request.param, networks=("default", "storage"))
    cluster = Cluster(shape, f"t{os.getpid()}g")
    try:
        cluster._build()
        responders: Sequence[Role] = (Role.BACKEND, Role.DNS)
        pods = [pod for pod in cluster.topology.pods if pod.role in responders]
        for pod in pods:
            cluster._programs.start(pod)
        assert cluster.topology.external
        cluster._programs._start_external(cluster.topology.external)
        cluster._programs.wait_until_listening(pods)
        yield cluster
    finally:
        cluster.drops.close()
        demolish(cluster.topology.lab)
