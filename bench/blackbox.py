"""blackbox_exporter, called over HTTP for each probe as Prometheus calls it.

Only its own process is measured: whoever calls is cheap, and counts for nobody.
"""

import select
import socket
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

import yaml

from bench.programs import Program, binary
from lab.namespaces import call_inside

PORT = 9115
PARALLEL = 16
"""Calls under way at any time: with them it reaches its full rate, and its least CPU time per probe."""
_MODULES = {
    "tcp": {"prober": "tcp", "timeout": "1s"},
    "http": {"prober": "http", "timeout": "1s", "http": {"preferred_ip_protocol": "ip4", "valid_status_codes": [200]}},
}
_NAME = "prometheus-blackbox-exporter"


def installed() -> None:
    """Raise Unavailable where it is not."""
    binary(_NAME, _NAME)


def exporter(folder: Path, netns: str) -> Program:
    """The exporter in a namespace, ready to be called."""
    (folder / "blackbox.yml").write_text(yaml.safe_dump({"modules": _MODULES}))
    listen = f"--web.listen-address=127.0.0.1:{PORT}"
    program = Program(
        [binary(_NAME, _NAME), f"--config.file={folder / 'blackbox.yml'}", listen, "--log.level=error"],
        log=folder / "blackbox.log",
        netns=netns,
    )
    program.wait_until(lambda: _listens(netns))
    return program


def call(netns: str, module: str, targets: Sequence[str], seconds: float) -> tuple[int, int]:
    """Call it for so long, sixteen calls at a time, for one target after the other; probes made, and those that succeeded."""

    def connections() -> list[socket.socket]:
        return [socket.create_connection(("127.0.0.1", PORT)) for _ in range(PARALLEL)]

    requests = cycle(
        f"GET /probe?module={module}&target={target} HTTP/1.1\r\nHost: blackbox\r\n\r\n".encode() for target in targets
    )
    poll = select.epoll()
    calls = {connection.fileno(): (connection, bytearray()) for connection in call_inside(netns, connections)}
    for descriptor, (connection, _) in calls.items():
        poll.register(descriptor, select.EPOLLIN)
        connection.sendall(next(requests))
    made = succeeded = 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for descriptor, _ in poll.poll(1):
            connection, received = calls[descriptor]
            received += connection.recv(65536)
            if not _complete(received):
                continue
            made += 1
            # Not the whole line, which its chunks may split.
            succeeded += b"probe_success 1" in received or b"probe_success 0" not in received
            received.clear()
            connection.sendall(next(requests))
    poll.close()
    for connection, _ in calls.values():
        connection.close()
    return made, succeeded


def _complete(received: bytearray) -> bool:
    head = received.find(b"\r\n\r\n")
    length = received.find(b"Content-Length: ", 0, max(head, 0))
    if length < 0:
        return head >= 0 and received.endswith(b"\r\n0\r\n\r\n")
    return len(received) >= head + 4 + int(received[length + 16 : received.index(b"\r\n", length)])


def _listens(netns: str) -> bool:
    def connect() -> None:
        socket.create_connection(("127.0.0.1", PORT), timeout=5).close()

    try:
        call_inside(netns, connect)
    except OSError:
        return False
    return True
