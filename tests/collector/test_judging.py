"""Judging on a clock of the test's own."""

import asyncio
from types import SimpleNamespace

import pytest

from collector.judging import Judging
from collector.matrix.store import Matrix
from collector.plan.compose import compose
from collector.sessions import Sessions
from collector.settings import PlanSettings
from collector.verdict.hold import Phase
from collector.verdict.judgement import Judgement
from simulator.cluster import drawn
from tests.collector.small_cluster import SECOND, report_of, window
from tests.leap import leap
from wire.outcome import Outcome

SNAPSHOT = drawn(6, 3, 1)
PLANS = compose(SNAPSHOT, PlanSettings(), instance=1, generation=1, keys=())
PATHS = {name: [planned.path for planned in PLANS.plan(name).paths] for name in PLANS.vantages}


class Played:
    """A small cluster whose agents report each second, but for those of a dead node and those that are silent."""

    def __init__(self) -> None:
        self.clock = SimpleNamespace(now=1000 * SECOND)
        self.sequence = 0
        self.ready = True
        self.boot = b"b" * 16
        self.silent: set[str] = set()
        self.restart()

    def restart(self) -> None:
        """Another collector, that knows nothing."""
        self.matrix = Matrix(max_bytes=10**8, stale_after_ns=3 * SECOND)
        self.matrix.replan(SNAPSHOT, PLANS)
        for name in PLANS.vantages:
            self.matrix.lay(name, PLANS.plan(name))
        self.sessions = Sessions(instance=1, silent_after_ns=3 * SECOND)
        self.sessions.replan(SNAPSHOT)
        self.asked: dict[str, list[int]] = {}
        self.judging = Judging(
            self.matrix,
            self.sessions,
            ready=lambda: self.ready,
            now_ns=lambda: self.clock.now,
            confirm=lambda paths: self.asked.update({name: list(ids) for name, ids in paths.items()}),
        )

    def report(self, dead: str = "") -> None:
        self.sequence += 1
        for name, paths in PATHS.items():
            if name == dead or name in self.silent:
                continue
            windows = [
                window(path.id, failed={Outcome.TIMEOUT: 2}) if path.target.peer == dead else window(path.id, [50_000] * 2)
                for path in paths
            ]
            report = report_of(name, windows, sequence=self.sequence, boot=self.boot, span_ns=SECOND)
            self.matrix.apply(report, arrived_ns=self.clock.now, counted=True)
            self.sessions.record(report, now_ns=self.clock.now)

    async def seconds(self, count: int, dead: str = "") -> None:
        """Let time pass, with a look at every third second."""
        for _ in range(count):
            self.clock.now += SECOND
            self.report(dead)
            if self.sequence % 3 == 0:
                await self.judging.look(self.clock.now)

    @property
    def state(self) -> str:
        return self.judging.judgement.state

    @property
    def told(self) -> list[tuple[str, str, Phase]]:
        return [(one.kind, one.component, one.phase) for one in self.judging.judgement.incidents]


async def test_nothing_is_judged_until_the_matrix_can_be_complete() -> None:
    played = Played()
    await played.seconds(6)
    assert played.state == "unknown"
    await played.seconds(3)
    assert played.state == "ok"


async def test_it_waits_for_agents_that_have_yet_to_come_back_but_not_for_ever() -> None:
    played = Played()
    played.silent = {"n3"}
    await played.seconds(20)
    assert played.state == "unknown"
    await played.seconds(25)
    assert [(kind, name) for kind, name, _ in played.told] == [("agent", "n3")]


async def test_nothing_is_judged_while_nobody_knows_what_exists() -> None:
    played = Played()
    played.ready = False
    await played.seconds(40)
    assert played.state == "unknown"


async def test_a_dead_node_is_one_incident_that_closes_when_it_is_back() -> None:
    played = Played()
    await played.seconds(10)
    await played.seconds(8, dead="n3")
    assert played.told == [("node", "n3", Phase.FIRING)]
    assert played.judging.judgement.incidents[0].direction == "both"
    await played.seconds(60)
    assert played.told == []
    assert [one.incident.component for one in played.judging.judgement.closed] == ["n3"]
    assert dict(played.judging.judgement.opened) == {("node", played.judging.judgement.closed[0].incident.effect): 1}


async def test_survive_33_steps_of_time_that_are_given_up_in_the_middle_of_a_pass_are_not_read() -> None:
    played = Played()
    await played.seconds(10)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(played.judging.look(played.clock.now))
        await asyncio.sleep(0)  # the spans are there, and no slab has been read
        played.matrix.max_bytes = 10_000
        played.matrix.lay("n1", PLANS.plan("n1"))
    assert played.matrix.dropped > 0
    assert played.state == "ok"


async def test_what_is_seen_for_the_first_time_is_looked_at_again_between_it_and_others() -> None:
    played = Played()
    await played.seconds(10)
    assert played.asked == {}
    await played.seconds(8, dead="n3")
    at = {one.name: one.node for one in SNAPSHOT.vantages}
    asked = [(at[name], path.target) for name, ids in played.asked.items() for path in PATHS[name] if path.id in ids]
    assert len(asked) > 2
    assert all("n3" in {node, at.get(target.peer, target.peer)} for node, target in asked)


async def test_a_collector_that_restarts_neither_closes_nor_doubts_but_opens_the_same_incident_again() -> None:
    played = Played()
    await played.seconds(10)
    await played.seconds(8, dead="n3")
    before = played.judging.judgement.incidents[0]
    played.restart()
    played.boot = b"c" * 16
    await played.seconds(30, dead="n3")
    assert played.judging.judgement.closed == ()
    await played.seconds(40, dead="n3")
    assert [one.id for one in played.judging.judgement.incidents if one.kind == "node"] == [before.id]


async def test_what_was_judged_goes_on_being_told_to_whoever_asked() -> None:
    played = Played()
    heard: list[str] = []
    played.judging = Judging(
        played.matrix,
        played.sessions,
        ready=lambda: True,
        told=lambda one: heard.append(one.state),
        now_ns=lambda: played.clock.now,
    )
    await played.seconds(12)
    assert heard == ["ok"] * 2


@pytest.mark.parametrize(
    ("took_seconds", "is_news", "is_urgent", "rests_seconds"),
    [
        (0.0, True, False, 1.5),
        (0.1, True, False, 4.0),
        (0.25, True, False, 10.0),
        (9.0, True, False, 15.0),
        (0.05, False, False, 10.0),
        (9.0, False, False, 30.0),
        (0.0, True, True, 1.0),
        (0.25, True, True, 2.5),
        (9.0, True, True, 3.0),
    ],
)
async def test_it_rests_the_longer_the_more_a_pass_has_taken_and_the_less_there_is_to_hear(
    took_seconds: float, is_news: bool, is_urgent: bool, rests_seconds: float
) -> None:
    played = Played()
    judging = played.judging
    judging.judgement, judging._is_news = Judgement(took_seconds=took_seconds), is_news
    rested = []
    async with asyncio.TaskGroup() as tasks:
        rest = tasks.create_task(judging._rest(played.clock.now))
        if is_urgent:
            judging.urge()
        for seconds in (rests_seconds - 0.2, 0.3):
            await asyncio.sleep(0)
            played.clock.now += int(seconds * SECOND)
            leap(seconds)
            for _ in range(10):
                await asyncio.sleep(0)
            rested.append(rest.done())
        rest.cancel()
    assert rested == [False, True]
