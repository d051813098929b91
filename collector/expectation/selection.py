"""Which ends an expectation is about: what people wrote, asked of one pod, node or host at a time.

In: one end of a declaration and the namespace that the declaration is in. Out: whether it selects an End.
"""

import re
from ipaddress import ip_address
from typing import Final

from msgspec import Struct

from collector.expectation.peers import Destination, Pods, Source, Workload
from collector.policy.ends import End, Host, Node, Pod
from collector.policy.labels import EVERYTHING

_LONGEST_PREFIX: Final = 58
"""What is kept of a workload's name in front of the five characters that make a pod's name unique (apiserver names.go)."""
_UNIQUE = re.compile(r"[a-z0-9]{5}")
_NUMBER = re.compile(r"[0-9]{1,10}")


EVERYBODY: Final = Source()
"""Stands where a declaration names no source: all pods that it could name."""


class Selection(Struct, frozen=True):
    """One end of a declaration. A service selects nothing by itself: what is behind it is known to the cluster."""

    peer: Source
    own: str
    """Namespace of the declaration, empty for a cluster-scoped one."""
    asks: bool
    """Whether connections come from here: then a namespaced declaration reaches no further than its namespace."""

    def selects(self, end: End) -> bool:
        """Whether it is about this end."""
        match end:
            case Pod():
                return self._selects_pod(end)
            case Node():
                return self.peer.nodes is not None and self.peer.nodes.selector.selects(end.labels)
            case Host():
                return self._selects_host(end)

    @property
    def near(self) -> str:
        """The namespace that all it selects is in; empty where that may be any, or none."""
        if self.asks or (self.peer.pods is not None and self.peer.pods.namespace_selector is None):
            return self.own
        return (self.peer.workload.namespace or self.own) if self.peer.workload is not None else ""

    @property
    def service(self) -> str:
        """Namespace and name of the service that it names; empty where it names none."""
        service = self.peer.service if isinstance(self.peer, Destination) else None
        return f"{service.namespace or self.own}/{service.name}" if service else ""

    @property
    def via(self) -> str:
        """How that service is reached."""
        service = self.peer.service if isinstance(self.peer, Destination) else None
        return service.via if service else ""

    def _selects_pod(self, pod: Pod) -> bool:
        space = pod.namespace.name
        if self.asks and self.own and space != self.own:
            return False
        if self.peer == EVERYBODY:
            return True
        if self.peer.pods is not None:
            return self._by_labels(self.peer.pods, pod)
        if self.peer.workload is not None:
            return space == (self.peer.workload.namespace or self.own) and is_made_by(pod, self.peer.workload)
        return False

    def _by_labels(self, pods: Pods, pod: Pod) -> bool:
        if pods.namespace_selector is None:
            if self.own and pod.namespace.name != self.own:
                return False
        elif not pods.namespace_selector.selects(pod.namespace.labels):
            return False
        return (pods.pod_selector or EVERYTHING).selects(pod.labels)

    def _selects_host(self, host: Host) -> bool:
        if self.peer.host is not None:
            return self.peer.host.name.rstrip(".").lower() == host.name.rstrip(".").lower()
        if self.peer.cidr is None:
            return False
        wanted = ip_address(self.peer.cidr.alone)
        return any(ip_address(address) == wanted for address in host.addresses)

    def __str__(self) -> str:
        """As in a sentence."""
        if self.peer == EVERYBODY:
            return f"every pod of {self.own}" if self.own else "every pod"
        key = next(key for key in self.peer.__struct_fields__ if getattr(self.peer, key) is not None)
        match key, self.peer:
            case "cidr", Source(cidr=cidr) if cidr:
                return cidr.alone
            case "host", Source(host=host) if host:
                return host.name
            case "workload", Source(workload=workload) if workload:
                return f"{workload.kind} {workload.namespace or self.own}/{workload.name}"
            case "service", _:
                return f"service {self.service}"
        return key


def is_made_by(pod: Pod, workload: Workload) -> bool:
    """Whether a pod is one of a workload's, by the labels and the name that its controller gave it."""
    labels, name = pod.labels, workload.name
    job = labels.get("batch.kubernetes.io/job-name") or labels.get("job-name") or ""
    template, revision = labels.get("pod-template-hash"), labels.get("controller-revision-hash")
    ordered = "statefulset.kubernetes.io/pod-name" in labels
    match workload.kind:
        case "Deployment":
            return bool(template) and _is_numbered(pod.name, f"{name}-{template}", _UNIQUE)
        case "ReplicaSet":
            return _is_numbered(pod.name, name, _UNIQUE) and not (revision or job)
        case "StatefulSet":
            return ordered and _is_numbered(pod.name, name, _NUMBER)
        case "DaemonSet":
            return bool(revision) and not ordered and _is_numbered(pod.name, name, _UNIQUE)
        case "Job":
            return job == name
        case "CronJob":
            return _is_numbered(job, name, _NUMBER)


def _is_numbered(name: str, prefix: str, rest: re.Pattern[str]) -> bool:
    kept = f"{prefix}-"[:_LONGEST_PREFIX] if rest is _UNIQUE else f"{prefix}-"
    return name.startswith(kept) and rest.fullmatch(name, len(kept)) is not None
