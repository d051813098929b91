"""Answers to questions that take long, made in slices and shared by all who ask the same.

In: a question and a way to answer it in slices. Out: JSON. Between two slices the loop takes reports, so that no question keeps
an agent waiting; few questions are answered at a time, so that many askers neither multiply the work nor the memory.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from collector.api.question import QuestionError
from collector.matrix.query import TooManyError
from collector.matrix.slices import Slices, finished
from collector.matrix.store import Matrix

AT_ONCE: Final = 2
"""Questions that are worked on at a time: the longest takes 150 MB while it is answered."""
SHARED_NS: Final = 1_000_000_000
"""How long an answer is good for at most."""
SHARED_FOR: Final = 10
"""An answer is good for so many times as long as it took to make: one that costs nothing is made afresh."""
MAX_SHARED: Final = 16
"""Answers that are remembered."""
MAX_SHARED_BYTES: Final = 32 * 2**20
"""What they hold together, besides the newest: the longest ones have 30 MB, and anybody may ask for sixteen different ones."""
BEGUN: Final = 5
"""How often an answer is begun anew when cells are moved meanwhile; after that it is made without a pause."""
ENCODED: Final = 1000
"""Elements of a list that are written as JSON at a time."""

_T = TypeVar("_T")
Handler = Callable[[web.Request], Awaitable[web.Response]]


class _OtherError(Exception):
    """An answer that is none to the question, such as that there is no such thing."""

    def __init__(self, response: web.Response) -> None:
        super().__init__(response.status)
        self.response = response


class Asking:
    """One matrix and the answers of the last second."""

    def __init__(self, matrix: Matrix, now_ns: Callable[[], int]) -> None:
        self._matrix = matrix
        self._now_ns = now_ns
        self._working = asyncio.Semaphore(AT_ONCE)
        self._locks: dict[str, asyncio.Lock] = {}
        self._answers: dict[str, tuple[int, bytes]] = {}
        """By question: until when it is good, and what it is."""

    async def answer(self, question: str, slices: Callable[[int], Slices[dict[str, Any]]]) -> bytes:
        """JSON of what `slices(now_ns)` returns, or of what it returned a moment ago. Raises QuestionError."""
        return await self._shared(question, partial(self._in_slices, slices))

    def shared(self, handler: Handler) -> Handler:
        """A handler whose JSON is shared by all who ask the same, and that is worked on as one of few."""

        async def made(request: web.Request) -> bytes:
            response = await handler(request)
            if response.status != web.HTTPOk.status_code or not isinstance(response.body, bytes):
                raise _OtherError(response)
            return response.body

        async def answer(request: web.Request) -> web.Response:
            question = f"{request.path}?{urlencode(sorted(request.query.items()))}"
            try:
                body = await self._shared(question, partial(made, request))
            except _OtherError as other:
                return other.response
            return web.Response(body=body, content_type="application/json")

        return answer

    async def _shared(self, question: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        lock = self._locks.setdefault(question, asyncio.Lock())
        try:
            async with lock:
                good_until_ns, body = self._answers.get(question, (0, b""))
                if self._now_ns() < good_until_ns:
                    return body
                async with self._working:
                    return await self._make(question, make)
        finally:
            if not lock.locked():
                self._locks.pop(question, None)

    async def _make(self, question: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        began_ns = self._now_ns()
        body = await make()
        ended_ns = self._now_ns()
        self._answers.pop(question, None)
        self._make_room()
        self._answers[question] = ended_ns + min(SHARED_NS, SHARED_FOR * (ended_ns - began_ns)), body
        return body

    async def _in_slices(self, slices: Callable[[int], Slices[dict[str, Any]]]) -> bytes:
        began_ns = self._now_ns()
        try:
            return await _encoded(await self.finished(lambda: slices(began_ns)))
        except TooManyError as error:
            raise QuestionError(str(error)) from None

    def _make_room(self) -> None:
        """Forget the oldest answers, until there is room for one more."""
        held = sum(len(body) for _, body in self._answers.values())
        while self._answers and (len(self._answers) >= MAX_SHARED or held > MAX_SHARED_BYTES):
            _, body = self._answers.pop(next(iter(self._answers)))
            held -= len(body)

    async def finished(self, begin: Callable[[], Slices[_T]]) -> _T:
        """What slices return, with a pause after each; they are begun anew where cells are moved meanwhile."""
        for _ in range(BEGUN):
            layout, slices = self._matrix.layout, begin()
            while layout == self._matrix.layout:
                try:
                    next(slices)
                except StopIteration as end:
                    answer: _T = end.value
                    return answer
                await asyncio.sleep(0)
        return finished(begin())


async def _encoded(answer: dict[str, Any]) -> bytes:
    """An answer as JSON, its list of cells a part at a time."""
    cells = answer["cells"]
    parts = []
    for start in range(0, len(cells), ENCODED):
        parts.append(msgspec.json.encode(cells[start : start + ENCODED])[1:-1])
        await asyncio.sleep(0)
    rest = msgspec.json.encode({name: value for name, value in answer.items() if name != "cells"})
    return b'%s,"cells":[%s]}' % (rest[:-1], b",".join(parts))
