import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from agent import downlink as downlink_module
from agent.contact import Answer, Collector
from agent.downlink import (
    SAFE_AFTER_NS,
    STOP_AFTER_NS,
    SUCCEED_AFTER_NS,
    Downlink,
    Pace,
    pace_after,
    paced,
    supersedes,
)
from tests.agent.fake_collector import KEY, FakeCollector, serving
from tests.agent.plans import SECOND_NS, paths, plan
from wire.codec import encode
from wire.plan import Plan
from wire.report import Acknowledgement


def answered(offered: Plan) -> Answer:
    return Answer(200, encode(offered), f'"{offered.instance}-{offered.generation}"', 0)


class Bench:
    """A downlink on virtual time, and what it changed."""

    def __init__(self) -> None:
        self.now = 0
        self.changes: list[tuple[tuple[int, int], Pace]] = []
        collector = Collector("http://127.0.0.1:1", token_file=Path("/nonexistent"), ca_file=None)
        self.downlink = Downlink(collector, self.change, seed="n1", clock=lambda: self.now)

    def change(self, changed: Plan, pace: Pace) -> None:
        self.changes.append(((changed.instance, changed.generation), pace))

    def offer(self, instance: int, generation: int) -> str | None:
        return self.downlink.take(answered(plan(instance=instance, generation=generation)))


def test_survive_03_an_hour_of_silence_slows_down_and_six_hours_stop() -> None:
    assert [pace_after(silence) for silence in (0, SAFE_AFTER_NS - 1, SAFE_AFTER_NS, STOP_AFTER_NS - 1, STOP_AFTER_NS)] == [
        Pace.FULL,
        Pace.FULL,
        Pace.SAFE,
        Pace.SAFE,
        Pace.STOPPED,
    ]


def test_the_safe_plan_is_a_tenth_of_the_packets_and_the_stopped_one_none() -> None:
    full = paths(5, interval_ms=1000)
    assert [one.interval_ms for one in paced(full, Pace.SAFE)] == [10_000] * 5
    assert [one.path for one in paced(full, Pace.SAFE)] == [one.path for one in full]
    assert paced(full, Pace.STOPPED) == ()
    assert paced(paths(1, interval_ms=86_400_000), Pace.SAFE)[0].interval_ms == 86_400_000


def test_survive_03_an_agent_alone_for_hours_slows_down_stops_and_comes_back_with_the_first_answer() -> None:
    bench = Bench()
    bench.offer(1, 1)
    for hours in range(8):
        bench.now = hours * 3600 * SECOND_NS
        bench.downlink.settle(bench.now)
    bench.downlink.take(Answer(304, b"", "", 0))
    assert [pace for _, pace in bench.changes] == [Pace.FULL, Pace.SAFE, Pace.STOPPED, Pace.FULL]


@pytest.mark.parametrize("etag", ["x" * 8190, '"a\0b"', '"\udc80"', '"1-1"'])
async def test_a_name_of_a_plan_that_cannot_be_sent_back_is_not_sent_back(monkeypatch: pytest.MonkeyPatch, etag: str) -> None:
    asked: list[str | None] = []
    bench = Bench()

    async def get(_: object, _path: str, headers: dict[str, str], **_limits: object) -> Answer:
        asked.append(headers.get("If-None-Match"))
        if len(asked) > 1:
            raise asyncio.CancelledError
        bench.now = 1000 * SECOND_NS
        return Answer(200, encode(plan(instance=1, generation=1)), etag, 0)

    monkeypatch.setattr(Collector, "get", get)
    monkeypatch.setattr(downlink_module, "CONFIRMED_NS", 0)
    monkeypatch.setattr(downlink_module, "LEAST_SECONDS", 0.0)
    with pytest.raises(asyncio.CancelledError):
        await bench.downlink.run()
    assert asked == [None, '"1-1"' if etag == '"1-1"' else None]


def test_an_acknowledged_report_is_contact_too() -> None:
    bench = Bench()
    bench.offer(1, 1)
    for hours in range(8):
        bench.now = hours * 3600 * SECOND_NS
        bench.downlink.acknowledged(Acknowledgement(1, hours, 1))
    assert [pace for _, pace in bench.changes] == [Pace.FULL]


def test_survive_12_only_a_newer_plan_is_taken() -> None:
    bench = Bench()
    assert bench.offer(5, 2) is None
    assert bench.offer(5, 1) == "the plan is older than ours"
    assert bench.offer(4, 9) == "the plan is older than ours"
    assert bench.offer(5, 2) is None
    assert bench.offer(5, 3) is None
    assert bench.offer(6, 1) is None
    assert [which for which, _ in bench.changes] == [(5, 2), (5, 3), (6, 1)]


