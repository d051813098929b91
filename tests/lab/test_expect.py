import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from collector.duration import Duration
from lab.drops import Drop
from lab.evidence import Evidence, Look, stretch
from lab.expect import Finding, judge_agents, judge_cells, judge_packets
from lab.expectation import SECOND, AgentsExpectation, CellsExpectation, PacketsExpectation
from lab.observe import dropped_stamp
from lab.reading import convert
from lab.run import judge
from lab.scenario import parse

ADDRESS = {"n1": "10.0.0.1", "n2": "10.0.0.2"}
STORAGE = {"n1": "10.9.0.1", "n2": "10.9.0.2"}
NETWORKS = {"default": ADDRESS, "storage": STORAGE}


def cell(
    source: str = "n1",
    target: str = "n2",
    *,
    sent: int = 0,
    failed: Mapping[str, int] | None = None,
    late: int = 0,
    age: float | None = 0.0,
    kind: str = "udp",
    **more: Any,
) -> dict[str, Any]:
    return {
        "path": f"{source}-{target}-{kind}",
        "from": {"vantage": source, "node": source, "zone": "z1", "namespace": "netmatrix", "pod": f"agent-{source}"},
        "to": {
            "name": f"pod/netmatrix/agent-{target}",
            "node": target,
            "zone": "z1",
            "namespace": "netmatrix",
            "pod": f"agent-{target}",
            "service": None,
            "address": ADDRESS[target],
            "port": 8620,
        },
        "layer": "pod",
        "kind": kind,
        "family": "ipv4",
        "sent": sent,
        "received": sent - late - sum((failed or {}).values()),
        "late": late,
        "failed": failed or {},
        "local": {},
        "p50_us": 10.0,
        "p99_us": 20.0,
        "age_seconds": age,
        "state": "measured",
        "because": "",
        "measures": {},
        "facts": {},
        **more,
    }


def look(at: float, *cells: dict[str, Any], instance: int = 1, agents: Sequence[dict[str, Any]] = ()) -> Look:
    return Look(at=at, instance=instance, cells={one["path"]: one for one in cells}, agents=agents)


def expected(**words: Any) -> CellsExpectation:
    return convert({"between": ["10s", "20s"], **words}, CellsExpectation, "x")


def judged(wanted: CellsExpectation, *looks: Look, **more: Any) -> Finding:
    addresses = {(name, network, "ipv4"): at for network in NETWORKS for name, at in NETWORKS[network].items()}
    return judge_cells(wanted, Evidence(looks=looks, addresses=addresses, **more))


def test_what_was_lost_before_the_interval_is_not_counted() -> None:
    looks = (
        look(9, cell(sent=9, failed={"timeout": 9})),
        look(10.5, cell(sent=10, failed={"timeout": 9})),
        look(20, cell(sent=20, failed={"timeout": 9})),
    )
    finding = judged(expected(loss={"max": 0}), *looks)
    assert finding.passed
    assert finding.measured["sent"] == 10


def test_an_interval_is_cut_by_the_age_of_the_counts_and_not_by_the_time_of_looking() -> None:
    looks = [look(at, cell(sent=at, age=2.0)) for at in range(5, 30)]
    found = stretch("n1-n2-udp", (Duration(10 * SECOND), Duration(20 * SECOND)), looks)
    assert found is not None
    assert found.sent == 22 - 12, "the look at 12 s shows the state of 10 s, the one at 22 s that of 20 s"


def test_loss_is_judged_over_all_cells_together_and_counts_late_answers() -> None:
    before = look(10, cell(), cell("n2", "n1"))
    after = look(20, cell(sent=10, failed={"timeout": 3}, late=1), cell("n2", "n1", sent=10))
    assert judged(expected(loss={"min": 0.2, "max": 0.2}), before, after).passed
    failed = judged(expected(loss={"max": 0.1}), before, after)
    assert not failed.passed
    assert failed.because == (
        "loss 4/20 = 0.2000, expected at most 0.1; worst n1 > pod/netmatrix/agent-n2 pod udp ipv4 4/10, "
        "n2 > pod/netmatrix/agent-n1 pod udp ipv4 0/10"
    )


