"""What a lab's collector is told: its inventory file, as plain values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.departure import Standing
from lab.policies import Document
from lab.roles import ECHO_PORT, Role
from lab.topology import DOMAIN, MTU, Pod, Service, Topology

EVERYTHING = Standing()
_ANSWERING = (Role.BACKEND, Role.DNS, Role.CANARY)


def inventory(
    topology: Topology,
    keys: Mapping[str, str],
    policies: Sequence[Document] = (),
    expectations: Sequence[Document] = (),
    standing: Standing = EVERYTHING,
) -> dict[str, Any]:
    """The collector's inventory file as plain values; `keys` holds the token of every vantage."""
    out = standing.cordoned | standing.removed
    return {
        "mtu": topology.mtu,
        "domain": DOMAIN,
        "nodes": [
            {
                "name": node.name,
                "zone": node.zone,
                "addresses": list(node.addresses.values()),
                "excluded": "cordoned" if node.name in standing.cordoned else "",
            }
            for node in topology.nodes
            if node.name not in standing.removed
        ],
        "namespaces": [
            {"name": name, "labels": dict(topology.namespace_labels(name))}
            for name in dict.fromkeys(pod.namespace for pod in topology.pods)
        ],
        "vantages": [
            {
                "name": pod.vantage,
                "node": pod.node,
                "namespace": pod.namespace,
                "pod": pod.name,
                "uid": pod.uid,
                "addresses": list(pod.addresses.values()),
                "key": keys[pod.vantage],
                "port": ECHO_PORT,
                "excluded": standing.excluded.get(pod.vantage, ""),
                "labels": dict(pod.labels),
                "ports": [{"name": port.name, "port": port.number, "protocol": port.protocol} for port in pod.ports],
                "networks": [
                    {"name": further.network, "addresses": list(further.addresses.values()), "mtu": MTU}
                    for further in pod.attachments
                ],
            }
            for pod in topology.vantages
            if pod.vantage not in standing.absent
        ],
        "services": [
            {
                "name": service.name,
                "namespace": service.namespace,
                "addresses": list(service.addresses.values()),
                "port": service.port,
                "probe": "http:/",
                "endpoints": sum(pod.node not in out for pod in service.backends),
            }
            for service in topology.services
        ],
        "external": [
            {"name": "example", "host": outside.host, "probes": ["icmp", "tcp:443", f"http://{outside.host}:80/"]}
            for outside in [topology.external]
            if outside
        ],
        "pods": [_pod(pod) for pod in topology.pods if pod.role in _ANSWERING and pod.node not in out],
        "backed": [
            _backed(service, [pod for pod in service.backends if pod.node not in out])
            for service in (*topology.services, topology.dns)
        ],
        "dns": list(_name_servers(topology)),
        "policies": list(policies),
        "expectations": list(expectations),
    }


def _pod(pod: Pod) -> dict[str, Any]:
    """A pod without an agent, behind a service or a canary. It is ready, as its kubelet has found by its ports."""
    return {
        "namespace": pod.namespace,
        "name": pod.name,
        "node": pod.node,
        "uid": pod.uid,
        "addresses": list(pod.addresses.values()),
        "labels": dict(pod.labels),
        "ports": [{"name": port.name, "port": port.number, "protocol": port.protocol} for port in pod.ports],
        "probed_ports": sorted({port.number for port in pod.ports}),
        "canary": pod.role is Role.CANARY,
    }


def _backed(service: Service, ready: Sequence[Pod]) -> dict[str, Any]:
    """What is behind a service, which is what policies see."""
    return {
        "namespace": service.namespace,
        "name": service.name,
        "addresses": list(service.addresses.values()),
        "ports": [{"port": service.port, "protocol": protocol.upper(), "name": protocol} for protocol in service.protocols],
        "backends": [
            {
                "addresses": list(pod.addresses.values()),
                "port": service.port,
                "target_port": service.target_port,
                "pod": pod.name,
            }
            for pod in ready
        ],
    }


def _name_servers(topology: Topology) -> Iterator[dict[str, Any]]:
    """The cluster's DNS server, through its service and directly: a name of the world outside, and one of the cluster."""
    service, outside = topology.dns, topology.external
    names = [f"{outside.host}."] if outside else []
    expected = outside or service
    for name, addresses in (("service", service.addresses), ("pod", service.backends[0].addresses)):
        yield {
            "name": name,
            "addresses": list(addresses.values()),
            "names": [*names, f"{service.name}.{service.namespace}.svc.{DOMAIN}."],
            "port": service.port,
            "contains": next(iter(expected.addresses.values())),
        }
