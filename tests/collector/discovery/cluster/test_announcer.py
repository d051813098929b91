"""What is left out is said at the object: once, slowly, and harmlessly."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from collector.discovery.cluster import announcer as module
from collector.discovery.cluster.announcer import MAX_WAITING, Announcer, event_of
from collector.discovery.cluster.client import Answer, Api, ApiAwayError
from collector.discovery.cluster.world import Because, Refused

AT = datetime(2026, 11, 25, tzinfo=UTC)


def refusal(number: int = 1, sentence: str = "it leads to the API server") -> Refused:
    return Refused("Service", "shop", f"cart-{number}", f"uid-{number}", sentence, because=Because.API_SERVER)


class Server:
    """Takes events, or says what it is told to say."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.bodies: list[dict[str, Any]] = []

    async def ask(self, method: str, path: str, *, body: dict[str, Any]) -> Answer:
        assert (method, path) == ("POST", "/api/v1/namespaces/shop/events")
        self.bodies.append(body)
        status = self.answers.pop(0) if self.answers else 201
        if status == 0:
            raise ApiAwayError("away")
        return Answer(status, b'{"message": "no"}')


async def said(server: Server, *refusals: Refused, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(module, "EVERY_SECONDS", 0.0)
    announcer = Announcer(cast("Api", server))
    announcer.say(refusals)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(announcer.follow())
        while announcer._more.is_set() or announcer._waiting:  # noqa: ASYNC110 - until it has nothing more to say
            await asyncio.sleep(0)
        following.cancel()
    return [body["involvedObject"]["name"] for body in server.bodies]


def test_an_event_names_the_object_and_says_the_same_under_the_same_name() -> None:
    event = event_of(refusal(), AT)
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Service",
        "namespace": "shop",
        "name": "cart-1",
        "uid": "uid-1",
    }
    assert (event["reason"], event["type"]) == ("NotProbed", "Warning")
    assert event["message"] == "netmatrix: it leads to the API server"
    assert event_of(refusal(), datetime.now(UTC))["metadata"] == event["metadata"]
    assert event_of(refusal(sentence="another"), AT)["metadata"] != event["metadata"]
    long = Refused("Service", "shop", "a" * 253, "u", "x", because=Because.PORT)
    assert len(cast("dict[str, str]", event_of(long, AT)["metadata"])["name"]) <= 253


async def test_one_that_is_there_already_or_does_not_arrive_does_not_stop_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [refusal(number) for number in range(4)]
    names = await said(Server(409, 0, 500), *refusals, monkeypatch=monkeypatch)
    assert names == ["cart-0", "cart-1", "cart-2", "cart-3"]


async def test_without_the_right_nobody_is_asked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(await said(Server(403), *(refusal(number) for number in range(20)), monkeypatch=monkeypatch)) == 1


async def test_of_a_flood_the_newest_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    names = await said(Server(), *(refusal(number) for number in range(1000)), monkeypatch=monkeypatch)
    assert names == [f"cart-{number}" for number in range(1000 - MAX_WAITING, 1000)]
