"""Real agents and a real collector, over TLS by its own authority, with tokens that the API server made for pods."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.agents_pods import namespace_of_agents, pod_on
from tests.cluster.api import Object
from tests.cluster.granted import collector_of
from tests.cluster.kubelet import node, path_of, running
from tests.cluster.plane import Plane, eventually
from tests.cluster.tokens import token_for_pod

SPACE = "identity-agents"
NODES = ("reporting-1", "reporting-2")
LABELS = {"app.kubernetes.io/name": "netmatrix", "app.kubernetes.io/component": "agent"}
REFUSED = "netmatrix_reports_refused_total"


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Running:
    """A collector with the rights of its manifest, and two agents with a token and the authority's certificate each."""

    def __init__(self, plane: Plane, folder: Path, stack: ExitStack) -> None:
        self.plane = plane
        self.folder = folder
        self._stack = stack
        self._kubeconfig = collector_of(plane, SPACE)
        self._agents, self._operators = free_port(), free_port()
        settings = {
            "agents": {"listen": f"127.0.0.1:{self._agents}"},
            "operators": {"listen": f"127.0.0.1:{self._operators}"},
            "plan": {"interval": "1s", "timeout": "500ms", "report": "1s"},
            "discovery": {"namespace": SPACE, "settling": "0s"},
        }
        (folder / "config.yaml").write_text(json.dumps(settings))
        self.pods = [self._pod(name, number) for number, name in enumerate(NODES, 1)]
        for number, pod in enumerate(self.pods):
            self.give_token(number, token_for_pod(plane.api, pod))
        self.collector = self.start_collector()
        for number in range(len(NODES)):
            self._start_agent(number)

    def _pod(self, name: str, number: int) -> Object:
        self.plane.api.create("/api/v1/nodes", node(name, [f"192.0.2.{number}"]))
        pod = pod_on(self.plane, SPACE, f"agent-{number}", name)
        pod = self.plane.api.merge(path_of(pod), {"metadata": {"labels": LABELS}})
        return self.plane.api.merge(f"{path_of(pod)}/status", {"status": running(pod, [f"10.244.9.{number}"], ready=True)})

    def start_collector(self) -> subprocess.Popen[str]:
        words = ["collector", "--cluster", "--kubeconfig", str(self._kubeconfig), "--config", str(self.folder / "config.yaml")]
        return self._start(words, {}, "collector")

    def give_token(self, number: int, token: str) -> None:
        file = self.folder / f"token-{number}"
        file.with_suffix(".next").write_text(token)
        file.with_suffix(".next").replace(file)

    def mount(self) -> None:
        """What a kubelet does with the ConfigMap."""
        data = self.plane.api.get(f"/api/v1/namespaces/{SPACE}/configmaps/netmatrix-ca").get("data") or {}
        file = self.folder / "ca.crt"
        file.with_suffix(".next").write_text(data.get("ca.crt", ""))
        file.with_suffix(".next").replace(file)

    def _start_agent(self, number: int) -> None:
        environment = {
            "COLLECTOR": f"https://127.0.0.1:{self._agents}",
            "CA_FILE": str(self.folder / "ca.crt"),
            "TOKEN_FILE": str(self.folder / f"token-{number}"),
            "VANTAGE": NODES[number],
            "POD_UID": self.pods[number]["metadata"]["uid"],
            "ECHO_PORT": str(free_port()),
            "HTTP_PORT": str(free_port()),
        }
        self._start(["agent"], {f"NETMATRIX_{name}": value for name, value in environment.items()}, f"agent-{number}")

    def _start(self, words: list[str], environment: dict[str, str], name: str) -> subprocess.Popen[str]:
        log = self._stack.enter_context((self.folder / f"{name}.log").open("a"))
        process = subprocess.Popen(
            [sys.executable, "-m", *words], env=os.environ | environment, stdout=log, stderr=log, text=True
        )

        def end() -> None:
            process.kill()
            process.wait()

        self._stack.callback(end)
        return process

    def agents(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self._read("/api/v1/agents"))["agents"]
        return found

    def reporting(self, sequence: int = 0) -> list[dict[str, Any]]:
        """Both agents, once both have reported beyond a sequence."""
        try:
            found = self.agents()
        except OSError:
            return []
        both = [one for one in found if one["state"] == "reporting" and one["sequence"] > sequence]
        return both if len(both) == len(NODES) else []

    def refusals(self) -> list[str]:
        """Reasons that were counted."""
        return sorted(line.split('"')[1] for line in self._read("/metrics").splitlines() if line.startswith(f"{REFUSED}{{"))

    def metric(self, name: str) -> float:
        return sum(
            float(line.rpartition(" ")[2])
            for line in self._read("/metrics").splitlines()
            if line.startswith((f"{name} ", f"{name}{{"))
        )

    def tells_no_secret(self) -> None:
        """Neither a scrape nor a log has any of the tokens or keys in it."""
        kept = self.plane.api.get(f"/api/v1/namespaces/{SPACE}/secrets/netmatrix-authority")["data"]
        secrets = {(self.folder / f"token-{number}").read_text().rpartition(".")[2] for number in range(len(NODES))}
        for name in ("ca.key", "group-secrets"):
            secrets |= set(base64.b64decode(kept[name]).decode().split())
        told = (
            self._read("/metrics")
            + self._read("/api/v1/agents")
            + "".join(one.read_text() for one in self.folder.glob("*.log"))
        )
        assert not [one for one in secrets if len(one) > 20 and one in told]

    def _read(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._operators}{path}", timeout=5) as answer:
            return str(answer.read().decode())


