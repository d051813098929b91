"""A collector as a process of its own, with the inventory of a cluster that does not exist.

Three zones, one vantage and its key for every node, services, name servers and external hosts as a cluster of that size has.
The load generator plays the agents; nothing is probed, and all traffic stays on loopback.
"""

import json
import os
import re
import resource
import sys
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

import trustme
import yaml

from bench.programs import Program
from bench.usage import cpu_ns, resident_bytes

ZONES = 3
SERVICES = 100
EXTERNAL = 5
REPOSITORY = Path(__file__).resolve().parents[1]
_LISTENING = re.compile(r'"agents":\s*(\d+),\s*"operators":\s*(\d+)')


def key_of(number: int) -> str:
    """The token of one vantage: secret to nobody, since it lives as long as the measurement."""
    return f"bench-key-of-the-vantage-number-{number:06d}"


def inventory(nodes: int, *, services: int = SERVICES, external: int = EXTERNAL) -> dict[str, Any]:
    """The inventory of so many nodes, as YAML takes it."""
    return {
        "nodes": [
            {
                "name": f"node-{n}",
                "zone": f"zone-{n % ZONES}",
                "addresses": [f"172.{16 + n // 62500}.{n // 250 % 250}.{n % 250 + 1}"],
            }
            for n in range(nodes)
        ],
        "vantages": [
            {
                "name": f"node-{n}",
                "node": f"node-{n}",
                "namespace": "netmatrix",
                "pod": f"agent-{n}",
                "uid": f"00000000-0000-4000-8000-{n:012d}",
                "addresses": [f"10.{n // 62500}.{n // 250 % 250}.{n % 250 + 1}"],
                "key": key_of(n),
            }
            for n in range(nodes)
        ],
        "services": [
            {
                "name": f"service-{n}",
                "namespace": f"team-{n % 10}",
                "addresses": [f"10.96.{n // 250}.{n % 250 + 1}"],
                "port": 443,
                "critical": n == 0,
            }
            for n in range(services)
        ],
        "dns": [
            {
                "name": "kube-dns",
                "addresses": ["10.97.0.10"],
                "names": ["kubernetes.default.svc.cluster.local."],
                "critical": True,
            }
        ],
        "external": [
            {"name": f"host-{n}", "address": f"198.51.100.{n + 1}", "probes": ["icmp", "tcp:443"]} for n in range(external)
        ],
    }


class Cluster:
    """Everything that the collector of such a cluster needs, and the collector."""

    def __init__(self, nodes: int, *, plan: Mapping[str, Any] | None = None, sections: Mapping[str, Any] | None = None) -> None:
        self.nodes = nodes
        self._plan = dict(plan or {})
        self._sections = dict(sections or {})
        self._stack = ExitStack()
        self._folder = Path()
        self._collector: Program | None = None
        self._ports = 0, 0

    def __enter__(self) -> Self:
        """Write the files, and start the collector."""
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(TemporaryDirectory(prefix="netmatrix-bench-")))
            authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
            authority.cert_pem.write_to_path(self.ca)
            issued = authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
            issued.private_key_and_cert_chain_pem.write_to_path(self._folder / "tls.pem")
            (self._folder / "inventory.yaml").write_text(json.dumps(inventory(self.nodes)))  # JSON is YAML
            self.keys.write_text("".join(f"node-{n} {key_of(n)}\n" for n in range(self.nodes)))
            self._configure(0, 0)
            stack.callback(self.stop)
            self.start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Stop what runs, and delete the files."""
        self._stack.close()

    def _configure(self, agents: int, operators: int) -> None:
        pem = str(self._folder / "tls.pem")
        configuration = {
            "agents": {
                "listen": f"127.0.0.1:{agents}",
                "tls": {"certificate": pem, "key": pem},
                "max_connections": 4 * self.nodes + 100,
                "max_connections_per_address": 4 * self.nodes + 100,
            },
            "operators": {"listen": f"127.0.0.1:{operators}"},
            "plan": self._plan,
            **self._sections,
        }
        (self._folder / "collector.yaml").write_text(yaml.safe_dump(configuration))

    def start(self) -> None:
        """Start a collector, on the ports of the one before where there was one."""
        log = self._folder / f"collector-{len(list(self._folder.glob('collector-*.log')))}.log"
        files = min(4 * self.nodes + 1000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        command = [
            "prlimit",
            f"--nofile={files}:{files}",
            sys.executable,
            "-m",
            "collector",
            "--inventory",
            str(self._folder / "inventory.yaml"),
        ]
        self._collector = Program(
            [*command, "--config", str(self._folder / "collector.yaml")],
            log=log,
            environment={"PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])},
        )
        self._collector.wait_until(lambda: self._listening(log), seconds=300)
        self._configure(*self._ports)

    def _listening(self, log: Path) -> bool:
        found = _LISTENING.search(log.read_text(errors="replace"))
        if found is not None:
            self._ports = int(found[1]), int(found[2])
        return found is not None

    def stop(self) -> None:
        """End the collector."""
        if self._collector is not None:
            self._collector.end(seconds=30)
            self._collector = None

    @property
    def collector(self) -> Program:
        """The process; raises RuntimeError where there is none."""
        if self._collector is None:
            raise RuntimeError("the collector is not running")
        return self._collector

    @property
    def ca(self) -> Path:
        """What its certificate is verified with."""
        return self._folder / "ca.pem"

    @property
    def keys(self) -> Path:
        """Vantages and their keys."""
        return self._folder / "keys"

    @property
    def cpu_seconds(self) -> float:
        """CPU time that the collector has used."""
        return cpu_ns(self.collector.pid) / 1e9

    @property
    def resident_mib(self) -> float:
        """Resident memory of the collector."""
        return resident_bytes(self.collector.pid) / 2**20

    @property
    def url(self) -> str:
        """The operator port."""
        return f"http://127.0.0.1:{self._ports[1]}"

    def get(self, path: str) -> bytes:
        """What the operator port answers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[1]}{path}", timeout=120) as answer:
            return bytes(answer.read())

    def load(self, name: str, *, agents: int = 0, **options: float) -> "Played":
        """Start the load generator; `options` are its own."""
        command = [sys.executable, "-m", "bench.load", "--collector", f"https://127.0.0.1:{self._ports[0]}"]
        command += ["--ca", str(self.ca), "--keys", str(self.keys), "--agents", str(agents or self.nodes)]
        for option, value in options.items():
            command += [f"--{option}", str(value)]
        return Played(command, self._folder / f"load-{name}.log")


class Played:
    """A load generator, and what it says."""

    def __init__(self, command: list[str], log: Path) -> None:
        log.write_bytes(b"")
        self._log = log
        self.program = Program(command, log=log, environment={"PYTHONPATH": str(REPOSITORY)})

    def __enter__(self) -> Self:
        """Nothing more: it runs already."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """End it."""
        self.program.end()

    def said(self) -> list[dict[str, Any]]:
        """Its lines so far, as far as they are figures."""
        lines = self._log.read_text(errors="replace").split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith("{")]

    def wait(self, lines: int, *, seconds: float) -> dict[str, Any]:
        """The line of this number, from 1, once it is there; raises RuntimeError where it is not in time."""
        self.program.wait_until(lambda: len(self.said()) >= lines, seconds=seconds)
        return self.said()[lines - 1]
