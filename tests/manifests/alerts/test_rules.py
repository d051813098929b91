"""The alert rules: what they read exists, what they say is complete, and promtool finds them firing where they should alone."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from collector.alerts import BY_INCIDENT, OF_ITSELF, SUMMARIES, alert_of, runbook_of
from collector.export import names
from collector.export.names import Family
from collector.export.own import OwnMetrics
from tests.collector.test_alerts import EFFECTS, KINDS
from tests.manifests.alerts.rules import FOLDER, RULES, TESTS, alerts, groups, metrics, ran, rules, tool
from tests.manifests.rendering import MANIFESTS, rendered, rendered_in, the
from tests.rules.test_commands import run
from tests.rules.tree import ROOT

FAMILIES = {one.name: one for one in vars(names).values() if isinstance(one, Family)}
INCIDENT = set(names.INCIDENT_ACTIVE.labels)


def exported() -> set[str]:
    """Every name that a scrape of the collector can have."""
    own = OwnMetrics()
    own.follow_cluster(Nobody())
    own.follow_identity(expiries=dict, faults=lambda: 0)
    own.follow_configuration(lambda: 0, lambda: 0)
    own.follow_notifications(lambda: {"chat": 0})
    families = list(text_string_to_metric_families(own.render().decode()))
    mine = {name for family in families for name in (family.name, f"{family.name}_total" if family.type == "counter" else "")}
    histograms = {
        f"{one.name}_{end}" for one in FAMILIES.values() if one.kind == "histogram" for end in ("bucket", "sum", "count")
    }
    return mine | set(FAMILIES) | histograms


class Nobody:
    """A cluster that knows nothing."""

    def sync_age_seconds(self) -> float:
        return 0.0

    def refused(self) -> dict[str, int]:
        return {}

    def unread(self) -> int:
        return 0

    def requests(self) -> int:
        return 0


def test_prometheus_takes_the_rules() -> None:
    status, said = ran(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", RULES)
    assert status == 0, said


@pytest.mark.parametrize("file", TESTS, ids=lambda file: file.stem)
def test_alerts_fire_where_they_should_and_not_where_they_should_not(file: Path) -> None:
    status, said = ran(tool("promtool"), "test", "rules", file)
    assert status == 0, said


def test_the_example_of_budgets_is_taken_reads_what_is_exported_or_recorded_and_has_a_test_either_way() -> None:
    file = FOLDER / "burn-rate.yaml"
    status, said = ran(tool("promtool"), "check", "rules", "--lint=all", "--lint-fatal", file)
    assert status == 0, said
    made = [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]
    recorded = {rule["record"] for rule in (*made, *rules()) if "record" in rule}
    for rule in made:
        named = set(re.findall(r"from_namespace_to_namespace:[\w:]+", rule["expr"]))
        assert named <= recorded
        assert metrics(re.sub(r"from_namespace_to_namespace:[\w:]+", "", rule["expr"])) <= exported()
    for alert in (rule["alert"] for rule in made if "alert" in rule):
        outcomes = cases()[alert].values()
        assert any(True in one for one in outcomes)
        assert any(one == {False} for one in outcomes)


def cases() -> dict[str, dict[str, set[bool]]]:
    """For each alert whether tests have it firing, and whether a story of its own has it never firing."""
    found: dict[str, dict[str, set[bool]]] = defaultdict(lambda: defaultdict(set))
    for file in TESTS:
        for story in yaml.safe_load(file.read_text())["tests"]:
            for case in story.get("alert_rule_test", ()):  # some are of recordings alone
                found[case["alertname"]][f"{file.stem}: {story['name']}"].add(bool(case["exp_alerts"]))
    return found


@pytest.mark.parametrize("alert", sorted(BY_INCIDENT | OF_ITSELF))
def test_each_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not(alert: str) -> None:
    stories = cases()[alert]
    assert any(True in outcomes for outcomes in stories.values())
    assert any(outcomes == {False} for outcomes in stories.values())


def test_the_rules_are_those_that_the_collector_names() -> None:
    of = {name: {rule["alert"] for rule in group if "alert" in rule} for name, group in groups().items()}
    assert of == {"netmatrix-network": BY_INCIDENT, "netmatrix-itself": OF_ITSELF, "netmatrix-recordings": set()}


def test_every_metric_that_is_read_is_exported() -> None:
    there = exported()
    assert {name for rule in rules() for name in metrics(rule["expr"])} <= there


@pytest.mark.parametrize("rule", list(rules()), ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_label_that_is_added_up_by_is_one_of_the_metrics(rule: dict[str, Any]) -> None:
    known = {
        label
        for name in metrics(rule["expr"])
        if (family := FAMILIES.get(re.sub("_bucket$", "", name)))
        for label in family.labels
    }
    known |= {"cluster", "le", "receiver", "certificate", "outcome"}
    for labels in re.findall(r"\b(?:by|on) \(([^)]*)\)", rule["expr"]):
        assert set(labels.split(", ")) <= known


def test_alerts_on_the_network_read_incidents_and_nothing_else() -> None:
    for rule in groups()["netmatrix-network"]:
        assert metrics(rule["expr"]) == {"netmatrix_incident_active"}
        assert 'inhibited_by=""' in rule["expr"]
        (by,) = re.findall(r"by \(([^)]*)\)", rule["expr"])
        assert set(by.split(", ")) == (INCIDENT - {"inhibited_by"}) | {"cluster"}
        assert rule["keep_firing_for"]


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"])
def test_an_alert_says_how_grave_it_is_what_it_means_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning", "info", "{{ $labels.severity }}"}
    said = rule["annotations"]
    assert said["summary"] == SUMMARIES[rule["alert"]]
    assert "{{" not in said["summary"]
    assert said["runbook_url"] == runbook_of(rule["alert"])
    assert said["description"].endswith((".", "{{ end }}"))
    about_something = "$labels" in said["description"] or not re.search(r"by \((?!cluster\))", rule["expr"])
    assert about_something


def test_every_alert_has_a_summary_and_every_summary_an_alert() -> None:
    assert set(SUMMARIES) == BY_INCIDENT | OF_ITSELF


def test_every_incident_is_one_alert_and_the_one_that_the_collector_names(tmp_path: Path) -> None:
    """All kinds with all effects, also such as this version does not know, after more than an hour."""
    every = [(kind, effect) for kind in (*KINDS, "wormhole") for effect in (*EFFECTS, "odd")]
    labels = 'id="{0}-{1}", kind="{0}", effect="{1}", severity="info", inhibited_by=""'
    series = [
        {"series": f"netmatrix_incident_active{{{labels.format(kind, effect)}}}", "values": "1x100"} for kind, effect in every
    ]
    expected = defaultdict(list)
    for kind, effect in every:
        expected[alert_of(kind, effect)].append(f"{kind}-{effect}")
    story = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [counted(alert, ids) for alert, ids in expected.items()],
    }
    (tmp_path / "every.yaml").write_text(
        yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": [story]})
    )
    status, said = ran(tool("promtool"), "test", "rules", tmp_path / "every.yaml")
    assert status == 0, said


def counted(alert: str, ids: list[str]) -> dict[str, Any]:
    samples = [{"labels": f'{{id="{id_}"}}', "value": 1} for id_ in sorted(ids)]
    of_network = f'sum by (id) (ALERTS{{alertname="{alert}", alertstate="firing", id!=""}})'
    return {"expr": of_network, "eval_time": "90m", "exp_samples": samples}


def test_the_rules_of_the_operator_are_the_same(tmp_path: Path) -> None:
    again = tmp_path / "rules.yaml"
    assert run(ROOT / "scripts" / "alerts", again).returncode == 0
    kept = MANIFESTS / "components" / "prometheus-operator" / "rules.yaml"
    assert kept.read_text() == again.read_text(), "run scripts/alerts"
    assert yaml.safe_load(kept.read_text())["spec"] == yaml.safe_load(RULES.read_text())


def test_the_rules_reach_the_operator_that_is_there() -> None:
    plain = the(rendered("components/prometheus-operator"), "PrometheusRule", "netmatrix")
    assert plain["spec"] == yaml.safe_load(RULES.read_text())
    kube = the(rendered("overlays/kube-prometheus"), "PrometheusRule", "netmatrix")["metadata"]["labels"]
    assert kube.items() >= {"prometheus": "k8s", "role": "alert-rules"}.items()
    stack = the(rendered("overlays/kube-prometheus-stack"), "PrometheusRule", "netmatrix")["metadata"]["labels"]
    assert stack["release"] == "kube-prometheus-stack"


def test_a_secret_is_mounted_as_the_page_says(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "alerts.md").read_text()
    (patched,) = re.findall(r"```yaml\n# kustomization.yaml\n(.*?)```", page, re.DOTALL)
    pod = the(rendered_in(tmp_path, yaml.safe_load(patched)), "Deployment", "netmatrix-collector")["spec"]["template"]["spec"]
    mounts = {one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    assert {f"{mount}/url" for mount in mounts} & set(re.findall(r"url_file: (\S+)", page))
    assert {"name": "chat", "secret": {"secretName": "netmatrix-chat"}} in pod["volumes"]


def test_alertmanager_takes_the_example() -> None:
    status, said = ran(tool("amtool"), "check-config", FOLDER / "alertmanager.yaml")
    assert status == 0, said


def test_the_example_names_alerts_that_exist() -> None:
    known = BY_INCIDENT | OF_ITSELF
    for expression in re.findall(r'alertname(=~|!=|=)"([^"]+)"', (FOLDER / "alertmanager.yaml").read_text()):
        for name in expression[1].split("|"):
            assert any(re.fullmatch(name, one) for one in known), name


def test_one_incident_is_one_notification_by_the_example() -> None:
    assert yaml.safe_load((FOLDER / "alertmanager.yaml").read_text())["route"]["group_by"] == ["cluster", "alertname", "id"]
