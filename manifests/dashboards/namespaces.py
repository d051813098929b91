"""Expected against actual between namespaces."""

from typing import Final

from manifests.dashboards.expressions import RATE, share
from manifests.dashboards.panels import Dashboard, Query, chosen, lines, states, table

NAMESPACES: Final = Dashboard(
    "namespaces",
    "netmatrix / Namespace paths",
    "Expected against actual between namespaces, over time.",
    (
        (
            "",
            (
                table(
                    "Paths that are not as they should be",
                    "Broken: should be open and is not. Leak: should be closed and is open.",
                    Query('netmatrix_incident_active{$scope, kind="policy"}', only_in_a_fault=True),
                    columns=(
                        ("src_namespace", "from"),
                        ("dst_namespace", "to"),
                        ("effect", "what"),
                        ("severity", "severity"),
                        ("owner", "owner"),
                        ("expectation", "expectation"),
                    ),
                    height=6,
                ),
                states(
                    "Loss from the namespace",
                    "From the chosen namespace to each other one, as measured.",
                    Query(
                        share(
                            "netmatrix_namespace_probes_lost_total",
                            "netmatrix_namespace_probes_sent_total",
                            "to_namespace",
                            '$scope, from_namespace="$namespace"',
                        ),
                        "→ {{to_namespace}}",
                    ),
                ),
                states(
                    "Loss to the namespace",
                    "To the chosen namespace from each other one, as measured.",
                    Query(
                        share(
                            "netmatrix_namespace_probes_lost_total",
                            "netmatrix_namespace_probes_sent_total",
                            "from_namespace",
                            '$scope, to_namespace="$namespace"',
                        ),
                        "{{from_namespace}} →",
                    ),
                ),
                lines(
                    "Probes behind it",
                    "How many probes a second these figures rest on.",
                    Query(
                        "sum by (from_namespace) "
                        f'(rate(netmatrix_namespace_probes_sent_total{{$scope, to_namespace="$namespace"}}{RATE}))',
                        "{{from_namespace}} →",
                    ),
                    unit="cps",
                    width=24,
                ),
            ),
        ),
    ),
    (chosen("namespace", "to_namespace", "netmatrix_namespace_probes_sent_total", title="Namespace"),),
)
