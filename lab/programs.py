"""Starts the real programs in the pods of a lab, and ends them.

A pod's processes are those in its network namespace, so no process id is ever written down, and any process that knows the
lab's name can end and start them. Programs run as in a restricted pod: no capability, the group that may open ping sockets, and
an environment of nothing but what the pod spec says.
"""

import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import trustme
import yaml

from lab import cgroups, monitoring, namespaces, rootless
from lab.departure import Standing
from lab.inventory import inventory
from lab.nameserver import Behaviour
from lab.policies import Document
from lab.roles import AGENT_PORT, BACKEND_PORT, DNS_PORT, ECHO_PORT, RECEIVER_PORT, Role
from lab.state import write_private
from lab.topology import DOMAIN, External, Pod, Topology
from wire.path import Family

_REPOSITORY = Path(__file__).resolve().parent.parent
_PORT_OF = {
    Role.AGENT: ECHO_PORT,
    Role.VANTAGE: ECHO_PORT,
    Role.BACKEND: BACKEND_PORT,
    Role.CANARY: ECHO_PORT,
    Role.COLLECTOR: AGENT_PORT,
    Role.DNS: DNS_PORT,
    Role.MONITORING: RECEIVER_PORT,
}
_BEHAVIOUR = "name_server.json"
_STRANGER = "lab.stranger"
_LISTEN = "0A"  # TCP_LISTEN in /proc/net/tcp, include/net/tcp_states.h
_POLL = 0.02


