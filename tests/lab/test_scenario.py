from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lab.reading import Refused
from lab.scenario import load, parse

SCENARIOS = Path(__file__).parents[2] / "lab" / "scenarios"

ONE_WAY_LOSS = b"""
name: one-way-loss
cluster: {nodes: 6, zones: 3, namespaces: [shop, pay]}
plan: {interval: 1s, timeout: 500ms}
timeline:
  - {at: 15s, fault: {kind: loss, node: n3, direction: in, percent: 20}}
  - {at: 60s, clear: all}
expect:
  cells:
    - {between: [5s, 15s], from: {node: "*"}, to: {node: "*"}, loss: {max: 0.0}}
    - between: [18s, 58s]
      from: {node: "*"}
      to: {node: n3}
      layer: pod
      kind: udp
      forward_loss: {equals: dropped}
      backward_loss: {max: 0.0}
    - {between: [18s, 58s], from: {node: "*"}, to: {node: n3}, layer: pod, kind: udp, loss: {min: 0.10, max: 0.32}}
"""
GOOD = "name: x\nexpect: {cells: [{between: [1s, 2s], loss: {max: 0}}]}\n"

CELL = "expect.cells[0]"
BAD = [
    ("", "x.yaml: expected mapping, got null"),
    ("- 1", "x.yaml: expected mapping, got list"),
    ("name: [", "x.yaml: line 1: not YAML: expected the node content, but found '<stream end>'"),
    ("name: x", "x.yaml: expect: missing"),
    (GOOD + "name: y\n", "x.yaml: line 3: not YAML: key name stands twice"),
    (GOOD + "policies: [{kind: Pod}]\n", "x.yaml: policies[0]: kind: Invalid value 'Pod'"),
    (
        GOOD + "timeline: [{at: 1s, policy: {delete: pay/x}}]\n",
        "x.yaml: timeline[0].policy.delete: there is no policy 'pay/x' before",
    ),
    (GOOD + "timeline: [{at: 1s, policy: {}}]\n", "x.yaml: timeline[0].policy: expected either apply or delete"),
    (
        GOOD + "cluster: {labels: {shop/web2: {a: b}}}\n",
        "x.yaml: cluster: labels: there is no 'shop/web2', there are shop, pay, shop/vantage, pay/vantage, shop/web, pay/web",
    ),
    ("a: &a [1]\nb: *a\n", "x.yaml: line 2: not YAML: aliases are not taken"),
    (GOOD + "1: y\n", "x.yaml: line 3: not YAML: a key must be text"),
    (
        GOOD + "timelime: []\n",
        (
            "x.yaml: timelime: unknown key, allowed are "
            "cluster, duration, expect, expectations, name, only, plan, policies, survives, timeline"
        ),
    ),
    (
        GOOD + "cluster: {nods: 6}\n",
        (
            "x.yaml: cluster.nods: unknown key, "
            "allowed are alerting, canaries, cni, external, fabric, families, labels, namespaces, networks, nodes, services, "
            "zones"
        ),
    ),
    (GOOD + "cluster: {nodes: six}\n", "x.yaml: cluster.nodes: expected int, got str"),
    (GOOD + "cluster: {nodes: 61}\n", "x.yaml: cluster: nodes is 61, allowed are 1 to 60"),
    (GOOD + "cluster: {families: [ipx]}\n", "x.yaml: cluster.families[0]: 'ipx' is not one of ipv4, ipv6"),
    (GOOD + "plan: {interval: 5}\n", "x.yaml: plan.interval: expected a duration such as 500ms, 1s, 10m or 2h"),
    (GOOD + "plan: {interval: 10ms}\n", "x.yaml: plan: interval must be 1s to 1h, not 10ms"),
    (
        GOOD + "timeline: [{at: 1s, fault: {kind: flood, node: n1}}]\n",
        (
            "x.yaml: timeline[0].fault.kind: 'flood' is not one of agent_restart, blackhole, broken_dnat, cpu_hogs, dead_node, "
            "delay, dns_race, drain, full_queue, full_table, kill_collector, loss, mtu, mtu_blackhole, name_server, "
            "other_source, partition, reject, reused_address, snat, stop, stranger, stuck_session, tamper, throttle"
        ),
    ),
    (
        GOOD + "timeline: [{at: 1s, fault: {kind: loss, node: n1, procent: 3}}]\n",
        "x.yaml: timeline[0].fault.procent: unknown key, allowed are direction, from, kind, network, node, percent, to",
    ),
    (
        GOOD + "timeline: [{at: 1s, fault: {kind: loss, node: n1, percent: 120}}]\n",
        "x.yaml: timeline[0].fault.percent: expected float <= 100.0",
    ),
    (
        GOOD + "timeline: [{at: 1s, fault: {kind: loss, node: n1, direction: sideways}}]\n",
        "x.yaml: timeline[0].fault.direction: 'sideways' is not one of both, in, out",
    ),
    (
        GOOD + "timeline: [{at: 1s, fault: {kind: loss, node: n9}}]\n",
        "x.yaml: timeline[0].fault: there is no node 'n9', there are n1 to n6",
    ),
    (GOOD + "timeline: [{at: 1s}]\n", "x.yaml: timeline[0]: expected one of fault, clear and policy"),
    (
        GOOD + "timeline: [{at: 1s, clear: {kind: stop, node: n1}}]\n",
        "x.yaml: timeline[0].clear: no such fault has begun before",
    ),
    (
        GOOD + "timeline: [{at: 3s, clear: all}, {at: 1s, clear: all}]\n",
        "x.yaml: timeline: events must stand in the order of their times",
    ),
    (GOOD + "survives: [6, 6]\n", "x.yaml: survives names a case twice"),
    (GOOD + "survives: []\n", "x.yaml: survives: expected list of length >= 1"),
    (GOOD + "survives: [0]\n", "x.yaml: survives[0]: expected int >= 1"),
    (
        "name: x\nexpect: {packets: [{between: [1s, 2s], at: external}]}\n",
        "x.yaml: expect.packets[0]: an expectation of packets needs received_per_second, sent_per_second or both",
    ),
    (
        (
            "name: x\ncluster: {external: false}\n"
            "expect: {packets: [{between: [1s, 2s], at: external, received_per_second: {max: 1}}]}\n"
        ),
        "x.yaml: expect.packets: there is no host outside",
    ),
    (
        GOOD.replace("loss: {max: 0}", "measure: {luck: {max: 0}}"),
        (
            f"x.yaml: {CELL}: measure 'luck' is not one of backward_lost, burst_ended, burst_lost, burst_ns, burst_refused, "
            "burst_sent, connect_ns, duplicates, first_byte_ns, forward_lost, "
            "reordered, resolve_ns, retransmits, through_sequence, tls_ns, transfer_ns"
        ),
    ),
    (GOOD + "duration: 1s\n", "x.yaml: expect.cells[0].between: ends at 2s, after the scenario, 1s"),
    (GOOD + "duration: 2h\n", "x.yaml: it lasts 2h, allowed are 1h"),
    (
        GOOD.replace("name: x", "name: X/../y"),
        "x.yaml: name 'X/../y' is not 1 to 64 of a-z, 0-9 and dashes, with a letter or digit at its ends",
    ),
    (GOOD.replace("[1s, 2s]", "[2s, 2s]"), f"x.yaml: {CELL}: between ends at 2s, which is not after its start, 2s"),
    (GOOD.replace("[1s, 2s]", "[1s]"), f"x.yaml: {CELL}.between: expected list of length 2, got 1"),
    (GOOD.replace("{max: 0}", "{}"), f"x.yaml: {CELL}.loss: a band needs min, max or both"),
    (GOOD.replace("{max: 0}", "{max: -1}"), f"x.yaml: {CELL}.loss.max: expected float >= 0.0"),
    (GOOD.replace("{max: 0}", "{max: .nan}"), f"x.yaml: {CELL}.loss.max: expected float >= 0.0"),
    (GOOD.replace("{max: 0}", "{max: .inf}"), f"x.yaml: {CELL}.loss.max: expected float <= 1000000000000.0"),
    (GOOD.replace("{max: 0}", "{min: 2, max: 1}"), f"x.yaml: {CELL}.loss: min 2 is above max 1"),
    (GOOD.replace("{max: 0}", "{equals: dropped}"), f"x.yaml: {CELL}.loss.equals: unknown key, allowed are max, min"),
    (
        GOOD.replace("loss: {max: 0}", "forward_loss: {equals: lost}"),
        f"x.yaml: {CELL}.forward_loss.equals: 'lost' is not one of dropped",
    ),
    (
        GOOD.replace("loss: {max: 0}", "kind: tcp, forward_loss: {max: 0}"),
        f"x.yaml: {CELL}: only udp tells the directions of loss apart, tcp does not",
    ),
    (
        GOOD.replace("loss: {max: 0}", "kind: icmp"),
        (
            f"x.yaml: {CELL}: an expectation needs at least one of loss, forward_loss, backward_loss, p50_us, p99_us, "
            "sent, outcome, local, measure, set_aside, state, fact, fact_like, absent"
        ),
    ),
    (
        GOOD.replace("loss: {max: 0}", "kind: carrier_pigeon"),
        f"x.yaml: {CELL}.kind: 'carrier_pigeon' is not one of dns, http, icmp, tcp, udp",
    ),
    (
        GOOD.replace("loss: {max: 0}", "from: {rack: r1}"),
        f"x.yaml: {CELL}.from.rack: unknown key, allowed are name, namespace, node, pod, service, vantage, zone",
    ),
    (
        GOOD.replace("loss: {max: 0}", "state: {is: fine}"),
        f"x.yaml: {CELL}.state.is: 'fine' is not one of excluded, measured, unknown, unsampled",
    ),
    (
        GOOD.replace("loss: {max: 0}", "absent: true, loss: {max: 0}"),
        f"x.yaml: {CELL}: a cell that is absent has nothing else to expect",
    ),
    ("name: x\nexpect: {}\n", "x.yaml: expect: nothing is expected"),
    (
        "name: x\nexpect: {agents: [{between: [1s, 2s]}]}\n",
        "x.yaml: expect.agents[0]: an expectation of agents needs state, gaps or both",
    ),
]


