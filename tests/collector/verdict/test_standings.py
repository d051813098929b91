"""What is written at a declaration's object: conditions, counts, and a few paths that show why."""

from collector.verdict.comparison import Comparison
from collector.verdict.judgement import Judgement, following
from collector.verdict.pair import Verdict
from collector.verdict.standings import COUNTED, standings
from tests.collector.verdict.compared import Watched, into, with_policies
from tests.collector.verdict.test_comparison import ALLOW


def judged(one: Comparison) -> Judgement:
    return following(Judgement(), [], now_ns=1, cells=len(one.sample), judged=len(one.sample), took_seconds=0.0, comparison=one)


def test_every_verdict_is_counted_under_one_word() -> None:
    assert sorted(verdict for verdicts in COUNTED.values() for verdict in verdicts) == sorted(Verdict)


def test_while_nothing_is_judged_nothing_is_said() -> None:
    assert standings(Judgement()) == []


def test_one_that_holds_has_no_examples() -> None:
    (found,) = standings(judged(Watched(with_policies(expectations=(ALLOW,))).seconds(6)))
    assert (found.kind, found.namespace, found.name) == ("ClusterReachabilityExpectation", "", "no-shop")
    assert found.truths == ("True", "True", "True")
    assert [condition.reason for condition in found.conditions] == ["Holds"] * 3
    assert found.counts["pairs"] == found.counts["ok"] > 0
    assert found.examples == ()


def test_one_that_is_broken_names_the_paths_and_what_was_seen_of_them() -> None:
    (found,) = standings(judged(Watched(with_policies(expectations=(ALLOW,))).seconds(6, into("pay"))))
    assert found.truths[0] == "False"
    assert found.counts["broken"] == len(found.examples) > 0
    assert {(one.source, one.target, one.port) for one in found.examples} >= {
        ("shop-n1", "pod/pay/pod-2", "tcp 8620"),
        ("shop-n1", "pod/pay/pod-3", "tcp 8620"),
    }
    assert all(one.verdict == "broken" and one.because.startswith("0 of ") for one in found.examples)
