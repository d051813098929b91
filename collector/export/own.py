"""The collector's own health, on a registry of its own: what it takes, what it refuses, how long it takes over it."""

import platform
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

VERSION: Final = "0.1.0"


class OwnMetrics:
    """One set per process; tests make as many as they like."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for every counter, which nobody asks for
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        self.reports_taken = Counter("netmatrix_reports_taken_total", "Reports that were applied.", registry=self.registry)
        self.reports_refused = Counter(
            "netmatrix_reports_refused_total", "Reports that were refused, by reason.", ["reason"], registry=self.registry
        )
        self.reports_repeated = Counter(
            "netmatrix_reports_repeated_total", "Reports that were taken before, and changed nothing.", registry=self.registry
        )
        self.report_gaps = Counter(
            "netmatrix_report_gaps_total", "Reports that never came, by their sequence.", registry=self.registry
        )
        self.ingest_seconds = Histogram(
            "netmatrix_ingest_seconds",
            "Time to decode and apply one report.",
            buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 1.0),
            registry=self.registry,
        )
        self.requests_refused = Counter(
            "netmatrix_operator_requests_refused_total",
            "Requests to the operator port that were refused, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.connections_dropped = Counter(
            "netmatrix_connections_dropped_total",
            "Connections that were closed since there were too many, or since nothing was said over them in time.",
            ["port", "reason"],
            registry=self.registry,
        )
        self.inventories_refused = Counter(
            "netmatrix_inventories_refused_total",
            "Changed inventories that were not taken, so that the last good one stays in force.",
            registry=self.registry,
        )
        self.exposition_seconds = Gauge(
            "netmatrix_exposition_seconds", "Time that the last rendering of the metrics took.", registry=self.registry
        )
        build = Gauge("netmatrix_build_info", "1, with what this is.", ["version", "python"], registry=self.registry)
        build.labels(VERSION, platform.python_version()).set(1)

    def render(self) -> bytes:
        """All of it as Prometheus text."""
        return generate_latest(self.registry)
