"""The alerts by name: which one an incident is told as, and where to read what to do. Pure, and at the bottom: all may ask.

In: kind and effect of an incident. Out: a name that `manifests/alerts/rules.yaml` has a rule for and `docs/runbooks` a page,
which tests compare.
"""

from typing import Final

RUNBOOKS: Final = "https://netmatrix.io/runbooks/"
"""Where the pages of docs/runbooks are read, unless the configuration names another place."""

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
