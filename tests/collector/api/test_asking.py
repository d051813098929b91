import asyncio
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from msgspec import structs

from collector.api import asking as asking_module
from collector.api.asking import AT_ONCE, BEGUN, MAX_SHARED, Asking
from collector.api.question import QuestionError
from collector.matrix.query import TooManyError
from collector.matrix.slices import Slices
from tests.collector.small_cluster import SECOND, SNAPSHOT, matrix_of, plans_of


class Work:
    """A question of some slices that notes what happens, on a clock that only it moves."""

    def __init__(self, *, slices: int = 3, costs_ns: int = 0) -> None:
        self.matrix = matrix_of()
        self.now_ns = 100 * SECOND
        self.asking = Asking(self.matrix, lambda: self.now_ns)
        self.begun = self.working = self.most = 0
        self._slices, self._costs_ns = slices, costs_ns

    def slices(self, now_ns: int) -> Slices[dict[str, Any]]:
        self.begun += 1
        self.working += 1
        self.most = max(self.most, self.working)
        for _ in range(self._slices):
            yield
        self.now_ns += self._costs_ns
        self.working -= 1
        return {"now": now_ns, "cells": [{"n": number} for number in range(2500)]}

    async def ask(self, question: str = "q") -> bytes:
        return await self.asking.answer(question, self.slices)


async def test_an_answer_is_json_with_its_cells_whole_and_in_order() -> None:
    body = await Work().ask()
    assert body.startswith(b'{"now":100000000000,"cells":[{"n":0},{"n":1},')
    assert body.endswith(b'{"n":2499}]}')
    assert body.count(b"},{") == 2499


async def test_survive_34_equal_questions_share_an_answer_that_took_long() -> None:
    work = Work(costs_ns=SECOND // 20)
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(work.ask()) for _ in range(10)]
    assert work.begun == 1
    assert len({task.result() for task in asked}) == 1
    work.now_ns += SECOND // 2
    await work.ask()
    assert work.begun == 2


async def test_pages_are_shared_by_whoever_asks_the_same_and_by_nobody_else() -> None:
    work, made = Work(), []

    async def page(request: web.Request) -> web.Response:
        made.append(dict(request.query))
        work.now_ns += SECOND // 10
        return web.Response(body=request.query_string.encode(), status=200 if "id" in request.query else 404)

    shared = work.asking.shared(page)

    async def ask(url: str) -> tuple[int, object]:
        answer = await shared(make_mocked_request("GET", url))
        return answer.status, answer.body

    assert await ask("/incident?id=a&since=1") == await ask("/incident?since=1&id=a") == (200, b"id=a&since=1")
    assert await ask("/incident?id=b&since=1") == (200, b"id=b&since=1")
    assert await ask("/why?id=a&since=1") == (200, b"id=a&since=1")
    assert len(made) == 3
    assert (await ask("/incident"), await ask("/incident")) == ((404, b""), (404, b""))
    assert len(made) == 5, "what is no answer is not kept"


async def test_an_answer_that_costs_nothing_is_made_afresh() -> None:
    work = Work()
    await work.ask()
    await work.ask()
    assert work.begun == 2


async def test_no_answer_is_older_than_a_second() -> None:
    work = Work(costs_ns=30 * SECOND)
    await work.ask()
    work.now_ns += SECOND
    await work.ask()
    assert work.begun == 2


async def test_few_questions_are_worked_on_at_a_time_and_few_answers_are_remembered() -> None:
    work = Work(costs_ns=SECOND)
    async with asyncio.TaskGroup() as tasks:
        for number in range(3 * MAX_SHARED):
            tasks.create_task(work.ask(f"q{number}"))
    assert work.most == AT_ONCE
    assert len(work.asking._answers) <= MAX_SHARED
    assert not work.asking._locks


async def test_long_answers_to_different_questions_are_not_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(costs_ns=SECOND)
    monkeypatch.setattr(asking_module, "MAX_SHARED_BYTES", 2 * len(await work.ask()))
    for number in range(8):
        await work.ask(f"q{number}")
    assert list(work.asking._answers) == ["q5", "q6", "q7"]


async def test_other_work_goes_on_between_the_slices() -> None:
    work, turns = Work(slices=50), 0
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(work.ask())
        while not asked.done():
            turns += 1
            await asyncio.sleep(0)
    assert turns > 50


async def test_a_question_begins_again_when_the_matrix_is_replanned_and_ends_all_the_same() -> None:
    work = Work(slices=20)
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(work.ask())
        while not asked.done():
            await asyncio.sleep(0)
            work.matrix.replan(SNAPSHOT, plans_of())
    assert work.begun == BEGUN + 1


async def test_an_answer_that_would_be_too_long_is_one_sentence_and_locks_nothing() -> None:
    work = Work()

    def too_many(_now_ns: int) -> Slices[dict[str, Any]]:
        yield
        raise TooManyError("too many")

    for _ in range(2):
        with pytest.raises(QuestionError, match="too many"):
            await work.asking.answer("q", too_many)


async def test_survive_20_a_question_begins_again_when_the_plan_of_a_row_moves_its_cells() -> None:
    """While many agents come for another plan: a place that was kept over that was another cell's, or none."""
    matrix = matrix_of()
    plans, begun = plans_of(), 0
    less = structs.replace(plans["n1"], paths=plans["n1"].paths[1:])

    def slices() -> Slices[int]:
        nonlocal begun
        begun += 1
        yield
        if begun == 1:
            matrix.lay("n1", plans["n1"])  # the same, so that nothing moves
        yield
        if begun == 1:
            matrix.lay("n1", less)
        yield
        return begun

    assert await Asking(matrix, lambda: 0).finished(slices) == 2
