"""What should be against what is."""

import numpy as np
from msgspec import structs

from collector.derivation import ExpectSettings
from collector.discovery.snapshot import Snapshot
from collector.duration import Duration
from collector.verdict.cells import Expected
from collector.verdict.comparison import REST_NS
from collector.verdict.finding import Finding
from collector.verdict.history import Learned
from collector.verdict.mismatch import UNPROVEN_NS, mismatches, unproven
from collector.verdict.pair import Verdict
from collector.verdict.status import between_namespaces, mismatching, statuses
from tests.collector.small_cluster import SECOND
from tests.collector.verdict.compared import SHUT, SNAPSHOT, Watched, between, into, with_policies
from wire.outcome import Outcome
from wire.path import Kind, Path

DENY = {
    "apiVersion": "netmatrix.io/v1alpha1",
    "kind": "ClusterReachabilityExpectation",
    "metadata": {"name": "no-shop"},
    "spec": {
        "severity": "critical",
        "owner": "team-pay",
        "expect": "deny",
        "from": [{"pods": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}}],
        "to": [{"pods": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "pay"}}}}],
        "ports": [{"protocol": "TCP", "port": 8620}],
    },
}
ALLOW = {**DENY, "spec": {**DENY["spec"], "expect": "allow"}}  # type: ignore[dict-item]


def told(watched: Watched, *args: object) -> list[Finding]:
    return mismatches(watched.seconds(*args), [], {})  # type: ignore[arg-type]


def test_without_policies_all_is_allowed_and_what_answers_is_ok() -> None:
    one = Watched(SNAPSHOT).seconds(4)
    assert set(one.compared.verdict.tolist()) == {Verdict.OK, Verdict.UNKNOWN} - (
        {Verdict.UNKNOWN} if one.spans[0].judged.all() else set()
    )
    assert (between(one, "shop", "pay")["expected"], between(one, "shop", "pay")["verdict"]) == ("allow", "ok")


def test_a_closed_path_is_ok_where_somebody_else_gets_through_and_says_which_policy_closes_it() -> None:
    row = between(Watched(with_policies(SHUT)).seconds(6, into("pay")), "shop", "pay")
    assert (row["expected"], row["source"], row["observed"], row["verdict"]) == ("deny", "networkpolicy", "timeout", "ok")
    assert "pay/shut" in row["because"]
    assert "somebody else gets through" in row["because"]


def test_a_closed_path_is_unverifiable_where_nobody_gets_through() -> None:
    row = between(Watched(with_policies(SHUT)).seconds(6, into("pay", source="")), "shop", "pay")
    assert row["verdict"] == "unverifiable"


def test_a_path_that_is_open_and_should_be_closed_is_a_leak_by_pair_of_namespaces() -> None:
    watched = Watched(with_policies(SHUT))
    (finding, other) = told(watched, 6)
    assert {(one.scope.kind, one.scope.component, one.effect) for one in (finding, other)} == {
        ("policy", "shop>pay", "leak"),
        ("policy", "ops>pay", "leak"),
    }
    assert finding.certain
    assert len(finding.evidence) == finding.paths
    for one in (finding, other):
        assert one.sentence.startswith(f"{one.paths} paths from {one.src_namespace} to pay are open, and should be closed: ")


def test_a_single_path_is_one_path_in_the_sentence() -> None:
    def one(path: Path) -> Outcome | None:
        return (
            Outcome.TIMEOUT if (path.vantage, path.kind, path.target.name) == ("shop-n1", Kind.TCP, "pod/pay/pod-2") else None
        )

    (finding,) = told(Watched(with_policies(expectations=(ALLOW,))), 6, one)
    assert finding.sentence.startswith("1 path from shop to pay is closed, and should be open: ")


def test_one_open_probe_is_a_suspicion_and_no_leak() -> None:
    watched = Watched(with_policies(SHUT))
    watched.seconds(20, lambda path: into("pay")(path) or into("pay", source="ops")(path))
    one = watched.seconds(1)
    assert Verdict.LEAK not in one.compared.verdict
    assert not any(finding.certain for finding in mismatches(one, [], {}))
    assert between(watched.seconds(4), "shop", "pay")["verdict"] == "leak"


def test_what_is_dropped_and_yet_refused_has_reached_somebody() -> None:
    declared = {**DENY, "spec": {**DENY["spec"], "enforcement": {"denyOutcome": "timeout"}}}  # type: ignore[dict-item]
    watched = Watched(with_policies(expectations=(declared,)))
    assert between(watched.seconds(6, into("pay", Outcome.REFUSED)), "shop", "pay")["verdict"] == "leak"
    watched = Watched(with_policies(expectations=(DENY,)))
    assert between(watched.seconds(6, into("pay", Outcome.REFUSED)), "shop", "pay")["verdict"] == "ok"


