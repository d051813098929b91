from typing import Any

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from collector.api.guard import guarded
from collector.api.histories import add_history
from collector.history.columns import Point

NOW = 1_800_000_000.0
"""2027-01-15T08:00:00Z."""
SINCE = "2027-01-15T07:00:00.000Z"
DAY = 86_400
INCIDENTS = "/incidents"


class Remembered:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        self.spans: list[tuple[int, int]] = []

    async def points(self, dimension: str, source: str, target: str) -> list[Point]:
        self.asked.append((dimension, source, target))
        return [Point(60, 10, 1, 0.1, 120.0, None)]

    async def incidents(self, most: int, *, since: int, until: int) -> list[dict[str, Any]]:
        self.spans.append((since, until))
        one = {
            "id": "a",
            "since": SINCE,
            "closed": None,
            "severity": "critical",
            "sentence": "a",
            "evidence": [1],
            "timeline": [],
        }
        return [one] * most


async def asked(history: Remembered | None, query: str, page: str = "") -> tuple[int, dict[str, Any]]:
    app = web.Application(middlewares=[guarded((), lambda _: None)])
    add_history(app, history, now=lambda: NOW)
    async with (
        TestServer(app) as server,
        ClientSession(server.make_url("/")) as client,
        client.get(f"/api/v1/history{page}{query}") as answer,
    ):
        return answer.status, await answer.json()


@pytest.mark.parametrize(
    ("query", "pair"),
    [
        ("?from=n1&to=n2", ("node", "n1", "n2")),
        ("?from=zone/a&to=zone/b", ("zone", "a", "b")),
        ("?from=namespace/shop&to=namespace/pay", ("namespace", "shop", "pay")),
    ],
)
async def test_a_pair_of_one_sort_has_points(query: str, pair: tuple[str, str, str]) -> None:
    history = Remembered()
    status, answer = await asked(history, query)
    assert (status, history.asked) == (200, [pair])
    assert answer["points"] == [{"at": 60, "sent": 10, "lost": 1, "loss": 0.1, "p50_us": 120.0, "p99_us": None}]


async def test_without_a_history_there_are_no_points_and_it_says_so() -> None:
    assert await asked(None, "?from=n1&to=n2") == (200, {"version": 1, "by": "node", "kept": False, "points": []})


@pytest.mark.parametrize("query", ["", "?from=n1", "?from=zone/a&to=n1", "?from=n1&to=n2&span=1h"])
async def test_half_a_question_is_refused(query: str) -> None:
    assert (await asked(Remembered(), query))[0] == 400


@pytest.mark.parametrize(
    ("query", "span"),
    [
        ("", (NOW - 30 * DAY, NOW)),
        ("?since=24h", (NOW - DAY, NOW)),
        ("?since=2027-01-14T08:00:00Z&until=1h", (NOW - DAY, NOW - 3600)),
        ("?since=2027-01-15T09:00:00%2B02:00&until=2027-01-15T07:30:00Z", (NOW - 3600, NOW - 1800)),
        ("?since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z", (NOW - 30 * DAY, NOW)),
        ("?since=999999999h", (NOW - 30 * DAY, NOW)),
        ("?until=9999-12-31T23:59:59-23:59", (NOW - 30 * DAY, NOW)),
    ],
)
async def test_incidents_are_of_a_span_and_of_thirty_days_at_most(query: str, span: tuple[float, float]) -> None:
    history = Remembered()
    status, answer = await asked(history, query, INCIDENTS)
    assert status == 200, answer
    assert history.spans == [(span[0], span[1] + 1)]


async def test_a_list_of_incidents_is_bounded_says_whether_there_are_more_and_has_outages() -> None:
    status, answer = await asked(Remembered(), "?k=3", INCIDENTS)
    assert (status, len(answer["incidents"]), answer["more"], answer["kept"]) == (200, 3, True, True)
    assert answer["incidents"][0] == {"id": "a", "since": SINCE, "closed": None, "severity": "critical", "sentence": "a"}
    assert [(one["start"], one["end"], len(one["causes"])) for one in answer["outages"]] == [(SINCE, None, 3)]


async def test_without_a_history_there_are_no_incidents_and_it_says_so() -> None:
    status, answer = await asked(None, "", INCIDENTS)
    assert (status, answer["kept"], answer["incidents"], answer["outages"]) == (200, False, [], [])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?since=yesterday", "since must be a time"),
        ("?until=2027-01-15", "until must be a time"),
        ("?until=2027-01-15T08:00:00", "until must be a time"),
        ("?since=1h&until=2h", "since must be before until"),
        ("?since=9999-12-31T00:00:00-23:59&until=9999-12-31T23:59:59-23:59", "since must be before until"),
        ("?since=2020-01-01T00:00:00Z&until=2020-02-01T00:00:00Z", "kept for thirty days"),
        ("?k=0", "k must be a number from 1 to 1000"),
        ("?k=1001", "k must be a number from 1 to 1000"),
        ("?from=n1", "unknown parameter"),
    ],
)
async def test_a_span_that_is_none_is_refused_in_a_sentence(query: str, words: str) -> None:
    status, answer = await asked(Remembered(), query, INCIDENTS)
    assert status == 400
    assert words in answer["error"]