@contextmanager
def mounting(cluster: Running) -> Iterator[None]:
    """Mount all the time, in a thread."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(0.2):
            try:
                cluster.mount()
            except OSError:
                cluster.plane.api.close()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture
def cluster(plane: Plane, tmp_path: Path) -> Iterator[Running]:
    namespace_of_agents(plane, SPACE)
    with ExitStack() as stack:
        cluster = Running(plane, tmp_path, stack)
        stack.enter_context(mounting(cluster))
        yield cluster
    for pod in plane.api.items(f"/api/v1/namespaces/{SPACE}/pods"):
        plane.api.delete(path_of(pod), grace=0)
    for name in NODES:
        plane.api.delete(f"/api/v1/nodes/{name}")


def test_agents_report_with_their_tokens_alone_through_whatever_happens_to_the_collector_and_the_api_server(
    plane: Plane, cluster: Running
) -> None:
    first = eventually(cluster.reporting, what="reports of both agents")
    cluster.tells_no_secret()
    assert {one["vantage"] for one in first} == set(NODES)
    assert cluster.metric("netmatrix_token_reviews_total") == len(NODES)
    assert cluster.metric("netmatrix_identity_faults") == 0

    cluster.collector.send_signal(signal.SIGKILL)
    cluster.collector.wait()
    cluster.start_collector()
    again = eventually(lambda: cluster.reporting(max(one["sequence"] for one in first)), what="reports to another process")
    assert {one["boot"] for one in again} == {one["boot"] for one in first}
    assert [one["gaps"] for one in again] == [0, 0]
    assert set(cluster.refusals()) <= {"other_instance"}, "nobody was locked out"

    for number, pod in enumerate(cluster.pods):
        cluster.give_token(number, token_for_pod(plane.api, pod))
    eventually(lambda: cluster.metric("netmatrix_token_reviews_total") == 2 * len(NODES), what="a review of each new token")

    with plane.without_api_server():
        sequence = max(one["sequence"] for one in cluster.agents())
        later = eventually(lambda: cluster.reporting(sequence + 2), what="reports without an API server")
    assert [one["gaps"] for one in later] == [0, 0]
    assert set(cluster.refusals()) <= {"other_instance"}


def test_survive_47_an_agent_with_the_token_of_another_one_writes_no_row(plane: Plane, cluster: Running) -> None:
    eventually(cluster.reporting, what="reports of both agents")
    cluster.give_token(0, token_for_pod(plane.api, cluster.pods[1]))
    eventually(lambda: "foreign_row" in cluster.refusals(), what="a refusal")
    cluster.give_token(0, token_for_pod(plane.api, cluster.pods[0], audience="elsewhere"))
    eventually(lambda: "other_audience" in cluster.refusals(), what="another refusal")
    cluster.give_token(0, token_for_pod(plane.api, cluster.pods[0]))
    sequence = max(one["sequence"] for one in cluster.agents())
    eventually(lambda: cluster.reporting(sequence), what="reports as before")