def test_a_flow_that_was_established_is_no_leak_while_new_connections_are_closed() -> None:
    watched = Watched(with_policies(SHUT))
    one = watched.seconds(8, lambda path: into("pay")(path) if path.kind in {"tcp", "http"} else None)
    assert between(one, "shop", "pay")["verdict"] == "ok"
    assert between(one, "shop", "pay", "udp")["verdict"] == "unknown"


def test_an_open_path_that_fails_is_broken_with_a_control_and_target_down_without() -> None:
    assert between(Watched(SNAPSHOT).seconds(6, into("pay")), "shop", "pay")["verdict"] == "broken"
    assert between(Watched(SNAPSHOT).seconds(6, into("pay", source="")), "shop", "pay")["verdict"] == "target_down"


def test_a_server_that_answers_with_an_error_is_reached() -> None:
    row = between(Watched(SNAPSHOT).seconds(6, into("pay", Outcome.HTTP_STATUS)), "shop", "pay", "http")
    assert row["verdict"] == "degraded"


def test_a_change_of_policies_is_given_time_and_then_is_not() -> None:
    watched = Watched(SNAPSHOT)
    watched.seconds(10)
    watched.change(with_policies(SHUT))
    one = watched.seconds(8)
    row = between(one, "shop", "pay")
    assert row["verdict"] == "unknown"
    assert "may still be on its way" in row["because"]
    assert mismatches(one, [], {}) == []
    assert between(watched.seconds(60), "shop", "pay")["verdict"] == "leak"


def test_how_long_it_took_until_a_change_was_in_force_is_told_once() -> None:
    watched = Watched(SNAPSHOT)
    watched.seconds(10)
    watched.change(with_policies(SHUT))
    watched.look()
    delays = watched.seconds(8, lambda path: into("pay")(path) or into("pay", source="ops")(path)).delays
    assert delays
    assert {(delay.source, delay.seconds <= 8) for delay in delays} == {("networkpolicy", True)}
    assert watched.seconds(1, lambda path: into("pay")(path) or into("pay", source="ops")(path)).delays == ()


def test_that_somebody_is_not_ready_changes_nothing_that_is_expected_and_a_label_does_after_a_rest() -> None:
    watched = Watched(with_policies(SHUT))
    made = watched.seconds(4).expectations
    first, *others = watched.snapshot.vantages
    watched.change(structs.replace(watched.snapshot, vantages=(structs.replace(first, excluded="not_ready"), *others)))
    assert watched.seconds(1).expectations is made
    labelled = structs.replace(watched.snapshot, vantages=(structs.replace(first, labels={"app": "web"}), *others))
    watched.change(labelled)
    made_again = watched.look().expectations
    assert made_again is not made
    watched.now_ns += REST_NS
    watched.change(structs.replace(watched.snapshot, vantages=(structs.replace(first, labels={"app": "cart"}), *others)))
    assert watched.look().expectations is made_again
    watched.change(structs.replace(labelled, policies=()))
    assert watched.look().expectations is not made_again


def test_a_denied_path_that_is_closed_is_no_loss_to_causes() -> None:
    one = Watched(with_policies(SHUT)).seconds(6, into("pay"))
    lossy = one.spans[0].expected[one.spans[0].lost > 0]
    assert set(lossy.tolist()) <= {Expected.DENY, Expected.UNSPECIFIED}


def test_a_declared_path_that_is_broken_is_told_with_its_owner_unless_a_cause_explains_it() -> None:
    watched = Watched(with_policies(expectations=(ALLOW,)))
    one = watched.seconds(6, into("pay"))
    (finding,) = mismatches(one, [], {})
    assert (finding.effect, finding.severity, finding.owner, finding.expectation) == (
        "broken",
        "critical",
        "team-pay",
        "no-shop",
    )
    node = finding._replace(scope=finding.scope._replace(kind="node", component="n1"))
    assert mismatches(one, [node], {}) == []


def test_a_deny_that_nobody_can_prove_is_told_after_a_while() -> None:
    watched = Watched(with_policies(expectations=(DENY,)))
    one = watched.seconds(6, into("pay", source=""))
    since = unproven(one, {})
    assert since == {"no-shop": one.sample.now_ns}
    assert "unverifiable" not in {finding.effect for finding in mismatches(one, [], since)}
    late = mismatches(one, [], {"no-shop": one.sample.now_ns - UNPROVEN_NS})
    assert [finding.scope.kind for finding in late if finding.effect == "unverifiable"] == ["expectation"]


