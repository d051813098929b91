"""The instrument."""

from typing import Final

from manifests.dashboards.expressions import RATE
from manifests.dashboards.panels import GOOD, WARN, Dashboard, Query, lines, stat

ITSELF: Final = Dashboard(
    "self",
    "netmatrix / Itself",
    "The instrument: agents, collector, series, plan.",
    (
        (
            "Collector",
            (
                lines(
                    "Reports",
                    "Reports taken, repeated and refused a second.",
                    Query(f"sum(rate(netmatrix_reports_taken_total{{$scope}}{RATE}))", "taken"),
                    Query(
                        f"sum by (reason) (rate(netmatrix_reports_refused_total{{$scope}}{RATE}))",
                        "refused: {{reason}}",
                        only_in_a_fault=True,
                    ),
                    unit="cps",
                    width=8,
                ),
                lines(
                    "Memory",
                    "Resident, and what the matrix occupies of it.",
                    Query("netmatrix_matrix_bytes{$scope}", "matrix"),
                    Query("process_resident_memory_bytes{$scope} and on (instance) netmatrix_series", "resident"),
                    unit="bytes",
                    width=8,
                ),
                lines(
                    "CPU",
                    "Cores that the collector uses.",
                    Query(f"rate(process_cpu_seconds_total{{$scope}}{RATE}) and on (instance) netmatrix_series", "cores"),
                    width=8,
                ),
                lines("Series", "Series of a scrape.", Query("netmatrix_series{$scope}", "series"), width=8),
                lines(
                    "CPU of a pass of verdicts",
                    "CPU time of the last pass.",
                    Query("netmatrix_judging_seconds{$scope}", "seconds"),
                    unit="s",
                    width=8,
                ),
                lines(
                    "Cells by state",
                    "What the matrix knows.",
                    Query("sum by (state) (netmatrix_cells{$scope})", "{{state}}"),
                    width=8,
                ),
            ),
        ),
        (
            "Plan",
            (
                stat("Generation", "Number of the plan in force.", Query("max(netmatrix_plan_generation{$scope})"), width=6),
                stat(
                    "Stretched",
                    "Factor by which intervals were lengthened to stay within budgets.",
                    Query("max(netmatrix_plan_stretched_ratio{$scope})"),
                    width=6,
                    thresholds=((None, GOOD), (1.001, WARN)),
                ),
                lines(
                    "Probes sent",
                    "Probes a second of all agents, by layer.",
                    Query(f'sum by (layer) (rate(netmatrix_probes_sent_total{{$scope, direction="out"}}{RATE}))', "{{layer}}"),
                    unit="cps",
                ),
            ),
        ),
        (
            "Agents",
            (
                lines(
                    "Loop lag, p99: the worst ten",
                    "How late agents' own loops ran.",
                    Query("topk(10, netmatrix_agent_loop_lag_p99_seconds{$scope})", "{{vantage}}"),
                    unit="s",
                ),
                lines(
                    "Probes that our own side did not send",
                    "Never loss: no descriptor, no buffer, no port, forbidden, unsupported, paused, skipped.",
                    Query(
                        f"sum by (kind, reason) (rate(netmatrix_probes_local_total{{$scope}}{RATE}))",
                        "{{kind}} {{reason}}",
                        only_in_a_fault=True,
                    ),
                    unit="cps",
                ),
            ),
        ),
    ),
)
