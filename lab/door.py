"""Keeps the way into a lab open after the command that built it has ended.

It runs inside the lab's own namespace of cables and switches, so that removing the lab ends it too, but listens on sockets
that were opened outside: `python -m lab.door NAME DESCRIPTOR...`.
"""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from urllib.parse import urlsplit

from lab import namespaces, rootless
from lab.cluster import Cluster


def leave_open(cluster: Cluster) -> None:
    """Serve the API of a lab at its URL until the lab is removed; raises OSError where the port is taken by now."""
    with ExitStack() as stack:
        listeners = [socket.create_server(("127.0.0.1", urlsplit(cluster.api_url).port or 0)), *rootless.doors()]
        descriptors = [stack.enter_context(listener).fileno() for listener in listeners]
        command = [sys.executable, "-m", "lab.door", cluster.topology.lab, *map(str, descriptors)]
        with (cluster.directory / "logs" / "door.log").open("ab") as log:
            subprocess.run(
                namespaces.command_inside(cluster.topology.fabric_netns, "setsid", "--fork", *command),
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
            )


async def serve(name: str, listeners: Sequence[socket.socket]) -> None:
    """Let everybody in who comes to one of the listeners."""
    await Cluster.attach(name).doorway.open(*listeners, alone=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], [socket.socket(fileno=int(word)) for word in sys.argv[2:]]))
