import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer

from collector.api.guard import guarded
from collector.api.histories import add_history
from collector.history.columns import Point


class Remembered:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []

    async def points(self, dimension: str, source: str, target: str) -> list[Point]:
        self.asked.append((dimension, source, target))
        return [Point(60, 10, 1, 0.1, 120.0, None)]


async def asked(history: Remembered | None, query: str) -> tuple[int, dict[str, object]]:
    app = web.Application(middlewares=[guarded((), lambda _: None)])
    add_history(app, history)
    async with (
        TestServer(app) as server,
        ClientSession(server.make_url("/")) as client,
        client.get(f"/api/v1/history{query}") as answer,
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
