import pytest
from msgspec import structs

from agent.backlog import Backlog, Span, span_of
from collector.admission import Refusal
from collector.discovery.snapshot import Node, Snapshot, Vantage
from collector.sessions import RETIRED_BOOTS, AgentWord, Sessions
from wire.report import Columns, Health, Report

SECOND = 1_000_000_000
INSTANCE = 1_000


def snapshot(*names: str) -> Snapshot:
    return Snapshot(
        nodes=(Node(name="n1", zone="z1"),),
        vantages=tuple(
            Vantage(name=name, node="n1", namespace="netmatrix", pod=name, addresses=("10.0.0.1",), key="k" * 32)
            for name in names
        ),
    )


def report(sequence: int, *, boot: int = 1, acknowledged: int = 0, instance: int = INSTANCE, merged: int = 1) -> Report:
    return Report(
        vantage="a",
        instance=instance,
        boot=bytes([boot]) * 16,
        sequence=sequence,
        acknowledged=acknowledged,
        generation=3,
        span_ns=10 * SECOND,
        age_ns=0,
        columns=Columns(),
        merged=merged,
    )


@pytest.fixture
def sessions() -> Sessions:
    subject = Sessions(instance=INSTANCE, silent_after_ns=30 * SECOND)
    subject.replan(snapshot("a", "b"))
    return subject


def take(sessions: Sessions, *reports: Report, now_ns: int = 0) -> None:
    for one in reports:
        assert sessions.judge(one).refusal is None
        sessions.record(one, now_ns=now_ns)


def test_survive_4_a_report_is_taken_once_however_often_and_late_it_comes(sessions: Sessions) -> None:
    take(sessions, report(1), report(2), report(3))
    for again in (3, 2, 1):
        judgement = sessions.judge(report(again))
        assert (judgement.refusal, judgement.sequence) == (Refusal.REPEATED, 3)


def test_survive_2_a_restarted_agent_starts_over_and_its_old_process_is_heard_no_more(sessions: Sessions) -> None:
    take(sessions, report(41), report(42))
    take(sessions, report(1, boot=2))
    assert sessions.judge(report(43)).refusal is Refusal.RETIRED_BOOT
    state = sessions.agents(0)[0]
    assert (state.boot, state.sequence, state.gaps) == ("02" * 16, 1, 0)


def test_survive_5_a_captured_report_is_refused_for_its_sequence_its_boot_or_its_instance(sessions: Sessions) -> None:
    captured = report(7)
    take(sessions, captured, report(8))
    assert sessions.judge(captured).refusal is Refusal.REPEATED
    take(sessions, report(1, boot=2))
    assert sessions.judge(captured).refusal is Refusal.RETIRED_BOOT
    restarted = Sessions(instance=INSTANCE + 1, silent_after_ns=1)
    restarted.replan(snapshot("a"))
    assert restarted.judge(captured).refusal is Refusal.OTHER_INSTANCE


def test_survive_1_what_another_collector_process_acknowledged_is_taken_but_not_counted(sessions: Sessions) -> None:
    """The agent has 11 and 12 acknowledged by the one before, 13 not; it rewinds and sends all three."""
    counted = []
    for sequence in (11, 12, 13, 14):
        judgement = sessions.judge(report(sequence, acknowledged=12 if sequence < 14 else 13))
        assert judgement.refusal is None
        counted.append(judgement.counted)
        sessions.record(report(sequence, acknowledged=12 if sequence < 14 else 13), now_ns=0)
    assert counted == [False, False, True, True]


def test_what_we_acknowledged_ourselves_does_not_move_the_line_of_what_counts(sessions: Sessions) -> None:
    take(sessions, report(1))
    assert sessions.judge(report(2, acknowledged=2)).counted


def test_a_gap_is_counted_and_spans_that_were_merged_are_none(sessions: Sessions) -> None:
    take(sessions, report(5), report(8))
    assert sessions.agents(0)[0].gaps == 2
    take(sessions, report(9, merged=10))
    assert sessions.agents(0)[0].gaps == 2