def test_a_declaration_that_the_policies_contradict_is_found_without_a_probe() -> None:
    watched = Watched(with_policies(SHUT, expectations=(ALLOW,)))
    (finding,) = [one for one in mismatches(watched.look(), [], {}) if one.effect == "contradiction"]
    assert (finding.scope.component, finding.severity) == ("no-shop", "critical")


def test_where_whatever_should_be_closed_is_open_it_is_one_finding() -> None:
    shut = [{**SHUT, "metadata": {"name": "shut", "namespace": space}} for space in ("pay", "shop", "ops")]
    (finding,) = told(Watched(with_policies(*shut)), 6)
    assert (finding.scope.kind, finding.effect) == ("canary", "not_enforced")


def test_what_was_open_for_long_and_is_closed_is_broken_by_its_history() -> None:
    snapshot = with_policies(SHUT)
    watched = Watched(snapshot)
    watched.comparer._settings = lambda: ExpectSettings(learn=Duration(20 * SECOND))
    icmp = between(watched.seconds(6, into("pay")), "ops", "pay", "icmp")
    assert (icmp["expected"], icmp["verdict"]) == ("unspecified", "unknown")
    for _ in range(6):
        watched.seconds(5)
    one = watched.seconds(6, into("pay", source="shop"))
    row = between(one, "shop", "pay", "icmp")
    assert (row["source"], row["verdict"]) == ("history", "broken")
    assert "it was open until" in row["because"]
    assert ("policy", "shop>pay", "broken", "warning") in {
        (finding.scope.kind, finding.scope.component, finding.effect, finding.severity) for finding in mismatches(one, [], {})
    }


def test_verdicts_are_counted_by_namespaces_and_by_declaration() -> None:
    watched = Watched(with_policies(SHUT, expectations=(DENY,)))
    one = watched.seconds(6)
    pairs = between_namespaces(one)
    assert pairs["shop", "pay"][Verdict.LEAK]
    assert sum(sum(counts) for counts in pairs.values()) == np.count_nonzero(
        [end.namespace != "" for end in (one.sample.tables.targets[int(number)] for number in one.sample.target)]
    )
    assert [key[2] for key, _ in mismatching(pairs)] == ["leak", "leak"]
    (status,) = statuses(one)
    assert (status.name, status.satisfied) == ("no-shop", False)
    assert {one.type: one.status for one in status.conditions}["Consistent"] == "True"


def test_a_node_whose_pods_are_seen_under_another_address_by_two_others_is_told_once() -> None:
    watched = Watched(SNAPSHOT)
    watched.translated = {"shop-n1"}
    (finding,) = told(watched, 4)
    assert (finding.scope.kind, finding.scope.component, finding.effect) == ("nat", "n1", "nat")
    watched.translated = set()
    assert told(watched, 4) == []


def test_what_contradicts_the_policies_is_told_as_that_and_not_as_broken_too() -> None:
    watched = Watched(with_policies(SHUT, expectations=(ALLOW,)))
    assert {finding.effect for finding in told(watched, 6, into("pay"))} == {"contradiction", "leak"}


def taught(snapshot: Snapshot) -> Learned:
    """What a process has learned of paths that were open for half a minute."""
    watched = Watched(snapshot)
    watched.comparer._settings = lambda: ExpectSettings(learn=Duration(20 * SECOND))
    for _ in range(6):
        watched.seconds(5, into("pay"))
    learned = watched.comparer.learned(ahead_ns=7 * SECOND)
    assert learned is not None
    return learned


def after_a_restart(snapshot: Snapshot, learned: Learned) -> str:
    """What the next process says of a path that is closed from its start on."""
    watched = Watched(snapshot)
    watched.now_ns += 90 * SECOND
    watched.comparer._settings = lambda: ExpectSettings(learn=Duration(20 * SECOND))
    watched.comparer.recall(learned, ahead_ns=7 * SECOND)
    row = between(watched.seconds(6, lambda path: into("pay")(path) or into("pay", source="ops")(path)), "ops", "pay", "icmp")
    return f"{row['source']} {row['verdict']}"


def test_what_one_process_has_learned_the_next_one_knows() -> None:
    snapshot = with_policies({**SHUT, "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}], "ports": [{}]}]}})
    learned = taught(snapshot)
    assert after_a_restart(snapshot, learned).startswith("history ")
    assert (
        after_a_restart(snapshot, Learned(learned.paths[:0], learned.opened_ns[:0], learned.last_ns[:0], learned.rules))
        == "none unknown"
    )


def test_where_policies_are_others_after_a_restart_nobody_knows_when_they_changed() -> None:
    snapshot = with_policies({**SHUT, "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}], "ports": [{}]}]}})
    learned = taught(snapshot)
    assert after_a_restart(snapshot, learned._replace(rules="of another day")) == "none unknown"
