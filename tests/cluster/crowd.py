"""Many agents that all end at once: `python -m tests.cluster.crowd` says how long it takes until the matrix is whole again.

Control plane, DaemonSet, tokens, the collector and every report are real. The agents are those of `bench.load`, since real ones
by the hundred are too much for a small machine: they send no probes, and report what such agents would that reach all peers.
"""

import argparse
import json
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster import programs
from tests.cluster.api import Api, Object
from tests.cluster.child import Child
from tests.cluster.granted import collector_of
from tests.cluster.installation import MANIFESTS, SPACE
from tests.cluster.kubectl import Kubectl
from tests.cluster.kubelet import Kubelet, node, path_of
from tests.cluster.plane import Plane, eventually
from tests.cluster.test_identity_agents import free_port
from tests.cluster.tokens import token_for_pod

PATIENCE_SECONDS = 300.0
STEADY_SECONDS = 60.0
ALL_BUT_CHANCE = 0.95
OFTEN = ("pod", "host", "service")
_AGENTS = f"/api/v1/namespaces/{SPACE}/pods"


class Crowd:
    """A collector and as many agents as there are nodes."""

    def __init__(self, plane: Plane, folder: Path, count: int) -> None:
        self.plane = plane
        self._folder = folder
        self._ports = free_port(), free_port()
        kubectl = Kubectl(plane)
        kubectl.run("apply", "--server-side", "-f", str(MANIFESTS / "install.yaml"))
        self.count = 0
        self.grow(count)
        settings = {
            "agents": {"listen": f"127.0.0.1:{self._ports[0]}", "max_connections_per_address": 10_000},
            "operators": {"listen": f"127.0.0.1:{self._ports[1]}"},
        }
        (folder / "config.yaml").write_text(json.dumps(settings))
        kubeconfig = collector_of(plane, SPACE)
        words = [sys.executable, "-m", "collector", "--cluster", "--kubeconfig", str(kubeconfig)]
        self.collector = Child([*words, "--config", str(folder / "config.yaml")], folder / "collector.log")
        self._clients = [plane.client() for _ in range(4)]
        self._played: list[tuple[set[str], Child]] = []
        """Names of nodes, and who plays their agents."""
        self._began = True
        """Whether what runs in pods has begun, so that they are ready."""

    def get(self, path: str) -> Any:
        """What the collector answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[1]}{path}", timeout=30) as answer:
            return json.load(answer)

    def cells(self) -> dict[str, int]:
        """How many cells there are in each state."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[1]}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return {line.split('"')[1]: int(float(line.split()[-1])) for line in lines if line.startswith("netmatrix_cells{")}

    @contextmanager
    def running(self) -> Iterator[None]:
        """While the collector runs, and nodes do their part."""
        with Kubelet(self.plane.client(), frozenset({SPACE}), begun=lambda _: self._began).playing():
            self.collector.start(self._answers, patience=120)
            try:
                yield
            finally:
                self.end()
                self.collector.stop()

    def _answers(self) -> bool:
        try:
            return bool(self.get("/api/v1/self")["identity"]["certificates"])
        except (OSError, KeyError):
            return False

    def pods(self) -> list[Object]:
        """Those of agents that have their addresses; none before there is one for each node."""
        found = self.plane.api.items(_AGENTS, labelSelector="app.kubernetes.io/component=agent")
        there = [pod for pod in found if "podIPs" in pod.get("status", {}) and "deletionTimestamp" not in pod["metadata"]]
        return there if len(there) == self.count else []

    def grow(self, count: int) -> None:
        """Have so many nodes."""
        for number in range(self.count, count):
            address = f"172.30.{number // 250}.{1 + number % 250}"
            self.plane.api.create("/api/v1/nodes", node(f"n{number}", [address], zone=f"z{number % 3}"))
        self.count = count

    def shrink(self) -> None:
        """End the agents that were started last, and have their nodes and pods go."""
        names, played = self._played.pop()
        played.stop(patience=0.0)
        for pod in self.plane.api.items(_AGENTS, labelSelector="app.kubernetes.io/component=agent"):
            if pod["spec"].get("nodeName") in names:
                self.plane.api.delete(path_of(pod), grace=0)
        for name in names:
            self.plane.api.delete(f"/api/v1/nodes/{name}")
        self.count -= len(names)

    def start(self) -> None:
        """Start an agent in each pod that has none, once all have their addresses; then they are ready."""
        there = eventually(self.pods, patience=PATIENCE_SECONDS, what="the agents' pods")
        running = {name for names, _ in self._played for name in names}
        pods = [pod for pod in there if pod["spec"]["nodeName"] not in running]
        with ThreadPoolExecutor(len(self._clients)) as several:
            tokens = list(several.map(token_for_pod, self._of(len(pods)), pods))
        names = [pod["spec"]["nodeName"] for pod in pods]
        keys = self._folder / f"keys-{len(self._played)}"
        keys.write_text("".join(f"{name} {token}\n" for name, token in zip(names, tokens, strict=True)))
        data = self.plane.api.get(f"/api/v1/namespaces/{SPACE}/configmaps/netmatrix-ca")["data"]
        (self._folder / "ca.crt").write_text(data["ca.crt"])
        played = Child(
            [
                *(sys.executable, "-m", "bench.load", "--collector", f"https://127.0.0.1:{self._ports[0]}"),
                *("--ca", str(self._folder / "ca.crt"), "--keys", str(keys)),
                *("--agents", str(len(pods)), "--seconds", "3600", "--loss", "0"),
            ],
            self._folder / "load.log",
        )
        self._played.append((set(names), played))
        played.start(lambda: True)
        self._began = True

    def _of(self, count: int) -> list[Api]:
        return [self._clients[number % len(self._clients)] for number in range(count)]

    def end(self) -> None:
        """End all agents, without a farewell."""
        while self._played:
            self._played.pop()[1].stop(patience=0.0)

    def replace(self) -> None:
        """Delete the pods of all agents at once; their DaemonSet makes others."""
        self._began = False
        self.plane.api.request("DELETE", f"{_AGENTS}?labelSelector=app.kubernetes.io/component=agent&gracePeriodSeconds=0")

    def reporting(self) -> int:
        """How many agents report."""
        return sum(one["state"] == "reporting" for one in self.get("/api/v1/agents")["agents"])

    def is_whole(self, measured: int = 0) -> bool:
        """Whether every agent reports and measures on every layer that is probed often, and so many cells are measured.

        Rotating peers and rare probes have some cells unknown at any time.
        """
        found, rows = self.cells(), self.get("/api/v1/matrix?by=vantage:layer&span=1m")["cells"]
        known = [one for one in rows if one["to"] in OFTEN and one["state"] == "measured"]
        whole = self.reporting() == self.count and len(known) == len(OFTEN) * self.count
        return whole and not found["excluded"] and found["measured"] >= measured

    def false_statements(self) -> list[str]:
        """Loss, which there is none of, and incidents."""
        worst = self.get("/api/v1/worst?k=10&measure=loss")["cells"]
        lost = [f"{one['from']['vantage']} > {one['to']['name']}: {one['because']}" for one in worst if one["loss"]]
        return lost + [one["sentence"] for one in self.get("/api/v1/incidents")["incidents"]]


