"""How much a cause found from losses matters. Pure; those who declare an expectation give theirs with it."""

from typing import Final

from collector.verdict.candidates import ALL
from collector.verdict.finding import Finding, Severity

MUCH: Final = 0.05
"""Loss at which TCP becomes unusable: its throughput falls with the square root of the loss (RFC 3819, section 8.5.3)."""


def severity_of(finding: Finding) -> Severity:
    """Critical where somebody must be woken, info where one pair alone suffers some."""
    kind, effect = finding.scope.kind, finding.effect
    if effect == "latency":
        return "info" if kind == "pair" else "warning"
    if kind in {"widespread", "collector"} or finding.scope.component == ALL:
        return "critical"
    if kind in {"node", "group", "service", "dns", "policy", "mtu"}:
        return "critical" if effect in {"unreachable", "broken"} else "warning"
    if kind == "zone_pair":
        return "critical" if finding.loss >= MUCH else "warning"
    if kind == "pair":
        return "warning" if effect == "unreachable" else "info"
    return "warning"
