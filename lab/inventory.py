"""What a lab's collector is told: its inventory file, as plain values."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lab.departure import Standing
from lab.policies import Document
from lab.roles import ECHO_PORT
from lab.topology import MTU, Topology

EVERYTHING = Standing()


def inventory(
    topology: Topology,
    keys: Mapping[str, str],
    policies: Sequence[Document] = (),
    expectations: Sequence[Document] = (),
    standing: Standing = EVERYTHING,
) -> dict[str, Any]:
    """The collector's inventory file as plain values; `keys` holds the token of every vantage."""
    return {
        "mtu": topology.mtu,
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
                "endpoints": sum(pod.node not in standing.cordoned | standing.removed for pod in service.backends),
            }
            for service in topology.services
        ],
        "external": [
            {"name": "example", "host": outside.host, "probes": ["icmp", "tcp:443", f"http://{outside.host}:80/"]}
            for outside in [topology.external]
            if outside
        ],
        "dns": list(_name_servers(topology)),
        "policies": list(policies),
        "expectations": list(expectations),
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
            "names": [*names, f"{service.name}.{service.namespace}.svc.test."],
            "port": service.port,
            "contains": next(iter(expected.addresses.values())),
        }