class Programs:
    """The programs of one lab; `directory` holds their files and logs."""

    def __init__(self, topology: Topology, directory: Path) -> None:
        self._topology = topology
        self._directory = directory

    def write_files(self, keys: Mapping[str, str], plan: Mapping[str, Any]) -> None:
        """All that programs read but the inventory: configuration, tokens, certificates, zone. `keys` by vantage."""
        topology = self._topology
        authority = trustme.CA()
        collector_addresses = list(topology.collector.addresses.values())
        certificate = authority.issue_cert(*collector_addresses)
        configuration = {
            "agents": {"tls": {"certificate": str(self._file("collector.pem")), "key": str(self._file("collector.key"))}},
            "operators": {"key_file": str(self._file("operators.key"))},
            "plan": {"families": [family.value for family in topology.shape.families], **plan},
            "export": {"pairs": True},
            "history": {"file": str(self._file("history.db"))},
            "log": {"format": "text"},
            **monitoring.notify(topology),
        }
        services = (*topology.services, topology.dns)
        zone = {f"{s.name}.{s.namespace}.svc.{DOMAIN}": list(s.addresses.values()) for s in services}
        if topology.external:
            zone[topology.external.host] = list(topology.external.addresses.values())
        write_private(
            self._directory,
            {
                "collector.yaml": yaml.safe_dump(configuration, sort_keys=False),
                "ca.pem": authority.cert_pem.bytes().decode(),
                "collector.pem": b"".join(blob.bytes() for blob in certificate.cert_chain_pems).decode(),
                "collector.key": certificate.private_key_pem.bytes().decode(),
                "resolv.conf": "".join(f"nameserver {address}\n" for address in topology.dns.addresses.values()),
                "zone.json": json.dumps(zone),
                "operators.key": secrets.token_hex(16) + "\n",
                **monitoring.files(topology),
                **{f"{vantage}.token": key for vantage, key in keys.items()},
            },
        )
        (self._directory / "logs").mkdir(exist_ok=True)

    def write_inventory(self, policies: Sequence[Document], expectations: Sequence[Document], standing: Standing) -> None:
        """What the collector is told; it reads the file again when it has changed."""
        keys = {pod.vantage: self._file(f"{pod.vantage}.token").read_text() for pod in self._topology.vantages}
        text = yaml.safe_dump(inventory(self._topology, keys, policies, expectations, standing), sort_keys=False)
        self._replace("inventory.yaml", text)

    def start_all(self, *, patience: float = 30.0) -> None:
        """Responders and the collector first, agents when those listen; raises TimeoutError with the log's end."""
        topology = self._topology
        others = [pod for pod in topology.pods if not pod.vantage]
        if topology.external:
            self._start_external(topology.external)
        for pod in others:
            self.start(pod)
        if topology.monitoring:
            for name, (command, _) in monitoring.commands(topology, self._directory).items():
                log = self._directory / "logs" / f"{name}.log"
                _spawn(topology.monitoring.netns, [*_restricted(), *command], _environment({}), log)
        self.wait_until_listening(others, patience=patience)
        for pod in topology.vantages:
            self.start(pod)
        self.wait_until_listening(topology.vantages, patience=patience)

    def start(self, pod: Pod, *, uid: str | None = None, after: float = 0.0) -> None:
        """Start a pod's program, maybe under another UID, maybe only after so many seconds."""
        command = [*_restricted(), *self._command(pod)]
        if after:
            command = ["sh", "-c", f'sleep {after:g}; exec "$@"', "sh", *command]
        if pod.vantage and (group := cgroups.make(pod)):
            command = ["sh", "-c", 'echo $$ >"$0/cgroup.procs"; exec "$@"', str(group), *command]
        _spawn(pod.netns, command, self._environment(pod, uid or pod.uid), self.log(pod))

    def start_stranger(self, victim: Pod, packets_per_second: int) -> None:
        """Have the name server's pod flood an agent."""
        where = [str(ECHO_PORT), str(packets_per_second), *victim.addresses.values()]
        start_module(self._stranger.netns, self._directory / "logs" / "stranger.log", _STRANGER, *where)

    def end_strangers(self) -> None:
        """End all floods."""
        namespaces.end_processes([self._stranger.netns], where=lambda pid: _STRANGER in namespaces.command_of(pid))

    @property
    def _stranger(self) -> Pod:
        return self._topology.dns.backends[0]

    def end(self, pods: Iterable[Pod]) -> None:
        """SIGKILL for all programs in the pods."""
        namespaces.end_processes(pod.netns for pod in pods)

    def ensure(self, pod: Pod, *, uid: str | None = None) -> None:
        """Start a pod's program unless it runs; one that only waits for its time starts now."""
        pids = namespaces.processes([pod.netns])[pod.netns]
        if not pids or any(namespaces.command_of(pid)[:1] in (["sh"], ["sleep"]) for pid in pids):
            self.end([pod])
            self.start(pod, uid=uid)

    def send_signal(self, pod: Pod, number: signal.Signals) -> None:
        """A signal for all programs in a pod."""
        namespaces.send_signal(pod.netns, number)

    def tell_name_server(self, behaviour: Behaviour) -> None:
        """Have the DNS server behave so from its next query on."""
        self._replace(_BEHAVIOUR, msgspec.json.encode(behaviour).decode())

    def wait_until_listening(self, pods: Sequence[Pod], *, patience: float = 30.0) -> None:
        """Return when every pod has its port open; raises TimeoutError with the end of a log where one does not."""
        deadline = time.monotonic() + patience
        waiting = list(pods)
        while waiting:
            waiting = [pod for pod in waiting if not namespaces.call_inside(pod.netns, partial(_listens, _PORT_OF[pod.role]))]
            if waiting and time.monotonic() > deadline:
                pod = waiting[0]
                last = self.log(pod).read_text(errors="replace").strip().splitlines()[-1:] or ["nothing in its log"]
                raise TimeoutError(
                    f"{pod.name} of {pod.namespace} on {pod.node} does not listen after {patience:g} s: {last[0]}"
                )
            if waiting:
                time.sleep(_POLL)

    def log(self, pod: Pod) -> Path:
        """What a pod's program printed."""
        return self._directory / "logs" / f"{pod.node}-{pod.namespace}-{pod.name}.log"

    def _start_external(self, external: External) -> None:
        command = [sys.executable, "-m", "lab.backend", "external", *map(str, external.ports)]
        _spawn(external.netns, [*_restricted(), *command], _environment({}), self._directory / "logs" / "external.log")

    def _command(self, pod: Pod) -> list[str]:
        match pod.role:
            case Role.AGENT | Role.VANTAGE:
                words = ["agent", "run"]
            case Role.COLLECTOR:
                inventory_file, configuration = self._file("inventory.yaml"), self._file("collector.yaml")
                words = ["collector", "--inventory", str(inventory_file), "--config", str(configuration)]
            case Role.CANARY:
                words = ["agent", "canary"]
            case Role.BACKEND:
                words = ["lab.backend", f"{pod.name}.{pod.namespace}", str(BACKEND_PORT)]
            case Role.MONITORING:
                words = ["lab.receiver", str(self._file(monitoring.NOTIFICATIONS)), str(RECEIVER_PORT)]
            case Role.DNS:
                words = ["lab.nameserver", str(self._file("zone.json")), str(self._file(_BEHAVIOUR)), str(DNS_PORT)]
        return [sys.executable, "-m", *words]

    def _environment(self, pod: Pod, uid: str) -> dict[str, str]:
        if not pod.vantage:
            return _environment({})
        family = self._topology.shape.families[0]
        address = self._topology.collector.addresses[family]
        host = address if family is Family.IPV4 else f"[{address}]"
        return _environment(
            {
                "NETMATRIX_COLLECTOR": f"https://{host}:{AGENT_PORT}",
                "NETMATRIX_CA_FILE": str(self._file("ca.pem")),
                "NETMATRIX_TOKEN_FILE": str(self._file(f"{pod.vantage}.token")),
                "NETMATRIX_VANTAGE": pod.vantage,
                "NETMATRIX_POD_UID": uid,
                "NETMATRIX_NODE": pod.node,
                "NETMATRIX_NAMESPACE": pod.namespace,
                "NETMATRIX_POD": pod.name,
                "NETMATRIX_RESOLV_CONF": str(self._file("resolv.conf")),
                "NETMATRIX_LOG": "text",
            }
        )

    def _replace(self, name: str, text: str) -> None:
        """Write a file that somebody may be reading."""
        write_private(self._directory, {f"{name}.next": text})
        self._file(f"{name}.next").replace(self._file(name))

    def _file(self, name: str) -> Path:
        return self._directory / name


