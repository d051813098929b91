"""From pods to canaries. Pure.

Only those of netmatrix's own namespace count: whoever may make pods elsewhere must not be able to say that a node enforces
nothing. One that has just begun does not count yet either, since its policy may be on its way to the node as well.
"""

from msgspec import Struct, structs

from collector.discovery.cluster.addresses import usable
from collector.discovery.cluster.behind_services import seen
from collector.discovery.cluster.vantages import CANARY
from collector.discovery.cluster.world import World
from collector.discovery.snapshot import Pod
from collector.settings import SECOND, DiscoverySettings


class Canaries(Struct, frozen=True):
    """The canaries, in the order of their names."""

    pods: tuple[Pod, ...]
    settled: float | None
    """Unix seconds at which the next one has settled; None where none is about to."""


def canaries_of(world: World, settings: DiscoverySettings, now: float) -> Canaries:
    """All canaries; `now` is in Unix seconds."""
    nodes = {node.name for node in world.nodes}
    settling = settings.settling / SECOND
    found: list[Pod] = []
    until: list[float] = []
    for one in sorted(world.pods, key=lambda one: one.name):
        addresses, _ = usable(one.addresses)
        ours = one.component == CANARY and one.namespace == settings.namespace and not one.host_network
        if not ours or one.ended or not addresses or one.node not in nodes:
            continue
        settled = one.ready_since + settling
        young = one.ready and now < settled <= now + settling
        if young:
            until.append(settled)
        pod = seen(one, addresses)
        found.append(structs.replace(pod, ready=pod.ready and not young, canary=True))
    return Canaries(tuple(found), min(until, default=None))
