"""From node to node, of small clusters."""

from typing import Final

from manifests.dashboards.panels import Dashboard, Query, chosen, lines, states

PAIRS: Final = Dashboard(
    "pairs",
    "netmatrix / Pairs of nodes",
    "From node to node, where `export.pairs` is on, at most 100 nodes. The page shows the same for any number.",
    (
        (
            "",
            (
                states(
                    "Loss from the node",
                    "To each other node, on the chosen layer.",
                    Query('netmatrix_pair_loss_ratio{$scope, from_node="$node", layer="$layer"}', "→ {{to_node}}"),
                    width=24,
                    height=10,
                ),
                lines(
                    "Median",
                    "Round-trip time to each other node.",
                    Query('netmatrix_pair_rtt_p50_seconds{$scope, from_node="$node", layer="$layer"}', "→ {{to_node}}"),
                    unit="s",
                ),
                lines(
                    "p99",
                    "Round-trip time to each other node.",
                    Query('netmatrix_pair_rtt_p99_seconds{$scope, from_node="$node", layer="$layer"}', "→ {{to_node}}"),
                    unit="s",
                ),
            ),
        ),
    ),
    (
        chosen("node", "from_node", "netmatrix_pair_loss_ratio", title="From node"),
        chosen("layer", "layer", "netmatrix_pair_loss_ratio", title="Layer"),
    ),
)