def start_hogs(netns: str, count: int) -> None:
    """Start busy loops in a namespace."""
    for _ in range(count):
        _spawn(netns, ["sh", "-c", "while :; do :; done", _HOG], _environment({}), Path(os.devnull))


def end_hogs(netns: str) -> None:
    """End the busy loops of a namespace."""
    namespaces.end_processes([netns], where=lambda pid: namespaces.command_of(pid)[-1:] == [_HOG])


def start_module(netns: str, log: Path, module: str, *arguments: str) -> None:
    """Start a Python module of the lab itself in a namespace, with all rights."""
    _spawn(netns, [sys.executable, "-m", module, *arguments], _environment({}), log)


_HOG = "netmatrix-lab-hog"


def _restricted() -> list[str]:
    # Root without a single capability, since the interpreter may live where only root may read.
    options = ["--bounding-set", "-all", "--inh-caps", "-all", "--no-new-privs"]
    if group := rootless.group():
        options += ["--regid", str(group), "--clear-groups"]
    return ["setpriv", *options]


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(_REPOSITORY), "LANG": "C.UTF-8", **own}


def _spawn(netns: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
    """Start a process that outlives us. It is in the namespace when this returns, so whoever looks for it there finds it."""
    with log.open("ab") as output:
        done = subprocess.run(
            namespaces.command_inside(netns, "setsid", "--fork", *command),
            env=dict(environment),
            cwd=_REPOSITORY,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)} did not start in {netns}")


def _listens(port: int) -> bool:
    """Whether a TCP port is open in the calling thread's namespace."""
    wanted = f":{port:04X}"
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            if local.endswith(wanted) and state == _LISTEN:
                return True
    return False
