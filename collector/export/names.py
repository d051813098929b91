"""Every metric name of the collector, with its type, its help and its labels, in the order of what matters.

The order is that of the cap: where series are too many, the families at the end are shortened first. The label `network` is
empty for the pods' default network, and `same_node` is `true` where both ends are on one node and else empty; an empty label is
to Prometheus as none.
"""

from typing import Final, Literal

from msgspec import Struct

PREFIX: Final = "netmatrix_"


class Family(Struct, frozen=True):
    """One metric family of the encoder's; `labels` in the order of their values."""

    name: str
    """With the suffix `_total` for counters, as it is written."""
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()


SERIES: Final = Family("netmatrix_series", "gauge", "Series that this scrape holds, without the collector's own.")
SERIES_DROPPED: Final = Family(
    "netmatrix_series_dropped_total", "counter", "Series left out of scrapes since they would exceed the cap.", ("family",)
)

INCIDENT_ACTIVE: Final = Family(
    "netmatrix_incident_active",
    "gauge",
    "1 for each incident that is open; its labels stay as they are for as long as it is.",
    (
        *("id", "kind", "component", "layer", "direction", "effect", "severity"),
        *("src_namespace", "dst_namespace", "owner", "expectation", "inhibited_by"),
    ),
)
INCIDENTS: Final = Family("netmatrix_incidents_total", "counter", "Incidents that have opened.", ("kind", "effect"))
JUDGING_AGE: Final = Family("netmatrix_judging_age_seconds", "gauge", "Time since verdicts were made last.")
JUDGING_SECONDS: Final = Family("netmatrix_judging_seconds", "gauge", "CPU time that the last pass of verdicts took.")

MISMATCHES: Final = Family(
    "netmatrix_reachability_mismatch_pairs",
    "gauge",
    "Paths between two namespaces that are open and should be closed (leak), or closed and should be open (broken).",
    ("src_namespace", "dst_namespace", "kind"),
)
EXPECTATION_SATISFIED: Final = Family(
    "netmatrix_expectation_satisfied",
    "gauge",
    "1 where all that could be judged of a declared expectation holds, 0 where something does not.",
    ("namespace", "expectation", "severity", "owner"),
)
EXPECTATION_PAIRS: Final = Family(
    "netmatrix_expectation_pairs",
    "gauge",
    "Paths of a declared expectation by verdict.",
    (*EXPECTATION_SATISFIED.labels, "verdict"),
)
ENFORCEMENT_DELAY: Final = Family(
    "netmatrix_policy_enforcement_delay_seconds",
    "histogram",
    "Time from when a change of what is expected was seen to the first observation that agrees with it, by path.",
    ("kind",),
)
CNI_PROFILE: Final = Family(
    "netmatrix_cni_profile",
    "gauge",
    "1, with what the network plugin is taken for, and what was found.",
    ("profile", "detected"),
)
POLICY_CANARY: Final = Family(
    "netmatrix_policy_canary_ok",
    "gauge",
    "Whether the canary of a node is closed where a policy closes it (deny) and open where none does (allow); 0 for not.",
    ("node", "test"),
)
EVALUATOR_UNKNOWN: Final = Family(
    "netmatrix_evaluator_unknown_paths",
    "gauge",
    "Paths of which it is not known what should be, by how far it is known.",
    ("expected",),
)

MATRIX_BYTES: Final = Family("netmatrix_matrix_bytes", "gauge", "Memory that the matrix occupies.")
MATRIX_DROPPED: Final = Family(
    "netmatrix_matrix_dropped_total",
    "counter",
    "Steps of time, rows and entries of logs that left the matrix early, or found no room, for want of memory.",
)
CELLS: Final = Family("netmatrix_cells", "gauge", "Cells of the matrix by state.", ("state",))
UNKNOWN_PATHS: Final = Family(
    "netmatrix_windows_unknown_path_total", "counter", "Windows left out since their path is in no plan that is remembered."
)
UNKNOWN_CODES: Final = Family(
    "netmatrix_unknown_codes_total", "counter", "Outcomes and measures left out since this version does not know them."
)
SET_ASIDE: Final = Family(
    "netmatrix_probes_set_aside_total", "counter", "Probes that are not believed and enter no sum, by reason.", ("reason",)
)

AGENTS: Final = Family("netmatrix_agents", "gauge", "Agents of the inventory by state.", ("state",))
AGENT_UP: Final = Family(
    "netmatrix_agent_up", "gauge", "1 while the agent reports or said that it leaves, else 0.", ("vantage", "node")
)
AGENT_AGE: Final = Family(
    "netmatrix_agent_report_age_seconds", "gauge", "Time since the agent's last report arrived.", ("vantage", "node")
)

SENT: Final = Family(
    "netmatrix_probes_sent_total",
    "counter",
    "Probes that were sent and judged, by the node they left (out) or led to (in).",
    ("node", "direction", "layer"),
)
LOST: Final = Family(
    "netmatrix_probes_lost_total",
    "counter",
    "Probes lost: failed in the network, or answered after the waiting time (RFC 6673).",
    SENT.labels,
)
LATE: Final = Family(
    "netmatrix_probes_late_total", "counter", "Probes answered after the waiting time; lost includes them.", SENT.labels
)
RECEIVED: Final = Family("netmatrix_probes_received_total", "counter", "Probes answered in time.", SENT.labels)
RTT_SUM: Final = Family(
    "netmatrix_probes_rtt_seconds_total", "counter", "Sum of the round-trip times of the probes received.", SENT.labels
)
NAT: Final = Family(
    "netmatrix_nat_windows_total",
    "counter",
    "Windows in which the peer saw another source address than the agent's own.",
    SENT.labels,
)

