"""PromQL that several dashboards share."""

from typing import Final

RATE: Final = "[$__rate_interval]"


def share(lost: str, sent: str, by: str, matchers: str = "$scope") -> str:
    """Lost by sent, each added up first: never an average of shares."""
    return f"sum by ({by}) (rate({lost}{{{matchers}}}{RATE})) / sum by ({by}) (rate({sent}{{{matchers}}}{RATE}))"


def slow(q: float, by: str, matchers: str) -> str:
    """A quantile of the round-trip times between zones."""
    return f"histogram_quantile({q}, sum by (le, {by}) (rate(netmatrix_zone_rtt_seconds_bucket{{{matchers}}}{RATE})))"