@pytest.mark.parametrize(
    "wanted", [{"loss": {"max": 0}}, {"state": {"is": "measured"}}, {"p50_us": {"max": 9e9}}, {"forward_loss": {"max": 1}}]
)
def test_an_expectation_that_matches_no_cell_has_failed(wanted: dict[str, Any]) -> None:
    finding = judged(expected(**wanted, to={"node": "n7"}), look(10, cell()), look(20, cell(sent=10)))
    assert not finding.passed
    assert finding.because == "it matches no cell, so nothing is behind it"


def test_a_ratio_may_rest_on_some_cells_alone_but_not_on_none() -> None:
    before = look(10, cell(sent=5), cell("n2", "n1"))
    rests_on_one = judged(expected(loss={"max": 0}), before, look(20, cell(sent=5), cell("n2", "n1", sent=9)))
    assert rests_on_one.passed
    assert rests_on_one.measured["cells_without_probes"] == 1
    assert judged(expected(loss={"max": 0}), before, before).because == "no probe stands behind it"
    assert judged(expected(loss={"max": 0}), look(10, cell()), look(21, cell(sent=9))).because == "no probe stands behind it"


def on_storage(**words: Any) -> dict[str, Any]:
    plain = cell(**words)
    to = {**plain["to"], "address": STORAGE["n2"], "network": "storage"}
    return {**plain, "path": "storage", "to": to}


@pytest.mark.parametrize(("network", "sent"), [("default", 10), ("storage", 7), ("*", 17), (None, 17)])
def test_networks_are_told_apart_where_an_expectation_asks_for_one(network: str | None, sent: int) -> None:
    words = {} if network is None else {"network": network}
    looks = look(10, cell(), on_storage()), look(20, cell(sent=10), on_storage(sent=7))
    assert judged(expected(loss={"max": 0}, **words), *looks).measured["sent"] == sent


@pytest.mark.parametrize(("band", "sent"), [({"min": 1300}, 7), ({"max": 1300}, 10), ({"max": 0}, 10)])
def test_lengths_of_packets_are_told_apart_where_an_expectation_asks_for_some(band: dict[str, float], sent: int) -> None:
    def long(sent: int = 0) -> dict[str, Any]:
        return {**cell(sent=sent), "path": "long", "packet_bytes": 1450}

    looks = look(10, cell(), long()), look(20, cell(sent=10), long(sent=7))
    finding = judged(expected(loss={"min": 1.0}, packet_bytes=band), *looks)
    assert finding.measured["sent"] == sent
    assert ("ipv4 1450 B" in finding.because) == (sent == 7)


def test_drops_on_a_further_network_are_those_between_the_addresses_on_it() -> None:
    drops = [
        Drop(1, "in", "n2", "udp", STORAGE["n1"], STORAGE["n2"], sequence=3),
        Drop(2, "in", "n2", "udp", ADDRESS["n1"], ADDRESS["n2"], sequence=4),
    ]
    lost = {"through_sequence": 10, "forward_lost": 1, "backward_lost": 0}
    looks = look(10, on_storage()), look(20, on_storage(sent=10, failed={"timeout": 1}, measures=lost))
    wanted = expected(forward_loss={"equals": "dropped"}, network="storage")
    assert judged(wanted, *looks, dropped=dropped_stamp(drops)).passed
    assert not judged(wanted, *looks, dropped=dropped_stamp(drops[1:])).passed


def test_what_must_hold_for_each_cell_needs_probes_behind_each() -> None:
    wanted = expected(sent={"max": 99})
    finding = judged(wanted, look(10, cell(sent=5), cell("n2", "n1")), look(20, cell(sent=5), cell("n2", "n1", sent=9)))
    assert finding.because == "no probes behind n1 > pod/netmatrix/agent-n2 pod udp ipv4"
    assert judged(wanted, look(9, cell()), look(21, cell(sent=9))).because.startswith(
        "1 of 1 cells have no windows in the interval"
    )


