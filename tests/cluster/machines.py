"""The container runtime of a lab: each pod of the API server runs in a network namespace of the lab, as its specification says.

The lab has a place for each pod: on every node one for the agent, and a few others. A pod takes a free one of its kind,
and with it the addresses, which so are used again and again.
"""

import http.client
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, SIGTERM

from lab import namespaces
from lab.cluster import Cluster
from lab.programs import _spawn
from lab.roles import Role
from lab.topology import Pod
from tests.cluster import container
from tests.cluster.api import Api, Object

COMPONENT = "app.kubernetes.io/component"
_OWN = {"agent": Role.AGENT, "collector": Role.COLLECTOR, "vantage": Role.VANTAGE}
_PROBE_SECONDS = 3.0


@dataclass
class Tenant:
    """A pod in its place."""

    pod: Object
    place: Pod
    folder: Path
    started: bool = False
    ends_at: float | None = None
    """When its processes are told to end, in seconds of the monotonic clock; None while nobody wants that."""
    told: bool = False


class Machines:
    """All nodes of a lab; `folder` gets the files of the pods."""

    def __init__(self, api: Api, lab: Cluster, folder: Path) -> None:
        self._api = api
        self._lab = lab
        self._folder = folder
        self._tenants: dict[str, Tenant] = {}
        self.name_server = next(iter(lab.topology.dns.addresses.values()))

    def tenant(self, vantage: str) -> Tenant:
        """Who is in the place of a vantage or of the collector; raises LookupError where nobody is."""
        for tenant in self._tenants.values():
            if vantage in {tenant.place.vantage, tenant.place.name}:
                return tenant
        raise LookupError(vantage)

    def place(self, pod: Object) -> str | None:
        """The node that has a free place for a pod, which the pod then has."""
        tenant = self._move_in(pod)
        return tenant.place.node if tenant else None

    def addresses(self, pod: Object) -> list[str] | None:
        """The addresses of the place that a pod gets on its node; None while there is none, as for images still to come."""
        tenant = self._move_in(pod)
        return list(tenant.place.addresses.values()) if tenant else None

    def begun(self, pod: Object) -> bool:
        """Start what a pod runs, once; whether it answers its readiness probe."""
        tenant = self._tenants.get(pod["metadata"]["uid"])
        if tenant is None:
            return False
        tenant.pod = pod
        if not tenant.started:
            self._start(tenant)
        return self._is_ready(tenant)

    def ended(self, pod: Object) -> bool:
        """Have a pod end as its specification says: preStop, SIGTERM, and SIGKILL when its grace is over."""
        tenant = self._tenants.get(pod["metadata"]["uid"])
        if tenant is None:
            return True
        now = time.monotonic()
        if tenant.ends_at is None:
            hook = pod["spec"]["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {})
            tenant.ends_at = now + hook.get("seconds", 0)
        if not self._runs(tenant):
            del self._tenants[pod["metadata"]["uid"]]
            return True
        if now >= tenant.ends_at and not tenant.told:
            tenant.told = True
            namespaces.send_signal(tenant.place.netns, SIGTERM)
        if now >= tenant.ends_at + pod["metadata"].get("deletionGracePeriodSeconds", 30):
            namespaces.send_signal(tenant.place.netns, SIGKILL)
        return False

    def look_after(self) -> None:
        """Bring volumes up to date, start what has ended by itself, and end what the API server knows no more."""
        known = {pod["metadata"]["uid"] for pod in self._api.items("/api/v1/pods")}
        for uid, tenant in list(self._tenants.items()):
            if uid not in known:
                namespaces.end_processes([tenant.place.netns])
                del self._tenants[uid]
            elif tenant.started and tenant.ends_at is None:
                if self._is_ours(tenant):
                    container.write(self._api, tenant.pod, tenant.folder, self.name_server)
                if not self._runs(tenant):
                    self._start(tenant)

    def log(self, tenant: Tenant) -> str:
        """What a pod's container has printed."""
        file = tenant.folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def _start(self, tenant: Tenant) -> None:
        if self._is_ours(tenant):
            container.write(self._api, tenant.pod, tenant.folder, self.name_server)
            command = container.command(tenant.pod, tenant.folder)
            _spawn(tenant.place.netns, command, container.environment(tenant.pod), tenant.folder / "log")
        else:
            self._lab._programs.start(tenant.place)
        tenant.started = True

    def _move_in(self, pod: Object) -> Tenant | None:
        """The pod in its place, or in the first that is free for one of its kind, on its node if it has one."""
        uid, role, node = pod["metadata"]["uid"], _role(pod), pod["spec"].get("nodeName")
        taken = {tenant.place.netns for tenant in self._tenants.values()}
        for place in self._lab.topology.pods:
            here = place.role is role and place.namespace == pod["metadata"]["namespace"] and node in {None, place.node}
            if here and place.netns not in taken and uid not in self._tenants:
                self._tenants[uid] = Tenant(pod, place, self._folder / uid)
        return self._tenants.get(uid)

    def _is_ours(self, tenant: Tenant) -> bool:
        return tenant.place.role in _OWN.values()

    def _runs(self, tenant: Tenant) -> bool:
        return bool(namespaces.processes([tenant.place.netns])[tenant.place.netns])

    def _is_ready(self, tenant: Tenant) -> bool:
        """What the node hears from a pod."""
        probe = tenant.pod["spec"]["containers"][0].get("readinessProbe")
        if not probe:
            return True
        ports = {port["name"]: port["containerPort"] for port in tenant.pod["spec"]["containers"][0]["ports"]}
        asked = probe["httpGet"]
        address = next(iter(tenant.place.addresses.values()))
        netns = self._lab.topology.node[tenant.place.node].netns
        with suppress(OSError, http.client.HTTPException):
            status, _ = fetch(netns, address, ports[asked["port"]], asked["path"], patience=_PROBE_SECONDS)
            return http.client.OK <= status < http.client.BAD_REQUEST
        return False


def fetch(
    netns: str, address: str, port: int, path: str, *, body: bytes | None = None, patience: float = 10.0
) -> tuple[int, bytes]:
    """The answer to a GET, or to a POST where there is a body, from inside of a namespace: its status and its content.

    Raises OSError or HTTPException.
    """

    def connect() -> socket.socket:
        return socket.create_connection((address, port), timeout=patience)

    connection = http.client.HTTPConnection(address, port, timeout=patience)
    connection.sock = namespaces.call_inside(netns, connect)
    try:
        connection.request("GET" if body is None else "POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def _role(pod: Object) -> Role | None:
    labels = pod["metadata"].get("labels", {})
    if labels.get("k8s-app") == "kube-dns":
        return Role.DNS
    return _OWN.get(labels.get(COMPONENT, ""), Role.BACKEND)
