"""Incidents from findings."""

from dataclasses import replace

import numpy as np

from collector.verdict.candidates import Scope
from collector.verdict.cause import causes
from collector.verdict.cells import Cells
from collector.verdict.hold import Phase
from collector.verdict.incident import Incident, Memory, identity, settled
from collector.verdict.noise import SILENCE
from tests.collector.verdict.small import SECOND, mesh
from wire.path import Layer

NETWORK = {Layer.POD, Layer.HOST}


def told(passes: list[Cells], memory: Memory | None = None) -> list[list[Incident]]:
    memory, noise, result = memory or Memory(), SILENCE, []
    for cells in passes:
        found, noise = causes([cells], noise)
        incidents, memory = settled(found, cells, memory, cells.stop_ns, cluster="c", report_ns=10 * SECOND)
        result.append(incidents)
    return result


def lossy(now_s: int, *, heard_s: int | None = None) -> Cells:
    return mesh(12, lambda _, to, layer: 12 * (to == 2 and layer in NETWORK), now_s=now_s, heard_s=heard_s)


def test_an_incident_is_pending_first_and_fires_with_the_second_pass() -> None:
    first, second = told([lossy(1000), lossy(1005)])
    assert [one.phase for one in first] == [Phase.PENDING]
    assert [(one.phase, one.kind, one.component, one.direction, one.layer) for one in second] == [
        (Phase.FIRING, "node", "n2", "in", Layer.HOST)
    ]


def test_it_says_what_is_lost_with_the_numbers() -> None:
    assert told([lossy(1000)])[0][0].sentence == (
        "100.0% of probes to node n2 are lost on the host layer (264 of 264 in 60 s, seen by 11 of 11 witnesses)."
    )


def test_it_closes_once_when_nothing_is_seen_for_long_enough() -> None:
    passes = [lossy(1000), lossy(1005), *(mesh(12, now_s=now) for now in range(1010, 1060, 5))]
    phases = [[one.phase for one in incidents] for incidents in told(passes)]
    assert phases[2] == [Phase.RESOLVING]
    assert [Phase.CLOSED] in phases
    assert phases[-1] == []


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
    passes = [silenced(lossy(now), [2], 995) for now in (1000, 1005, 1010)]
    assert [(one.component, one.direction, one.phase) for one in told(passes)[-1]] == [("n2", "both", Phase.FIRING)]


def test_an_agent_that_is_silent_on_a_node_that_answers_is_the_agent() -> None:
    passes = [silenced(mesh(12, now_s=now), [2], 900) for now in (1000, 1005)]
    assert [(one.kind, one.component) for one in told(passes)[-1]] == [("agent", "n2")]


def test_many_silent_agents_are_one_incident_of_the_collector() -> None:
    passes = [silenced(mesh(12, now_s=now), list(range(6)), 900) for now in (1000, 1005)]
    assert [(one.kind, one.component) for one in told(passes)[-1]] == [("agent", "collector")]


def test_an_agent_of_which_no_report_is_expected_is_not_missed() -> None:
    cells = mesh(12)
    assert told([replace(cells, heard_ns=np.full(12, -1, np.int64))]) == [[]]


def test_a_large_share_of_the_nodes_is_one_incident() -> None:
    def many(now: int) -> Cells:
        return mesh(40, lambda _, to, layer: 12 * (3 <= to < 15 and layer in NETWORK), now_s=now)

    assert [one.kind for one in told([many(1000), many(1005)])[-1]] == ["widespread"]