def test_survive_07_a_collector_moved_to_a_machine_with_a_slow_clock_is_followed_once_the_other_is_silent() -> None:
    bench = Bench()
    bench.offer(5, 2)
    bench.now = SUCCEED_AFTER_NS - 1
    assert bench.offer(4, 1) is not None
    bench.now = SUCCEED_AFTER_NS
    assert bench.offer(4, 1) is None
    assert not supersedes(plan(instance=3), bench.downlink.plan, 0)


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 429, 500, 503])
def test_any_other_answer_changes_nothing(status: int) -> None:
    bench = Bench()
    bench.offer(1, 1)
    assert bench.downlink.take(Answer(status, b"", "", 0)) == f"the collector answered {status}"
    assert len(bench.changes) == 1


def test_survive_56_a_malformed_plan_changes_nothing() -> None:
    bench = Bench()
    bench.offer(1, 1)
    for body in (b"", b"\xc1", encode(plan(*paths(3)))[:-1], b"\x80"):
        assert str(bench.downlink.take(Answer(200, body, "", 0))).startswith("the plan is malformed")
    assert len(bench.changes) == 1


def test_not_modified_without_a_plan_is_no_contact() -> None:
    assert Bench().downlink.take(Answer(304, b"", "", 0)) == "the collector answered 304"


@asynccontextmanager
async def following(
    fake: FakeCollector, tmp_path: Path
) -> AsyncIterator[tuple[Downlink, Callable[[int], asyncio.Future[None]]]]:
    """A downlink that follows the fake; and a way to wait for so many changes."""
    token = tmp_path / "token"
    token.write_text(KEY)
    changes = 0
    waiting: dict[int, asyncio.Future[None]] = {}

    def change(_: Plan, __: Pace) -> None:
        nonlocal changes
        changes += 1
        for count, future in waiting.items():
            if changes >= count and not future.done():
                future.set_result(None)

    def changed(count: int) -> asyncio.Future[None]:
        future = waiting.setdefault(count, asyncio.get_running_loop().create_future())
        if changes >= count and not future.done():
            future.set_result(None)
        return future

    async with (
        serving(fake),
        Collector(fake.url, token_file=token, ca_file=None).opened() as collector,
        asyncio.timeout(60),
        asyncio.TaskGroup() as tasks,
    ):
        downlink = Downlink(collector, change, seed="n1")
        running = tasks.create_task(downlink.run())
        yield downlink, changed
        running.cancel()


async def test_a_plan_that_an_acknowledgement_names_is_fetched_and_one_that_it_confirms_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downlink_module, "LEAST_SECONDS", 0.0)
    fake = FakeCollector(plan(*paths(2)))
    async with following(fake, tmp_path) as (downlink, changed):
        await changed(1)
        downlink.acknowledged(Acknowledgement(1, 1, 1))
        await asyncio.sleep(0.05)
        assert len(fake.asked) == 1
        await fake.replan(plan(*paths(3), generation=2))
        downlink.acknowledged(Acknowledgement(1, 2, 2))
        await changed(2)
        assert fake.asked[1]["If-None-Match"] == '"1-1"'
        assert downlink.plan is not None
        assert (downlink.plan.generation, len(downlink.plan.paths)) == (2, 3)


async def test_the_plan_of_another_collector_process_is_fetched_once_it_has_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downlink_module, "LEAST_SECONDS", 0.0)
    fake = FakeCollector(plan(*paths(2)))
    async with following(fake, tmp_path) as (downlink, changed):
        await changed(1)
        await fake.replan(plan(*paths(2), instance=2))
        downlink.acknowledged(Acknowledgement(2, 0))
        await changed(2)
        assert downlink.plan is not None
        assert downlink.plan.instance == 2


async def test_a_collector_whose_answers_name_no_plan_is_asked_by_itself_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downlink_module, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(downlink_module, "CONFIRMED_NS", 20_000_000)
    fake = FakeCollector(plan(*paths(2)))
    async with following(fake, tmp_path) as (downlink, changed):
        await changed(1)
        await fake.replan(plan(*paths(3), generation=2))
        downlink.acknowledged(Acknowledgement(1, 1))
        await changed(2)
        assert downlink.plan is not None
        assert downlink.plan.generation == 2


async def test_a_collector_that_fails_and_comes_back_is_found_again(tmp_path: Path) -> None:
    fake = FakeCollector()
    async with following(fake, tmp_path) as (downlink, changed):
        while len(fake.asked) < 2:  # noqa: ASYNC110 - two refusals
            await asyncio.sleep(0.01)
        assert downlink.unreachable_since_ns is not None
        fake.plan = plan(*paths(2))
        await changed(1)
        assert downlink.unreachable_since_ns is None


async def test_a_collector_that_always_names_another_plan_is_not_asked_in_a_hot_loop(tmp_path: Path) -> None:
    fake = FakeCollector(plan_answer=lambda: web.Response(body=encode(plan())))
    async with following(fake, tmp_path) as (downlink, changed):
        await changed(1)
        began = asyncio.get_running_loop().time()
        for sequence in range(10):
            downlink.acknowledged(Acknowledgement(1, sequence, 7))
            await asyncio.sleep(0.02)
        seconds = asyncio.get_running_loop().time() - began
        assert len(fake.asked) <= 2 + seconds / downlink_module.LEAST_SECONDS