def test_survive_7_a_span_that_an_agent_had_to_drop_is_a_gap_though_the_next_one_is_merged(sessions: Sessions) -> None:
    """What was sent and not acknowledged has its number already, and is dropped before the last unsent ones merge."""

    def span(at: int) -> Span:
        return span_of([], started_ns=at * SECOND, ended_ns=(at + 1) * SECOND, generation=1, health=Health())

    backlog = Backlog(max_spans=2)
    for at in range(2):
        backlog.add(span(at))
        sent = backlog.next()
        assert sent is not None
        if at == 0:
            take(sessions, report(sent[0]))
            backlog.acknowledge(sent[0])
    for at in range(2, 12):
        backlog.add(span(at))
    left = backlog.next()
    assert left is not None
    assert (left[0], left[1].merged, backlog.spans_dropped) == (3, 9, 1)
    take(sessions, report(left[0], merged=left[1].merged))
    assert sessions.agents(0)[0].gaps == 1


def test_survive_12_a_report_for_another_collector_process_is_not_taken(sessions: Sessions) -> None:
    take(sessions, report(1))
    judgement = sessions.judge(report(2, instance=INSTANCE - 1))
    assert (judgement.refusal, judgement.sequence) == (Refusal.OTHER_INSTANCE, 1)
    assert sessions.judge(report(1, boot=9, instance=INSTANCE - 1)).sequence == 0


def test_survive_7_only_arrival_on_our_own_clock_makes_an_agent_silent(sessions: Sessions) -> None:
    ancient = structs.replace(report(1), age_ns=20 * 86_400 * SECOND)
    take(sessions, ancient, now_ns=100 * SECOND)
    assert [state.state for state in sessions.agents(130 * SECOND)] == [AgentWord.REPORTING, AgentWord.NEVER]
    assert sessions.agents(130 * SECOND)[0].age_seconds == 30.0
    assert sessions.agents(131 * SECOND)[0].state is AgentWord.SILENT


def test_survive_9_an_agent_that_leaves_is_leaving_and_silent_only_if_it_stays_away(sessions: Sessions) -> None:
    take(sessions, structs.replace(report(1), leaving=True))
    assert sessions.agents(300 * SECOND)[0].state is AgentWord.LEAVING
    assert sessions.agents(301 * SECOND)[0].state is AgentWord.SILENT
    take(sessions, report(1, boot=2), now_ns=1_000 * SECOND)
    assert sessions.agents(1_001 * SECOND)[0].state is AgentWord.REPORTING


def test_the_last_health_is_shown(sessions: Sessions) -> None:
    take(sessions, structs.replace(report(1), health=Health(cpu_ns=7)))
    state = sessions.agents(0)[0]
    assert state.health == Health(cpu_ns=7)
    assert (state.node, state.zone, state.namespace, state.plan_generation) == ("n1", "z1", "netmatrix", 3)


def test_survive_33_a_vantage_that_left_takes_its_session_along_and_boots_are_remembered_up_to_a_number(
    sessions: Sessions,
) -> None:
    for boot in range(1, RETIRED_BOOTS + 20):
        take(sessions, report(1, boot=boot))
    assert len(sessions._sessions["a"].retired) == RETIRED_BOOTS
    sessions.replan(snapshot("b"))
    assert [state.vantage for state in sessions.agents(0)] == ["b"]
    with pytest.raises(KeyError):
        sessions.judge(report(1))


def test_another_snapshot_keeps_the_sessions_of_those_who_stay(sessions: Sessions) -> None:
    take(sessions, report(3))
    sessions.replan(snapshot("a", "c"))
    assert sessions.judge(report(3)).refusal is Refusal.REPEATED


def test_a_report_that_was_not_judged_is_not_recorded(sessions: Sessions) -> None:
    take(sessions, report(3))
    with pytest.raises(ValueError, match="was not judged"):
        sessions.record(report(3), now_ns=0)