def test_a_rare_probe_right_after_the_start_is_counted_though_no_look_shows_the_start_itself() -> None:
    looks = [look(at, cell(sent=1 + (at >= 13), age=at - (13.0 if at >= 13 else 5.0))) for at in range(6, 22)]
    finding = judged(expected(loss={"max": 0}), *looks)
    assert finding.measured["sent"] == 1


def test_a_window_from_around_the_start_is_not_counted() -> None:
    looks = [look(at, cell(sent=at, age=0.5)) for at in range(8, 22)]
    finding = judged(expected(loss={"max": 0}), *looks)
    assert finding.measured["sent"] == 20 - 11, "the look at 11 s shows the state of 10.5 s"


def test_sums_of_a_collector_that_restarted_count_from_its_start() -> None:
    looks = (look(10, cell(sent=500)), look(14, cell(sent=3), instance=2), look(20, cell(sent=12), instance=2))
    finding = judged(expected(sent={"min": 12, "max": 12}), *looks)
    assert finding.passed, finding.because


def test_a_restart_right_after_the_start_hides_nothing_that_the_new_collector_counted_before_it_was_first_seen() -> None:
    looks = (look(9, cell(sent=500)), look(14, cell(sent=3), instance=2), look(20, cell(sent=12), instance=2))
    finding = judged(expected(sent={"min": 12, "max": 12}), *looks)
    assert finding.passed, finding.because


def test_counts_must_hold_for_each_cell() -> None:
    before = look(10, cell(), cell("n2", "n1"))
    after = look(20, cell(sent=10, failed={"wrong_peer": 10}), cell("n2", "n1", sent=10, failed={"timeout": 10}))
    finding = judged(expected(outcome={"wrong_peer": {"min": 10}}), before, after)
    assert finding.because == "wrong_peer should be at least 10, but n2 > pod/netmatrix/agent-n1 pod udp ipv4 0"


def test_own_failures_can_be_expected_where_nothing_was_sent() -> None:
    finding = judged(expected(local={"no_fd": {"min": 5}}), look(10, cell()), look(20, cell(local={"no_fd": 5})))
    assert finding.passed, finding.because


def directions(at: float, through: int, forward: int, backward: int) -> Look:
    return look(
        at,
        cell(sent=through, measures={"through_sequence": through, "forward_lost": forward, "backward_lost": backward}),
    )


def stamp(sequence: int, *, reply: bool) -> Drop:
    ends = (ADDRESS["n2"], ADDRESS["n1"]) if reply else (ADDRESS["n1"], ADDRESS["n2"])
    return Drop(time_ns=0, direction="in", node="n2", protocol="udp", src=ends[0], dst=ends[1], sequence=sequence, reply=reply)


# Outside of the interval, at its edges, and within it.
DROPS = [stamp(number, reply=False) for number in (3, 100, 101, 105, 110, 111)] + [stamp(107, reply=True)]


def test_loss_by_direction_equals_the_drops_of_the_same_sequences_to_the_packet() -> None:
    wanted = expected(forward_loss={"equals": "dropped"}, backward_loss={"equals": "dropped", "max": 0.1})
    finding = judged(wanted, directions(10, 100, 2, 0), directions(20, 110, 5, 1), dropped=dropped_stamp(DROPS))
    assert finding.passed, finding.because
    assert (finding.measured["forward_lost"], finding.measured["forward_dropped"]) == (3, 3)
    assert (finding.measured["backward_lost"], finding.measured["backward_dropped"]) == (1, 1)
    assert finding.measured["judged_by_direction"] == 10


@pytest.mark.parametrize("other", [{"is_of_burst": True}, {"packet_bytes": 1450}])
def test_drops_of_bursts_and_of_long_packets_have_numbers_of_their_own_and_are_none_of_the_path(other: dict[str, Any]) -> None:
    wanted = expected(forward_loss={"equals": "dropped"})
    drops = [*DROPS, replace(stamp(104, reply=False), **other)]
    finding = judged(wanted, directions(10, 100, 2, 0), directions(20, 110, 5, 1), dropped=dropped_stamp(drops))
    assert finding.passed, finding.because


