"""Incidents from findings."""

from dataclasses import replace

import numpy as np
import pytest

from collector.verdict.agents import with_agents
from collector.verdict.candidates import Scope
from collector.verdict.cause import causes
from collector.verdict.cells import KINDS, LAYERS, Cells, Reason
from collector.verdict.finding import Finding
from collector.verdict.hold import Hold, Phase
from collector.verdict.incident import Incident, Memory, identity, key_of, settled
from collector.verdict.inhibition import inhibited
from collector.verdict.noise import SILENCE
from collector.verdict.sightings import Counted, ready
from tests.collector.verdict.small import SECOND, mesh, named, twice
from wire.path import Kind, Layer

NETWORK = {Layer.POD, Layer.HOST}


def told(passes: list[Cells], memory: Memory | None = None) -> list[list[Incident]]:
    memory, noise, result = memory or Memory(), SILENCE, []
    for cells in passes:
        found, noise = causes([cells], noise)
        incidents, memory = settled(found, cells, memory, cells.stop_ns, cluster="c", report_ns=10 * SECOND, since="14:02")
        result.append(incidents)
    return result


def lossy(now_s: int, *, heard_s: int | None = None, node: int = 2) -> Cells:
    """A node that nobody reaches since the time of 990 s, its own probes included, in a span of a minute."""
    lost = min(12, (now_s - 990) // 5)
    return mesh(12, lambda at, to, layer: lost * (node in {at, to} and layer in NETWORK), now_s=now_s, heard_s=heard_s)


def test_an_incident_is_pending_first_and_fires_when_it_is_seen_with_more_losses() -> None:
    first, second, third = told([lossy(1000), lossy(1002), lossy(1005)])
    assert [one.phase for one in (*first, *second)] == [Phase.PENDING, Phase.PENDING]
    assert [(one.phase, one.kind, one.component, one.direction, one.layer) for one in third] == [
        (Phase.FIRING, "node", "n2", "both", Layer.HOST)
    ]


def test_the_same_losses_seen_again_and_again_are_one_burst() -> None:
    burst = mesh(12, lambda at, to, layer: 2 * (2 in {at, to} and layer in NETWORK))
    heard = np.full(12, 1040 * SECOND, np.int64)
    passes = [
        replace(burst, start_ns=(now - 60) * SECOND, stop_ns=now * SECOND, heard_ns=heard) for now in range(1000, 1040, 5)
    ]
    assert {one.phase for incidents in told(passes) for one in incidents} == {Phase.PENDING}


def test_it_says_what_is_lost_since_when_and_with_the_numbers() -> None:
    assert told([lossy(1000)])[0][0].sentence == (
        "16.7% of what is sent to and from node n2 is lost since 14:02; the nodes' own addresses fail as well, so it is the "
        "network below the pods (88 of 528 probes lost within 60 s, seen from 11 of 11 places)."
    )


def test_it_says_how_far_it_reaches_and_which_paths_show_it() -> None:
    one = told([lossy(1000)])[0][0]
    assert (one.nodes, one.paths, one.namespaces) == (12, 44, 1)
    assert len(one.evidence) == 20
    assert all("n2" in {path.source, path.target.rpartition("/")[2]} and path.lost == 2 for path in one.evidence)
    assert "0 of 11 that looked saw no loss" in one.against


def test_it_closes_once_when_nothing_is_seen_for_long_enough() -> None:
    passes = [lossy(1000), lossy(1005), *(mesh(12, now_s=now) for now in range(1010, 1070, 5))]
    phases = [[one.phase for one in incidents] for incidents in told(passes)]
    assert phases[2] == [Phase.RESOLVING]
    assert [Phase.CLOSED] in phases
    assert phases[-1] == []


def test_its_timeline_has_what_happened_to_it_in_order() -> None:
    passes = [lossy(1000), lossy(1005), *(mesh(12, now_s=now) for now in range(1010, 1070, 5))]
    last = [incidents for incidents in told(passes) if incidents][-1][0]
    assert last.phase is Phase.CLOSED
    assert [step.what.value for step in last.steps] == ["opened", "fired", "not seen any more", "resolved"]
    assert [step.at_ns for step in last.steps] == sorted(step.at_ns for step in last.steps)
    assert last.steps[0].at_ns == last.since_ns


def test_a_recurrence_has_the_same_id_without_any_memory() -> None:
    assert told([lossy(1000)])[0][0].id == told([lossy(9000)])[0][0].id


def test_ids_do_not_run_together() -> None:
    scopes = [Scope("node", "ab", "in", "network"), Scope("nodea", "b", "in", "network")]
    assert len({identity("c", scope, scope.component, Layer.POD) for scope in scopes}) == 2


def silenced(cells: Cells, which: list[int], heard_s: int) -> Cells:
    heard = cells.heard_ns.copy()
    heard[which] = heard_s * SECOND
    return replace(cells, heard_ns=heard)


def test_a_node_that_nobody_reaches_and_whose_agent_is_silent_is_gone_in_both_directions() -> None:
    def column(now: int) -> Cells:
        lost = min(12, (now - 990) // 2)
        return silenced(mesh(12, lambda _, to, layer: lost * (to == 2 and layer in NETWORK), now_s=now), [2], 995)

    incidents = told([column(now) for now in (1000, 1005, 1010)])[-1]
    assert [(one.component, one.direction, one.phase, one.effect) for one in incidents] == [
        ("n2", "both", Phase.FIRING, "unreachable")
    ]


def test_a_node_that_loses_half_and_whose_agent_is_late_for_it_is_not_said_to_be_gone() -> None:
    def column(now: int) -> Cells:
        return silenced(mesh(12, lambda _, to, layer: 6 * (to == 2 and layer in NETWORK), now_s=now), [2], now - 13)

    incidents = told([column(now) for now in (1000, 1005, 1010)])[-1]
    assert [(one.kind, one.component, one.effect) for one in incidents] == [("node", "n2", "loss")]


def test_an_agent_that_is_silent_on_a_node_that_answers_is_the_agent() -> None:
    passes = [silenced(mesh(12, now_s=now), [2], 900) for now in (1000, 1005)]
    assert [(one.kind, one.component) for one in told(passes)[-1]] == [("agent", "n2")]


def test_an_agent_that_has_ended_is_told_though_all_but_pings_to_it_is_lost_and_nobody_confirms_these() -> None:
    def ended(now: int) -> Cells:
        cells = silenced(twice(mesh(12, now_s=now)), [2], 900)
        to_it = named(cells, target="n2") & (cells.layer == LAYERS.index(Layer.POD))
        pinged = cells.kind == KINDS.index(Kind.ICMP)
        lost = np.where(to_it & ~pinged, cells.sent, 0)
        return replace(cells, lost=lost, reason=np.where(to_it & pinged, Reason.IDENTITY, cells.reason).astype(np.uint8))

    incidents = told([ended(now) for now in (1000, 1005, 1010)])[-1]
    assert [(one.kind, one.component, one.effect, one.phase) for one in incidents] == [("agent", "n2", "silent", Phase.FIRING)]


def test_a_node_whose_pods_reach_nobody_is_told_as_that_and_its_agent_is_one_of_them() -> None:
    def cut(now: int) -> Cells:
        cells = silenced(twice(mesh(12, sent=now - 988, now_s=now)), [2], now - 20)
        to_it, of_it = named(cells, target="n2"), named(cells, source="n2")
        lost = np.where(to_it & (cells.layer == LAYERS.index(Layer.POD)), cells.sent, 0)
        nothing = np.zeros(len(cells), np.int64)  # no receipt tells a direction, and its own agent is not heard
        reason = np.where(of_it, Reason.STALE, cells.reason).astype(np.uint8)
        return replace(cells, lost=lost, reason=reason, forward=nothing, backward=nothing)

    incidents = told([cut(now) for now in (1000, 1005, 1010)])[-1]
    assert [(one.kind, one.component, one.layer, one.direction, one.phase) for one in incidents] == [
        ("node", "n2", Layer.POD, "both", Phase.FIRING)
    ]
    assert incidents[0].sentence.startswith("Pods on node n2 are unreachable")
    assert "the nodes' own addresses answer" in incidents[0].sentence


@pytest.mark.parametrize("total", [False, True])
def test_of_pods_that_reach_some_their_own_agent_may_still_tell_a_direction(total: bool) -> None:
    cells = silenced(mesh(12, lambda _, to, layer: 6 * (to == 2 and layer is Layer.POD)), [2], 980)
    node = Finding(Scope("node", "n2", "in", "network"), Layer.POD, lost=60, sent=240, certain=False, total=total)
    (one,) = with_agents([node], cells, 1000 * SECOND, 10 * SECOND)
    assert (one.scope.kind, one.scope.direction, one.certain) == ("node", "both" if total else "in", total)


SHORT = Finding(Scope("mtu", "n2", "in", "mtu"), Layer.MTU, lost=9, sent=10, certain=False, effect="mtu")
BUSY = Finding(Scope("agent", "n2", "in", "network"), Layer.POD, lost=9, sent=90)


@pytest.mark.parametrize(("late_s", "direction", "certain"), [(13, "in", False), (20, "both", True), (100, "both", True)])
def test_an_agent_whose_reports_are_too_long_for_a_black_hole_is_not_silent_and_tells_no_direction(
    late_s: int, direction: str, certain: bool
) -> None:
    (one,) = with_agents([SHORT], silenced(mesh(12), [2], 1000 - late_s), 1000 * SECOND, 10 * SECOND)
    assert (one.scope.kind, one.scope.direction, one.certain) == ("mtu", direction, certain)


def test_long_packets_of_another_node_do_not_say_that_an_agent_is_not_silent() -> None:
    found = with_agents([SHORT], silenced(mesh(12), [3], 900), 1000 * SECOND, 10 * SECOND)
    assert [(one.scope.kind, one.scope.component, one.certain) for one in found] == [
        ("mtu", "n2", False),
        ("agent", "n3", True),
    ]


@pytest.mark.parametrize(("number", "effects"), [(2, ["silent"]), (3, ["loss", "silent"])])
def test_programs_that_do_not_answer_are_a_silent_agent_s_where_it_is_theirs(number: int, effects: list[str]) -> None:
    found = with_agents([BUSY._replace(effect="loss")], silenced(mesh(12), [number], 900), 1000 * SECOND, 10 * SECOND)
    assert [one.effect for one in found] == effects


@pytest.mark.parametrize(("interval_s", "late_s", "proven"), [(1, 11, False), (1, 13, True), (10, 25, False), (10, 27, True)])
def test_an_agent_is_silent_after_some_intervals_and_some_time(interval_s: int, late_s: int, proven: bool) -> None:
    found = with_agents([], silenced(mesh(12), [2], 1000 - late_s), 1000 * SECOND, interval_s * SECOND)
    assert [one.proven for one in found] == [proven]


@pytest.mark.parametrize(("much", "proven"), [(0, True), (5, False)])
def test_an_agent_on_a_node_that_does_not_answer_is_no_matter_of_the_agent(much: int, proven: bool) -> None:
    """No cause has been found for what its node loses."""
    cells = mesh(4, lambda at, to, layer: much * (2 in {at, to} and layer in NETWORK))
    (finding,) = with_agents([], silenced(cells, [2], 900), cells.stop_ns, 10 * SECOND)
    assert (finding.scope.kind, finding.scope.component, finding.proven) == ("agent", "n2", proven)


def test_silent_agents_of_nodes_that_do_not_answer_are_not_the_collector_s() -> None:
    cells = silenced(mesh(9, lambda at, to, layer: 5 * (min(at, to) < 3 and layer in NETWORK)), [0, 1, 2], 900)
    found = with_agents([], replace(cells, lost=cells.lost * (cells.target % 9 < 3)), cells.stop_ns, 10 * SECOND)
    assert {one.scope.kind for one in found} == {"agent"}


@pytest.mark.parametrize(("nodes", "silent"), [(3, 2), (4, 3), (9, 3)])
def test_many_silent_agents_of_a_few_are_the_collector_s_as_well(nodes: int, silent: int) -> None:
    passes = [silenced(mesh(nodes, now_s=now), list(range(silent)), 900) for now in (1000, 1005)]
    assert [(one.kind, one.component) for one in told(passes)[-1]] == [("collector", "collector")]


def test_many_silent_agents_are_one_incident_of_the_collector() -> None:
    passes = [silenced(mesh(12, now_s=now), list(range(6)), 900) for now in (1000, 1005)]
    assert [(one.kind, one.component) for one in told(passes)[-1]] == [("collector", "collector")]


def test_an_agent_of_which_no_report_is_expected_is_not_missed() -> None:
    cells = mesh(12)
    assert told([replace(cells, heard_ns=np.full(12, -1, np.int64))]) == [[]]


def test_a_large_share_of_the_nodes_is_one_incident() -> None:
    def many(now: int) -> Cells:
        lost = min(12, (now - 990) // 3)
        return mesh(40, lambda _, to, layer: lost * (3 <= to < 15 and layer in NETWORK), now_s=now)

    assert [one.kind for one in told([many(now) for now in (1000, 1005, 1010, 1015)])[-1]] == ["widespread"]


def test_at_most_fifty_are_open_and_those_that_fire_come_first() -> None:
    cells = mesh(12)
    findings = [Finding(Scope("policy", f"a{i}>b", "in", "pod"), Layer.POD, effect="leak", score=float(i)) for i in range(70)]
    memory = Memory()
    for now in (1, 2):
        incidents, memory = settled(findings[-now * 30 :], cells, memory, now * SECOND, cluster="c", report_ns=10 * SECOND)
    assert len(incidents) == 50
    assert [one.phase for one in incidents[:30]] == [Phase.FIRING] * 30


def test_what_others_find_goes_through_the_same_hold_and_keeps_its_words() -> None:
    leak = Finding(
        Scope("policy", "shop>pay", "in", "pod"), Layer.POD, effect="leak", severity="critical", sentence="It is open.",
        src_namespace="shop", dst_namespace="pay",
    )  # fmt: skip
    memory, cells = Memory(), mesh(12)
    for now in (1, 2):
        incidents, memory = settled([leak], cells, memory, now * SECOND, cluster="c", report_ns=10 * SECOND)
    assert [(one.phase, one.effect, one.severity, one.sentence, one.src_namespace) for one in incidents] == [
        (Phase.FIRING, "leak", "critical", "It is open.", "shop")
    ]


def test_a_leak_and_a_broken_path_between_the_same_namespaces_are_two_incidents() -> None:
    scope = Scope("policy", "shop>pay", "in", "pod")
    both = [Finding(scope, Layer.POD, effect="leak"), Finding(scope, Layer.POD, effect="broken")]
    incidents, _ = settled(both, mesh(12), Memory(), SECOND, cluster="c", report_ns=10 * SECOND)
    assert len({one.id for one in incidents}) == 2


def test_a_wider_cause_found_later_is_another_incident_and_inhibits_the_first() -> None:
    def zones(now: int) -> Cells:
        lost = min(12, (now - 1010) // 2)
        return mesh(12, lambda at, to, layer: lost * (at % 3 == 0 and to % 3 == 1 and layer in NETWORK), now_s=now)

    def pair(now: int) -> Cells:
        return mesh(12, lambda at, to, layer: min(12, (now - 990) // 2) * ((at, to) == (0, 1) and layer in NETWORK), now_s=now)

    passes = [pair(1000), pair(1005), pair(1010), *(zones(now) for now in (1020, 1025, 1030, 1035))]
    last = {one.kind: one for one in told(passes)[-1]}
    assert set(last) == {"pair", "zone_pair"}
    assert last["pair"].inhibited_by == last["zone_pair"].id
    assert last["zone_pair"].inhibited_by == ""


def test_once_told_an_incident_keeps_id_and_labels_and_its_numbers_follow() -> None:
    passes = [lossy(now) for now in (1000, 1005, 1010, 1020, 1040)]
    incidents = [one for incidents in told(passes) for one in incidents]
    fired = [one for one in incidents if one.phase is Phase.FIRING]
    assert len({(one.id, one.effect, one.direction, one.layer) for one in fired}) == 1
    assert fired[-1].lost > fired[0].lost


@pytest.mark.parametrize(
    ("finding", "severity"),
    [
        (Finding(Scope("node", "n2", "both", "network"), Layer.HOST, score=9.0, effect="unreachable"), "critical"),
        (Finding(Scope("zone_pair", "z0>z1", "both", "network"), Layer.HOST, lost=9, sent=10, score=9.0), "critical"),
        (
            Finding(Scope("zone_pair", "z0>z1", "both", "network"), Layer.HOST, lost=9, sent=10, score=9.0, effect="latency"),
            "warning",
        ),
        (Finding(Scope("expectation", "fast", "both", "pod"), Layer.POD, score=9.0, severity="info"), "info"),
        (Finding(Scope("policy", "shop>pay", "in", "network"), Layer.POD, score=9.0, effect="leak", severity="info"), "info"),
    ],
)
def test_what_is_declared_has_the_severity_that_somebody_gave_it_and_a_cause_that_of_its_effect(
    finding: Finding, severity: str
) -> None:
    (incident,), _ = settled([finding], mesh(12), Memory(), 1000 * SECOND, cluster="c", report_ns=10 * SECOND)
    assert incident.severity == severity


@pytest.mark.parametrize(
    ("scope", "least_s", "most_s"),
    [
        (Scope("pair", "n1>n2", "both", "network"), 55, 65),
        (Scope("mtu", "n1", "both", "mtu"), 325, 335),
        (Scope("node", "n1", "both", "network"), 15.5, 16.5),
        (Scope("node", "n2", "both", "network"), 17.5, 18.5),
    ],
)
def test_a_cause_waits_for_its_direction_as_long_as_it_takes_to_see_it(scope: Scope, least_s: float, most_s: float) -> None:
    """Nothing speaks for any of that of the node n2."""
    hinted = scope.component != "n2"
    finding = Finding(scope, Layer.POD, lost=1000, sent=2000, span_ns=10 * SECOND, certain=False, hinted=hinted)
    hold = Hold(Phase.PENDING, 1000 * SECOND, 1000 * SECOND)
    at = [ready(finding, mesh(12), hold, int((1000 + seconds) * SECOND), 10 * SECOND) for seconds in (least_s, most_s)]
    assert at == [False, True]


@pytest.mark.parametrize(("pair", "covers"), [("n1>n2", True), ("n2>n1", True), ("n1>n3", False)])
def test_a_pair_that_loses_all_packets_explains_its_long_ones_and_no_others(pair: str, covers: bool) -> None:
    wide = Scope("pair", pair, "both", "network")
    assert inhibited(Scope("mtu", "n1>n2", "both", "mtu"), [(wide, "wide")], mesh(4)) == "wide" * covers


@pytest.mark.parametrize(("fresh", "explained"), [(True, False), (False, True)])
def test_what_is_found_beside_a_wider_cause_is_explained_by_it_only_where_that_is_not_there_any_more(
    fresh: bool, explained: bool
) -> None:
    wide = Finding(Scope("node", "n1", "both", "network"), Layer.HOST, lost=50, sent=100, score=9.0, span_ns=60 * SECOND)
    narrow = wide._replace(scope=Scope("pair", "n1>n2", "both", "network"))
    key, at = key_of(wide), 900 * SECOND
    memory = Memory({key: Hold(Phase.FIRING, at, 999 * SECOND)}, {key: wide}, {key: Counted(50, at)})
    for now_s in (1000, 1020):
        found = [wide._replace(fresh=fresh), narrow._replace(lost=now_s - 950)]
        incidents, memory = settled(found, mesh(4), memory, now_s * SECOND, cluster="c", report_ns=10 * SECOND)
    by = {one.kind: one for one in incidents}
    assert by["pair"].inhibited_by == (by["node"].id if explained else "")
