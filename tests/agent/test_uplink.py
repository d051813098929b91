import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web
from msgspec import structs

from agent.backlog import Backlog, Span, span_of
from agent.contact import Collector
from agent.uplink import Uplink
from tests.agent.fake_collector import KEY, FakeCollector, serving
from tests.agent.plans import SECOND_NS, paths, plan
from wire.codec import encode
from wire.report import Acknowledgement, Health, Report
from wire.window import Window

BOOT = bytes(range(16))


def span(at: int, *, windows: int = 1, leaving: bool = False) -> Span:
    made = span_of(
        [Window(path=one.path.id) for one in paths(windows)],
        started_ns=at * SECOND_NS,
        ended_ns=(at + 1) * SECOND_NS,
        generation=1,
        health=Health(),
    )
    return made if not leaving else replace(made, leaving=True)


class Sending:
    """A running uplink."""

    def __init__(self, uplink: Uplink, backlog: Backlog) -> None:
        self.uplink = uplink
        self.backlog = backlog

    def add(self, *spans: Span) -> None:
        for one in spans:
            self.backlog.add(one)
        self.uplink.wake()


@asynccontextmanager
async def sending(fake: FakeCollector, tmp_path: Path, *, now: int = 100 * SECOND_NS) -> AsyncIterator[Sending]:
    token = tmp_path / "token"
    token.write_text(KEY)
    backlog = Backlog()
    async with (
        serving(fake),
        Collector(fake.url, token_file=token, ca_file=None).opened() as collector,
        asyncio.timeout(60),
        asyncio.TaskGroup() as tasks,
    ):
        uplink = Uplink(collector, backlog, boot=BOOT, seed="n1", clock=lambda: now)
        uplink.adopt(plan(instance=fake.instance))
        running = tasks.create_task(uplink.run())
        yield Sending(uplink, backlog)
        running.cancel()


async def test_reports_arrive_in_order_and_say_who_when_and_how_old(tmp_path: Path) -> None:
    fake = FakeCollector()
    async with sending(fake, tmp_path) as bench:
        bench.add(span(90), span(91))
        first, second = await fake.has(lambda reports: len(reports) == 2)
    assert (first.vantage, first.boot, first.instance, first.sequence, first.acknowledged) == ("n1", BOOT, 1, 1, 0)
    assert (first.span_ns, first.age_ns) == (SECOND_NS, 9 * SECOND_NS)
    assert (second.sequence, second.acknowledged, second.age_ns) == (2, 1, 8 * SECOND_NS)


async def test_small_reports_travel_as_they_are_and_large_ones_compressed(tmp_path: Path) -> None:
    fake = FakeCollector()
    async with sending(fake, tmp_path) as bench:
        bench.add(span(0), span(1, windows=100))
        await fake.has(lambda reports: len(reports) == 2)
    assert fake.encodings == ["", "gzip"]
    assert len(fake.reports[1].columns) == 100


async def test_survive_01_a_restarted_collector_gets_again_what_is_kept_and_what_was_acknowledged_before(
    tmp_path: Path,
) -> None:
    fake = FakeCollector()
    async with sending(fake, tmp_path) as bench:
        bench.add(*(span(at) for at in range(4)))
        await fake.has(lambda reports: len(reports) == 4)
        await bench.uplink.flushed()
        fake.instance, fake.reports[:] = 2, []
        bench.add(span(4))
        reports = await fake.has(lambda reports: len(reports) == 3)
    assert [(one.instance, one.sequence, one.acknowledged) for one in reports] == [(2, 3, 4), (2, 4, 4), (2, 5, 4)]
    assert bench.uplink.counts["rewound"] == 1


async def test_a_plan_of_another_process_rewinds_before_the_next_report_is_refused(tmp_path: Path) -> None:
    fake = FakeCollector()
    async with sending(fake, tmp_path) as bench:
        bench.add(span(0), span(1))
        await fake.has(lambda reports: len(reports) == 2)
        await bench.uplink.flushed()
        fake.instance, fake.reports[:] = 2, []
        bench.uplink.adopt(plan(instance=2))
        reports = await fake.has(lambda reports: len(reports) == 2)
    assert [(one.instance, one.sequence, one.acknowledged) for one in reports] == [(2, 1, 2), (2, 2, 2)]


