"""A collector's agent port as in `bench.plan_server` that can also be asked for what has been reported.

Run as `python -m bench.totals_server PLAN_FILE PORT` on loopback, in the agent's network namespace.
"""

import sys
import time
import urllib.request
from pathlib import Path

import msgspec
from aiohttp import web

from bench.plan_server import PlanServer
from bench.totals import Ledger, State
from lab.namespaces import call_inside
from wire.codec import MAX_REPORT_BYTES, decode_plan, decode_report, decompress


def reported(netns: str, port: int) -> State:
    """What the agent in this namespace has reported to the server that runs there; raises OSError."""

    def ask() -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/totals", timeout=5) as answer:
            content: bytes = answer.read()
            return content

    return msgspec.json.decode(call_inside(netns, ask), type=State)


class TotalsServer(PlanServer):
    """Serves one plan, and the totals of what is reported under it."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._ledger = Ledger(decode_plan(body))

    async def report(self, request: web.Request) -> web.Response:
        """Add a report up."""
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = decompress(body, limit=MAX_REPORT_BYTES)
        self._ledger.add(decode_report(body), time.monotonic_ns())
        return await super().report(request)

    async def totals(self, _: web.Request) -> web.Response:
        """By kind, as JSON."""
        return web.Response(body=msgspec.json.encode(self._ledger.state), content_type="application/json")


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM."""
    file, port = arguments
    server = TotalsServer(Path(file).read_bytes())
    app = web.Application(client_max_size=MAX_REPORT_BYTES, handler_args={"auto_decompress": False})
    app.router.add_get("/agent/v1/plan", server.plan)
    app.router.add_post("/agent/v1/report", server.report)
    app.router.add_get("/totals", server.totals)
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None)


if __name__ == "__main__":
    main(sys.argv[1:])
