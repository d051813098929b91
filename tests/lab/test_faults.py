import msgspec
import pytest

from lab.delays import relays
from lab.faults import AgentRestart, DeadNode, Fault, Hit, Loss, NameServer, Partition, behaviour, hits, parse
from lab.links import routes
from lab.nameserver import Behaviour, How
from lab.roles import Role
from lab.rules import fabric_rules, node_rules
from lab.shape import Fabric, Shape
from lab.topology import Topology
from lab.wanted import Wanted, wanted

TOPOLOGY = Topology.of(Shape(), "x")

GOOD: list[dict[str, object]] = [
    {"kind": "loss", "node": "n3", "direction": "in", "percent": 20},
    {"kind": "loss", "from": "n2", "to": "n5", "percent": 0.2},
    {"kind": "blackhole", "node": "n3", "protocol": "udp"},
    {"kind": "blackhole", "node": "n3", "layer": "pod"},
    {"kind": "mtu_blackhole", "from": "n2", "to": "n5", "longer_than": 1400},
    {"kind": "mtu", "node": "n3", "direction": "in", "bytes": 1400},
    {"kind": "reject", "from": "n2", "to": "n3", "says": "unreachable"},
    {"kind": "full_queue", "node": "n2"},
    {"kind": "dead_node", "node": "n4"},
    {"kind": "partition", "zones": ["z1", "z2"]},
    {"kind": "broken_dnat", "node": "n1", "service": "shop/web"},
    {"kind": "broken_dnat", "node": "n1", "service": "shop/web", "how": "removed"},
    {"kind": "snat", "node": "n1"},
    {"kind": "delay", "node": "n1", "ms": 50},
    {"kind": "delay", "from": "n1", "to": "n2", "ms": 5.5},
    {"kind": "cpu_hogs", "count": 4},
    {"kind": "stop", "node": "n2"},
    {"kind": "kill_collector"},
    {"kind": "kill_collector", "restart_after": 5},
    {"kind": "reused_address", "node": "n2"},
    {"kind": "agent_restart", "node": "n2"},
    {"kind": "name_server", "how": "servfail"},
    {"kind": "name_server", "how": "slow", "ms": 800},
    {"kind": "broken_dnat", "node": "n1", "service": "kube-system/dns"},
    {"kind": "tamper", "node": "n1", "how": "duplicate"},
    {"kind": "tamper", "from": "n1", "to": "n2", "how": "reorder", "ms": 1300},
    {"kind": "full_table", "node": "n2"},
    {"kind": "dns_race", "node": "n2"},
    {"kind": "other_source", "from": "n2", "to": "n3"},
    {"kind": "stuck_session", "from": "n2", "to": "n3"},
    {"kind": "throttle", "node": "n2", "percent": 0.5},
    {"kind": "stranger", "to": "n2", "packets_per_second": 100},
    {"kind": "drain", "node": "n4"},
    {"kind": "drain", "node": "n4", "removed": True},
]


@pytest.mark.parametrize("words", GOOD, ids=str)
def test_a_fault_survives_being_written_down(words: dict[str, object]) -> None:
    fault = parse(words, TOPOLOGY)
    assert msgspec.json.decode(msgspec.json.encode(fault), type=Fault) == fault


