"""Is it the network, and where."""

from typing import Final

from manifests.dashboards.expressions import RATE, share, slow
from manifests.dashboards.panels import BAD, GOOD, LOSS, WARN, Dashboard, Query, lines, stat, states, table

ZONES: Final = '$scope, layer=~"pod|host", same_node=""'
INCIDENTS: Final = table(
    "Open incidents",
    "One line for each cause. What a wider incident explains is left out. The id leads to the page, with its evidence.",
    Query('netmatrix_incident_active{$scope, inhibited_by=""}', only_in_a_fault=True),
    columns=(
        ("severity", "severity"),
        ("kind", "kind"),
        ("component", "where"),
        ("layer", "layer"),
        ("direction", "direction"),
        ("effect", "effect"),
        ("src_namespace", "from namespace"),
        ("dst_namespace", "to namespace"),
        ("owner", "owner"),
        ("id", "id"),
    ),
    height=7,
    overrides=(
        {
            "matcher": {"id": "byName", "options": "id"},
            "properties": [
                {
                    "id": "links",
                    "value": [{"title": "Evidence", "url": "${page}/#/incident/${__value.raw}", "targetBlank": True}],
                }
            ],
        },
        {"matcher": {"id": "byName", "options": "Value"}, "properties": [{"id": "custom.hidden", "value": True}]},
    ),
)

OVERVIEW: Final = Dashboard(
    "overview",
    "netmatrix / Overview",
    "Is it the network, and where: incidents, loss and latency between zones and namespaces, the worst paths, the agents.",
    (
        (
            "",
            (
                stat(
                    "Open incidents",
                    "Causes that are open now, without those that a wider one explains.",
                    Query('count(netmatrix_incident_active{$scope, inhibited_by=""}) or vector(0)'),
                    thresholds=((None, GOOD), (1, WARN)),
                ),
                stat(
                    "Critical",
                    "Those of them that are critical.",
                    Query('count(netmatrix_incident_active{$scope, inhibited_by="", severity="critical"}) or vector(0)'),
                    thresholds=((None, GOOD), (1, BAD)),
                ),
                stat(
                    "Loss, pods and nodes",
                    "Share of the probes between pods and to nodes that are lost (RFC 6673), in the whole cluster.",
                    Query(
                        f"sum(rate(netmatrix_zone_probes_lost_total{{{ZONES}}}{RATE})) / "
                        f"sum(rate(netmatrix_zone_probes_sent_total{{{ZONES}}}{RATE}))"
                    ),
                    unit="percentunit",
                    thresholds=LOSS,
                ),
                stat(
                    "Agents that report",
                    "Share of the agents that should report.",
                    Query("sum(netmatrix_agent_up{$scope}) / count(netmatrix_agent_up{$scope})"),
                    unit="percentunit",
                    thresholds=((None, BAD), (0.95, WARN), (1, GOOD)),
                ),
                stat(
                    "Paths unknown",
                    "Paths of which nothing is known: neither healthy nor lost.",
                    Query('sum(netmatrix_cells{$scope, state="unknown"}) / sum(netmatrix_cells{$scope, state!="unsampled"})'),
                    unit="percentunit",
                    thresholds=((None, GOOD), (0.05, WARN)),
                ),
                stat(
                    "Age of verdicts",
                    "Time since the collector judged last. Older than a minute, and everything here is history.",
                    Query("max(netmatrix_judging_age_seconds{$scope})"),
                    unit="s",
                    thresholds=((None, GOOD), (60, BAD)),
                ),
                INCIDENTS,
            ),
        ),
        (
            "Between zones",
            (
                states(
                    "Loss between zones",
                    "From a zone to a zone, paths between nodes alone.",
                    Query(
                        share(
                            "netmatrix_zone_probes_lost_total", "netmatrix_zone_probes_sent_total", "from_zone, to_zone", ZONES
                        ),
                        "{{from_zone}} → {{to_zone}}",
                    ),
                ),
                lines(
                    "Round-trip time between zones, p99",
                    "Kernel to kernel, from merged histograms: never an average of percentiles.",
                    Query(slow(0.99, "from_zone, to_zone", ZONES), "{{from_zone}} → {{to_zone}}"),
                    unit="s",
                ),
            ),
        ),
        (
            "Between namespaces",
            (
                states(
                    "Loss between namespaces",
                    "As measured: a path that a policy closes is lost here too. Whether it should be is on the next dashboard.",
                    Query(
                        share(
                            "netmatrix_namespace_probes_lost_total",
                            "netmatrix_namespace_probes_sent_total",
                            "from_namespace, to_namespace",
                        ),
                        "{{from_namespace}} → {{to_namespace}}",
                    ),
                    width=24,
                ),
            ),
        ),
        (
            "Where to look",
            (
                table(
                    "Worst paths",
                    "The paths that lose most over the last minute; none where nothing is lost.",
                    Query("sort_desc(netmatrix_worst_pair_loss_ratio{$scope})", only_in_a_fault=True),
                    columns=(("from_node", "from"), ("to", "to"), ("to_node", "on"), ("layer", "layer"), ("kind", "kind")),
                    unit="percentunit",
                ),
                lines(
                    "Failures by reason",
                    "Why probes fail, in the words of the closed list of outcomes.",
                    Query(
                        f"sum by (layer, reason) (rate(netmatrix_probes_failed_total{{$scope}}{RATE}))",
                        "{{layer}} {{reason}}",
                        only_in_a_fault=True,
                    ),
                    unit="cps",
                ),
                lines(
                    "Agents by state",
                    "Agents that report, leave, are silent or have never been heard.",
                    Query("sum by (state) (netmatrix_agents{$scope})", "{{state}}"),
                ),
            ),
        ),
    ),
)
