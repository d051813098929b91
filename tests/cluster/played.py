"""Agents that a test plays against a real collector of a real API server; time goes by at its word."""

import http.client
import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec import structs

from tests.cluster.agents_pods import namespace_of_agents, pod_on
from tests.cluster.ahead import Ahead
from tests.cluster.api import Object
from tests.cluster.granted import collector_of
from tests.cluster.kubelet import node, path_of, running
from tests.cluster.plane import Plane, eventually
from tests.cluster.test_identity_agents import LABELS, free_port
from tests.cluster.tokens import token_for_pod
from tests.collector.small_cluster import report_of, window
from wire.codec import compress, decode_acknowledgement, decode_plan, encode
from wire.plan import Plan
from wire.report import Acknowledgement

STEP_SECONDS = 10.0
"""An agent's report interval."""
TOKEN_SECONDS = 3600
MSGPACK = "application/msgpack"
Message = dict[str, Any]


class Agent:
    """What an agent says and hears on the wire; it finds all its peers well."""

    def __init__(self, port: int, trust: ssl.SSLContext, name: str, token: str) -> None:
        self.name = name
        self._connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=20, context=trust)
        self._token = token
        self._sequence = 0
        self.plan: Plan
        """As it was fetched last."""

    def fetch(self) -> Plan:
        """Get the plan of the moment."""
        self.plan = decode_plan(self._ask("GET", "/agent/v1/plan"))
        return self.plan

    def report(self, otherwise: Callable[[Message], Message] = lambda message: message) -> Acknowledgement:
        """Say what was measured in the last ten seconds, and get the plan where the answer names another one.

        `otherwise` makes of the message what another version would send.
        """
        self._sequence += 1
        windows = [window(one.path.id, [100_000] * 5) for one in self.plan.paths]
        said = report_of(self.name, windows, sequence=self._sequence, span_ns=int(STEP_SECONDS * 1e9))
        said = structs.replace(said, instance=self.plan.instance, generation=self.plan.generation)
        message = otherwise(msgspec.msgpack.decode(encode(said)))
        told = decode_acknowledgement(self._ask("POST", "/agent/v1/report", compress(msgspec.msgpack.encode(message))))
        if told.generation > self.plan.generation:
            self.fetch()
        return told

    def close(self) -> None:
        """End its connection."""
        self._connection.close()

    def status_of(self, method: str, path: str) -> int:
        """How a request is answered."""
        self._connection.request(method, path, None, {"Authorization": f"Bearer {self._token}"})
        answer = self._connection.getresponse()
        answer.read()
        return answer.status

    def _ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        kind = {"Content-Type": MSGPACK, "Content-Encoding": "gzip"} if body else {}
        self._connection.request(method, path, body, {"Authorization": f"Bearer {self._token}", **kind})
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status == http.client.OK, content
        return content


class Played:
    """A collector with the rights of its manifest whose clocks a test sets ahead, and two agents that a test plays."""

    def __init__(self, plane: Plane, folder: Path, space: str) -> None:
        self.plane = plane
        self.space = space
        self.nodes = f"{space}-1", f"{space}-2"
        namespace_of_agents(plane, space)
        self.ahead = Ahead(folder / "ahead")
        ports = free_port(), free_port()
        self._port, self._operators = ports
        self._made: list[Agent] = []
        settings = {
            "agents": {"listen": f"127.0.0.1:{ports[0]}"},
            "operators": {"listen": f"127.0.0.1:{ports[1]}"},
            "discovery": {"namespace": space, "settling": "0s"},
        }
        (folder / "config.yaml").write_text(json.dumps(settings))
        for number, name in enumerate(self.nodes, 1):
            plane.api.create("/api/v1/nodes", node(name, [f"192.0.2.{number}"]))
        pods = [self.pod(name, number) for number, name in enumerate(self.nodes, 1)]
        words = [sys.executable, "-m", "tests.cluster.ahead", str(folder / "ahead"), "collector", "--cluster"]
        words += ["--kubeconfig", str(collector_of(plane, space)), "--config", str(folder / "config.yaml")]
        with (folder / "collector.log").open("wb") as log:
            self._process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            eventually(lambda: self.ready and self.authority, what="a collector")
            self.agents = [self.agent(name, pod) for name, pod in zip(self.nodes, pods, strict=True)]
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Self:
        """It runs already."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and leave nothing behind."""
        for agent in self._made:
            agent.close()
        self._process.kill()
        self._process.wait()
        for pod in self.plane.api.items(f"/api/v1/namespaces/{self.space}/pods"):
            self.plane.api.delete(path_of(pod), grace=0)
        for name in self.nodes:
            self.plane.api.delete(f"/api/v1/nodes/{name}")

    def pod(self, node: str, number: int) -> Object:
        """A pod of an agent on a node, which is ready."""
        api = self.plane.api
        pod = api.merge(path_of(pod_on(self.plane, self.space, f"agent-{number}", node)), {"metadata": {"labels": LABELS}})
        return api.merge(f"{path_of(pod)}/status", {"status": running(pod, [f"10.244.7.{number}"], ready=True)})

    def agent(self, node: str, pod: Object) -> Agent:
        """The agent in a pod, with its plan; it is waited for that the collector knows of it."""
        trust = ssl.create_default_context(cadata=self.authority)
        token = token_for_pod(self.plane.api, pod, seconds=TOKEN_SECONDS)
        made = Agent(self._port, trust, node, token)
        self._made.append(made)
        eventually(lambda: made.status_of("GET", "/agent/v1/plan") == http.client.OK, what="a plan")
        made.fetch()
        return made

    @property
    def authority(self) -> str:
        data = self.plane.api.get(f"/api/v1/namespaces/{self.space}/configmaps/netmatrix-ca").get("data") or {}
        return str(data.get("ca.crt", ""))

    @property
    def ready(self) -> bool:
        try:
            return bool(self.text("/readyz"))
        except OSError:
            return False

    def text(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._operators}{path}", timeout=20) as answer:
            return str(answer.read().decode())

    def ask(self, path: str) -> Any:
        return json.loads(self.text(path))

    def age(self) -> float:
        """How old the collector says that what it knows of the cluster may be."""
        line = next(one for one in self.text("/metrics").splitlines() if one.startswith("netmatrix_kube_sync_age_seconds "))
        return float(line.split()[1])

    def step(self) -> bool:
        """Ten seconds pass, and every agent reports; always true."""
        self.ahead.leap(STEP_SECONDS)
        for agent in self.agents:
            agent.report()
        return True

    def wrong(self) -> list[str]:
        """What is not as it should be."""
        found = [
            f"{one['vantage']} is {one['state']}" for one in self.ask("/api/v1/agents")["agents"] if one["state"] != "reporting"
        ]
        cells = self.ask("/api/v1/matrix?layer=pod")["cells"]
        found += [f"{one['to']['name']}: {one['because']}" for one in cells if one["state"] != "measured" or one["loss"]]
        return found + ([] if cells else ["no cell"]) + ([] if self.ready else ["not ready"])