def test_every_kind_has_an_example_here() -> None:
    kinds = {fault.__struct_config__.tag for fault in Fault.__args__}
    assert {words["kind"] for words in GOOD} == kinds


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({"kind": "los"}, "Invalid value 'los' - at `\\$.kind`"),
        ({"node": "n3"}, "missing required field `kind`"),
        ({"kind": "loss", "node": "n3", "perc": 2}, "unknown field `perc`"),
        ({"kind": "loss", "node": "n3", "percent": 101}, r"<= 100.0 - at `\$.percent`"),
        ({"kind": "loss", "node": "n3", "percent": "20"}, r"got `str` - at `\$.percent`"),
        ({"kind": "loss", "node": "n9", "percent": 2}, "there is no node 'n9', there are n1 to n6"),
        ({"kind": "drain", "node": "n2"}, "dns on n2 cannot be taken away"),
        ({"kind": "loss", "percent": 2}, "name either a node, or both from and to"),
        ({"kind": "loss", "node": "n1", "from": "n2", "to": "n3"}, "name either a node, or both from and to"),
        ({"kind": "loss", "from": "n2"}, "name either a node, or both from and to"),
        ({"kind": "loss", "from": "n2", "to": "n2"}, "two different nodes"),
        ({"kind": "loss", "from": "n2", "to": "n3", "direction": "in"}, "a direction in themselves"),
        ({"kind": "mtu", "node": "n1", "bytes": 1279}, r">= 1280 - at `\$.bytes`"),
        ({"kind": "reject", "from": "n2", "to": "n2"}, "two different nodes"),
        ({"kind": "partition", "zones": ["z1", "z9"]}, "zones must be two of z1, z2, z3"),
        ({"kind": "partition", "zones": ["z1", "z1"]}, "zones must be two of"),
        ({"kind": "loss", "node": "n1", "network": "storage"}, "there is no network 'storage', there are default"),
        ({"kind": "blackhole", "node": "n1", "protocol": "vxlan"}, "there are no tunnels on a flat fabric"),
        ({"kind": "name_server", "how": "tired"}, r"Invalid enum value 'tired' - at `\$.how`"),
        ({"kind": "name_server", "how": "slow"}, "slow, and no other, has a delay"),
        ({"kind": "name_server", "how": "silent", "ms": 5}, "slow, and no other, has a delay"),
        ({"kind": "tamper", "node": "n1", "how": "reorder"}, "what is reordered, and nothing else, is late"),
        ({"kind": "tamper", "node": "n1", "how": "corrupt", "ms": 3}, "what is reordered, and nothing else, is late"),
        ({"kind": "tamper", "how": "corrupt"}, "name either a node, or both from and to"),
        ({"kind": "stuck_session", "from": "n2", "to": "n2"}, "two different nodes"),
        ({"kind": "stranger", "to": "n9"}, "there is no node 'n9'"),
        ({"kind": "broken_dnat", "node": "n1", "service": "web"}, "there is no service 'web', there are shop/web, pay/web"),
    ],
)
def test_what_is_no_fault_is_refused_in_one_sentence(words: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refusal:
        parse(words, TOPOLOGY)
    assert "\n" not in str(refusal.value)


def test_loss_into_a_node_is_dropped_at_its_port_and_nowhere_else() -> None:
    fault = parse({"kind": "loss", "node": "n3", "direction": "in", "percent": 20}, TOPOLOGY)
    assert list(hits(fault, TOPOLOGY)) == [Hit(TOPOLOGY.node["n3"], "in", share=0.2)]


def test_a_partition_cuts_every_pair_of_the_two_zones_once_in_each_direction() -> None:
    pairs = [(hit.node.name, hit.peer.name) for hit in hits(Partition(("z1", "z3")), TOPOLOGY) if hit.peer]
    assert sorted(pairs) == sorted(
        [(a, b) for a in ("n1", "n2") for b in ("n5", "n6")] + [(b, a) for a in ("n1", "n2") for b in ("n5", "n6")]
    )


def test_a_fault_on_one_network_touches_no_other() -> None:
    topology = Topology.of(Shape(nodes=4, networks=("default", "storage")), "x")
    for network, port, other in (("default", "n3_in", "n3_net1_in"), ("storage", "n3_net1_in", "n3_in")):
        rules = fabric_rules(topology, [Loss(node="n3", direction="in", percent=20, network=network)])
        assert f"{port}_drops numgen" in rules
        assert f"{other}_drops numgen" not in rules


def test_a_pair_on_a_further_network_is_known_by_the_addresses_of_its_pods() -> None:
    topology = Topology.of(Shape(nodes=4, networks=("default", "storage")), "x")
    macs = [pod.attachments[0].mac for pod in topology.pods_on("n4") if pod.attachments]
    rules = fabric_rules(topology, [Loss(from_="n2", to="n4", network="storage")])
    assert f"n2_net1_out_drops ether daddr {{ {', '.join(macs)} }}" in rules


def test_what_a_fault_names_is_looked_for_inside_of_tunnels_too() -> None:
    topology = Topology.of(Shape(nodes=3, fabric=Fabric.VXLAN), "x")

    def rules(**words: object) -> list[str]:
        fault = parse({"kind": "blackhole", "node": "n1", "direction": "in", **words}, topology)
        lines = fabric_rules(topology, [fault]).splitlines()
        return [line.removeprefix("add rule netdev lab n1_in_drops ") for line in lines if "counter name" in line]

    inside = ["udp dport 4789 @th,224,16 0x0800 @th,312,8", "udp dport 4789 @th,224,16 0x86dd @th,288,8"]
    drop = ' counter name "n1_in" fwd to "drop-in"'
    assert rules(protocol="icmp", layer="pod") == [f"{place} {{ 1, 58 }}{drop}" for place in inside]
    assert rules(protocol="vxlan") == rules(layer="pod") == [f"udp dport 4789{drop}"]
    assert len(rules()) == 1
    assert not any("udp dport 4789" in rule for rule in rules(layer="host"))
    assert rules(protocol="udp")[1:] == [f"{place} {{ 17 }}{drop}" for place in inside]
    assert rules(protocol="udp")[0].strip() == f"udp dport != 4789{drop}"


def test_a_dead_node_loses_its_link_to_the_last_arp_and_all_of_its_programs() -> None:
    assert all(hit.everything for hit in hits(DeadNode("n4"), TOPOLOGY))
    running = {pod.node for pod in TOPOLOGY.pods if wanted(pod, (DeadNode("n4"),)).running}
    assert running == {"n1", "n2", "n3", "n5", "n6"}


def test_random_loss_spares_neighbour_discovery_and_death_does_not() -> None:
    assert "icmpv6 type { 133-137 } return" in fabric_rules(TOPOLOGY, [Loss(node="n1", percent=5)])
    assert "return" not in fabric_rules(TOPOLOGY, [DeadNode("n1")])


def test_without_faults_nothing_is_dropped_or_diverted() -> None:
    assert "fwd" not in fabric_rules(TOPOLOGY, [])


def test_rules_depend_on_active_faults_alone_and_so_an_undone_fault_leaves_no_trace() -> None:
    for words in GOOD:
        fault = parse(words, TOPOLOGY)
        before = fabric_rules(TOPOLOGY, []), [node_rules(TOPOLOGY, node, []) for node in TOPOLOGY.nodes]
        fabric_rules(TOPOLOGY, [fault])
        assert (fabric_rules(TOPOLOGY, []), [node_rules(TOPOLOGY, node, []) for node in TOPOLOGY.nodes]) == before


def test_a_fault_on_one_node_changes_no_other_nodes_rules() -> None:
    for kind in ({"kind": "snat", "node": "n2"}, {"kind": "broken_dnat", "node": "n2", "service": "pay/web"}):
        fault = parse(kind, TOPOLOGY)
        changed = [n.name for n in TOPOLOGY.nodes if node_rules(TOPOLOGY, n, [fault]) != node_rules(TOPOLOGY, n, [])]
        assert changed == ["n2"]


def test_a_hole_for_long_packets_counts_the_ethernet_header_only_where_the_kernel_does() -> None:
    rules = fabric_rules(TOPOLOGY, [parse({"kind": "mtu_blackhole", "node": "n1", "longer_than": 1400}, TOPOLOGY)])
    assert [rule for rule in rules.splitlines() if "meta length" in rule] == [
        'add rule netdev lab n1_out_drops meta length > 1400 counter name "n1_out" fwd to "drop-out"',
        'add rule netdev lab n1_in_drops meta length > 1414 counter name "n1_in" fwd to "drop-in"',
    ]


def test_a_small_mtu_is_one_of_the_routes_that_it_is_about_and_of_no_other() -> None:
    for words, where in (
        ({"node": "n3", "direction": "in"}, {("n3", "10.30.3.0/24"), ("n3", "fd31:3::/64")}),
        ({"from": "n3", "to": "n5"}, {("n3", "10.30.5.0/24"), ("n3", "fd31:5::/64")}),
    ):
        fault = parse({"kind": "mtu", **words}, TOPOLOGY)
        small = {
            (node.name, route.split()[2])
            for node in TOPOLOGY.nodes
            for route in routes(TOPOLOGY, node, [fault])
            if route.endswith("mtu 1400")
        }
        assert small == where


def test_delays_of_one_node_share_a_relay() -> None:
    faults = [
        parse({"kind": "delay", "node": "n1", "ms": 5}, TOPOLOGY),
        parse({"kind": "delay", "from": "n1", "to": "n2", "ms": 2}, TOPOLOGY),
    ]
    assert relays(TOPOLOGY, faults) == {
        "n1": ["out:*:delay:5000000", "in:*:delay:5000000", "out:02:6e:6d:78:00:02:delay:2000000"]
    }


def test_what_a_fault_wants_of_programs() -> None:
    agent, collector = TOPOLOGY.agent_on("n1"), TOPOLOGY.collector
    cases: list[tuple[dict[str, object], Wanted, Wanted]] = [
        ({"kind": "stop", "node": "n1"}, Wanted(stopped=True), Wanted()),
        ({"kind": "kill_collector"}, Wanted(), Wanted(running=False)),
        ({"kind": "stop", "node": "n2"}, Wanted(), Wanted()),
        ({"kind": "throttle", "node": "n1", "percent": 1}, Wanted(percent=1), Wanted()),
    ]
    for words, of_agent, of_collector in cases:
        fault = parse(words, TOPOLOGY)
        assert (wanted(agent, (fault,)), wanted(collector, (fault,))) == (of_agent, of_collector)


def test_a_reused_address_answers_with_another_uid_than_planned() -> None:
    agent = TOPOLOGY.agent_on("n2")
    uid = wanted(agent, (parse({"kind": "reused_address", "node": "n2"}, TOPOLOGY),)).uid
    assert uid
    assert uid not in {pod.uid for pod in TOPOLOGY.pods}


def test_a_restart_leaves_nothing_to_undo() -> None:
    assert all(wanted(pod, (AgentRestart("n1"),)) == Wanted() for pod in TOPOLOGY.pods if pod.role is Role.AGENT)


def test_a_name_server_behaves_as_the_last_fault_says_and_well_without_one() -> None:
    assert behaviour(()) == Behaviour()
    faults = (NameServer(How.LYING), DeadNode("n1"), NameServer(How.SLOW, 800))
    assert behaviour(faults) == Behaviour(How.SLOW, 800)
    assert behaviour(faults[:2]) == Behaviour(How.LYING)


def test_a_name_server_that_is_gone_does_not_run() -> None:
    [pod] = [pod for pod in TOPOLOGY.pods if pod.role is Role.DNS]
    assert wanted(pod, (NameServer(How.GONE),)) == Wanted(running=False)
    assert wanted(pod, (NameServer(How.SILENT),)) == Wanted()
