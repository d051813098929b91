"""A cluster as manifests describe it: what would be there if they were applied, and nothing else.

In: objects of files. Out: namespaces, pods, services, policies and declarations, and a sentence for each object that the API
server would refuse. A workload is there by pods of its template, two at most; a pod that has no address yet gets one.
"""

from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from msgspec import Struct, field

from collector.discovery import templates
from collector.document import BadFileError
from collector.expectation.cluster import Backing, Cluster, Service, ServicePort
from collector.expectation.document import API_VERSION, Declared, declared
from collector.manifest import Manifest
from collector.policy.document import opaque_of, policy_of
from collector.policy.ends import ContainerPort, Namespace, Pod, Protocol
from collector.policy.labels import namespace_labels
from collector.policy.opaque import KINDS
from collector.policy.refused import refused_by_api
from collector.policy.rules import Opaque, PodPeer, Policy

READABLE: Final = {("networking.k8s.io", "NetworkPolicy"), ("policy.networking.k8s.io", "ClusterNetworkPolicy")}
MOST_PODS: Final = 2
"""Most pods of one workload: a second one shows whether they reach each other."""


class Manifested(Struct):
    """What manifests describe."""

    namespaces: dict[str, Namespace] = field(default_factory=dict)
    pods: list[Pod] = field(default_factory=list)
    services: list[Service] = field(default_factory=list)
    policies: list[Policy] = field(default_factory=list)
    opaque: list[Opaque] = field(default_factory=list)
    declared: list[Declared] = field(default_factory=list)
    refused: list[BadFileError] = field(default_factory=list)
    """One for each object that the API server would not take."""

    @property
    def cluster(self) -> Cluster:
        """What declarations can name."""
        return Cluster(tuple(self.pods), (), tuple(self.services))


def manifested(objects: Iterable[Manifest], network: IPv4Network, network6: IPv6Network | None = None) -> Manifested:
    """What objects describe; pods without an address get one of `network`, and of `network6` where it is given."""
    taking = _Taking(network, network6)
    every = sorted(objects, key=_turn)
    for one in every:
        taking.take(one)
    return taking.found


def _turn(one: Manifest) -> int:
    """Namespaces first, since pods have their labels, and services last, since they have pods behind them."""
    return {"Namespace": 0, "Service": 2}.get(one.kind, 1)


