"""The part of the scheduler and the kubelets, played by a test: pods get a node and an address, run, and end when told to.

Everything else that happens to a workload is the control plane's own doing. A test calls `play` when something shall happen,
or lets a thread do it. What it knows of a pod comes from the API server alone.
"""

import http.client
import ipaddress
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.cluster.api import Api, Object, RefusedError

_EVERY_SECONDS = 0.1
_GONE = (http.client.NOT_FOUND, http.client.CONFLICT)

Addresses = Callable[[Object], Sequence[str] | None]


@dataclass
class Kubelet:
    """The kubelets of all nodes. `addresses` says which a pod gets, by default some that no other one has."""

    api: Api
    namespaces: frozenset[str] = frozenset()
    """Namespaces whose pods it cares for; empty stands for all."""
    addresses: Addresses | None = None
    """The addresses of a pod that is bound to its node; None leaves the pod waiting."""
    place: Callable[[Object], str | None] | None = None
    """The node for a pod that may be on several; None leaves it waiting. By default the first that takes any."""
    begun: Callable[[Object], bool] = lambda _: True
    """Called once for each pod that is to run, with its status; whether it is ready already. Asked again until it is."""
    ended: Callable[[Object], bool] = lambda _: True
    """Called for each pod that is to end; whether it has ended. Asked again until it has."""
    _given: int = 0

    def play(self) -> int:
        """Do for each pod what is due now; how many pods something was done for."""
        if not self.namespaces:
            return sum(map(self._care, self.api.items("/api/v1/pods")))
        return sum(
            self._care(pod) for name in sorted(self.namespaces) for pod in self.api.items(f"/api/v1/namespaces/{name}/pods")
        )

    @contextmanager
    def playing(self, *, beside: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Play all the time, in a thread, and call `beside` in turn. While the API server is away, nothing is done."""
        over = threading.Event()

        def go_on() -> None:
            while not over.wait(_EVERY_SECONDS):
                try:
                    self.play()
                    beside()
                except (OSError, http.client.HTTPException, RefusedError):
                    self.api.close()

        thread = threading.Thread(target=go_on, name="kubelet")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _care(self, pod: Object) -> bool:
        try:
            if "deletionTimestamp" in pod["metadata"]:
                return self._end(pod)
            if not pod["spec"].get("nodeName"):
                return self._bind(pod)
            return not is_ready(pod) and self._run(pod)
        except RefusedError as refused:
            if refused.status in _GONE:
                return False  # Somebody else was faster; the next round sees what there is then.
            raise

    def _bind(self, pod: Object) -> bool:
        node = self._node_for(pod)
        if node is None:
            return False
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        metadata = {"name": pod["metadata"]["name"], "uid": pod["metadata"]["uid"]}
        self.api.create(
            f"{path_of(pod)}/binding", {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        )
        return True

    def _node_for(self, pod: Object) -> str | None:
        """The node that a DaemonSet's pod is for, or one that is chosen."""
        terms = (
            pod["spec"]
            .get("affinity", {})
            .get("nodeAffinity", {})
            .get("requiredDuringSchedulingIgnoredDuringExecution", {})
            .get("nodeSelectorTerms", [])
        )
        for term in terms:
            for match in term.get("matchFields", []):
                if match["key"] == "metadata.name":
                    return str(match["values"][0])
        if self.place:
            return self.place(pod)
        nodes = [node for node in self.api.items("/api/v1/nodes") if not node["spec"].get("unschedulable")]
        return str(nodes[0]["metadata"]["name"]) if nodes else None

    def _run(self, pod: Object) -> bool:
        if not pod.get("status", {}).get("podIPs"):
            addresses = self._addresses_for(pod)
            if addresses is None:
                return False
            pod = self._set_status(pod, running(pod, addresses, ready=False))
        if not self.begun(pod):
            return False
        self._set_status(pod, running(pod, [entry["ip"] for entry in pod["status"]["podIPs"]], ready=True))
        return True

    def _end(self, pod: Object) -> bool:
        if not self.ended(pod):
            return False
        self.api.delete(path_of(pod), grace=0, uid=pod["metadata"]["uid"])
        return True

    def _set_status(self, pod: Object, status: Object) -> Object:
        # The UID keeps it from another pod of the same name.
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        return self.api.merge(f"{path_of(pod)}/status", body)

    def _addresses_for(self, pod: Object) -> Sequence[str] | None:
        if pod["spec"].get("hostNetwork"):
            found = self.api.get(f"/api/v1/nodes/{pod['spec']['nodeName']}")["status"]["addresses"]
            return [entry["address"] for entry in found if entry["type"] == "InternalIP"]
        if self.addresses:
            return self.addresses(pod)
        self._given += 1
        return [str(ipaddress.ip_address("10.244.0.0") + self._given), str(ipaddress.ip_address("fd44::") + self._given)]


def node(
    name: str, addresses: Sequence[str], *, zone: str = "", labels: Mapping[str, str] | None = None, pods: str = "110"
) -> Object:
    """A node that is ready, as its kubelet would register it."""
    own = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **(labels or {})}
    if zone:
        own["topology.kubernetes.io/zone"] = zone
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": own},
        "status": {
            "addresses": [{"type": "InternalIP", "address": address} for address in addresses],
            "capacity": {"pods": pods, "cpu": "8", "memory": "32Gi"},
            "allocatable": {"pods": pods, "cpu": "8", "memory": "32Gi"},
            "conditions": [_condition("Ready", holds=True)],
        },
    }


def running(pod: Object, addresses: Sequence[str], *, ready: bool) -> Object:
    """The status of a pod whose containers run, at these addresses, the first one its own."""
    now = _now()
    conditions = ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    return {
        "phase": "Running",
        "podIP": addresses[0],
        "podIPs": [{"ip": address} for address in addresses],
        "startTime": pod.get("status", {}).get("startTime", now),
        "conditions": [_condition(name, holds=ready or name in conditions[:2]) for name in conditions],
        "containerStatuses": [
            {
                "name": container["name"],
                "image": container["image"],
                "imageID": "",
                "ready": ready,
                "started": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": now}},
            }
            for container in pod["spec"]["containers"]
        ],
    }


def is_ready(pod: Object) -> bool:
    """Whether its status says that it serves."""
    conditions = pod.get("status", {}).get("conditions", [])
    return any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)


def path_of(pod: Object) -> str:
    """Where a pod is in the API."""
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _condition(name: str, *, holds: bool) -> Object:
    return {"type": name, "status": "True" if holds else "False", "lastTransitionTime": _now()}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
