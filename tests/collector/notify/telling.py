"""Incidents and receivers, as the tests of notifications need them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from collector.verdict.hold import Phase
from collector.verdict.incident import Incident
from wire.path import Layer

SECOND = 10**9
HOSTILE = 'a"}]\n\r\0\x1b[31m\u202e{{ $labels.x }}{{ status }}<!channel>\\u0022é'
"""What somebody may write where a name is expected."""


def incident(id_: str = "i1", **fields: Any) -> Incident:
    """An incident that fires."""
    known: dict[str, Any] = {
        "kind": "node",
        "component": "n3",
        "layer": Layer.POD,
        "direction": "in",
        "phase": Phase.FIRING,
        "since_ns": 100 * SECOND,
        "seen_ns": 110 * SECOND,
        "loss": 0.5,
        "sent": 100,
        "lost": 50,
        "witnesses": 4,
        "of_witnesses": 5,
        "sentence": "50.0% of probes to node n3 are lost.",
        "effect": "loss",
        "severity": "warning",
    }
    return Incident(id_, **{**known, **fields})


class Counted:
    """What a notifier counts."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], int] = {}

    def __call__(self, receiver: str, outcome: str, times: int) -> None:
        self.of[receiver, outcome] = self.of.get((receiver, outcome), 0) + times


async def eventually(so: Callable[[], bool], seconds: float = 30.0) -> None:
    """As soon as it is so; what is waited for has no event."""
    async with asyncio.timeout(seconds):
        while not so():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)


class Inbox:
    """A receiver of our own: what it got, and what it answers."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.headers: list[dict[str, str]] = []
        self.answers: list[web.Response] = []
        """Taken in turn; 200 when there are no more."""
        self.url = ""
        self.port = 0
        self._more = asyncio.Event()

    async def take(self, request: web.Request) -> web.Response:
        """One POST."""
        body = await request.json()
        self.headers.append(dict(request.headers))
        answer = self.answers.pop(0) if self.answers else web.Response()
        if answer.status == 200:
            self.got.append(body)
        self._more.set()
        return answer

    async def until(self, count: int, seconds: float = 30.0) -> list[Any]:
        """What it got, as soon as it is so many."""
        async with asyncio.timeout(seconds):
            while len(self.got) < count:
                self._more.clear()
                await self._more.wait()
        return self.got


@asynccontextmanager
async def inbox(port: int = 0, ssl: Any = None) -> AsyncIterator[Inbox]:
    """One that listens on loopback, over TLS with a context for it."""
    made = Inbox()
    app = web.Application(client_max_size=16 * 1024**2)
    app.router.add_post("/{any:.*}", made.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=ssl, reuse_address=True)
    await site.start()
    made.port = runner.addresses[0][1]
    made.url = f"http{'s' if ssl else ''}://127.0.0.1:{made.port}"
    try:
        yield made
    finally:
        await runner.cleanup()


@asynccontextmanager
async def beside(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """While something else goes on for ever."""
    async with asyncio.TaskGroup() as tasks:

        async def worked() -> None:
            await work()

        task = tasks.create_task(worked())
        try:
            yield
        finally:
            task.cancel()