def test_of_a_path_of_long_packets_those_of_its_length_alone_are_compared() -> None:
    wanted = expected(forward_loss={"equals": "dropped"})
    lost = {"through_sequence": 9, "forward_lost": 1, "backward_lost": 0}
    looks = look(10, cell(packet_bytes=1450)), look(20, cell(sent=9, packet_bytes=1450, measures=lost))
    of_its_length, of_another = (replace(stamp(3, reply=False), packet_bytes=length) for length in (1450, 1300))
    assert judged(wanted, *looks, dropped=dropped_stamp([of_its_length, of_another, stamp(4, reply=False)])).passed
    assert not judged(wanted, *looks, dropped=dropped_stamp([of_another])).passed


@pytest.mark.parametrize("said", [4, 6])
def test_loss_that_is_one_packet_off_the_drops_has_failed(said: int) -> None:
    wanted = expected(forward_loss={"equals": "dropped"})
    finding = judged(wanted, directions(10, 100, 2, 0), directions(20, 110, said, 1), dropped=dropped_stamp(DROPS))
    assert finding.because == (
        f"n1 > pod/netmatrix/agent-n2 pod udp ipv4: {said - 2} forward lost, 3 dropped by the lab (sequences 101 to 110)"
    )


def test_directions_that_nobody_could_tell_apart_are_no_proof() -> None:
    finding = judged(expected(forward_loss={"max": 0}), directions(10, 100, 2, 0), directions(20, 100, 2, 0))
    assert "no probe has been told apart" in finding.because


def test_directions_are_asked_of_udp_alone() -> None:
    looks = (look(10, cell(kind="icmp")), look(20, cell(kind="icmp", sent=9)))
    assert "matches no cell" in judged(expected(forward_loss={"max": 0}), *looks).because


def test_a_state_must_hold_at_every_look() -> None:
    unknown = cell(state="unknown", because="no report for 4 s", age=4.0)
    wanted = expected(state={"is": "unknown", "because": "no report*"})
    assert judged(wanted, look(9, cell()), look(11, unknown), look(15, unknown)).passed
    assert not judged(wanted, look(11, unknown), look(15, cell())).passed
    assert not judged(wanted, look(11, cell(state="unknown", because="identity not confirmed"))).passed
    assert not judged(wanted, look(9, unknown), look(21, unknown)).passed, "no look within the interval proves nothing"


def test_latencies_are_those_of_the_interval_and_not_of_all_time() -> None:
    looks = (look(10, cell()), look(20, cell(sent=10, p50_us=1.0)))
    during = {(10.0, 20.0): {"n1-n2-udp": cell(p50_us=30_000.0)}}
    assert judged(expected(p50_us={"min": 29_000}), *looks, latencies=during).passed
    assert not judged(expected(p50_us={"max": 100}), *looks, latencies=during).passed
    assert "have no p50_us" in judged(expected(p50_us={"max": 100}), *looks).because


def test_a_fact_is_present_or_absent() -> None:
    looks = (look(10, cell()), look(20, cell(sent=10, facts={"source": "172.30.0.6"})))
    present = judged(expected(fact={"source": "present"}), *looks)
    assert present.passed
    assert present.measured["fact source"] == ["172.30.0.6"]
    assert not judged(expected(fact={"source": "absent"}), *looks).passed


def test_absence_is_proved_by_looks_that_show_other_cells() -> None:
    wanted = expected(family="ipv6", absent=True)
    assert judged(wanted, look(12, cell())).passed
    assert not judged(wanted, look(12)).passed
    assert judged(wanted, look(12, cell(family="ipv6"))).because == "there is n1 > pod/netmatrix/agent-n2 pod udp ipv6"


def agents(**words: Any) -> AgentsExpectation:
    return convert({"between": ["10s", "20s"], **words}, AgentsExpectation, "x")


