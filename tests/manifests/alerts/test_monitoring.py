"""Real Prometheus, real Alertmanager, and a receiver of our own that counts what arrives."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from collector.notify import alertmanager as module
from collector.notify import outbox
from collector.notify.notifier import Notifier
from collector.settings import parse_settings
from collector.verdict.incident import Incident
from tests.collector.incidents import DEAD, LOSSY
from tests.collector.notify.telling import HOSTILE, SECOND, Counted, Inbox, beside, eventually, inbox, incident
from tests.manifests.alerts.monitoring import (
    Program,
    alertmanager,
    exported,
    prometheus,
    relabelled,
    running,
    series,
    told,
)

pytestmark = pytest.mark.lab
LONG = 90.0
"""Seconds that something may take on a busy machine."""
LEAK = LOSSY._replace(
    id="00f9",
    kind="policy",
    component="shop>pay",
    effect="leak",
    severity="critical",
    src_namespace="shop",
    dst_namespace="pay",
    owner=HOSTILE,
)
NODE = ("NetmatrixNodeUnreachable", "00f0")
LEAKS = ("NetmatrixNamespacePathLeak", "00f9")


async def test_an_incident_becomes_one_alert_of_prometheus_which_arrives_once_and_is_over(tmp_path: Path) -> None:
    async with inbox() as there, exported() as collector:
        manager = alertmanager(tmp_path, there.url)
        watcher = prometheus(tmp_path, targets=[collector.url], tells=manager.url, keep_firing="2s")
        async with running(manager, watcher):
            pair = LOSSY._replace(kind="pair", component="n1>n3", inhibited_by=DEAD.id)
            agent = LOSSY._replace(id="00fa", kind="agent", component="n3", effect="silent", inhibited_by=DEAD.id)
            collector.incidents = (DEAD, pair, agent, LEAK)
            await eventually(lambda: {NODE, LEAKS} <= set(told(there.got)), LONG)
            await asyncio.sleep(5)  # evaluated and sent again many times
            assert Counter(told(there.got)) == {NODE: 1, LEAKS: 1}
            (alert,) = next(group["alerts"] for group in there.got if told([group]) == [LEAKS])
            assert alert["labels"]["severity"] == "critical"
            assert alert["labels"]["owner"].startswith('a"}]\n')
            assert "and should not be of a" in alert["annotations"]["description"]
            collector.incidents = (LEAK,)
            await eventually(lambda: NODE in told(there.got, "resolved"), LONG)
            assert Counter(told(there.got, "resolved")) == {NODE: 1}
            assert told(there.got).count(LEAKS) == 1


async def test_a_collector_that_moves_is_no_news(tmp_path: Path) -> None:
    async with inbox() as there, exported() as one, exported() as other:
        manager = alertmanager(tmp_path, there.url)
        watcher = prometheus(tmp_path, targets=[one.url, other.url], tells=manager.url, keep_firing="60s")
        one.incidents, other.away = (DEAD,), True
        async with running(manager, watcher):
            await eventually(lambda: NODE in told(there.got), LONG)
            one.away = True
            await asyncio.sleep(2)
            other.away = False  # it has just started and knows of nothing
            await asyncio.sleep(2)
            other.incidents = (DEAD,)
            await asyncio.sleep(2)
            assert told(there.got) == [NODE]
            assert told(there.got, "resolved") == []


async def test_the_operators_monitor_leaves_a_series_the_namespace_and_service_that_it_is_about(tmp_path: Path) -> None:
    async with exported() as collector:
        watcher = prometheus(
            tmp_path, targets=[collector.url], tells="http://127.0.0.1:1", keep_firing="2s", relabels=relabelled()
        )
        async with running(watcher), asyncio.timeout(LONG):
            found = await series(watcher, "netmatrix_service_probes_lost_total")
            (own,) = await series(watcher, "netmatrix_series")
    assert [(one["namespace"], one["service"]) for one in found] == [("shop", "cart")]
    assert not [label for label in found[0] if label.startswith("exported_")]
    assert (own["namespace"], own["service"]) == ("netmatrix", "netmatrix-collector")


class Telling:
    """A notifier, told of passes."""

    def __init__(self, *urls: str, webhook: str = "") -> None:
        hook = f", webhooks: [{{name: chat, url: '{webhook}'}}]" if webhook else ""
        text = f"notify: {{loopback: true, timeout: 2s, alertmanager: {{urls: {list(urls)}}}{hook}}}"
        self.counted = Counted()
        self.notifier = Notifier(parse_settings(text, name="c").notify, count=self.counted)
        for receiver in self.notifier._receivers[: len(urls)]:
            receiver._resend_seconds = 0.5  # type: ignore[attr-defined] # people may not ask for less than 10 s
        self.now_ns = 200 * SECOND

    def passes(self, *incidents: Incident) -> None:
        self.notifier.tell(incidents, self.now_ns)
        self.now_ns += 5 * SECOND


@asynccontextmanager
async def telling(*urls: str, **more: Any) -> AsyncIterator[Telling]:
    made = Telling(*urls, **more)
    async with beside(made.notifier.follow):
        yield made


@pytest.fixture
async def there() -> AsyncIterator[Inbox]:
    async with inbox() as made:
        yield made


@pytest.fixture
async def manager(tmp_path: Path, there: Inbox) -> AsyncIterator[Program]:
    made = alertmanager(tmp_path, there.url)
    async with running(made):
        yield made


@pytest.fixture(autouse=True)
def _short_pauses_and_a_patient_alertmanager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "LONGEST_SECONDS", 0.5)
    monkeypatch.setattr(module, "KEPT_FOR", 120)


A, B = ("NetmatrixPathLossHigh", "a"), ("NetmatrixPathLossHigh", "b")


async def test_the_notifier_is_heard_once_by_alertmanager_over_all_that_it_repeats_and_once_at_the_end(
    manager: Program, there: Inbox
) -> None:
    async with telling(manager.url) as to:
        to.passes(incident("a"), incident("b", owner=HOSTILE, component=HOSTILE))
        await eventually(lambda: {A, B} <= set(told(there.got)), LONG)
        await asyncio.sleep(4)  # eight times the interval
        assert Counter(told(there.got)) == {A: 1, B: 1}
        to.passes(incident("b"))
        await eventually(lambda: A in told(there.got, "resolved"), LONG)
        assert Counter(told(there.got, "resolved")) == {A: 1}
        assert Counter(told(there.got)) == {A: 1, B: 1}


async def test_a_collector_that_restarts_tells_alertmanager_nothing_that_it_knows(manager: Program, there: Inbox) -> None:
    async with telling(manager.url) as to:
        to.passes(incident("a"))
        await eventually(lambda: A in told(there.got), LONG)
    async with telling(manager.url) as to:
        to.passes(incident("a", since_ns=150 * SECOND, sentence="It is as bad as before.", loss=0.6))
        await eventually(lambda: to.counted.of.get(("alertmanager/0", "sent")) == 1, LONG)
        await asyncio.sleep(2)
        assert told(there.got) == [A]
        assert told(there.got, "resolved") == []


async def test_what_a_collector_told_that_died_is_over_by_itself(
    manager: Program, there: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT_FOR", 4)
    async with telling(manager.url) as to:
        to.passes(incident("a"))
        await eventually(lambda: A in told(there.got), LONG)
    await eventually(lambda: A in told(there.got, "resolved"), LONG)


async def test_survive_46_alertmanager_is_down_for_a_while_and_hears_all_when_it_is_back(
    manager: Program, there: Inbox
) -> None:
    async with telling(manager.url) as to:
        to.passes(incident("a"))
        await eventually(lambda: A in told(there.got), LONG)
        await asyncio.to_thread(manager.stop)
        to.passes(incident("b"))
        await eventually(lambda: to.counted.of.get(("alertmanager/0", "away"), 0) >= 3, LONG)
        assert to.notifier.waiting()["alertmanager/0"] == 2, "that a is over, and that b has begun"
        await manager.start()
        await eventually(lambda: B in told(there.got) and A in told(there.got, "resolved"), LONG)
        assert Counter(told(there.got)) == {A: 1, B: 1}
        await eventually(lambda: not any(to.notifier.waiting().values()), LONG)


async def test_survive_46_an_alertmanager_that_stands_still_holds_up_nobody_else(manager: Program, there: Inbox) -> None:
    async with inbox() as chat, telling(manager.url, webhook=chat.url) as to:
        manager.halt()
        to.passes(incident("a"))
        await chat.until(1, LONG)
        to.passes(incident("a"), incident("b"))
        await chat.until(2, LONG)
        await eventually(lambda: to.counted.of.get(("alertmanager/0", "away"), 0) >= 1, LONG)
        manager.resume()
        await eventually(lambda: {A, B} <= set(told(there.got)), LONG)
        assert Counter(told(there.got)) == {A: 1, B: 1}
