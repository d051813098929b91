"""One node, in and out, by layer."""

from typing import Final

from manifests.dashboards.expressions import RATE, share
from manifests.dashboards.panels import Dashboard, Panel, Query, chosen, lines


def _direction(word: str, title: str) -> tuple[str, tuple[Panel, ...]]:
    matchers = f'$scope, node="$node", direction="{word}"'
    return (
        title,
        (
            lines(
                "Loss by layer",
                "Host lost as well: the underlay. Pods alone: the overlay, the network plugin or a policy.",
                Query(share("netmatrix_probes_lost_total", "netmatrix_probes_sent_total", "layer", matchers), "{{layer}}"),
                unit="percentunit",
            ),
            lines(
                "Mean round-trip time by layer",
                "The sum of round-trip times by the probes received: a mean, since nodes have no histograms.",
                Query(
                    f"sum by (layer) (rate(netmatrix_probes_rtt_seconds_total{{{matchers}}}{RATE})) / "
                    f"sum by (layer) (rate(netmatrix_probes_received_total{{{matchers}}}{RATE}))",
                    "{{layer}}",
                ),
                unit="s",
            ),
        ),
    )


NODE: Final = Dashboard(
    "node",
    "netmatrix / Node",
    "One node: what reaches it and what it reaches, by layer, and how its agent feels.",
    (
        _direction("in", "To the node"),
        _direction("out", "From the node"),
        (
            "Its agent",
            (
                lines(
                    "Loop lag, p99",
                    "How late the agent's own loop ran. Kernel stamps keep it out of latencies; an ill agent blames nobody.",
                    Query('netmatrix_agent_loop_lag_p99_seconds{$scope, node="$node"}', "{{vantage}}"),
                    unit="s",
                    width=8,
                ),
                lines(
                    "Age of the last report",
                    "Time since its last report arrived.",
                    Query('netmatrix_agent_report_age_seconds{$scope, node="$node"}', "{{vantage}}"),
                    unit="s",
                    width=8,
                ),
                lines(
                    "Resident memory",
                    "Of the agent's process.",
                    Query('netmatrix_agent_resident_bytes{$scope, node="$node"}', "{{vantage}}"),
                    unit="bytes",
                    width=8,
                ),
            ),
        ),
    ),
    (chosen("node", "node", "netmatrix_agent_up", title="Node"),),
)