class _Taking:
    """One object after the other."""

    def __init__(self, network: IPv4Network, network6: IPv6Network | None) -> None:
        self.found = Manifested()
        self._hosts = [iter(one.hosts()) for one in (network, network6) if one is not None]

    def take(self, one: Manifest) -> None:
        """Take one object, or the sentence why the API server would not."""
        try:
            self._take(one)
        except ValueError as error:
            self.found.refused.append(one.fault(str(error)))

    def _take(self, one: Manifest) -> None:
        found, content = self.found, one.content
        match one.group, one.kind:
            case "", "Namespace":
                own = templates.read(content, templates.Labelled).metadata
                found.namespaces[own.name] = Namespace(
                    own.name, namespace_labels(own.name, own.labels or {}), own.annotations or {}
                )
            case "", "Pod":
                pod = templates.read(content, templates.PodObject)
                if not pod.status.has_ended:
                    own_addresses = tuple(address.ip for address in pod.status.addresses or () if address.ip)
                    found.pods.append(self._pod(pod.metadata, pod.spec, pod.metadata.name, {}, own_addresses))
            case "", "Service":
                found.services.append(_service(templates.read(content, templates.ServiceObject), found.pods))
            case _, kind if kind in templates.WORKLOADS:
                workload = templates.read(content, templates.Workload)
                replicas = workload.spec.replicas
                found.pods += self._of(kind, workload.metadata, workload.spec.template, 1 if replicas is None else replicas)
            case _, "CronJob":
                cron = templates.read(content, templates.CronJob)
                found.pods += self._of("CronJob", cron.metadata, cron.spec.job.spec.template, 1)
            case group, kind if (group, kind) in READABLE:
                self._take_policy(one)
            case group, kind if (group, kind) in KINDS:
                found.opaque.append(opaque_of(content))
            case _ if content.get("apiVersion") == API_VERSION:
                found.declared.append(declared(content))

    def _take_policy(self, one: Manifest) -> None:
        """One that is refused is not in force, and what it was to do is unknown: so is all that it may be about."""
        found = self.found
        refused = next(iter(_refused(one)), None)
        if refused is None:
            policy = policy_of(one.content)
            found.policies += [policy] if isinstance(policy, Policy) else []
            return
        metadata = one.content.get("metadata")
        own = metadata if isinstance(metadata, Mapping) else {}
        name = str(own.get("name") or "")
        space = str(own.get("namespace") or "default") if one.kind == "NetworkPolicy" else ""
        found.opaque.append(Opaque(one.kind, name, space, (PodPeer(namespace=space),), "refused by the API server"))
        raise ValueError(refused)

    def _of(self, kind: str, owner: templates.Metadata, template: templates.Template, replicas: int) -> Iterator[Pod]:
        count = MOST_PODS if kind == "DaemonSet" else min(replicas, MOST_PODS)
        unique = blake2b(owner.name.encode(), digest_size=5).hexdigest()
        own = templates.Metadata("", owner.namespace, template.metadata.labels, template.metadata.annotations)
        for place in range(1 if kind in {"Job", "CronJob"} else count):
            name, given = _made(kind, owner.name, unique, place)
            yield self._pod(own, template.spec, name, given)

    def _pod(
        self,
        metadata: templates.Metadata,
        spec: templates.PodSpec,
        name: str,
        given: Mapping[str, str],
        addresses: tuple[str, ...] = (),
    ) -> Pod:
        space = metadata.space
        return Pod(
            namespace=self.found.namespaces.setdefault(space, Namespace(space, namespace_labels(space, {}))),
            name=name,
            labels={**(metadata.labels or {}), **given},
            addresses=addresses or self._next(),
            ports=tuple(ContainerPort(port.number, port.protocol, port.name) for port in spec.ports),
            node=spec.node,
            host_network=spec.host_network,
            annotations=metadata.annotations or {},
        )

    def _next(self) -> tuple[str, ...]:
        found = tuple(str(address) for hosts in self._hosts if (address := next(hosts, None)) is not None)
        if len(found) < len(self._hosts):
            raise ValueError("more pods than the pod network has addresses")
        return found


def _refused(one: Manifest) -> Iterator[str]:
    try:
        policy_of(one.content)
    except ValueError as error:
        yield str(error)
        return
    yield from (f"{path}: {sentence}" for path, sentence in refused_by_api(one.content))


def _made(kind: str, name: str, unique: str, place: int) -> tuple[str, dict[str, str]]:
    """Name and labels that a pod gets of its controller."""
    tail = f"{unique[:4]}{place}"
    match kind:
        case "Deployment":
            return f"{name}-{unique}-{tail}", {"pod-template-hash": unique}
        case "StatefulSet":
            return f"{name}-{place}", {"statefulset.kubernetes.io/pod-name": f"{name}-{place}"}
        case "DaemonSet":
            return f"{name}-{tail}", {"controller-revision-hash": unique}
        case "Job":
            return f"{name}-{tail}", {"batch.kubernetes.io/job-name": name}
        case "CronJob":
            return f"{name}-0-{tail}", {"batch.kubernetes.io/job-name": f"{name}-0"}
    return f"{name}-{tail}", {}


def _service(one: templates.ServiceObject, pods: Iterable[Pod]) -> Service:
    space, selector = one.metadata.space, one.spec.selector or {}
    behind = [
        pod
        for pod in pods
        if selector and pod.namespace.name == space and all(pod.labels.get(key) == value for key, value in selector.items())
    ]
    ports, backings = [], []
    for given in one.spec.ports or ():
        port = ServicePort(given.port, given.protocol, given.name)
        ports.append(port)
        for pod in behind:
            number = _target(pod, given.target or given.port, given.protocol)
            backings += [Backing(pod, port, number)] if number else []
    addresses = tuple(address for address in one.spec.addresses or () if address != "None")
    return Service(space, one.metadata.name, tuple(ports), tuple(backings), addresses)


def _target(pod: Pod, port: int | str, protocol: Protocol) -> int | None:
    if isinstance(port, int):
        return port
    return next((one.port for one in pod.ports if one.name == port and one.protocol == protocol), None)
