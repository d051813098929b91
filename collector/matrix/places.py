"""The ends of paths as people know them: nodes, zones, namespaces, pods, services, hosts and name servers by name.

In: a snapshot. Out: the place of every vantage and of every target that a path may have.
"""

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from collector.discovery.snapshot import Snapshot
from collector.expectation.wants import outside

DIMENSIONS: Final = ("vantage", "node", "zone", "namespace", "service", "target", "layer", "kind", "family")
"""What cells can be grouped by, on either side."""


class Place(Struct, frozen=True, omit_defaults=False):
    """One end of a path; None where it has no such thing."""

    vantage: str | None = None
    target: str | None = None
    node: str | None = None
    zone: str | None = None
    namespace: str | None = None
    pod: str | None = None
    service: str | None = None

    def names(self) -> Iterator[str]:
        """Every name that a person may call it by."""
        if self.namespace and (own := self.pod or self.service):
            yield f"{self.namespace}/{own}"
        for name in (self.vantage, self.target, self.node, self.pod, self.service):
            if name:
                yield name
        if self.target and self.target.startswith(("external/", "dns/")):
            yield self.target.partition("/")[2]
        for dimension in ("zone", "namespace"):
            if word := getattr(self, dimension):
                yield f"{dimension}/{word}"

    def group(self, dimension: str) -> str | None:
        """Its name in a group-by; a service is named with its namespace."""
        if dimension == "service":
            return f"{self.namespace}/{self.service}" if self.service else None
        word: str | None = getattr(self, dimension)
        return word


def source_places(snapshot: Snapshot) -> dict[str, Place]:
    """The place of each vantage, by its name."""
    zones = {node.name: node.zone for node in snapshot.nodes}
    return {
        one.name: Place(vantage=one.name, node=one.node, zone=zones.get(one.node, ""), namespace=one.namespace, pod=one.pod)
        for one in snapshot.vantages
    }


def target_places(snapshot: Snapshot) -> dict[str, Place]:
    """The place of each target, by the name that paths have for it."""
    zones = {node.name: node.zone for node in snapshot.nodes}
    targets = {
        f"node/{node.name}": Place(target=f"node/{node.name}", node=node.name, zone=node.zone) for node in snapshot.nodes
    }
    for one in snapshot.vantages:
        name = f"pod/{one.namespace}/{one.pod}"
        zone = zones.get(one.node, "")
        targets[name] = Place(one.name, name, one.node, zone, one.namespace, one.pod)
    for pod in snapshot.pods:
        name = f"pod/{pod.namespace}/{pod.name}"
        targets[name] = Place(None, name, pod.node or None, zones.get(pod.node), pod.namespace, pod.name)
    for backed in snapshot.backed:
        name = f"service/{backed.namespace}/{backed.name}"
        targets[name] = Place(target=name, namespace=backed.namespace, service=backed.name)
    for service in snapshot.services:
        name = f"service/{service.namespace}/{service.name}"
        targets[name] = Place(target=name, namespace=service.namespace, service=service.name)
        for door in service.doors:
            way = f"{door.kind}/{service.namespace}/{service.name}/{door.name}"
            behind = door.name if door.kind == "endpoint" else None
            targets[way] = Place(None, way, door.node or None, zones.get(door.node), service.namespace, behind)
    for prefix, hosts in (("external", snapshot.external), ("dns", snapshot.dns)):
        for host in hosts:
            targets[f"{prefix}/{host.name}"] = Place(target=f"{prefix}/{host.name}")
    for name in outside(snapshot.expectations):
        targets.setdefault(name, Place(target=name))
    return targets


def natural(name: str) -> list[tuple[int, str]]:
    """A key that sorts n2 before n10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name) if part]