def test_agents_must_be_in_their_state_at_every_look() -> None:
    one = {"vantage": "n1", "node": "n1", "zone": "z1", "namespace": "netmatrix", "state": "silent", "gaps": 0}
    two = {**one, "vantage": "n2", "node": "n2", "state": "reporting", "gaps": 2}
    looks = [look(12, agents=(one, two)), look(18, agents=(one, two))]
    assert judge_agents(agents(agent={"node": "n1"}, state="silent"), looks).passed
    assert judge_agents(agents(state="silent"), looks).because == "n2 was reporting at 12.0 s; n2 was reporting at 18.0 s"
    assert judge_agents(agents(gaps={"max": 1}), looks).because == "2 reports missing, expected at most 1"
    assert not judge_agents(agents(agent={"node": "n9"}, state="silent"), looks).passed
    assert not judge_agents(agents(state="silent"), [look(9, agents=(one,))]).passed


def test_the_result_of_a_scenario_names_each_expectation_in_its_own_words() -> None:
    cells = b"[{between: [10s, 20s], from: {node: n1}, loss: {max: 0}}]"
    scenario = parse(b"name: x\nexpect: {cells: " + cells + b", agents: [{between: [1s, 2s], gaps: {max: 0}}]}", "x")
    result = judge(scenario, Evidence(looks=[look(10, cell()), look(20, cell(sent=9, failed={"timeout": 9}))]))
    assert [entry["expected"] for entry in json.loads(msgspec.json.encode(result))["expectations"]] == [
        {"between": ["10s", "20s"], "from": {"node": "n1"}, "loss": {"max": 0.0}},
        {"between": ["1s", "2s"], "gaps": {"max": 0.0}},
    ]
    assert not result.passed


def test_a_run_that_lost_count_of_its_drops_proves_nothing() -> None:
    scenario = parse(b"name: x\nexpect: {cells: [{between: [10s, 20s], loss: {max: 0}}]}", "x")
    evidence = Evidence(looks=[look(10, cell()), look(20, cell(sent=9))])
    assert judge(scenario, evidence).passed
    assert not judge(scenario, evidence, incomplete="9 packets were dropped, but 8 were seen").passed


@pytest.mark.parametrize(
    ("rates", "because"),
    [
        ((4.0, 0.0), "as expected"),
        ((6.0, 3.0), "received_per_second should be at most 5, but external 6"),
        ((0.0, 0.0), "no packet at all, so nothing is behind it"),
    ],
)
def test_packets_of_others_are_judged_by_the_second_and_not_without_any(rates: tuple[float, float], because: str) -> None:
    words = {"between": ["1s", "3s"], "at": "external", "received_per_second": {"max": 5}}
    finding = judge_packets(convert(words, PacketsExpectation, "x"), {(1.0, 3.0, "external"): rates})
    assert (finding.passed, finding.because) == (because == "as expected", because)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({"measure": {"duplicates": {"min": 8}}}, ""),
        ({"measure": {"duplicates": {"max": 1}}}, "duplicates should be at most 1"),
        ({"measure": {"reordered": {"max": 0}}}, ""),
        ({"set_aside": {"ill": {"min": 8, "max": 10}}}, ""),
        ({"set_aside": {"unconfirmed": {"min": 1}}}, "set aside as unconfirmed should be at least 1"),
        ({"fact_like": {"answer": "A only: *"}}, ""),
        ({"fact_like": {"answer": "AAAA only: *"}}, "fact answer should be like AAAA only: *"),
        ({"fact_like": {"source": "10.*"}}, "fact source should be like 10.*"),
    ],
    ids=str,
)
def test_what_is_counted_beside_the_fate_of_probes_can_be_expected(words: dict[str, Any], fault: str) -> None:
    facts = {"answer": "A only: 10.0.0.1"}
    looks = [look(at, cell(sent=at, facts=facts, measures={"duplicates": at}, set_aside={"ill": at})) for at in range(10, 21)]
    finding = judged(expected(**words), *looks)
    assert finding.passed is (not fault)
    assert finding.because.startswith(fault or "as expected")


def test_questions_over_udp_are_told_apart_by_their_records() -> None:
    def asking(record: str, *, tcp: bool = False) -> dict[str, Any]:
        return cell(question={"name": "a.test.", "record": record, "tcp": tcp})

    wanted = expected(record="A+AAAA", loss={"max": 0})
    assert wanted.selects(asking("A+AAAA"))
    assert not any(wanted.selects(other) for other in (asking("A"), asking("A+AAAA", tcp=True), cell()))
