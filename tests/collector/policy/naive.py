"""What the policies of a case say, read from the documents as they are, in the order in which the API describes them.

Slow, without a model, and written apart from the evaluator, so that one mistake is not made twice. Pods, namespaces and
policies are those of a vector file: mappings as JSON has them.
"""

from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any

Document = Mapping[str, Any]


def allowed(step: Document, source: Document, target: Document, protocol: str, port: int) -> bool:
    """Whether a connection between two pods passes egress of the one and ingress of the other."""
    connection = protocol, port, target
    return all(
        passes(step, direction, subject, other, connection)
        for direction, subject, other in (("egress", source, target), ("ingress", target, source))
    )


def passes(step: Document, direction: str, subject: Document, other: Document, connection: tuple[str, int, Document]) -> bool:
    """One direction: Admin, then NetworkPolicies, then Baseline, and open where nobody has said anything."""
    if (said := ranked(step, "Admin", direction, (subject, other), connection)) is not None:
        return said
    isolating = [one for one in step["networkPolicies"] if isolates(one, direction, subject)]
    if isolating:
        return any(
            matches(rule, direction, one, other, connection) for one in isolating for rule in one["spec"].get(direction) or []
        )
    return ranked(step, "Baseline", direction, (subject, other), connection) is not False


def isolates(policy: Document, direction: str, subject: Document) -> bool:
    spec = policy["spec"]
    types = spec.get("policyTypes")
    if not types:
        types = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    if policy["metadata"]["namespace"] != subject["namespace"] or direction not in [one.lower() for one in types]:
        return False
    return selects(spec.get("podSelector") or {}, subject["labels"])


def matches(rule: Document, direction: str, policy: Document, other: Document, connection: tuple[str, int, Document]) -> bool:
    peers, ports = rule.get("from" if direction == "ingress" else "to"), rule.get("ports")
    near = not peers or any(is_peer(peer, policy["metadata"]["namespace"], other) for peer in peers)
    return near and (not ports or any(is_port(one, connection) for one in ports))


def is_peer(peer: Document, namespace: str, other: Document) -> bool:
    if (block := peer.get("ipBlock")) is not None:
        return inside(block["cidr"], other) and not any(inside(one, other) for one in block.get("except") or [])
    if peer.get("namespaceSelector") is None and other["namespace"] != namespace:
        return False
    if not selects(peer.get("namespaceSelector") or {}, other["namespaceLabels"]):
        return False
    return selects(peer.get("podSelector") or {}, other["labels"])


def is_port(one: Document, connection: tuple[str, int, Document]) -> bool:
    protocol, number, target = connection
    if (one.get("protocol") or "TCP") != protocol:
        return False
    port = one.get("port")
    if port is None:
        return True
    if isinstance(port, str):
        return any((own["name"], own["protocol"], own["port"]) == (port, protocol, number) for own in target["ports"])
    return bool(port <= number <= (one.get("endPort") or port))


def ranked(
    step: Document, tier: str, direction: str, pods: tuple[Document, Document], connection: tuple[str, int, Document]
) -> bool | None:
    """What a tier of ClusterNetworkPolicies says; None where it leaves it to the next."""
    subject, other = pods
    specs = (one["spec"] for one in step["clusterPolicies"] if one["spec"]["tier"] == tier)
    for spec in sorted(specs, key=lambda spec: spec["priority"]):
        if not is_selected(spec["subject"], subject):
            continue
        for rule in spec.get(direction) or []:
            peers, protocols = rule["from" if direction == "ingress" else "to"], rule.get("protocols")
            near = any(is_selected(peer, other) for peer in peers)
            if near and (not protocols or any(is_protocol(one, connection) for one in protocols)):
                return None if rule["action"] == "Pass" else rule["action"] == "Accept"
    return None


def is_selected(peer: Document, pod: Document) -> bool:
    if "networks" in peer:
        return any(inside(one, pod) for one in peer["networks"])
    if "namespaces" in peer:
        return selects(peer["namespaces"], pod["namespaceLabels"])
    spaces = selects(peer["pods"].get("namespaceSelector") or {}, pod["namespaceLabels"])
    return spaces and selects(peer["pods"].get("podSelector") or {}, pod["labels"])


def is_protocol(one: Document, connection: tuple[str, int, Document]) -> bool:
    protocol, number, target = connection
    if "destinationNamedPort" in one:
        wanted = (one["destinationNamedPort"], protocol, number)
        return any((own["name"], own["protocol"], own["port"]) == wanted for own in target["ports"])
    if protocol.lower() not in one:
        return False
    port = one[protocol.lower()].get("destinationPort")
    if port is None:
        return True
    if "range" in port:
        return bool(port["range"]["start"] <= number <= port["range"]["end"])
    return bool(port["number"] == number)


def inside(cidr: str, pod: Document) -> bool:
    network = ip_network(cidr, strict=False)
    return any(ip_address(one) in network for one in pod["ips"] if ip_address(one).version == network.version)


def selects(selector: Document, labels: Mapping[str, str]) -> bool:
    for key, value in (selector.get("matchLabels") or {}).items():
        if key not in labels or labels[key] != value:
            return False
    for one in selector.get("matchExpressions") or []:
        there = one["key"] in labels
        held = {
            "In": there and labels.get(one["key"]) in (one.get("values") or []),
            "NotIn": not there or labels[one["key"]] not in (one.get("values") or []),
            "Exists": there,
            "DoesNotExist": not there,
        }[one["operator"]]
        if not held:
            return False
    return True
