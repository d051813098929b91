"""The demo as a user starts it, breaks it and mends it: what its terminal says, and what can be asked of it."""

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from lab.cluster import Cluster
from lab.demo import demo_name
from lab.namespaces import call_inside
from lab.roles import PROMETHEUS_PORT
from tests.rules.tree import ROOT

SHOWN_PORT = 8080
"""Where the documents say that a demo is."""


def untold() -> dict[str, str]:
    """The environment of a reader's shell: without what a `make` that runs these tests tells those that they run."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}


def recipe(target: str, port: int, *words: str) -> list[str]:
    """What `make TARGET ARGS="--port PORT ..."` runs last, with the interpreter of this test; setting up comes before."""
    arguments = " ".join([f"--port {port}", *words])
    command = ["make", "--no-print-directory", "--dry-run", target, f"ARGS={arguments}"]
    done = subprocess.run(command, cwd=ROOT, env=untold(), capture_output=True, text=True, check=True, timeout=60)
    last = done.stdout.strip().splitlines()[-1].split()
    assert last[0] == ".venv/bin/python", last
    return [sys.executable, *last[1:]]


class Demonstration:
    """A demo that runs."""

    def __init__(self, port: int, terminal: Path) -> None:
        self.port = port
        self._terminal = terminal
        self._cluster: Cluster | None = None

    @property
    def said(self) -> str:
        """All that its terminal has shown."""
        return self._terminal.read_text()

    @property
    def url(self) -> str:
        """Where its page is, as it says."""
        found = re.search(r"^the page is at (\S+),", self.said, re.MULTILINE)
        assert found, self.said
        return found[1]

    @property
    def alertmanager(self) -> str:
        """Where Alertmanager is, as it says."""
        found = re.search(r"^Alertmanager is at (\S+)$", self.said, re.MULTILINE)
        assert found, self.said
        return found[1]

    @property
    def cluster(self) -> Cluster:
        """Its lab."""
        if self._cluster is None:
            self._cluster = Cluster.attach(demo_name(self.port))
        return self._cluster

    @property
    def operator_key(self) -> str:
        """By which somebody may have something done."""
        return (self.cluster.directory / "operators.key").read_text().strip()

    def waits_for(self, pattern: str, *, after: int = 0, patience: float = 90.0) -> int:
        """Until the terminal has shown this, from a place on; returns the place behind it."""

        def shown() -> re.Match[str] | None:
            return re.compile(pattern, re.MULTILINE).search(self.said, after)

        found = until(shown, patience=patience)
        assert found, f"no {pattern!r} within {patience:g} s:\n{self.said[after:][-4000:]}"
        return int(found.end())

    def make(self, target: str) -> None:
        """Run `make break` or `make mend` from another terminal."""
        done = subprocess.run(recipe(target, self.port), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def query(self, expression: str) -> list[Any]:
        """What its Prometheus answers; a query that it refuses fails the test."""
        pod = self.cluster.topology.monitoring
        assert pod is not None
        host = f"{next(iter(pod.addresses.values()))}:{PROMETHEUS_PORT}"
        answer = call_inside(pod.netns, lambda: fetched(f"http://{host}/api/v1/query?{urlencode({'query': expression})}"))
        assert answer["status"] == "success", (expression, answer)
        result: list[Any] = answer["data"]["result"]
        return result

    def picture(self, by: str) -> dict[tuple[str, str], int]:
        """The code of each pair, as the page shows their verdicts."""
        with urllib.request.urlopen(f"{self.url}/api/v1/picture?by={by}&shade=verdict", timeout=20) as answer:  # noqa: S310 - ours
            body = answer.read()
        length = int.from_bytes(body[4:8], "little")
        header, codes = json.loads(body[8 : 8 + length]), body[8 + length :]
        pairs = [(row, column) for row in header["rows"] for column in header["columns"]]
        return {pair: int(code) for pair, code in zip(pairs, codes, strict=True)}

    def alerts(self) -> set[str]:
        """Names of the alerts that are active in its Alertmanager."""
        return {one["labels"]["alertname"] for one in fetched(f"{self.alertmanager}/api/v2/alerts?active=true")}


def fetched(url: str) -> Any:
    """What is there, as JSON, also where the status says no."""
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:  # noqa: S310 - an address of the demo
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        return json.load(refused)


def until(true: Callable[[], Any], *, patience: float) -> Any:
    """The first result that is true, or the last one."""
    end = time.monotonic() + patience
    while not (found := true()) and time.monotonic() < end:
        time.sleep(0.5)
    return found


@contextmanager
def running(folder: Path) -> Iterator[Demonstration]:
    """A demo, from `make demo` to its end; then nothing of it is left."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    terminal = folder / "terminal"
    with terminal.open("w") as out:
        process = subprocess.Popen(
            recipe("demo", port), cwd=ROOT, stdout=out, stderr=subprocess.STDOUT, env=untold() | {"COLUMNS": "140"}
        )
    one = Demonstration(port, terminal)
    try:
        one.waits_for("^measured from real packets")
        yield one
    finally:
        process.terminate()  # as Ctrl-C does, which whoever runs tests in the background may have told them to ignore
        process.wait(60)
    assert one.said.rstrip().endswith("removing the cluster")
