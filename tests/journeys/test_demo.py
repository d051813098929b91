"""The first command of the README, as a person types it."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path
from time import monotonic

import pytest

from lab.cluster import labs

ROOT = Path(__file__).parents[2]
KEYS = {"from", "to", "layer", "kind", "family", "sent", "received", "late", "failed", "p50_us", "p99_us", "timed"}
SECONDS_TO_A_MATRIX = 20.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.mark.lab
def test_the_demo_shows_a_matrix_within_20_seconds_and_where_a_fault_bites(tmp_path: Path) -> None:
    port, out = free_port(), tmp_path / "out.json"
    command = ["make", "--no-print-directory", "demo", f"ARGS=--for 25s --json {out} --port {port}"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    text = ""
    began = first = None
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            text += line
            if line.startswith("starting 6 nodes"):
                began = monotonic()
            if first is None and re.match(r"\s*n6\s", line):
                first = monotonic()
        assert demo.wait() == 0, text
    assert began is not None, text
    assert first is not None, text
    assert first - began < SECONDS_TO_A_MATRIX
    assert "FAULT: 30 % of the packets into n5 are dropped" in text
    bites = re.search(r"it bites at n5: to it (\d+) of (\d+) .* between all others 0 of [1-9]\d* probes lost", text)
    assert bites, text
    assert 0 < int(bites[1]) < int(bites[2])
    assert re.search(r"[1-9]\d* packets lost on the way into n5, 0 on the way out of it", text), text
    check_cells(json.loads(out.read_text())["cells"])
    assert f"demo{port}" not in labs()


def check_cells(cells: list[dict[str, object]]) -> None:
    assert all(cell.keys() >= KEYS for cell in cells)
    assert {cell["layer"] for cell in cells} == {"pod", "host", "service", "dns", "external", "mtu"}
    assert {cell["kind"] for cell in cells} == {"icmp", "udp", "tcp", "http", "dns"}
    assert {cell["family"] for cell in cells} == {"ipv4", "ipv6"}
    ends = [end for cell in cells for end in (cell["from"], cell["to"])]
    assert all(isinstance(end, dict) and {"node", "namespace", "pod"} <= end.keys() for end in ends)
    assert {end["namespace"] for end in ends if isinstance(end, dict)} >= {"netmatrix", "shop", "pay"}
    assert all(cell["sent"] for cell in cells), "every path was measured"
    assert {cell["timed"] for cell in cells if cell["kind"] in {"icmp", "udp"} and cell["received"]} == {"kernel"}
