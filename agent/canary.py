"""`python -m agent canary`: a pod that answers on two ports, of which a policy closes one.

In: connections. Out: an empty page. That nothing comes through to the closed port, from a pod of the same node, proves that the
network plugin enforces policies there; that the open one answers proves that this pod lives. It probes nobody, knows no
collector and needs no configuration.
"""

import asyncio
import signal
import sys
from contextlib import ExitStack
from typing import Final

from agent.responders.one_answer import OneAnswerServer, Page, Request

CLOSED_PORT: Final = 8620
"""Closed by the policy of manifests/components/canary; the kubelet, whom no policy stops, sees that somebody listens there."""
OPEN_PORT: Final = 9620
CONNECTIONS: Final = 64


class Empty(OneAnswerServer):
    """The same page for every path."""

    def page(self, request: Request) -> Page:  # noqa: ARG002 - whatever is asked for
        """Nothing but that it lives."""
        return Page(b"ok\n")


def main() -> int:
    """Answer until SIGTERM; the exit status."""
    return asyncio.run(_answer())


async def _answer() -> int:
    leaving = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, leaving.set)
    with ExitStack() as answering:
        for port in (CLOSED_PORT, OPEN_PORT):
            server = Empty(port, max_connections=CONNECTIONS)
            try:
                server.open()
            except OSError as error:
                sys.stderr.write(f"port {port} cannot be used: {error}\n")
                return 1
            answering.callback(server.close)
        await leaving.wait()
    return 0
