"""Tungsten Fabric's isolated namespaces: annotations that close a namespace before any policy is asked.

What its documentation and its own tests disagree about is a setting: whether an isolated namespace reaches one that is not, and
whether its services can be opened.
"""

from typing import Final, Literal

from collector.policy.ends import Connection, End, Namespace, Pod
from collector.policy.profile import GENERIC, Profile

ISOLATION: Final = "opencontrail.org/isolation"
SERVICE_ISOLATION: Final = "opencontrail.org/isolation.service"
NETWORK: Final = "opencontrail.org/network"
UNDERLAY: Final = "kube-system"
"""The namespace whose pods run in the underlay, which every virtual network reaches."""

UNMARKED: Final = ("", "")
"""What a pod has of which it says nothing."""

Said = tuple[Literal["deny", "unknown"], str]


def isolation_says(source: End, target: End, connection: Connection, profile: Profile) -> Said | None:
    """What namespace isolation says of a connection, with the reason; None where it lets the policies decide."""
    if not (isinstance(source, Pod) and isinstance(target, Pod)) or UNDERLAY in {source.namespace.name, target.namespace.name}:
        return None
    marked = [pod.namespace for pod in (source, target) if isolation_of(pod) != UNMARKED]
    if not marked:
        return None
    if not profile.namespace_isolation:
        if profile != GENERIC:
            return None
        return "unknown", f"namespace {marked[0].name} has annotations of Tungsten Fabric, and the network plugin is not known"
    if _network(source) != _network(target):
        return "unknown", f"{source} and {target} are in different virtual networks"
    return _between(source.namespace, target.namespace, connection, profile)


def _between(source: Namespace, target: Namespace, connection: Connection, profile: Profile) -> Said | None:
    if source.name == target.name:
        return None
    if _is_isolated(target):
        if connection.via_service and target.annotations.get(SERVICE_ISOLATION) == "false":
            if profile.opened_services == "allow":
                return None
            because = f"namespace {target.name} is isolated and its services are opened ({SERVICE_ISOLATION})"
            return profile.opened_services, f"{because}, and opened_services is {profile.opened_services}"
        return "deny", f"namespace {target.name} is isolated ({ISOLATION})"
    if not _is_isolated(source) or profile.isolated_to_open == "allow":
        return None
    because = f"namespace {source.name} is isolated and {target.name} is not"
    return profile.isolated_to_open, f"{because}, and isolated_to_open is {profile.isolated_to_open}"


def isolation_of(pod: Pod) -> tuple[str, ...]:
    """What isolation sees of a pod: pods with the same are treated alike."""
    return ("true" if _is_isolated(pod.namespace) else "", _network(pod))


def _is_isolated(namespace: Namespace) -> bool:
    return namespace.annotations.get(ISOLATION) == "true"


def _network(pod: Pod) -> str:
    """The custom virtual network of a pod, or else of its namespace; empty for none."""
    return pod.annotations.get(NETWORK, "") or pod.namespace.annotations.get(NETWORK, "")
