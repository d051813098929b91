import pytest

from collector.alerts import BY_INCIDENT, LOSSY, OF_ITSELF, RUNBOOKS, alert_of, runbook_of

KINDS = (
    *("node", "zone_pair", "pair", "group", "widespread", "service", "dns", "external", "mtu", "policy", "agent"),
    *("collector", "nat", "canary", "expectation"),
)
EFFECTS = (
    *("unreachable", "loss", "latency", "leak", "broken", "nat", "mtu", "contradiction", "not_enforced", "unverifiable"),
    "silent",
)


@pytest.mark.parametrize(
    ("kind", "effect", "alert"),
    [
        ("node", "unreachable", "NetmatrixNodeUnreachable"),
        ("widespread", "unreachable", "NetmatrixNodeUnreachable"),
        ("node", "loss", "NetmatrixPathLossHigh"),
        ("group", "loss", "NetmatrixPathLossHigh"),
        ("pair", "unreachable", "NetmatrixPathLossHigh"),
        ("service", "latency", "NetmatrixPathLatencyHigh"),
        ("zone_pair", "latency", "NetmatrixZonePairDegraded"),
        ("service", "broken", "NetmatrixServiceUnreachable"),
        ("policy", "broken", "NetmatrixNamespacePathBroken"),
        ("policy", "leak", "NetmatrixNamespacePathLeak"),
        ("expectation", "unverifiable", "NetmatrixReachabilityUnverifiable"),
        ("agent", "silent", "NetmatrixAgentMissing"),
        ("collector", "silent", "NetmatrixDataStale"),
    ],
)
def test_an_incident_is_told_as_one_alert(kind: str, effect: str, alert: str) -> None:
    assert alert_of(kind, effect) == alert


def test_every_alert_of_incidents_is_told_by_some_incident_and_no_other_is() -> None:
    assert {alert_of(kind, effect) for kind in KINDS for effect in EFFECTS} == BY_INCIDENT


def test_a_kind_or_an_effect_of_another_version_is_told_all_the_same() -> None:
    assert alert_of("wormhole", "odd") == LOSSY


def test_every_alert_has_a_page_to_read() -> None:
    assert all(runbook_of(alert).startswith(f"{RUNBOOKS}Netmatrix") for alert in BY_INCIDENT | OF_ITSELF)
