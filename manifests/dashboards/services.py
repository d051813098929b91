"""What lies behind the network of the pods."""

from typing import Final

from manifests.dashboards.expressions import RATE, share
from manifests.dashboards.panels import Dashboard, Panel, Query, lines, states


def _target(title: str, name: str, by: str, legend: str, description: str) -> tuple[str, tuple[Panel, ...]]:
    lost, sent = f"netmatrix_{name}_probes_lost_total", f"netmatrix_{name}_probes_sent_total"
    return (
        title,
        (
            states(f"Loss, {title.lower()}", description, Query(share(lost, sent, by), legend)),
            lines(
                f"Probes, {title.lower()}",
                "How many probes a second these figures rest on.",
                Query(f"sum by ({by}) (rate({sent}{{$scope}}{RATE}))", legend),
                unit="cps",
            ),
        ),
    )


SERVICES: Final = Dashboard(
    "services",
    "netmatrix / Services, DNS and external",
    "What lies behind the network of the pods: ClusterIPs, name servers, hosts outside.",
    (
        _target(
            "Services",
            "service",
            "namespace, service",
            "{{namespace}}/{{service}}",
            "Through the ClusterIP and the other doors of each service that is probed.",
        ),
        _target("Name servers", "dns", "server", "{{server}}", "Through the service, and each server directly."),
        _target("Hosts outside", "external", "target", "{{target}}", "Hosts and URLs of the configuration."),
    ),
)
