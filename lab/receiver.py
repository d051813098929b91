"""Takes what a webhook would: every notification that arrives, one line of JSON each, in the order in which they came.

    python -m lab.receiver FILE PORT

Of the collector's own notifier it is the body as it is, of Alertmanager one line per notification, whatever its number of
alerts: that is how often somebody is disturbed.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aiohttp import web

FROM_COLLECTOR, FROM_ALERTMANAGER = "/collector", "/alertmanager"
MAX_BYTES = 1024 * 1024


def line(path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a notification: at least who is told by (`by`), `id` and `status`, `firing` or `resolved`."""
    if path == FROM_COLLECTOR:
        return {**body, "by": "collector"}
    alerts = [alert.get("labels", {}) for alert in body.get("alerts", [])]
    return {"by": "alertmanager", "id": body.get("groupKey"), "status": body.get("status"), "alerts": alerts}


def read(file: Path) -> Sequence[dict[str, Any]]:
    """All that has arrived so far."""
    return [json.loads(text) for text in file.read_text().splitlines()] if file.exists() else []


async def serve(file: Path, port: int) -> None:
    """Take notifications until cancelled."""

    async def take(request: web.Request) -> web.Response:
        kept = {"at": time.monotonic(), **line(request.path, await request.json())}
        with file.open("a") as output:
            output.write(json.dumps(kept) + "\n")
        return web.Response()

    application = web.Application(client_max_size=MAX_BYTES)
    application.router.add_post(FROM_COLLECTOR, take)
    application.router.add_post(FROM_ALERTMANAGER, take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