async def test_survive_01_what_the_process_before_takes_after_the_next_one_is_known_is_sent_to_the_next_one_too(
    tmp_path: Path,
) -> None:
    fake = FakeCollector()
    async with sending(fake, tmp_path) as bench:

        def last_words(report: Report) -> web.Response:
            bench.uplink.adopt(plan(instance=2))
            fake.instance, fake.refuse = 2, lambda _: None
            return web.Response(body=encode(Acknowledgement(1, report.sequence)))

        fake.refuse = last_words
        bench.add(span(0), span(1))
        reports = await fake.has(lambda reports: len(reports) == 2)
    assert [(one.instance, one.sequence, one.acknowledged) for one in reports] == [(2, 1, 1), (2, 2, 1)]


def test_survive_01_attempts_are_no_further_apart_than_reports() -> None:
    uplink = Uplink(Collector("http://127.0.0.1:1", token_file=Path("none"), ca_file=None), Backlog(), boot=BOOT, seed="n1")
    uplink.adopt(structs.replace(plan(), report_interval_ms=1500))
    assert uplink._longest_delay_seconds == 1.5


@pytest.mark.parametrize("status", [401, 403, 408, 415, 429, 500, 503])
async def test_survive_04_a_report_that_is_not_taken_is_sent_again_with_the_same_number(tmp_path: Path, status: int) -> None:
    refused: list[int] = []

    def refuse(report: Report) -> web.Response | None:
        refused.append(report.sequence)
        return web.Response(status=status) if len(refused) < 2 else None

    fake = FakeCollector(refuse=refuse)
    async with sending(fake, tmp_path) as bench:
        bench.add(span(0), span(1))
        await fake.has(lambda reports: len(reports) == 2)
    assert refused == [1, 1, 2]
    assert bench.uplink.counts[f"status_{status}"] == 1


@pytest.mark.parametrize("status", [400, 413])
async def test_a_report_that_will_never_be_taken_is_dropped_and_counted(tmp_path: Path, status: int) -> None:
    fake = FakeCollector(refuse=lambda report: web.Response(status=status) if report.sequence == 1 else None)
    async with sending(fake, tmp_path) as bench:
        bench.add(span(0, windows=3), span(1))
        (report,) = await fake.has(lambda reports: len(reports) == 1)
    assert report.sequence == 2
    assert report.health.windows_dropped == bench.backlog.windows_dropped == 3


async def test_an_answer_that_is_no_acknowledgement_acknowledges_nothing(tmp_path: Path) -> None:
    answers: list[int] = []

    def refuse(report: Report) -> web.Response | None:
        answers.append(report.sequence)
        return web.Response(body=b"ok") if len(answers) < 2 else None

    fake = FakeCollector(refuse=refuse)
    async with sending(fake, tmp_path) as bench:
        bench.add(span(0))
        await fake.has(lambda reports: len(reports) == 1)
    assert answers == [1, 1]
    assert bench.uplink.counts["malformed"] == 1


async def test_survive_12_two_collectors_that_take_turns_do_not_make_us_send_as_fast_as_we_can(tmp_path: Path) -> None:
    attempts: list[float] = []

    def refuse(_: Report) -> web.Response | None:
        attempts.append(asyncio.get_running_loop().time())
        fake.instance += 1
        return None

    fake = FakeCollector(refuse=refuse)
    async with sending(fake, tmp_path) as bench:
        bench.add(span(0))
        while len(attempts) < 5:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    assert attempts[4] - attempts[0] > 0.5


async def test_survive_09_the_farewell_does_not_wait_for_a_back_off(tmp_path: Path) -> None:
    down = True
    fake = FakeCollector(refuse=lambda _: web.Response(status=503, headers={"Retry-After": "30"}) if down else None)
    async with sending(fake, tmp_path) as bench:
        bench.add(span(0))
        while not bench.uplink.counts["status_503"]:  # noqa: ASYNC110 - until it has been refused once
            await asyncio.sleep(0.01)
        down = False
        bench.add(span(1, leaving=True))
        await bench.uplink.flushed()
        assert [one.leaving for one in fake.reports] == [False, True]
        assert len(bench.backlog) == 0
