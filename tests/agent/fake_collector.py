"""A collector's agent port over real HTTP that does as it is told, and remembers what it was sent."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from wire.codec import MAX_REPORT_BYTES, decode_report, decompress, encode
from wire.plan import Plan
from wire.report import Acknowledgement, Report

KEY = "k" * 32


@dataclass
class FakeCollector:
    """`plan` is what it serves; `refuse` may answer a report instead of taking it."""

    plan: Plan | None = None
    instance: int = 1
    plan_answer: Callable[[], web.Response] | None = None
    refuse: Callable[[Report], web.StreamResponse | None] = lambda _: None
    hang: bool = False
    reports: list[Report] = field(default_factory=list)
    """Taken, in order."""
    encodings: list[str] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    """Headers of plan requests."""
    url: str = ""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def get_plan(self, request: web.Request) -> web.Response:
        self.asked.append(dict(request.headers))
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.Response(status=401)
        if self.hang:
            await asyncio.sleep(3600)
        if self.plan_answer is not None:
            return self.plan_answer()
        if self.plan is None:
            return web.Response(status=503, text="no snapshot yet")
        etag = f'"{self.plan.instance}-{self.plan.generation}"'
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        return web.Response(body=encode(self.plan), headers={"ETag": etag})

    async def take_report(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.Response(status=401)
        body = await request.read()
        self.encodings.append(request.headers.get("Content-Encoding", ""))
        if self.encodings[-1] == "gzip":
            body = decompress(body, limit=MAX_REPORT_BYTES)
        report = decode_report(body)
        answer = self.refuse(report)
        if answer is not None:
            return answer
        last = max((one.sequence for one in self.reports if one.boot == report.boot), default=0)
        if report.instance != self.instance:
            return web.Response(status=409, body=encode(self._acknowledged(last)))
        if report.sequence > last:
            async with self.changed:
                self.reports.append(report)
                self.changed.notify_all()
        return web.Response(body=encode(self._acknowledged(max(last, report.sequence))))

    def _acknowledged(self, sequence: int) -> Acknowledgement:
        return Acknowledgement(self.instance, sequence, self.plan.generation if self.plan else 0)

    async def replan(self, plan: Plan) -> None:
        """Serve another plan."""
        async with self.changed:
            self.plan, self.instance = plan, plan.instance
            self.changed.notify_all()

    async def has(self, condition: Callable[[list[Report]], bool], *, seconds: float = 20) -> list[Report]:
        """Wait until the reports are as they should be."""
        async with asyncio.timeout(seconds), self.changed:
            await self.changed.wait_for(lambda: condition(self.reports))
        return self.reports


@asynccontextmanager
async def serving(fake: FakeCollector) -> AsyncIterator[FakeCollector]:
    """The fake on a port of its own on loopback."""
    app = web.Application(client_max_size=MAX_REPORT_BYTES, handler_args={"auto_decompress": False})
    app.router.add_get("/agent/v1/plan", fake.get_plan)
    app.router.add_post("/agent/v1/report", fake.take_report)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield fake
    finally:
        await runner.cleanup()
