"""A collector's agent port that hands out one plan and takes every report, so that an agent does all that it does in a cluster.

Run as `python -m bench.plan_server PLAN_FILE PORT` on loopback, in the agent's network namespace. Its CPU time is nobody's.
"""

import sys
from pathlib import Path

from aiohttp import web

from wire.codec import MAX_REPORT_BYTES, decode_plan, decode_report, decompress, encode
from wire.report import Acknowledgement


class PlanServer:
    """Serves one plan for ever."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        plan = decode_plan(body)
        self._instance, self._generation = plan.instance, plan.generation

    async def plan(self, request: web.Request) -> web.Response:
        """The plan; to whom has it, "not modified"."""
        if request.headers.get("If-None-Match"):
            return web.Response(status=304)
        return web.Response(body=self._body, headers={"ETag": '"1"'})

    async def report(self, request: web.Request) -> web.Response:
        """Take a report, whatever it says, as long as it can be read."""
        body = await request.read()
        if request.headers.get("Content-Encoding") == "gzip":
            body = decompress(body, limit=MAX_REPORT_BYTES)
        return web.Response(body=encode(Acknowledgement(self._instance, decode_report(body).sequence, self._generation)))


def main(arguments: list[str]) -> None:
    """Serve until SIGTERM."""
    file, port = arguments
    server = PlanServer(Path(file).read_bytes())
    app = web.Application(client_max_size=MAX_REPORT_BYTES, handler_args={"auto_decompress": False})
    app.router.add_get("/agent/v1/plan", server.plan)
    app.router.add_post("/agent/v1/report", server.report)
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None)


if __name__ == "__main__":
    main(sys.argv[1:])
