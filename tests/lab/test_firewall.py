import os
import subprocess
from collections.abc import Iterator

import pytest

from lab.faults import Fault, parse
from lab.firewall import flow_rules, stuck_rules
from lab.namespaces import load_rules, remove, run_batch
from lab.shape import Shape
from lab.tampering import StuckSession
from lab.topology import Topology
from wire.path import Family

TOPOLOGY = Topology.of(Shape(nodes=3), "x")
OPEN_NOW = {"udp": [8620, 40001], "udp6": [40002], "icmp": [7], "icmp6": []}
FAULTS: list[dict[str, object]] = [
    {"kind": "full_table", "node": "n2"},
    {"kind": "dns_race", "node": "n2"},
    {"kind": "other_source", "from": "n2", "to": "n3"},
]


def parsed(words: dict[str, object]) -> Fault:
    return parse(words, TOPOLOGY)


@pytest.mark.parametrize("words", FAULTS, ids=str)
def test_flows_are_disturbed_on_the_node_that_is_named_and_on_no_other(words: dict[str, object]) -> None:
    nodes = TOPOLOGY.nodes
    changed = [n.name for n in nodes if flow_rules(TOPOLOGY, n, [parsed(words)]) != flow_rules(TOPOLOGY, n, [])]
    assert changed == ["n2"]


def test_a_stuck_session_is_the_senders_ports_and_ids_towards_one_agent() -> None:
    fault = StuckSession(from_="n2", to="n3")
    rules = [line for line in stuck_rules(TOPOLOGY, fault, OPEN_NOW).splitlines() if line.endswith("drop")]
    here, there = TOPOLOGY.agent_on("n2").addresses, TOPOLOGY.agent_on("n3").addresses
    way = f"ip saddr {here[Family.IPV4]} ip daddr {there[Family.IPV4]}"
    wider = f"ip6 saddr {here[Family.IPV6]} ip6 daddr {there[Family.IPV6]}"
    assert rules == [
        f"{way} udp dport 8620 udp sport {{ 40001 }} drop",
        f"{way} icmp type echo-request icmp id {{ 7 }} drop",
        f"{wider} udp dport 8620 udp sport {{ 40002 }} drop",
    ]


@pytest.fixture
def netns() -> Iterator[str]:
    name = f"nmx-t{os.getpid()}f-rules"
    run_batch(f"netns add {name}")
    yield name
    remove([name])


@pytest.mark.lab
def test_the_kernel_takes_all_rules_and_forgets_them_again(netns: str) -> None:
    node = TOPOLOGY.node["n2"]
    load_rules(netns, flow_rules(TOPOLOGY, node, [parsed(words) for words in FAULTS]))
    load_rules(netns, stuck_rules(TOPOLOGY, StuckSession(from_="n2", to="n3"), OPEN_NOW))
    load_rules(netns, flow_rules(TOPOLOGY, node, []))
    listed = subprocess.run(
        ["ip", "netns", "exec", netns, "nft", "list", "table", "inet", "flows"], capture_output=True, text=True, check=True
    )
    assert "confirmed" not in listed.stdout
