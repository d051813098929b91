"""The real agent and the real collector in a lab, and the faults that hit programs and not packets."""

import asyncio
import json
import os
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.cluster import Cluster, demolish
from lab.faults import AgentRestart, CpuHogs, DeadNode, KillCollector, ReusedAddress, Stop
from lab.namespaces import command_of, processes
from lab.shape import Shape
from lab.topology import Pod

pytestmark = pytest.mark.lab

PLAN = {"interval": "1s", "timeout": "500ms", "report": "1s"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    cluster = Cluster(Shape(nodes=2, zones=1, namespaces=("shop",)), f"t{os.getpid()}p", PLAN)
    try:
        cluster._build()
        cluster._programs.start_all()
        yield cluster
    finally:
        cluster.drops.close()
        demolish(cluster.topology.lab)


def pids(pod: Pod) -> list[int]:
    return processes([pod.netns])[pod.netns]


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def environment_of(pid: int) -> dict[str, str]:
    return dict(entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in entry)


def until(holds: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.02)


def test_a_stopped_agent_stands_still_and_goes_on_when_it_is_cleared(cluster: Cluster) -> None:
    (pid,) = pids(cluster.topology.agent_on("n2"))
    cluster._apply(Stop("n2"))
    until(lambda: state_of(pid) == "T")
    cluster._clear(Stop("n2"))
    until(lambda: state_of(pid) != "T")
    assert pids(cluster.topology.agent_on("n2")) == [pid]


def test_a_reused_address_is_answered_under_another_uid_until_it_is_cleared(cluster: Cluster) -> None:
    agent = cluster.topology.agent_on("n2")
    cluster._apply(ReusedAddress("n2"))
    (pid,) = pids(agent)
    assert environment_of(pid)["NETMATRIX_POD_UID"] != agent.uid
    cluster._clear()
    (pid,) = pids(agent)
    assert environment_of(pid)["NETMATRIX_POD_UID"] == agent.uid


def test_a_restarted_agent_is_another_process(cluster: Cluster) -> None:
    agent = cluster.topology.agent_on("n2")
    for number in ("KILL", "TERM"):
        cluster._programs.wait_until_listening([agent])
        before = pids(agent)
        cluster._apply(AgentRestart("n2", number))
        cluster._programs.wait_until_listening([agent])
        assert len(pids(agent)) == 1
        assert pids(agent) != before
    assert cluster.faults == ()


def test_a_killed_collector_comes_back_when_it_is_cleared(cluster: Cluster) -> None:
    collector = cluster.topology.collector
    cluster._apply(KillCollector())
    assert pids(collector) == []
    cluster._clear()
    cluster._programs.wait_until_listening([collector])


def test_a_collector_that_came_back_by_itself_is_not_killed_again_by_clearing(cluster: Cluster) -> None:
    collector = cluster.topology.collector
    (before,) = pids(collector)
    cluster._apply(KillCollector(restart_after=0.2))
    cluster._programs.wait_until_listening([collector])
    (pid,) = pids(collector)
    assert pid != before
    cluster._clear()
    assert pids(collector) == [pid]


def test_power_off_ends_every_program_of_the_node_and_of_no_other(cluster: Cluster) -> None:
    here, there = cluster.topology.pods_on("n2"), cluster.topology.pods_on("n1")
    others = {pod.name: pids(pod) for pod in there}
    cluster._apply(DeadNode("n2"))
    assert [pids(pod) for pod in here] == [[] for _ in here]
    assert {pod.name: pids(pod) for pod in there} == others
    cluster._clear()
    cluster._programs.wait_until_listening(here)


def test_hogs_add_up_and_vanish(cluster: Cluster) -> None:
    fabric = cluster.topology.fabric_netns

    def hogs() -> int:
        return sum(command_of(pid)[-1:] == ["netmatrix-lab-hog"] for pid in processes([fabric])[fabric])

    cluster._apply(CpuHogs(count=1))
    cluster._apply(CpuHogs(count=2))
    until(lambda: hogs() == 3)
    cluster._clear(CpuHogs(count=2))
    until(lambda: hogs() == 1)
    cluster._clear()
    assert hogs() == 0


async def test_agents_measure_each_other_and_report_over_the_network_that_they_measure() -> None:
    cluster = Cluster(Shape(nodes=2, zones=1, namespaces=("shop",)), f"t{os.getpid()}u", PLAN)

    def fetch(path: str) -> dict[str, list[dict[str, object]]]:
        with urllib.request.urlopen(f"http://127.0.0.1:{cluster.doorway.port}{path}", timeout=5) as answer:
            return dict(json.load(answer))

    try:
        await cluster.up()
        async with asyncio.timeout(60):
            while True:
                agents = (await asyncio.to_thread(fetch, "/api/v1/agents"))["agents"]
                cells = (await asyncio.to_thread(fetch, "/api/v1/matrix?totals=true&layer=pod"))["cells"]
                measured = [cell for cell in cells if cell["received"]]
                if cells and len(measured) == len(cells) and all(agent["state"] == "reporting" for agent in agents):
                    break
                await asyncio.sleep(0.2)
        assert {agent["vantage"] for agent in agents} == {"n1", "n2", "shop-n2"}
        assert {cell["family"] for cell in cells} == {"ipv4", "ipv6"}
        assert {cell["kind"] for cell in cells} == {"icmp", "udp", "tcp", "http"}
        assert cluster.drops.records == []
    finally:
        await cluster.down()
        await cluster.down()
