import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.discovery.snapshot import Attachment, DnsServer, Node, Snapshot
from collector.export import names
from collector.export.exposition import exposition
from collector.export.names import Family
from collector.matrix.store import Matrix
from collector.plan.compose import compose
from collector.sessions import Sessions
from collector.settings import PlanSettings
from collector.verdict.judgement import Judgement, following
from tests.collector.incidents import JUDGED
from tests.collector.small_cluster import SECOND, SNAPSHOT, matrix_of, path_to, plans_of, replan, report_of, vantage, window
from tests.collector.verdict.compared import SHUT, Watched, with_policies
from wire.outcome import Outcome
from wire.window import Flag

NOW = 100 * SECOND
EXPECTATION = {
    "apiVersion": "netmatrix.io/v1alpha1",
    "kind": "ReachabilityExpectation",
    "metadata": {"name": "out", "namespace": "shop"},
    "spec": {
        "severity": "critical",
        "owner": "team-shop",
        "expect": "allow",
        "to": [{"pods": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ops"}}}}],
    },
}
PLANS = SimpleNamespace(generation=4, stretched=1.5)


def sessions_of(snapshot: Snapshot = SNAPSHOT) -> Sessions:
    sessions = Sessions(instance=1, silent_after_ns=3 * SECOND)
    sessions.replan(snapshot)
    return sessions


def scrape(matrix: Matrix, *, sessions: Sessions | None = None, **options: Any) -> dict[str, dict[tuple[str, ...], float]]:
    text = exposition(matrix, sessions or sessions_of(matrix.snapshot), PLANS, now_ns=NOW, **{"max_series": 100_000, **options})
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(text.decode()):
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            assert tuple(sample.labels.values()) not in series
            series[tuple(sample.labels.values())] = sample.value
    return found


def filled() -> Matrix:
    matrix = matrix_of()
    udp, icmp = path_to(matrix, "n1", "n3").id, path_to(matrix, "n1", "n3", "icmp").id
    windows = [
        window(udp, [60_000] * 6, late=1, failed={Outcome.TIMEOUT: 3}, local={Outcome.NO_FD: 5}, flags=Flag.NAT),
        window(icmp, [1000] * 3, flags=Flag.UNCONFIRMED),
        window(path_to(matrix, "n1", "shop/cart", "tcp").id, failed={Outcome.NO_ENDPOINTS: 2}),
        window(path_to(matrix, "n1", "example", "http").id, [5_000_000]),
    ]
    matrix.apply(report_of("n1", windows), arrived_ns=NOW, counted=True)
    return matrix


def test_paths_within_a_node_are_told_apart_from_those_between_nodes() -> None:
    matrix = matrix_of()
    windows = [window(path_to(matrix, "n2", "cart").id, [20_000] * 2), window(path_to(matrix, "n2", "n1").id, [60_000] * 3)]
    matrix.apply(report_of("n2", windows), arrived_ns=NOW, counted=True)
    sent = scrape(matrix)["netmatrix_zone_probes_sent_total"]
    assert sent["z1", "z1", "pod", "", "true"] == 2
    assert sent["z1", "z1", "pod", "", ""] == 3


def test_marginals_count_each_probe_once_out_and_once_in() -> None:
    found = scrape(filled())
    assert found["netmatrix_probes_sent_total"]["n1", "out", "pod"] == 10
    assert found["netmatrix_probes_sent_total"]["n3", "in", "pod"] == 10
    assert found["netmatrix_probes_lost_total"]["n1", "out", "pod"] == 4
    assert found["netmatrix_probes_late_total"]["n3", "in", "pod"] == 1
    assert found["netmatrix_probes_rtt_seconds_total"]["n1", "out", "pod"] == pytest.approx(360e-6)
    assert found["netmatrix_probes_failed_total"]["pod", "udp", "timeout"] == 3
    assert found["netmatrix_probes_local_total"]["udp", "no_fd"] == 5
    assert found["netmatrix_probes_set_aside_total"]["unconfirmed",] == 3
    assert found["netmatrix_nat_windows_total"]["n1", "out", "pod"] == 1
    assert found["netmatrix_service_probes_lost_total"]["shop", "cart"] == 2
    assert found["netmatrix_external_probes_sent_total"]["example",] == 1
    assert found["netmatrix_namespace_probes_sent_total"]["netmatrix", "shop"] == 2
    assert found["netmatrix_zone_rtt_seconds_count"]["z1", "z2", "pod", "", ""] == 6
    assert found["netmatrix_zone_rtt_seconds_bucket"]["z1", "z2", "pod", "", "", "5e-05"] == 0
    assert found["netmatrix_zone_rtt_seconds_bucket"]["z1", "z2", "pod", "", "", "0.0001"] == 6


def test_the_worst_are_named_and_a_quiet_cluster_has_none() -> None:
    worst = scrape(filled())["netmatrix_worst_pair_loss_ratio"]
    assert {labels[:7] for labels in worst} == {
        ("n1", "n1", "pod/netmatrix/agent-n3", "n3", "pod", "", "udp"),
        ("n1", "n1", "service/shop/cart", "", "service", "", "tcp"),
    }
    assert "netmatrix_worst_pair_loss_ratio" not in scrape(matrix_of())


def test_pairs_only_where_asked_for_and_few() -> None:
    assert "netmatrix_pair_loss_ratio" not in scrape(filled())
    found = scrape(filled(), pairs=True)
    assert found["netmatrix_pair_loss_ratio"] == {("n1", "n3", "pod", ""): 0.4}
    assert found["netmatrix_pair_rtt_p99_seconds"]["n1", "n3", "pod", ""] == pytest.approx(60e-6)
    many = msgspec.structs.replace(SNAPSHOT, nodes=(*SNAPSHOT.nodes, *(Node(f"x{i}") for i in range(98))))
    matrix = filled()
    replan(matrix, many)
    assert "netmatrix_pair_loss_ratio" not in scrape(matrix, pairs=True)


def test_agents_that_are_silent_are_down() -> None:
    sessions = sessions_of()
    sessions.record(report_of("n1"), now_ns=NOW)
    sessions.record(report_of("n2"), now_ns=NOW - 60 * SECOND)
    found = scrape(matrix_of(), sessions=sessions)
    assert found["netmatrix_agent_up"] == {("cart", "n2"): 0, ("n1", "n1"): 1, ("n2", "n2"): 0, ("n3", "n3"): 0}
    assert found["netmatrix_agent_report_age_seconds"] == {("n1", "n1"): 0, ("n2", "n2"): 60}
    assert found["netmatrix_agents"]["never",] == 2


def test_survive_01_counters_are_those_of_this_process_and_only_ever_grow() -> None:
    matrix = filled()
    before = scrape(matrix)
    again = report_of("n1", [window(path_to(matrix, "n1", "n3").id, [60_000])], sequence=2)
    matrix.apply(again, arrived_ns=NOW, counted=False)
    same = scrape(matrix)
    matrix.apply(
        report_of("n1", [window(path_to(matrix, "n1", "n3").id, late=1)], boot=b"c" * 16), arrived_ns=NOW, counted=True
    )
    less = {
        name: msgspec.structs.replace(plan, paths=tuple(item for item in plan.paths if item.path.layer != "external"))
        for name, plan in plans_of().items()
    }
    replan(matrix, SNAPSHOT, less)
    after = scrape(matrix)
    for name, series in before.items():
        if name.endswith(("_total", "_bucket", "_count", "_sum")):
            assert same[name] == series
            assert all(after[name][labels] >= value for labels, value in series.items())


def test_survive_35_the_whole_scrape_keeps_to_the_cap_and_says_what_it_left_out() -> None:
    text = exposition(filled(), sessions_of(), PLANS, now_ns=NOW, max_series=120, pairs=True).decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(lines) <= 120
    assert any(line == f"netmatrix_series {len(lines)}" for line in lines)
    assert any(line.startswith('netmatrix_series_dropped_total{family="netmatrix_zone_rtt_seconds"}') for line in lines)
    assert any(line.startswith("netmatrix_probes_sent_total") for line in lines)
    assert not any(line.startswith("netmatrix_pair") for line in lines)


def test_a_node_has_at_most_sixty_series() -> None:
    nodes = tuple(Node(f"n{i}", f"z{i % 3}") for i in range(12))
    snapshot = msgspec.structs.replace(
        SNAPSHOT, nodes=nodes, vantages=tuple(vantage(node.name, node.name, number=i) for i, node in enumerate(nodes))
    )
    matrix = matrix_of(snapshot)
    sessions = sessions_of(snapshot)
    for node in nodes:
        windows = [window(item.path.id, [1000], late=1) for item in plans_of(snapshot)[node.name].paths]
        report = report_of(node.name, windows)
        matrix.apply(report, arrived_ns=NOW, counted=True)
        sessions.record(report, now_ns=NOW)
    of_node = [series for family in scrape(matrix, sessions=sessions).values() for series in family if "n7" in series[:2]]
    assert 20 <= len(of_node) <= 60


FAMILIES = [value for value in vars(names).values() if isinstance(value, Family)]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_are_as_prometheus_asks(family: Family) -> None:
    """What `promtool check metrics` would find: prefix, base units, `_total` for counters and only for them, a help text."""
    assert re.fullmatch(r"netmatrix_[a-z0-9_]+", family.name)
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert not re.search(r"_(ms|us|milliseconds|kb|percent|count|sum|bucket|info)(_|$)", family.name)
    assert family.help.endswith(".")
    assert not set(family.labels) & {"le", "quantile", "job", "instance"}


def test_the_page_of_metrics_has_every_family_in_the_order_of_the_cap() -> None:
    page = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
    rows = [
        f"| `{family.name}` | {family.kind} | {', '.join(f'`{label}`' for label in family.labels)} | {family.help} |"
        for family in FAMILIES
    ]
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows


def test_name_servers_have_series_and_further_networks_a_label_of_their_own() -> None:
    storage = Attachment("storage", ("10.40.1.2",)), Attachment("storage", ("10.40.3.2",))
    one, _, three, *_ = SNAPSHOT.vantages
    snapshot = msgspec.structs.replace(
        SNAPSHOT,
        vantages=(
            msgspec.structs.replace(one, networks=storage[:1]),
            msgspec.structs.replace(three, networks=storage[1:]),
        ),
        dns=(DnsServer("cluster", ("10.96.0.53",), ("example.test.",)),),
    )
    plans = compose(snapshot, PlanSettings(), instance=1, generation=1, keys=())
    matrix = Matrix(max_bytes=10**8, stale_after_ns=3 * SECOND, retention_ns=300 * SECOND)
    matrix.replan(snapshot, plans)
    for name in plans.vantages:
        matrix.lay(name, plans.plan(name))
    windows = [window(item.path.id, late=1) for item in plans.plan("n1").paths]
    matrix.apply(report_of("n1", windows), arrived_ns=NOW, counted=True)
    found = scrape(matrix)
    assert found["netmatrix_dns_probes_lost_total"] == found["netmatrix_dns_probes_sent_total"]
    assert found["netmatrix_dns_probes_sent_total"]["cluster",] > 0
    networks = {labels[3] for labels, sent in found["netmatrix_zone_probes_sent_total"].items() if sent and labels[2] == "pod"}
    assert networks == {"", "storage"}


def test_no_family_is_named_twice_and_node_labels_stand_alone() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    two = {family.name for family in FAMILIES if sum(label.endswith("node") for label in family.labels) > 1}
    assert two == {
        "netmatrix_worst_pair_loss_ratio",
        "netmatrix_pair_loss_ratio",
        "netmatrix_pair_rtt_p50_seconds",
        "netmatrix_pair_rtt_p99_seconds",
    }


def test_an_empty_cluster_has_a_scrape_too() -> None:
    assert scrape(matrix_of(Snapshot()), pairs=True)["netmatrix_cells"]["measured",] == 0


def test_open_incidents_survive_the_cap_and_pending_ones_are_not_shown() -> None:
    found = scrape(filled(), max_series=70, judgement=JUDGED)
    labels = ("00f0", "node", "n3", "host", "both", "unreachable", "critical", "", "", "", "", "")
    assert found["netmatrix_incident_active"] == {labels: 1}
    assert found["netmatrix_incidents_total"] == {("node", "unreachable"): 1, ("node", "loss"): 1}
    assert found["netmatrix_judging_seconds"] == {(): 0.25}


def test_of_each_canary_it_is_told_whether_it_is_as_it_should_be() -> None:
    canaries = {("n2", "deny"): False, ("n1", "deny"): True, ("n1", "allow"): True}
    found = scrape(filled(), judgement=JUDGED._replace(canaries=canaries))
    assert found["netmatrix_policy_canary_ok"] == {key: int(ok) for key, ok in canaries.items()}


def test_no_age_is_told_of_what_was_never_judged() -> None:
    assert "netmatrix_judging_age_seconds" not in scrape(filled())


def test_what_is_expected_between_namespaces_is_shown_with_what_is_seen_and_what_does_not_agree() -> None:
    watched = Watched(with_policies(SHUT, expectations=(EXPECTATION,)))
    judgement = following(Judgement(), [], now_ns=NOW, cells=1, judged=1, took_seconds=0.1, comparison=watched.seconds(6))
    found = scrape(filled(), judgement=judgement)
    key = ("shop", "pay", "TCP", "8620", "ipv4", "networkpolicy")
    assert (found["netmatrix_reachability_expected"][key], found["netmatrix_reachability_observed"][key]) == (0, 1)
    assert found["netmatrix_reachability_mismatch_pairs"]["shop", "pay", "leak"] > 0
    assert found["netmatrix_reachability_verdict"]["shop", "pay", "leak"] > 0
    assert found["netmatrix_expectation_satisfied"] == {("shop", "out", "critical", "team-shop"): 1}
    assert found["netmatrix_cni_profile"] == {("generic", "generic"): 1}
    assert found["netmatrix_evaluator_unknown_paths"]["unspecified",] > 0
