"""Tells open pages that there is something new, by server-sent events (HTML, section 9.2).

In: beats, from whoever has judged anew. Out: an event without content for each, since what is new is asked for like everything
else, and shared by all who ask. A page that hears nothing of a beat asks by itself, so nothing is lost where events are.
"""

import asyncio
from typing import Final

from aiohttp import hdrs, web

from collector.api.guard import HEADERS

MOST: Final = 200
"""Open streams; one more is refused, and its page asks from time to time."""
REST_SECONDS: Final = 5.0
"""After so long without a beat one is told all the same: ages grow while nothing happens."""
RETRY_MS: Final = 3000


class Beats:
    """A beat, and those who wait for the next one."""

    def __init__(self) -> None:
        self.number = 0
        self.is_over = False
        self._next = asyncio.Event()

    def beat(self) -> None:
        """Wake all who wait."""
        self.number += 1
        self._next.set()
        self._next = asyncio.Event()

    def end(self) -> None:
        """Send everybody home."""
        self.is_over = True
        self.beat()

    async def after(self, seconds: float) -> None:
        """Wait for the next beat, or for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._next.wait()
        except TimeoutError:
            return


class Events:
    """The handler of `/api/v1/events`."""

    def __init__(self, beats: Beats) -> None:
        self._beats = beats
        self._open = 0

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Events until whoever listens has gone, or the collector ends."""
        if self._open >= MOST:
            raise web.HTTPServiceUnavailable
        response = web.StreamResponse(headers={**HEADERS, hdrs.CONTENT_TYPE: "text/event-stream"})
        self._open += 1
        try:
            await response.prepare(request)
            await response.write(f"retry: {RETRY_MS}\n\n".encode())
            while not self._beats.is_over:
                await self._beats.after(REST_SECONDS)
                await response.write(f"event: beat\ndata: {self._beats.number}\n\n".encode())
        except ConnectionError:
            pass  # they left
        finally:
            self._open -= 1
        return response

    async def end(self, _app: web.Application) -> None:
        """Let the server close."""
        self._beats.end()
