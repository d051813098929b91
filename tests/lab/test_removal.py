"""A lab is removable from nothing but its name, whatever became of whoever built it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import state
from lab.cluster import Cluster, demolish, labs
from lab.faults import CpuHogs, DeadNode, Delay, Loss
from lab.namespaces import call_inside, existing, processes
from lab.roles import Role
from lab.topology import Topology
from tests.lab.conftest import Ping
from wire.path import Family

pytestmark = pytest.mark.lab

BUILDER = """
import sys, time
from lab.cluster import Cluster
from lab.faults import CpuHogs, DeadNode, Delay, Loss
from lab.shape import Fabric, Shape
from lab.topology import Role

shape = Shape(nodes=3, zones=1, namespaces=("shop",), fabric=Fabric.VXLAN, networks=("default", "storage"))
cluster = Cluster(shape, sys.argv[1])
cluster._build()
for pod in cluster.topology.pods:
    if pod.role is Role.BACKEND:
        cluster._programs.start(pod)
for fault in (Delay(node="n1", ms=5), CpuHogs(count=1), Loss(node="n2", percent=100), DeadNode("n3")):
    cluster._apply(fault)
print("built", flush=True)
time.sleep(600)
"""


@pytest.fixture
def orphan() -> Iterator[str]:
    """Name of a lab with faults whose builder was killed."""
    name = f"t{os.getpid()}o"
    builder = subprocess.Popen([sys.executable, "-c", BUILDER, name], stdout=subprocess.PIPE, text=True)
    try:
        assert builder.stdout
        assert builder.stdout.readline() == "built\n"
        builder.send_signal(signal.SIGKILL)
        builder.communicate()
        yield name
    finally:
        demolish(name)


def test_after_a_crash_nothing_is_left_but_what_the_name_removes(orphan: str) -> None:
    pids = [pid for pids in processes(existing(orphan)).values() for pid in pids]
    assert len(pids) >= 3  # A relay, a busy loop, a backend on a living node.
    assert orphan in labs()
    links = {name for _, name in socket.if_nameindex()}
    demolish(orphan)
    assert {name for _, name in socket.if_nameindex()} == links, "what is not the lab's is left alone"
    assert existing(orphan) == []
    assert not state.directory(orphan).exists()
    assert orphan not in labs()
    assert [pid for pid in pids if Path(f"/proc/{pid}/ns/net").exists()] == []


def test_after_a_crash_another_process_undoes_every_fault(orphan: str, ping: Ping) -> None:
    cluster = Cluster.attach(orphan)
    topology = cluster.topology
    assert cluster.faults == (Delay(node="n1", ms=5), CpuHogs(count=1), Loss(node="n2", percent=100), DeadNode("n3"))
    assert not ping(topology.agent_on("n1").netns, topology.agent_on("n2").addresses[Family.IPV4], patience=0.2)
    cluster._clear(None)
    assert Cluster.attach(orphan).faults == ()
    for other in ("n2", "n3"):
        assert min(ping(topology.agent_on("n1").netns, topology.agent_on(other).addresses[Family.IPV4], count=20)) < 0.005
    assert processes([topology.fabric_netns]) == {topology.fabric_netns: []}
    cluster._programs.wait_until_listening([pod for pod in topology.pods if pod.role is Role.BACKEND])


def test_one_fault_of_several_is_undone_alone(orphan: str, ping: Ping) -> None:
    cluster = Cluster.attach(orphan)
    topology = cluster.topology
    cluster._clear(Loss(node="n2", percent=100))
    (trip,) = ping(topology.agent_on("n1").netns, topology.agent_on("n2").addresses[Family.IPV4])
    assert trip >= 0.010
    assert not ping(topology.agent_on("n1").netns, topology.agent_on("n3").addresses[Family.IPV4], patience=0.2)


def test_removing_a_lab_that_is_not_there_is_no_error() -> None:
    demolish("neverwas")


def test_attaching_to_a_lab_that_is_not_there_says_so() -> None:
    with pytest.raises(LookupError, match="there is no lab 'neverwas'"):
        Cluster.attach("neverwas")


async def test_a_second_lab_of_the_same_name_is_refused_and_the_first_lives_on(orphan: str) -> None:
    there = existing(orphan)
    with pytest.raises(FileExistsError, match=f"there is a lab '{orphan}' already"):
        await Cluster(Topology.of(Cluster.attach(orphan).topology.shape, orphan).shape, orphan).up()
    assert existing(orphan) == there


def test_programs_in_pods_have_no_capability_and_the_group_that_may_ping(grounds: Cluster) -> None:
    pod = next(pod for pod in grounds.topology.pods if pod.role is Role.BACKEND)
    (pid,) = processes([pod.netns])[pod.netns]
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    assert {status[word] for word in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["Gid"].split()[0], status["Groups"].strip(), status["NoNewPrivs"]) == ("65532", "", "1")
    allowed = call_inside(pod.netns, lambda: Path("/proc/sys/net/ipv4/ping_group_range").read_text())
    assert allowed.split() == ["65532", "65532"]
