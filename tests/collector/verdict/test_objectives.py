"""Declared objectives of loss and latency against what was measured."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from collector.matrix.slices import finished
from collector.verdict import objectives
from collector.verdict.candidates import Scope
from collector.verdict.comparison import Comparison
from collector.verdict.finding import Finding
from collector.verdict.mismatch import mismatches
from collector.verdict.objectives import Missed, _beyond, worst
from collector.verdict.status import statuses
from tests.collector.verdict.compared import Watched, into, with_policies
from wire.outcome import Outcome
from wire.path import Layer, Path

MS = 1_000_000


def declared(**slo: Mapping[str, str]) -> Mapping[str, Any]:
    def space(name: str) -> Mapping[str, Any]:
        return {"pods": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}}}

    return {
        "apiVersion": "netmatrix.io/v1alpha1",
        "kind": "ClusterReachabilityExpectation",
        "metadata": {"name": "fast"},
        "spec": {
            "severity": "critical",
            "owner": "team-pay",
            "expect": "allow",
            "from": [space("shop")],
            "to": [space("pay")],
            "ports": [{"protocol": "TCP", "port": 8620}],
            "slo": slo,
        },
    }


class Judged(Watched):
    """Reads what the comparison before has asked for, as the judging does."""

    def look(self) -> Comparison:
        heard = dict.fromkeys(self.plans.vantages, self.now_ns)
        slices = self.reader.sample_in_slices(
            self.matrix, self.now_ns, heard=heard, leaving=frozenset(), windows=self.comparer.windows
        )
        return self.comparer.look(finished(slices), wall_ns=self.now_ns)


def watched(**slo: Mapping[str, str]) -> Judged:
    found = Judged(with_policies(expectations=(declared(**slo),)))
    found.seconds(1)  # until then nobody knows what is asked for
    return found


def slow(milliseconds: float) -> Any:
    def takes(path: Path) -> int:
        mine = path.vantage.startswith("shop") and path.target.name.startswith("pod/pay/")
        return int(milliseconds * MS) if mine else MS // 10

    return takes


def told(one: Comparison, *causes: Finding) -> list[Finding]:
    return [finding for finding in mismatches(one, causes, {}) if finding.expectation]


LATENCY = {"p95": "20ms", "window": "60s"}
LOSS = {"max": "1%", "window": "60s"}


def test_latency_beyond_its_objective_is_told_with_the_numbers_and_whose_it_is() -> None:
    one = watched(latency=LATENCY)
    one.takes = slow(45)
    (finding,) = told(one.seconds(15))
    assert (finding.scope.kind, finding.scope.component, finding.effect) == ("expectation", "fast", "latency")
    assert (finding.severity, finding.owner, finding.expectation) == ("critical", "team-pay", "fast")
    assert "latency objective of p95 of 20ms" in finding.sentence
    assert "4" in finding.sentence.partition(": ")[2].partition(" ms")[0]
    assert finding.evidence


def test_latency_within_its_objective_and_rare_outliers_are_nothing() -> None:
    one = watched(latency=LATENCY)
    one.takes = slow(12)
    assert told(one.seconds(30)) == []
    one.takes = slow(45)
    assert told(one.seconds(2)) == [], "of a p95 over 30 probes two may be late"


def test_loss_beyond_its_objective_is_told_and_one_lost_probe_is_not() -> None:
    one = watched(loss=LOSS)
    one.seconds(30)
    assert told(one.seconds(1, into("pay"))) == [], "1 of 32 is 3 %, and chance"
    for _ in range(6):
        one.seconds(2)
        found = told(one.seconds(1, into("pay")))
    (finding,) = found
    assert (finding.effect, finding.layer) == ("loss", Layer.POD)
    assert "loss objective of at most 1% lost" in finding.sentence


def test_an_answer_of_somebody_else_is_no_loss_on_the_way_to_whom_it_was_meant_for() -> None:
    strange = watched(loss=LOSS)
    strange.seconds(30)
    for _ in range(6):
        strange.seconds(2)
        found = told(strange.seconds(1, into("pay", Outcome.WRONG_PEER)))
    assert found == []


def test_a_path_that_is_closed_altogether_is_broken_and_not_also_lossy_then_or_afterwards() -> None:
    one = watched(loss=LOSS)
    one.seconds(30)
    assert {finding.effect for finding in told(one.seconds(15, into("pay")))} == {"broken"}
    one.seconds(25)
    assert told(one.seconds(1)) == [], "within the window, and over"


def test_latency_that_has_ceased_is_no_longer_told_however_long_the_window_is() -> None:
    one = watched(latency={"p95": "20ms", "window": "5m"})
    one.takes = slow(45)
    assert len(told(one.seconds(30))) == 1
    one.takes = slow(1)
    assert told(one.seconds(25)) == []


def test_what_a_wider_cause_explains_is_not_told_a_second_time() -> None:
    one = watched(latency=LATENCY)
    one.takes = slow(45)
    compared = one.seconds(15)
    wider = Finding(Scope("node", "n1", "both", "network"), Layer.HOST, effect="latency")
    other = Finding(Scope("node", "n1", "both", "network"), Layer.HOST, effect="loss")
    assert told(compared, wider) == []
    assert len(told(compared, other)) == 1


def test_a_missed_objective_is_a_condition_of_its_declaration() -> None:
    one = watched(latency=LATENCY)
    (status,) = statuses(one.seconds(10))
    assert status.conditions[0].status == "True"
    one.takes = slow(45)
    (status,) = statuses(one.seconds(15))
    assert (status.conditions[0].status, "beyond an objective" in status.conditions[0].message) == ("False", True)


def test_nothing_is_read_where_nobody_has_an_objective() -> None:
    one = Judged(with_policies())
    one.seconds(2)
    assert one.comparer.windows == {}
    assert len(one.look().sample.windows.paths) == 0


def test_windows_are_read_of_no_more_than_so_many_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    one = watched(latency=LATENCY)
    assert {len(paths) for paths in one.comparer.windows.values()} == {4}
    monkeypatch.setattr(objectives, "MOST_PATHS", 1)
    one.seconds(1)
    assert {len(paths) for paths in one.comparer.windows.values()} == {1}


def test_what_is_told_is_the_path_that_misses_most() -> None:
    some = [Missed(number, "fast", "loss", 2, 10, 10, "", "", excess) for number, excess in enumerate((2.0, 9.0, 5.0))]
    assert worst(some).cell == 1


@pytest.mark.parametrize(
    ("bad", "of", "allowed", "beyond"),
    [
        (0, 0, 0.01, False),
        (1, 1, 0.01, False),
        (1, 1, 0.0, False),
        (2, 1000, 0.5, False),
        (3, 300, 0.01, False),
        (12, 300, 0.01, True),
        (5, 5, 0.05, True),
        (2, 60, 0.0, True),
    ],
)
def test_chance_is_told_from_what_it_does_not_bring(bad: int, of: int, allowed: float, beyond: bool) -> None:
    assert bool(_beyond(np.array([bad]), np.array([of]), allowed)[0]) is beyond
