"""The collector's own health, on a registry of its own: what it takes, what it refuses, how long it takes over it."""

import platform
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from collector.admission import Refusal

VERSION: Final = "0.1.0"


class Source(Protocol):
    """What is asked of a source that follows a cluster; see collector.discovery.cluster.source."""

    def sync_age_seconds(self) -> float: ...  # noqa: D102 - see there
    def refused(self) -> Mapping[str, int]: ...  # noqa: D102 - see there
    def unread(self) -> int: ...  # noqa: D102 - see there
    def requests(self) -> int: ...  # noqa: D102 - see there


class _Cluster(Collector):
    """What discovery knows of itself."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def collect(self) -> Iterator[Metric]:
        """All of it, now."""
        yield GaugeMetricFamily(
            "netmatrix_kube_sync_age_seconds",
            "How old what is known of the cluster may be: time since the Kubernetes API was last heard of some of it.",
            self._source.sync_age_seconds(),
        )
        left_out = GaugeMetricFamily(
            "netmatrix_objects_refused", "Objects of the cluster that are left out now, by reason.", labels=["reason"]
        )
        for reason, count in self._source.refused().items():
            left_out.add_metric([reason], count)
        yield left_out
        yield CounterMetricFamily(
            "netmatrix_objects_unread", "Objects of the cluster that were not understood.", self._source.unread()
        )
        yield CounterMetricFamily(
            "netmatrix_kube_requests", "Requests to the Kubernetes API, reviews of tokens included.", self._source.requests()
        )


class _Identity(Collector):
    """What the collector is to its agents."""

    def __init__(self, expiries: Callable[[], Mapping[str, float]], faults: Callable[[], int]) -> None:
        self._expiries, self._faults = expiries, faults

    def collect(self) -> Iterator[Metric]:
        """All of it, now."""
        expiry = GaugeMetricFamily(
            "netmatrix_certificate_expiry_timestamp_seconds",
            "When the certificate that agents are served with ends, and when its authority does.",
            labels=["certificate"],
        )
        for certificate, ends in self._expiries().items():
            expiry.add_metric([certificate], ends)
        yield expiry
        yield GaugeMetricFamily(
            "netmatrix_identity_faults",
            "Secret and ConfigMaps by which agents know the collector that could not be read or written at the last look.",
            self._faults(),
        )


class _Notifications(Collector):
    """What is told of incidents."""

    def __init__(self, waiting: Callable[[], Mapping[str, int]]) -> None:
        self._waiting = waiting

    def collect(self) -> Iterator[Metric]:
        """All of it, now."""
        queue = GaugeMetricFamily(
            "netmatrix_notifications_queue", "Notifications that wait to be sent, by receiver.", labels=["receiver"]
        )
        for receiver, count in self._waiting().items():
            queue.add_metric([receiver], count)
        yield queue


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
            "Connections that were closed since there were too many, or since nothing was said or read over them in time.",
            ["port", "reason"],
            registry=self.registry,
        )
        self.inventories_refused = Counter(
            "netmatrix_inventories_refused_total",
            "Changed inventories that were not taken, so that the last good one stays in force.",
            registry=self.registry,
        )
        self.history_failures = Counter(
            "netmatrix_history_failures_total", "Times that history could not be written or read.", registry=self.registry
        )
        self.token_reviews = Counter(
            "netmatrix_token_reviews_total",
            "Tokens of agents that the API server was asked about: it found them valid, refused them, or was away.",
            ["outcome"],
            registry=self.registry,
        )
        self._waiting: Callable[[], Mapping[str, int]] = dict
        self.notifications = Counter(
            "netmatrix_notifications_total",
            "Notifications by outcome: sent, refused for good, superseded by other news, dropped for want of room; and attempts"
            " that failed, by why.",
            ["receiver", "outcome"],
            registry=self.registry,
        )
        self.operator_reviews = Counter(
            "netmatrix_operator_reviews_total",
            "Questions to the API server about tokens of operators, by what it said: valid, refused, or away.",
            ["outcome"],
            registry=self.registry,
        )
        self.bursts = Counter(
            "netmatrix_bursts_total", "Confirmation bursts, by what became of them.", ["fate"], registry=self.registry
        )
        self.exposition_seconds = Gauge(
            "netmatrix_exposition_seconds", "Time that the last rendering of the metrics took.", registry=self.registry
        )
        build = Gauge("netmatrix_build_info", "1, with what this is.", ["version", "python"], registry=self.registry)
        build.labels(VERSION, platform.python_version()).set(1)

    def follow_cluster(self, source: Source) -> None:
        """Also say how it is with what we know of the cluster, asked for with every scrape."""
        self.registry.register(_Cluster(source))

    def follow_identity(self, *, expiries: Callable[[], Mapping[str, float]], faults: Callable[[], int]) -> None:
        """Also say how it is with what agents know us by, asked for with every scrape."""
        self.registry.register(_Identity(expiries, faults))

    def follow_configuration(self, refused: Callable[[], float], waiting: Callable[[], float]) -> None:
        """Also say how it is with the file that we are configured by, asked for with every scrape."""
        Gauge(
            "netmatrix_configuration_refused",
            "1 while the file as it is now is not taken, so that the last good one stays in force.",
            registry=self.registry,
        ).set_function(refused)
        Gauge(
            "netmatrix_configuration_waiting",
            "Settings in the file that come into force when the collector starts again.",
            registry=self.registry,
        ).set_function(waiting)

    def follow_notifications(self, waiting: Callable[[], Mapping[str, int]]) -> None:
        """Also say how many notifications wait, asked for with every scrape."""
        self._waiting = waiting
        self.registry.register(_Notifications(waiting))

    def notified(self) -> dict[str, dict[str, int]]:
        """Of each receiver that there is now: how many notifications wait, and what became of others."""
        found = {receiver: {"waiting": count} for receiver, count in self._waiting().items()}
        for family in self.notifications.collect():
            for sample in family.samples:
                if sample.labels.get("receiver") in found:
                    found[sample.labels["receiver"]][sample.labels["outcome"]] = int(sample.value)
        return found

    def count_notifications(self, receiver: str, outcome: str, times: int) -> None:
        """So many notifications to a receiver, or attempts, had this outcome."""
        self.notifications.labels(receiver, outcome).inc(times)

    def took(self, seconds: float, gap: int) -> None:
        """A report was taken, after so many that never came."""
        self.reports_taken.inc()
        self.report_gaps.inc(gap)
        self.ingest_seconds.observe(seconds)

    def refused(self, reason: str) -> None:
        """A report was refused."""
        self.reports_repeated.inc() if reason == Refusal.REPEATED else self.reports_refused.labels(reason).inc()

    def dropped(self, port: str, reason: str) -> None:
        """A connection was closed by us."""
        self.connections_dropped.labels(port, reason).inc()

    def unasked(self, reason: str) -> None:
        """A question was refused."""
        self.requests_refused.labels(reason).inc()

    def render(self) -> bytes:
        """All of it as Prometheus text."""
        return generate_latest(self.registry)
