"""The notifier and receivers of our own: told once, of what is over too, over absences, and nothing secret in any log."""

import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from aiohttp import web
from structlog.testing import LogCapture

from collector.discovery.source import Event
from collector.notify import alertmanager, outbox
from collector.notify.events import event_of, object_of
from collector.notify.notices import Ledger, Notice, followed
from collector.notify.notifier import Notifier
from collector.receivers import VALUES, Notify
from collector.settings import parse_settings
from collector.verdict.incident import Incident
from tests.collector.notify.telling import HOSTILE, SECOND, Counted, Inbox, beside, eventually, inbox, incident


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that is away is tried again at once."""
    monkeypatch.setattr(outbox, "FIRST_SECONDS", 0.02)
    monkeypatch.setattr(outbox, "LONGEST_SECONDS", 0.05)


@pytest.fixture
def log() -> Iterator[LogCapture]:
    capture = LogCapture()
    structlog.configure(processors=[capture])
    yield capture
    structlog.reset_defaults()


def settings(text: str) -> Notify:
    return parse_settings(f"notify: {{loopback: true, {text}}}", name="config.yaml").notify


class Telling:
    """A notifier that is told of passes."""

    def __init__(self, text: str, **more: Any) -> None:
        self.counted = Counted()
        self.notifier = Notifier(settings(text), count=self.counted, **more)
        self.now_ns = 200 * SECOND

    def passes(self, *incidents: Incident) -> None:
        self.notifier.tell(incidents, self.now_ns)
        self.now_ns += 5 * SECOND

    async def until_nothing_waits(self) -> None:
        await eventually(lambda: not any(self.notifier.waiting().values()))


@asynccontextmanager
async def telling(text: str, **more: Any) -> AsyncIterator[Telling]:
    made = Telling(text, **more)
    async with beside(made.notifier.follow):
        yield made


def webhook(there: Inbox, more: str = "") -> str:
    return f"webhooks: [{{name: chat, url: '{there.url}'{more}}}]"


def alerts(batches: Sequence[Any]) -> list[tuple[str, bool]]:
    """Of what an Alertmanager got: each alert, and whether it is over."""
    now = time.time()
    return [
        (alert["labels"]["id"], datetime.fromisoformat(alert["endsAt"]).timestamp() <= now)
        for batch in batches
        for alert in batch
    ]


async def test_a_webhook_is_told_once_and_once_when_it_is_over() -> None:
    async with inbox() as there, telling(webhook(there)) as to:
        for _ in range(5):
            to.passes(incident())
        await there.until(1)
        to.passes()
        first, last = await there.until(2)
        await to.until_nothing_waits()
    assert set(first) == set(VALUES)
    assert (first["status"], first["alert"], first["closed"]) == ("firing", "NetmatrixPathLossHigh", None)
    assert first["runbook"] == "docs/runbooks/NetmatrixPathLossHigh"
    assert (last["status"], last["seconds"]) == ("resolved", 100)
    assert to.counted.of == {("chat", "sent"): 2}


async def test_survive_46_a_webhook_that_was_away_for_hours_is_told_of_what_matters_now() -> None:
    async with inbox() as there, telling(webhook(there)) as to:
        to.passes(incident("before"))
        await there.until(1)
        await to.until_nothing_waits()
        there.answers = [web.Response(status=503) for _ in range(3)]
        to.passes(incident("before"), incident("short"))
        to.passes(incident("before"), incident("long"))
        for number in range(3 * outbox.MOST):
            to.passes(incident("before"), incident("long"), incident(f"flap-{number}"))
        to.passes(incident("long"))
        got = await there.until(1 + outbox.MOST)
        await to.until_nothing_waits()
    assert [one["id"] for one in got].count("before") == 2
    assert len(got) == 1 + outbox.MOST
    of = to.counted.of
    assert of["chat", "sent"] == len(got)
    assert of["chat", "dropped"] > outbox.MOST
    assert of["chat", "failed"] == 3
    news = 1 + 2 * (3 * outbox.MOST) + 2 + 1 + 1
    assert sum(of["chat", word] for word in ("sent", "dropped", "superseded")) == news


async def test_what_a_webhook_will_never_take_is_given_up_and_the_rest_goes_on() -> None:
    async with inbox() as there, telling(webhook(there)) as to:
        there.answers = [web.Response(status=400)]
        to.passes(incident("a"), incident("b"))
        (got,) = await there.until(1)
        await to.until_nothing_waits()
    assert got["id"] == "b"
    assert to.counted.of == {("chat", "refused"): 1, ("chat", "sent"): 1}
    assert [(one.receiver, one.status, one.taken) for one in to.notifier.deliveries.of("a")] == [("chat", "firing", False)]
    assert [one.taken for one in to.notifier.deliveries.of("b")] == [True]


async def test_a_webhook_gets_the_body_that_people_wrote_and_no_name_leaves_its_text() -> None:
    body = ", escape: html, body: {text: '{{ status | firing=DOWN | UP }}: {{ component }}', n: '{{ lost }}', channel: ops}"
    async with inbox() as there, telling(webhook(there, body)) as to:
        to.passes(incident(component=HOSTILE))
        (got,) = await there.until(1)
    assert got["channel"] == "ops"
    assert got["n"] == 50
    assert got["text"].startswith("DOWN: a&quot;}]???")
    assert "<!channel>" not in got["text"]
    assert "{{ status }}" in got["text"], "what is in a value is not looked at again"


async def test_a_webhook_may_hear_of_grave_ones_alone_and_not_when_they_are_over() -> None:
    async with inbox() as there, telling(webhook(there, ", least: critical, resolved: false")) as to:
        to.passes(incident("a", severity="warning"), incident("b", severity="critical"))
        await there.until(1)
        await to.until_nothing_waits()
        to.passes()
        to.passes(incident("c", severity="critical"))
        got = await there.until(2)
    assert [one["id"] for one in got] == ["b", "c"]


async def test_an_alertmanager_hears_of_all_that_goes_on_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alertmanager, "KEPT_FOR", 10_000)
    async with inbox() as there:
        text = f"alertmanager: {{urls: ['{there.url}/prefix/']}}, external_url: 'http://netmatrix.example', cluster: blue"
        changes: list[int] = []
        to = Telling(text, remember=lambda: changes.append(1))
        to.notifier._receivers[0]._resend_seconds = 0.05  # type: ignore[attr-defined] # people may not ask for less than 10 s
        async with beside(to.notifier.follow):
            to.passes(incident("a"), incident("b"))
            got = await there.until(4)
            assert set(alerts(got)) == {("a", False), ("b", False)}
            (alert, _) = got[0]
            assert alert["labels"]["cluster"] == "blue"
            assert alert["generatorURL"] == "http://netmatrix.example/api/v1/incident?id=a"
            assert alert["annotations"]["summary"] == "Packets are lost."
            assert alert["annotations"]["runbook_url"] == "http://netmatrix.example/docs/runbooks/NetmatrixPathLossHigh"
            to.passes(incident("b"))
            await eventually(lambda: ("a", True) in alerts(there.got))
            count = len(there.got)
            await there.until(count + 3)
            assert set(alerts(there.got[count:])) == {("b", False)}, "what is over is said once"
            assert to.counted.of["alertmanager/0", "sent"] == 3, "what is repeated is no news"
            assert len(changes) == 4, "when there is news, and when it has arrived"


async def test_alertmanagers_of_a_cluster_are_all_told_and_one_that_is_away_holds_up_nobody() -> None:
    async with inbox() as one, inbox() as other:
        urls = f"['http://127.0.0.1:1', '{one.url}', '{other.url}']"
        to = Telling(f"alertmanager: {{urls: {urls}}}")
        async with beside(to.notifier.follow):
            to.passes(incident())
            await one.until(1)
            await other.until(1)
            await eventually(lambda: bool(to.counted.of.get(("alertmanager/0", "away"))))
            await eventually(lambda: sum(to.notifier.waiting().values()) == 1)
            assert to.notifier.waiting() == {"alertmanager/0": 1, "alertmanager/1": 0, "alertmanager/2": 0}


@pytest.mark.parametrize("ahead", [-86_400.0, -400.0, 400.0, 86_400.0])
async def test_survive_7_an_alertmanager_whose_clock_is_off_is_told_by_its_own(ahead: float) -> None:
    async with inbox() as there:
        now = {"ours": time.time() - ahead}
        async with telling(f"alertmanager: {{urls: ['{there.url}']}}", now=lambda: now["ours"]) as to:
            to.passes(incident())
            await there.until(2)
            assert alerts(there.got[1:]) == [("i1", False)]
            to.passes()
            await there.until(3)
            assert alerts(there.got[2:]) == [("i1", True)]


async def test_other_settings_are_followed_without_telling_anything_twice() -> None:
    async with inbox() as one, inbox() as other, telling(webhook(one)) as to:
        to.passes(incident("a"))
        await one.until(1)
        await to.until_nothing_waits()
        to.notifier.configure(settings(webhook(one)))
        both = f"webhooks: [{{name: chat, url: '{one.url}'}}, {{name: pager, url: '{other.url}'}}]"
        to.notifier.configure(settings(both))
        assert [got["id"] for got in await other.until(1)] == ["a"], "who is new hears of all that is open"
        to.passes()
        await one.until(2)
        await other.until(2)
        to.notifier.configure(settings("events: false"))
        to.passes(incident("b"))
        assert to.notifier.waiting() == {}
    assert [(got["id"], got["status"]) for got in one.got] == [("a", "firing"), ("a", "resolved")]


async def test_survive_58_no_secret_and_no_answer_is_in_the_log_or_in_a_metric(log: LogCapture, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://127.0.0.1:1/T0/s3cret")
    (tmp_path / "token").write_text("s3cret")
    async with inbox() as there:
        there.answers = [web.Response(status=418, text="s3cret", reason="s3cret")]
        text = (
            f"webhooks: [{{name: open, url: '{there.url}/s3cret?key=s3cret'}}, {{name: hidden, url_file: {tmp_path}/url}},"
            f" {{name: keyed, url: 'https://127.0.0.1:1/s3cret', headers: [{{name: Authorization, file: {tmp_path}/token}}]}}]"
        )
        async with telling(text) as to:
            to.passes(incident())
            await eventually(lambda: len({event["receiver"] for event in log.entries}) == 3)
    said = json.dumps([log.entries, [list(key) for key in to.counted.of]])
    assert "s3cret" not in said
    assert "127.0.0.1" not in said
    assert {(event["receiver"], event["because"]) for event in log.entries} == {
        ("open", "refused"),
        ("hidden", "away"),
        ("keyed", "away"),
    }


async def test_that_a_receiver_fails_is_said_once_and_that_it_works_again_too(log: LogCapture) -> None:
    async with inbox() as there:
        there.answers = [web.Response(status=500)] * 5
        async with telling(webhook(there)) as to:
            to.passes(incident())
            await there.until(1)
            await to.until_nothing_waits()
    assert [event["event"] for event in log.entries] == ["notifications do not arrive", "notifications arrive again"]


async def test_events_are_said_at_the_object_and_when_it_is_over() -> None:
    said: list[Event] = []

    async def announce(event: Event) -> str:
        said.append(event)
        return "sent"

    async with telling("events: true", announce=announce) as to:
        to.passes(incident())
        to.passes()
        to.passes(incident("i2", component="n4"))
        await to.until_nothing_waits()
    assert [(one.kind, one.name, one.reason, one.warning) for one in said] == [
        ("Node", "n3", "NetmatrixPathLossHighResolved", False),
        ("Node", "n4", "NetmatrixPathLossHigh", True),
    ]
    assert len({one.key for one in said}) == 2


async def test_without_a_cluster_there_are_no_events() -> None:
    async with telling("events: true") as to:
        to.passes(incident())
        assert to.notifier.waiting() == {}


def notice(**fields: Any) -> Notice:
    return followed([incident(**fields)], Ledger(), 0, now=0.0).news[0]


@pytest.mark.parametrize(
    ("fields", "of"),
    [
        ({}, ("Node", "", "n3")),
        ({"kind": "canary"}, ("Node", "", "n3")),
        ({"kind": "canary", "component": "cluster"}, ("Namespace", "", "netmatrix")),
        ({"kind": "service", "component": "service/shop/cart"}, ("Service", "shop", "cart")),
        ({"kind": "service", "component": "shop/cart"}, ("Service", "shop", "cart")),
        (
            {"kind": "policy", "component": "shop>pay", "src_namespace": "shop", "dst_namespace": "pay"},
            ("Namespace", "", "pay"),
        ),
        ({"kind": "zone_pair", "component": "a>b"}, ("Namespace", "", "netmatrix")),
        ({"kind": "widespread", "component": "cluster"}, ("Namespace", "", "netmatrix")),
        ({"kind": "service", "component": "odd"}, ("Namespace", "", "netmatrix")),
    ],
)
def test_an_event_is_about_what_the_incident_is_about(fields: dict[str, Any], of: tuple[str, str, str]) -> None:
    assert object_of(notice(**fields), "netmatrix") == of
    assert event_of(notice(**fields), "netmatrix").kind == of[0]


async def test_telling_costs_the_caller_next_to_nothing_whatever_receivers_do() -> None:
    to = Telling("webhooks: [{name: chat, url: 'http://127.0.0.1:1'}], alertmanager: {urls: ['http://127.0.0.1:1']}")
    began = time.process_time()
    for number in range(100):
        to.passes(*(incident(f"{number}-{place}") for place in range(50)))
    assert time.process_time() - began < 5
    assert to.notifier.waiting() == {"chat": outbox.MOST, "alertmanager/0": outbox.MOST}


async def test_another_process_tells_nobody_again_and_tells_what_the_one_before_could_not() -> None:
    async with inbox() as there:
        changes: list[int] = []
        one = Telling(webhook(there), remember=lambda: changes.append(1))
        async with beside(one.notifier.follow):
            one.passes(incident("told"))
            await there.until(1)
            await one.until_nothing_waits()
            assert len(changes) == 2, "when there is news, and when it has arrived"
        one.passes(incident("told"), incident("waits"))
        other = Telling(webhook(there))
        other.notifier.recall(one.notifier.memory())
        async with beside(other.notifier.follow):
            other.passes(incident("told", since_ns=0), incident("waits", since_ns=0))
            got = await there.until(2)
            other.passes(incident("told"), incident("waits"))
            await other.until_nothing_waits()
            other.passes(incident("told"))
            await there.until(3)
    assert [(each["id"], each["status"]) for each in got] == [("told", "firing"), ("waits", "firing"), ("waits", "resolved")]


@pytest.mark.parametrize("kept", [None, b"", b"{", b"[]", b'{"told": [1]}', b"\xff"])
async def test_a_memory_that_cannot_be_read_is_as_none(kept: bytes | None) -> None:
    async with inbox() as there, telling(webhook(there)) as to:
        to.notifier.recall(kept)
        to.passes(incident("a"))
        (got,) = await there.until(1)
    assert got["id"] == "a"
