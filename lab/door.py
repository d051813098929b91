"""Keeps the way into a lab open after the command that built it has ended.

It runs inside the lab's own namespace of cables and switches, so that removing the lab ends it too, but listens on a socket
that was opened outside: `python -m lab.door NAME DESCRIPTOR`.
"""

import asyncio
import socket
import subprocess
import sys
from urllib.parse import urlsplit

from lab import namespaces
from lab.cluster import Cluster


def leave_open(cluster: Cluster) -> None:
    """Serve the API of a lab at its URL until the lab is removed; raises OSError where the port is taken by now."""
    with socket.create_server(("127.0.0.1", urlsplit(cluster.api_url).port or 0)) as listener:
        command = [sys.executable, "-m", "lab.door", cluster.topology.lab, str(listener.fileno())]
        with (cluster.directory / "logs" / "door.log").open("ab") as log:
            subprocess.run(
                namespaces.command_inside(cluster.topology.fabric_netns, "setsid", "--fork", *command),
                pass_fds=(listener.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
            )


async def serve(name: str, listener: socket.socket) -> None:
    """Let everybody in who comes to the listener."""
    await Cluster.attach(name).doorway.open(listener)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], socket.socket(fileno=int(sys.argv[2]))))
