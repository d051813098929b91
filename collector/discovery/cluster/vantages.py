"""From pods to vantages. Pure.

An agent is named for its node, and of two on one node the newer one counts. A vantage pod is named for itself, unless it is one
of our own in the network of its node: then it is for that.
"""

import re
from collections import Counter
from collections.abc import Collection
from typing import Literal

import msgspec
from msgspec import Struct

from collector.discovery.cluster.addresses import MAX_ADDRESSES, usable
from collector.discovery.cluster.kept import Node, Pod
from collector.discovery.cluster.world import Because, Refused, World, refused
from collector.discovery.snapshot import Attachment, Vantage
from collector.settings import LEAST_MTU, SECOND, DiscoverySettings
from wire.text import MAX_NAME, NAME_PATTERN

ECHO_PORT = 8620
MAX_NETWORKS = 8
MAX_LISTED = 32
"""Networks of a pod that are looked at."""
DEFAULT_NETWORK = "default"
CANARY = "canary"
"""Component of the pods that only answer."""
_NAME = re.compile(NAME_PATTERN)
_Excluded = Literal["", "terminating", "not_ready", "settling"]


class _Network(Struct):
    """An entry of the network-status annotation (Network Plumbing Working Group, section 4.1.3)."""

    name: str = ""
    ips: list[str] = []
    default: bool = False
    mtu: int = 0


class Found(Struct, frozen=True):
    """The vantages, in the order of their names."""

    vantages: tuple[Vantage, ...]
    refused: tuple[Refused, ...]
    settled: float | None
    """Unix seconds at which the next one has settled; None where none is about to."""


def vantages_of(world: World, settings: DiscoverySettings, now: float) -> Found:
    """All vantages; `now` is in Unix seconds."""
    nodes = {node.name: node for node in world.nodes}
    asking = {space.name for space in world.namespaces if space.vantages} | {settings.namespace}
    complaints: list[Refused] = []
    best: dict[str, Pod] = {}
    guests: Counter[str] = Counter()
    for pod in sorted(world.pods, key=lambda pod: (pod.created, pod.uid)):
        if pod.ended or pod.node not in nodes or pod.component == CANARY:
            continue
        if pod.namespace not in asking:
            sentence = f"namespace {pod.namespace} does not ask for vantages: it lacks the label netmatrix.io/vantage: true"
            complaints.append(refused(pod, Because.NAMESPACE, sentence))
            continue
        if pod.namespace != settings.namespace and not _is_of_node(pod, settings):
            # The oldest stay: whoever may create pods in one namespace has neither the place of others nor the whole plan.
            guests[pod.namespace] += 1
            if guests[pod.namespace] > settings.vantages:
                sentence = f"{settings.vantages} vantages of namespace {pod.namespace} count already, the most that may"
                complaints.append(refused(pod, Because.TOO_MANY, sentence))
                continue
        name = _name(pod, settings)
        if len(name) <= MAX_NAME and (name not in best or _rank(pod) > _rank(best[name])):
            best[name] = pod
    vantages, until = [], None
    of_nodes = {address for node in world.nodes for address in node.addresses}
    for name, pod in sorted(best.items()):
        excluded, settled = _excluded(pod, nodes[pod.node], settings.settling / SECOND, now)
        until = settled if until is None or (settled is not None and settled < until) else until
        addresses, wrong = usable(pod.addresses)
        complaints += [refused(pod, Because.ADDRESS, sentence) for sentence in wrong]
        vantages.append(
            Vantage(
                name=name,
                node=pod.node,
                namespace=pod.namespace,
                pod=pod.name,
                addresses=addresses,
                uid=pod.uid,
                port=pod.port or ECHO_PORT,
                networks=_networks(pod, addresses, of_nodes, complaints),
                excluded=excluded,
                labels=pod.labels,
                annotations=pod.annotations,
                ports=pod.ports,
                host_network=pod.host_network,
            )
        )
    return Found(tuple(vantages), tuple(complaints), until)


def _is_of_node(pod: Pod, settings: DiscoverySettings) -> bool:
    """Whether it speaks for its node's own network, as whoever may create pods in any other namespace may not."""
    return pod.host_network and pod.namespace in (settings.namespace, settings.host_namespace)


def _name(pod: Pod, settings: DiscoverySettings) -> str:
    if _is_of_node(pod, settings):
        return f"{pod.node}@host"  # no name of Kubernetes has an @, so that it is nobody else's
    agent = pod.component == "agent" and pod.namespace == settings.namespace
    return pod.node if agent else f"{pod.namespace}/{pod.name}"


def _rank(pod: Pod) -> tuple[bool, float, str]:
    """The newer one counts, as soon as it has an address: so two at once, as in a rolling update, do not take turns."""
    return bool(pod.addresses), pod.created, pod.uid


def _excluded(pod: Pod, node: Node, settling_seconds: float, now: float) -> tuple[_Excluded, float | None]:
    """Why it is excluded, and until when where that is known.

    A node that has died takes the readiness of its pods with it: that is a fault to be seen and not a reason to look away.
    """
    if pod.terminating:
        return "terminating", None
    if not pod.ready:
        return ("not_ready", None) if node.ready else ("", None)
    settled = pod.ready_since + settling_seconds
    # A node whose clock is ahead by more has no say in it.
    return ("settling", settled) if now < settled <= now + settling_seconds else ("", None)


def _networks(pod: Pod, own: tuple[str, ...], of_nodes: Collection[str], complaints: list[Refused]) -> tuple[Attachment, ...]:
    """Its further networks; what is wrong about one leaves out that one alone, and so do addresses of itself or of a node."""
    if not pod.networks:
        return ()
    try:
        listed = msgspec.json.decode(pod.networks, type=list[_Network])
    except (msgspec.DecodeError, UnicodeError):
        complaints.append(refused(pod, Because.ANNOTATION, "its network-status is not the JSON that it should be"))
        return ()
    attachments: dict[str, Attachment] = {}
    for network in listed[:MAX_LISTED]:
        addresses, wrong = usable(network.ips[:MAX_ADDRESSES])
        complaints += [refused(pod, Because.ADDRESS, sentence) for sentence in wrong]
        if (
            network.default
            or not addresses
            or network.name in attachments
            or any(one in own or one in of_nodes for one in addresses)
        ):
            continue
        if len(network.name) > MAX_NAME or not _NAME.match(network.name) or network.name == DEFAULT_NETWORK:
            complaints.append(refused(pod, Because.ANNOTATION, f"no network is called {network.name!r}"))
            continue
        mtu = network.mtu if LEAST_MTU <= network.mtu <= 65535 else 0  # noqa: PLR2004 - of IP
        attachments[network.name] = Attachment(network.name, addresses, mtu)
    return tuple(attachments[name] for name in sorted(attachments)[:MAX_NETWORKS])
