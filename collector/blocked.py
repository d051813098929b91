"""Which vantages do not report since their own namespace keeps them from the collector. Pure.

In: who is not heard of, and a snapshot with the policies in force. Out: a sentence for each whose policies deny it the way. It
is no fault of the network, and looks like one of the agent where nobody says so.
"""

from collections.abc import Collection, Mapping
from typing import Final

from collector.derivation import ExpectSettings
from collector.discovery.ends import Ends, profile_in
from collector.discovery.snapshot import Snapshot
from collector.policy.ends import Connection, ContainerPort, Pod
from collector.policy.evaluate import Answer, Policies
from collector.policy.rules import Direction, Side

PORT: Final = ContainerPort(8443, "TCP", "https-agents")
"""Where the collector listens for agents, as its manifest names it."""
LABELS: Final = {
    "app.kubernetes.io/name": "netmatrix",
    "app.kubernetes.io/instance": "netmatrix",
    "app.kubernetes.io/component": "collector",
}
"""Of the collector's pod."""


def blocked_of(
    unheard: Collection[str],
    snapshot: Snapshot,
    *,
    own: str,
    settings: ExpectSettings | None = None,
) -> Mapping[str, str]:
    """By name of a vantage, why it cannot report; `own` is the collector's namespace."""
    of_namespaces = [name for name in unheard if "/" in name]
    if not of_namespaces or not (snapshot.policies or snapshot.opaque):
        return {}
    ends = Ends(snapshot)
    collector = Pod(ends.namespace(own), "netmatrix-collector", LABELS, (), (PORT,))
    policies = Policies(snapshot.policies, snapshot.opaque, profile_in(snapshot, settings or ExpectSettings()))
    found = {}
    for name in of_namespaces:
        subject = ends.vantages.get(name)
        if subject is None or subject.host_network:
            continue
        reasons = policies.decided(Side(Direction.EGRESS, subject, collector, Connection("TCP", PORT.port)))
        if reasons and all(reason.answer is Answer.DENY for reason in reasons):
            found[name] = f"blocked by its namespace: {reasons[0].because}"
    return found
