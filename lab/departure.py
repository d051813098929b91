"""Pods and nodes that are taken away on purpose, as in a drain or when a cluster shrinks, and what the collector is told of it.

Nothing of it is a fault: programs are told to stop and finish, a service has no endpoint there any more, and whoever follows
the API knows it before it happens.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct

from lab.roles import Role
from lab.topology import Topology

ALONE = (Role.COLLECTOR, Role.DNS, Role.MONITORING)
"""What there is only one of in a lab."""


class Drain(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="drain", tag_field="kind"):
    """The pods of a node are taken away, but not its agent; or with `removed` the whole node. Undone, they are back."""

    node: str
    removed: bool = False

    def takes(self, node: str, role: Role) -> bool:
        """Whether it takes away a pod."""
        return self.node == node and (self.removed or role is not Role.AGENT)


class Standing(NamedTuple):
    """What the inventory says of those that come and go."""

    excluded: Mapping[str, str] = {}
    """Words by vantage, such as `terminating`."""
    absent: frozenset[str] = frozenset()
    """Vantages that are not there."""
    cordoned: frozenset[str] = frozenset()
    """Nodes that are about to be taken away."""
    removed: frozenset[str] = frozenset()
    """Nodes that are not there."""


def departed(faults: Sequence[object]) -> tuple[Drain, ...]:
    """Those that take something away."""
    return tuple(fault for fault in faults if isinstance(fault, Drain))


def standing(topology: Topology, faults: Sequence[object], *, leaving: bool = False) -> Standing:
    """What holds under faults; `leaving` while pods are still on their way."""
    drains = departed(faults)
    taken = frozenset(pod.vantage for pod in topology.vantages if any(drain.takes(pod.node, pod.role) for drain in drains))
    nodes = frozenset(drain.node for drain in drains)
    if leaving:
        return Standing(excluded=dict.fromkeys(taken, "terminating"), cordoned=nodes)
    removed = frozenset(drain.node for drain in drains if drain.removed)
    return Standing(absent=taken, cordoned=nodes - removed, removed=removed)


def serving(faults: Sequence[object], node: str) -> bool:
    """Whether backends on a node are endpoints of their services."""
    return all(drain.node != node for drain in departed(faults))


def check_drain(drain: Drain, topology: Topology) -> None:
    """Raise ValueError where something is on the node that there is only one of."""
    kept = [pod.name for pod in topology.pods_on(drain.node) if pod.role in ALONE]
    if kept:
        raise ValueError(f"fault: {' and '.join(kept)} on {drain.node} cannot be taken away")