def again(crowd: Crowd, *, steady_seconds: float = STEADY_SECONDS) -> tuple[float, float, float, set[str]]:
    """Replace all agents.

    Seconds until all of them run again, from then until all report and until the matrix is whole, and what was said falsely.
    """
    crowd.start()
    eventually(crowd.is_whole, patience=PATIENCE_SECONDS, what="the first whole matrix")
    time.sleep(steady_seconds)
    most = crowd.cells()["measured"] * ALL_BUT_CHANCE
    said = set(crowd.false_statements())
    began = time.monotonic()
    crowd.end()
    crowd.replace()
    crowd.start()
    ready, reporting = time.monotonic(), 0.0
    while not crowd.is_whole(int(most)):
        if not reporting and crowd.reporting() == crowd.count:
            reporting = time.monotonic() - ready
        said.update(crowd.false_statements())
        assert time.monotonic() < ready + PATIENCE_SECONDS, crowd.cells()
        time.sleep(0.5)
    return ready - began, reporting, time.monotonic() - ready, said | set(crowd.false_statements())


def main() -> None:
    """Fill, replace, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, Plane(programs.folder(), Path(made) / "plane") as plane:
        crowd = Crowd(plane, Path(made), asked.agents)
        with crowd.running():
            ready, reporting, whole, said = again(crowd)
            print(f"{asked.agents} agents ran again after {ready:.1f} s; all reported {reporting:.1f} s later")
            print(f"the matrix was whole {whole:.1f} s after they ran")
            print(f"at the end {crowd.cells()}; said falsely: {sorted(said) or 'nothing'}")


if __name__ == "__main__":
    main()
