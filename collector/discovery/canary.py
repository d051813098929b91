"""What canaries want probed: each by the agent of its own node, on the port that a policy closes and on the one that is open.

In: a snapshot. Out: paths. From the same node, since what is lost between two nodes must not look like a policy in force, and a
node's network plugin enforces what comes to its own pods.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from collector.discovery.snapshot import Pod, Snapshot, Vantage
from collector.expectation.wants import Want
from wire.path import Family, Layer, Target, Tcp

CLOSED_PORT: Final = 8620
OPEN_PORT: Final = 9620
"""As `python -m agent canary` and the manifests have them; tests compare."""


def canary_name(pod: Pod) -> str:
    """Its name as a target."""
    return f"pod/{pod.namespace}/{pod.name}"


def canary_wants(snapshot: Snapshot) -> Iterator[Want]:
    """Two paths for each canary and family, in an order that depends on nothing but names."""
    canaries = sorted((one for one in snapshot.pods if one.canary), key=canary_name)
    near: dict[str, list[Vantage]] = {one.node: [] for one in canaries}
    for one in snapshot.vantages:
        # One in the network of the node is stopped by no policy.
        if one.node in near and not one.host_network and one.excluded != "terminating":
            near[one.node].append(one)
    for pod in canaries:
        for family in Family:
            address = next((one for one in pod.addresses if Family.of(one) is family), None)
            vantage = _nearest(near[pod.node], pod, family)
            if address is None or vantage is None:
                continue
            target = Target(name=canary_name(pod), peer=pod.node, address=address)
            for port in (CLOSED_PORT, OPEN_PORT):
                yield Want(vantage.name, target, Layer.POD, family, Tcp(port=port))


def _nearest(vantages: Sequence[Vantage], pod: Pod, family: Family) -> Vantage | None:
    """The one that asks, of those on its node: first one beside the canary, in whose namespace nothing else is closed."""
    able = [one for one in vantages if any(Family.of(address) is family for address in one.addresses)]
    return min(able, key=lambda one: (one.namespace != pod.namespace, one.name), default=None)
