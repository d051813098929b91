"""The other tools, as Debian ships them: their binaries and nothing of the services that their packages bring."""

import socket
from collections.abc import Sequence
from pathlib import Path

import yaml

from bench.programs import Program, binary
from lab.namespaces import call_inside

SMOKEPING_PORT = 9374


def fping(folder: Path, netns: str, addresses: Sequence[str], *, period_ms: float, spacing_ms: float) -> Program:
    """The tool fping in loop mode: every address once a period, `spacing_ms` between two packets; 0 sends as fast as it can."""
    (folder / "fping.hosts").write_text("\n".join(addresses))
    command = [
        binary("fping", "fping"),
        "-q",
        "-l",
        "-p",
        f"{period_ms:g}",
        "-i",
        f"{spacing_ms:g}",
        "-f",
        str(folder / "fping.hosts"),
    ]
    return Program(command, log=folder / "fping.log", netns=netns)


def smokeping(folder: Path, netns: str, addresses: Sequence[str], *, interval_ms: int) -> Program:
    """smokeping_prober with ping sockets, one for each address; its web page is up."""
    config = folder / "smokeping.yml"
    hosts = {"hosts": list(addresses), "interval": f"{interval_ms}ms", "network": "ip4", "protocol": "udp", "size": 56}
    config.write_text(yaml.safe_dump({"targets": [hosts]}))
    program = Program(
        [
            binary("prometheus-smokeping-prober", "prometheus-smokeping-prober"),
            f"--config.file={config}",
            f"--web.listen-address=127.0.0.1:{SMOKEPING_PORT}",
            "--no-privileged",
            "--log.level=error",
        ],
        log=folder / "smokeping.log",
        netns=netns,
    )
    program.wait_until(lambda: _listens(netns, SMOKEPING_PORT))
    return program


def _listens(netns: str, port: int) -> bool:
    def connect() -> None:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()

    try:
        call_inside(netns, connect)
    except OSError:
        return False
    return True
