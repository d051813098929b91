"""What watches a lab's collector: Prometheus and Alertmanager as Debian has them, or a receiver of notifications alone.

In: the topology. Out: their configurations and command lines. All of them run in one pod.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from lab.receiver import FROM_ALERTMANAGER, FROM_COLLECTOR
from lab.roles import ALERTMANAGER_PORT, OPERATOR_PORT, PROMETHEUS_PORT, RECEIVER_PORT
from lab.topology import Pod, Topology

PROGRAMS = ("prometheus", "prometheus-alertmanager")
NOTIFICATIONS = "notifications.jsonl"
_REPOSITORY = Path(__file__).resolve().parent.parent
RULES = _REPOSITORY / "manifests" / "alerts" / "rules.yaml"
KEPT = "10s"
EXAMPLE = _REPOSITORY / "manifests" / "alerts" / "alertmanager.yaml"
"""The configuration that we recommend; the lab takes its inhibitions and its grouping from there."""


def lacking(topology: Topology) -> str:
    """What this machine does not have for it, in one sentence; empty where nothing is missing."""
    if topology.shape.alerting != "prometheus":
        return ""
    if not RULES.exists():
        return f"there is no {RULES.relative_to(_REPOSITORY)}"
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    return f"there is no {' and no '.join(absent)} on this machine" if absent else ""


def notify(topology: Topology) -> dict[str, Any]:
    """The collector's own section: it tells the receiver by itself where there is no Prometheus."""
    if topology.shape.alerting != "webhook" or topology.monitoring is None:
        return {}
    url = f"http://{_address(topology.monitoring)}:{RECEIVER_PORT}{FROM_COLLECTOR}"
    return {"notify": {"webhooks": [{"name": "lab", "url": url}]}}


def files(topology: Topology) -> Mapping[str, str]:
    """Configurations by the name of their file."""
    if topology.shape.alerting != "prometheus":
        return {}
    target = f"{_address(topology.collector)}:{OPERATOR_PORT}"
    prometheus = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{ALERTMANAGER_PORT}"]}]}]},
        "scrape_configs": [{"job_name": "netmatrix-collector", "static_configs": [{"targets": [target]}]}],
    }
    example = yaml.safe_load(EXAMPLE.read_text()) if EXAMPLE.exists() else {"route": {}}
    route = {
        "receiver": "lab",
        "group_by": example["route"].get("group_by", ["alertname", "id"]),
        "group_wait": "1s",
        "group_interval": "5s",
        "repeat_interval": "4h",
    }
    url = f"http://127.0.0.1:{RECEIVER_PORT}{FROM_ALERTMANAGER}"
    alertmanager = {
        "route": route,
        "receivers": [{"name": "lab", "webhook_configs": [{"url": url}]}],
        "inhibit_rules": example.get("inhibit_rules", []),
    }
    configurations = {"prometheus.yaml": prometheus, "rules.yaml": _rules(), "alertmanager.yaml": alertmanager}
    return {name: yaml.safe_dump(words) for name, words in configurations.items()}


def _rules() -> dict[str, Any]:
    """The rules that we ship, but for how long an alert is kept when its incident is over: a lab is not watched for so long."""
    rules: dict[str, Any] = yaml.safe_load(RULES.read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        if "keep_firing_for" in rule:
            rule["keep_firing_for"] = KEPT
    return rules


def commands(topology: Topology, directory: Path) -> Mapping[str, tuple[list[str], int]]:
    """Programs beside the receiver by name, each with its command line and the port that it listens on."""
    if topology.shape.alerting != "prometheus":
        return {}
    prometheus = [
        "prometheus",
        f"--config.file={directory / 'prometheus.yaml'}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        f"--web.listen-address=:{PROMETHEUS_PORT}",
        "--rules.alert.resend-delay=5s",
    ]
    alertmanager = [
        "prometheus-alertmanager",
        f"--config.file={directory / 'alertmanager.yaml'}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address=:{ALERTMANAGER_PORT}",
        "--cluster.listen-address=",
    ]
    return {"prometheus": (prometheus, PROMETHEUS_PORT), "alertmanager": (alertmanager, ALERTMANAGER_PORT)}


def _address(pod: Pod) -> str:
    address = next(iter(pod.addresses.values()))
    return f"[{address}]" if ":" in address else address
