"""The alerts by name: which one an incident is told as, and where to read what to do. Pure, and at the bottom: all may ask.

In: kind and effect of an incident. Out: a name that `manifests/alerts/rules.yaml` has a rule for and `docs/runbooks` a page,
which tests compare.
"""

from typing import Final

RUNBOOKS: Final = "docs/runbooks/"
"""Where the pages are: of the repository, and below the address of the collector's operator port, which serves them."""

BY_KIND: Final = {
    "zone_pair": "NetmatrixZonePairDegraded",
    "mtu": "NetmatrixMTUBlackHole",
    "nat": "NetmatrixUnexpectedNAT",
    "canary": "NetmatrixPolicyNotEnforced",
    "agent": "NetmatrixAgentMissing",
    "collector": "NetmatrixDataStale",
}
"""Kinds that are one alert, whatever their effect."""
BY_TARGET: Final = {
    "service": "NetmatrixServiceUnreachable",
    "dns": "NetmatrixDNSFailing",
    "external": "NetmatrixExternalTargetDown",
}
"""Kinds that are one alert, unless they are only slow."""
BY_EFFECT: Final = {
    "broken": "NetmatrixNamespacePathBroken",
    "leak": "NetmatrixNamespacePathLeak",
    "contradiction": "NetmatrixExpectationContradictsPolicy",
    "unverifiable": "NetmatrixReachabilityUnverifiable",
    "latency": "NetmatrixPathLatencyHigh",
}
"""Effects that are one alert, of all other kinds."""
DEAD: Final = "NetmatrixNodeUnreachable"
"""A node, or many of them, that nothing reaches."""
LOSSY: Final = "NetmatrixPathLossHigh"
"""All that is left: paths that lose some, or all, of what is sent over them."""
BY_INCIDENT: Final = frozenset({*BY_KIND.values(), *BY_TARGET.values(), *BY_EFFECT.values(), DEAD, LOSSY})
"""Every alert that tells of an incident."""
OF_ITSELF: Final = frozenset(
    {
        "NetmatrixAgentMissing",
        "NetmatrixAgentUnhealthy",
        "NetmatrixCertificateExpiring",
        "NetmatrixCollectorDown",
        "NetmatrixConfigurationRefused",
        "NetmatrixDataStale",
        "NetmatrixNotificationsFailing",
        "NetmatrixSeriesCapped",
    }
)
"""Every alert that tells how it is with netmatrix itself, from other metrics."""
SUMMARIES: Final = {
    "NetmatrixAgentMissing": "An agent does not report.",
    "NetmatrixAgentUnhealthy": "An agent is kept from measuring.",
    "NetmatrixCertificateExpiring": "A certificate that agents know the collector by ends soon.",
    "NetmatrixCollectorDown": "There are no metrics of the collector.",
    "NetmatrixConfigurationRefused": "The configuration is refused, and the last good one stays in force.",
    "NetmatrixDNSFailing": "A name server of the cluster does not answer, or not as it should.",
    "NetmatrixDataStale": "What the collector knows is old.",
    "NetmatrixExpectationContradictsPolicy": "A declared expectation contradicts the network policies in force.",
    "NetmatrixExternalTargetDown": "A host outside of the cluster cannot be reached.",
    "NetmatrixMTUBlackHole": "Large packets are lost where small ones arrive.",
    "NetmatrixNamespacePathBroken": "A path between namespaces that should be open is closed.",
    "NetmatrixNamespacePathLeak": "A path between namespaces that should be closed is open.",
    "NetmatrixNodeUnreachable": "Nothing reaches a node, or many of them.",
    "NetmatrixNotificationsFailing": "Notifications of the collector do not arrive.",
    "NetmatrixPathLatencyHigh": "Packets take much longer than they used to or should.",
    "NetmatrixPathLossHigh": "Packets are lost.",
    "NetmatrixPolicyNotEnforced": "Network policies are not enforced on a node.",
    "NetmatrixReachabilityUnverifiable": "Whether a path is closed as it should be cannot be proven.",
    "NetmatrixSeriesCapped": "Series are left out of the metrics, since there are too many.",
    "NetmatrixServiceUnreachable": "A service cannot be reached through its address.",
    "NetmatrixUnexpectedNAT": "Addresses are translated between pods, which the Kubernetes network model forbids.",
    "NetmatrixZonePairDegraded": "Packets between two zones are lost or late.",
}
"""What an alert says in one sentence, without names."""


def alert_of(kind: str, effect: str) -> str:
    """The name of the alert; of a kind or an effect that is not known, that of lossy paths."""
    if kind in BY_KIND:
        return BY_KIND[kind]
    if kind in BY_TARGET and effect != "latency":
        return BY_TARGET[kind]
    if effect == "unreachable" and kind in {"node", "widespread"}:
        return DEAD
    return BY_EFFECT.get(effect, LOSSY)


def runbook_of(alert: str, runbooks: str = RUNBOOKS) -> str:
    """The page of an alert."""
    return f"{runbooks}{alert}"
