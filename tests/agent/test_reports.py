import asyncio

import pytest

from agent.backlog import Backlog
from agent.health import Pulse, Vitals
from agent.reports import ANSWER_SPACING_NS, GATHER_NS, URGENT_SPACING_NS, Cutter, Urgency, report_phase
from agent.windows import OpenSpan
from tests.agent.plans import SECOND_NS, answer, plan, planned, probe
from wire.report import unpack
from wire.window import Flag


class Bench:
    """A cutter on virtual time."""

    def __init__(self) -> None:
        self.now = 1
        self.span, self.backlog, self.pulse = OpenSpan(1), Backlog(), Pulse(1)
        self.cutter = Cutter(
            self.span,
            self.backlog,
            self.pulse,
            Vitals(),
            state=lambda: (3, ("icmp/ipv6",)),
            on_cut=lambda: None,
            clock=lambda: self.now,
        )


def test_survive_20_a_fleet_does_not_report_in_step() -> None:
    tenths = {report_phase(f"n{i}", 10 * SECOND_NS) // SECOND_NS for i in range(200)}
    assert tenths == set(range(10))


def test_an_urgent_report_leaves_within_a_second_and_the_next_not_within_five() -> None:
    urgency = Urgency()
    urgency.ask(0)
    urgency.ask(10)
    assert urgency.due_ns == GATHER_NS < SECOND_NS
    assert not urgency.take(GATHER_NS - 1)
    assert urgency.take(GATHER_NS)
    urgency.ask(GATHER_NS + 1)
    assert urgency.due_ns == GATHER_NS + URGENT_SPACING_NS
    assert not urgency.take(GATHER_NS + 2)


def test_an_answer_that_is_waited_for_leaves_two_seconds_after_the_last_urgent_report() -> None:
    urgency = Urgency()
    urgency.ask(0)
    assert urgency.take(GATHER_NS)
    urgency.ask(GATHER_NS + 1)
    urgency.ask(GATHER_NS + 2, spacing_ns=ANSWER_SPACING_NS)
    urgency.ask(GATHER_NS + 3)
    assert urgency.due_ns == GATHER_NS + ANSWER_SPACING_NS
    assert urgency.take(GATHER_NS + ANSWER_SPACING_NS)
    assert urgency.due_ns is None


def test_every_span_belongs_to_one_generation_of_the_plan() -> None:
    bench = Bench()
    bench.cutter.cut()
    assert len(bench.backlog) == 0, "without a plan there is nobody to report as"
    bench.cutter.replan(plan(planned(), generation=1), {})
    bench.span.observe([answer(probe())], 5)
    bench.now = 100
    bench.cutter.replan(plan(planned(), generation=2), {"budget": 4})
    bench.now = 200
    bench.cutter.cut(leaving=True)
    (_, first), (_, second) = [(bench.backlog.next(), entry.span) for entry in bench.backlog._entries]
    assert (first.generation, len(first.columns), first.started_ns, first.ended_ns) == (1, 1, 1, 100)
    assert (second.generation, len(second.columns), second.started_ns, second.leaving) == (2, 0, 100, True)
    assert second.health.refused == {"budget": 4}
    assert (second.health.in_flight, second.health.unsupported) == (3, ("icmp/ipv6",))


def test_survive_08_the_windows_of_a_span_with_a_stall_are_flagged() -> None:
    bench = Bench()
    bench.cutter.replan(plan(planned()), {})
    bench.span.observe([answer(probe())], 5)
    bench.now = 3 * SECOND_NS
    bench.cutter.cut()
    entry = bench.backlog.next()
    assert entry is not None
    assert [window.flags for window in unpack(entry[1].columns)] == [Flag.ILL]


async def test_spans_are_cut_on_the_grid_and_a_first_loss_cuts_at_once() -> None:
    backlog, cut = Backlog(), asyncio.Event()
    cutter = Cutter(OpenSpan(0), backlog, Pulse(0), Vitals(), state=lambda: (0, ()), on_cut=cut.set)
    cutter.replan(plan(report_ms=600_000), {})
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(cutter.run())
        await asyncio.sleep(0)
        cutter.hurry()
        await cut.wait()
        running.cancel()
    entry = backlog.next()
    assert entry is not None
    assert entry[1].urgent


@pytest.mark.parametrize("name", ["a", "b"])
def test_the_report_phase_is_within_the_interval(name: str) -> None:
    assert 0 <= report_phase(name, 1000) < 1000