def test_the_example_of_the_documentation_is_a_scenario() -> None:
    scenario = parse(ONE_WAY_LOSS, "x.yaml")
    assert scenario.cluster.nodes == 6
    assert [str(event.at) for event in scenario.timeline] == ["15s", "1m"]
    assert scenario.expect.cells[1].measures == ("forward_loss", "backward_loss")
    assert scenario.plan_words["timeout"] == "500ms"
    assert scenario.plan_words["report"] == "1s", "the lab reports every second unless told otherwise"


@pytest.mark.parametrize(("text", "sentence"), BAD, ids=[sentence for _, sentence in BAD])
def test_a_bad_scenario_is_refused_in_one_sentence_that_names_the_place(text: str, sentence: str) -> None:
    with pytest.raises(Refused) as refusal:
        parse(text.encode(), "x.yaml")
    assert str(refusal.value) == sentence


def test_a_file_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(Refused, match=r"^/nowhere/x\.yaml: cannot be read: No such file or directory$"):
        load(Path("/nowhere/x.yaml"))


def test_a_huge_file_is_refused_unread() -> None:
    with pytest.raises(Refused, match="longer than"):
        parse(b"#" * 300_000, "x.yaml")


def test_every_word_of_a_scenario_stays_within_its_length() -> None:
    scenario = parse(GOOD.encode(), "x.yaml")
    assert str(scenario.length) == "5500ms", "the last interval, three reports and a waiting time"


SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8))
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "expect", "cells", "plan", "timeline", "at"]), inner)
    ),
    max_leaves=8,
)


@given(DOCUMENTS)
@settings(max_examples=60, deadline=None)
def test_whatever_the_values_are_the_answer_is_a_scenario_or_a_sentence(document: object) -> None:
    import yaml  # noqa: PLC0415 - only to write what is read back

    with pytest.raises(Refused) as refusal:  # none of these is complete enough to be good
        parse(yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass"), "x.yaml")
    assert str(refusal.value).startswith("x.yaml: ")


@given(st.binary(max_size=80))
@settings(max_examples=60, deadline=None)
def test_whatever_the_bytes_are_the_answer_is_a_sentence(text: bytes) -> None:
    with pytest.raises(Refused):
        parse(text, "x.yaml")


@pytest.mark.parametrize("file", sorted(SCENARIOS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_scenario_that_ships_is_valid_named_for_its_file_and_explained(file: Path) -> None:
    assert load(file).name == file.stem
    comment = [line for line in file.read_text().splitlines() if line.startswith("# ")]
    assert len(comment) >= 2, "what happens, and why the bands hold"


def test_at_least_twelve_scenarios_ship() -> None:
    assert len(list(SCENARIOS.glob("*.yaml"))) >= 12
