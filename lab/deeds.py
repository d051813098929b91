"""What happens to a cluster while a scenario runs, in the order of its times."""

from collections.abc import Awaitable, Callable
from functools import partial

import msgspec

from lab.cluster import Cluster
from lab.policy_change import PolicyChange, moments
from lab.scenario import Event, Scenario

Deed = tuple[int, str, Callable[[], Awaitable[None]]]
"""When, in nanoseconds of the scenario; what, in words; and how."""


def deeds(scenario: Scenario, cluster: Cluster) -> list[Deed]:
    """All of them. What the nodes hear of a policy and what the collector does are two."""
    found: list[Deed] = []
    for event in scenario.timeline:
        if event.policy is None:
            found.append(_of_fault(event, cluster))
            continue
        for moment, whom in moments(event.policy, event.at):
            act = partial(_enforce if whom == "enforce" else _tell, cluster, event.policy)
            found.append((moment, f"{whom}: {event.policy.name}", act))
    return sorted(found, key=lambda deed: deed[0])


def _of_fault(event: Event, cluster: Cluster) -> Deed:
    if event.fault is not None:
        return event.at, _shown(event.fault), partial(cluster.apply, event.fault)
    cleared = None if event.clear == "all" else event.clear
    return event.at, f"clear {_shown(event.clear)}", partial(cluster.clear, cleared)


async def _enforce(cluster: Cluster, change: PolicyChange) -> None:
    await cluster.enforce(change.of(cluster.policies))


async def _tell(cluster: Cluster, change: PolicyChange) -> None:
    await cluster.tell(change.of(cluster.told))


def _shown(fault: object) -> str:
    words = msgspec.to_builtins(fault)
    return " ".join(f"{key}={value}" for key, value in words.items()) if isinstance(words, dict) else str(words)
