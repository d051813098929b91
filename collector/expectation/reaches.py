"""Between which ends a declaration is about which connections.

In: a declaration and the cluster. Out: its sources, its targets with what is asked of them, and a pair of each sort of pairs
that nothing tells apart.
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import Final

from msgspec import Struct

from collector.expectation.asked import Asked, asked_behind, asked_of
from collector.expectation.cluster import Cluster
from collector.expectation.declared import One
from collector.expectation.expected import Expectations, has_family
from collector.expectation.selection import EVERYBODY, Selection
from collector.policy.ends import Connection, End, Host
from wire.path import Family

_ENOUGH: Final = 2


class Goal(Struct, frozen=True):
    """One port of one target."""

    end: End
    asked: Asked
    service: str = ""
    """Namespace and name of the service that named it."""
    through: bool = False
    """Whether the way goes through that service's ClusterIP."""
    by_name: bool = False
    """Whether that is found by its name in DNS."""


class Reach(Struct, frozen=True):
    """One connection that a declaration is about."""

    source: End
    goal: Goal
    connection: Connection

    @property
    def target(self) -> End:
        """Where it goes to."""
        return self.goal.end

    def __str__(self) -> str:
        """As in a sentence."""
        port = f" {self.connection.port}" if self.connection.port else ""
        through = f" through service {self.goal.service}" if self.goal.through else ""
        return f"{self.source} to {self.target}{through}, {self.connection.protocol}{port}"


def selected(one: Selection, cluster: Cluster) -> Iterator[End]:
    """All that a selection selects; nothing for a service."""
    if one.peer.cidr is not None:
        yield Host((one.peer.cidr.alone,))
    elif one.peer.host is not None:
        yield Host((), one.peer.host.name)
    elif one.peer.nodes is not None:
        yield from (node for node in cluster.nodes if one.selects(node))
    elif one.peer.pods is not None or one.peer.workload is not None or one.peer == EVERYBODY:
        near = cluster.pods_of.get(one.near, ()) if one.near else cluster.pods
        yield from (pod for pod in near if one.selects(pod))


def sources_of(one: One, cluster: Cluster) -> Iterator[End]:
    """The ends that a declaration's connections come from, each once."""
    found = {str(end): end for selection in one.sources for end in selected(selection, cluster)}
    yield from found.values()


def goals_of(one: One, cluster: Cluster) -> Iterator[Goal]:
    """What is asked of each target, each once."""
    ports = one.declared.spec.ports
    found = {str(end): end for selection in one.targets for end in selected(selection, cluster)}
    for end in found.values():
        yield from (Goal(end, asked) for asked in asked_of(ports, end))
    for selection in one.targets:
        service = cluster.service.get(selection.service)
        if service is not None:
            for backing, asked in asked_behind(ports, service):
                yield Goal(backing.pod, asked, str(service), selection.via != "endpoints", selection.via == "name")


def reaches(expectations: Expectations, one: One) -> Iterator[Reach]:
    """One of each class of sources to one of each class of targets, over each family that both have."""
    cluster = expectations.cluster
    sources = of_each_class(expectations, sources_of(one, cluster))
    goals: dict[Hashable, Goal] = {}
    for goal in goals_of(one, cluster):
        asked = (goal.asked.protocol, goal.asked.port, goal.service, goal.through)
        goals.setdefault((expectations.class_key(goal.end), *asked), goal)
    for goal in goals.values():
        for ends in sources:
            source = next((end for end in ends if str(end) != str(goal.end)), None)
            if source is None:
                continue
            for family in Family:
                if family.value in one.families and has_family(source, family) and has_family(goal.end, family):
                    yield Reach(source, goal, Connection(goal.asked.protocol, goal.asked.port, family, goal.through))


def of_each_class(expectations: Expectations, ends: Iterable[End]) -> list[list[End]]:
    """One end of each class, and a second one where there is, since nobody asks himself."""
    found: dict[Hashable, list[End]] = {}
    for end in ends:
        known = found.setdefault(expectations.class_key(end), [])
        if len(known) < _ENOUGH:
            known.append(end)
    return list(found.values())