FAILED: Final = Family(
    "netmatrix_probes_failed_total",
    "counter",
    "Probes that failed in the network, by the word for it.",
    ("layer", "kind", "reason"),
)
LOCAL: Final = Family(
    "netmatrix_probes_local_total",
    "counter",
    "Probes that the agents' own side did not send or could not judge; never loss.",
    ("kind", "reason"),
)

ZONE_SENT: Final = Family(
    "netmatrix_zone_probes_sent_total",
    "counter",
    "Probes between zones that were sent and judged.",
    ("from_zone", "to_zone", "layer", "network", "same_node"),
)
ZONE_LOST: Final = Family(
    "netmatrix_zone_probes_lost_total", "counter", "Probes between zones that were lost.", ZONE_SENT.labels
)
ZONE_RTT: Final = Family("netmatrix_zone_rtt_seconds", "histogram", "Round-trip times between zones.", ZONE_SENT.labels)

SERVICE_SENT: Final = Family(
    "netmatrix_service_probes_sent_total", "counter", "Probes through a ClusterIP that were judged.", ("namespace", "service")
)
SERVICE_LOST: Final = Family(
    "netmatrix_service_probes_lost_total", "counter", "Probes through a ClusterIP that were lost.", SERVICE_SENT.labels
)
DNS_SENT: Final = Family("netmatrix_dns_probes_sent_total", "counter", "Probes of a name server that were judged.", ("server",))
DNS_LOST: Final = Family(
    "netmatrix_dns_probes_lost_total", "counter", "Probes of a name server that were lost.", DNS_SENT.labels
)
EXTERNAL_SENT: Final = Family(
    "netmatrix_external_probes_sent_total", "counter", "Probes to a host outside of the cluster that were judged.", ("target",)
)
EXTERNAL_LOST: Final = Family(
    "netmatrix_external_probes_lost_total",
    "counter",
    "Probes to a host outside of the cluster that were lost.",
    EXTERNAL_SENT.labels,
)
NAMESPACE_SENT: Final = Family(
    "netmatrix_namespace_probes_sent_total",
    "counter",
    "Probes between namespaces that were sent and judged.",
    ("from_namespace", "to_namespace"),
)
NAMESPACE_LOST: Final = Family(
    "netmatrix_namespace_probes_lost_total", "counter", "Probes between namespaces that were lost.", NAMESPACE_SENT.labels
)

WORST_LOSS: Final = Family(
    "netmatrix_worst_pair_loss_ratio",
    "gauge",
    "Loss of the paths that lose most, over the last minute; those without loss are left out.",
    ("from", "from_node", "to", "to_node", "layer", "network", "kind", "family", "path"),
)
AGENT_GAPS: Final = Family(
    "netmatrix_agent_report_gaps", "gauge", "Reports of the agent's process that never came.", ("vantage", "node")
)
AGENT_LAG: Final = Family(
    "netmatrix_agent_loop_lag_p99_seconds",
    "gauge",
    "How late the agent's own loop ran, 99th percentile of its last report.",
    AGENT_UP.labels,
)
AGENT_THROTTLED: Final = Family(
    "netmatrix_agent_throttled_seconds",
    "gauge",
    "How long the agent was kept from running in its last report.",
    AGENT_UP.labels,
)
AGENT_CPU: Final = Family(
    "netmatrix_agent_cpu_seconds", "gauge", "CPU time that the agent used in its last report.", AGENT_UP.labels
)
AGENT_MEMORY: Final = Family("netmatrix_agent_resident_bytes", "gauge", "Resident memory of the agent.", AGENT_UP.labels)
AGENT_DROPPED: Final = Family(
    "netmatrix_agent_windows_dropped",
    "gauge",
    "Windows that the agent's process lost to a full buffer so far.",
    AGENT_UP.labels,
)

REACHABILITY_EXPECTED: Final = Family(
    "netmatrix_reachability_expected",
    "gauge",
    "1 where paths between two namespaces should be open, 0 where they should be closed, by what says so.",
    ("src_namespace", "dst_namespace", "protocol", "port", "family", "source"),
)
REACHABILITY_OBSERVED: Final = Family(
    "netmatrix_reachability_observed",
    "gauge",
    "Share of these paths that are open.",
    REACHABILITY_EXPECTED.labels,
)
REACHABILITY_VERDICT: Final = Family(
    "netmatrix_reachability_verdict",
    "gauge",
    "Paths between two namespaces by verdict.",
    ("src_namespace", "dst_namespace", "verdict"),
)

PLAN_GENERATION: Final = Family("netmatrix_plan_generation", "gauge", "Number of the plan in force.")
PLAN_STRETCHED: Final = Family(
    "netmatrix_plan_stretched_ratio", "gauge", "Factor by which intervals were lengthened to stay within the budgets."
)

PAIR_LOSS: Final = Family(
    "netmatrix_pair_loss_ratio",
    "gauge",
    "Loss from node to node over the last minute.",
    ("from_node", "to_node", "layer", "network"),
)
PAIR_P50: Final = Family(
    "netmatrix_pair_rtt_p50_seconds",
    "gauge",
    "Median round-trip time from node to node over the last minute.",
    PAIR_LOSS.labels,
)
PAIR_P99: Final = Family(
    "netmatrix_pair_rtt_p99_seconds",
    "gauge",
    "99th percentile of the round-trip time from node to node over the last minute.",
    PAIR_LOSS.labels,
)
