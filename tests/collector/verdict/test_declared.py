"""What declarations say beyond allow and deny."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from msgspec import structs

from collector.verdict.cells import Expected
from collector.verdict.comparison import Comparison
from collector.verdict.explained import rows
from collector.verdict.mismatch import mismatches
from tests.collector.verdict.compared import SHUT, Watched, vantage, with_policies
from tests.collector.verdict.test_comparison import ALLOW, DENY
from wire.outcome import Outcome
from wire.path import Path


def declared(document: Mapping[str, Any], **spec: Any) -> Mapping[str, Any]:
    return {**document, "spec": {**document["spec"], **spec}}


def closed(*pods: str) -> Any:
    """These pods answer nobody of shop."""

    def says(path: Path) -> Outcome | None:
        mine = path.vantage.startswith("shop") and path.target.name in {f"pod/pay/{pod}" for pod in pods}
        return Outcome.TIMEOUT if mine else None

    return says


def told(one: Comparison) -> list[str]:
    return [finding.effect for finding in mismatches(one, [], {})]


def of(one: Comparison, pod: str) -> Mapping[str, Any]:
    found = rows(one, np.arange(len(one.sample)))
    return next(
        row
        for row in found
        if row["to"]["name"] == f"pod/pay/{pod}" and row["from"]["namespace"] == "shop" and row["kind"] == "tcp"
    )


def test_where_any_target_is_enough_one_that_is_closed_is_missed_by_nobody() -> None:
    one = Watched(with_policies(expectations=(declared(ALLOW, match="any"),))).seconds(8, closed("pod-2"))
    assert told(one) == []
    row = of(one, "pod-2")
    assert (row["verdict"], "which is enough" in row["because"]) == ("ok", True)
    cell = next(place for place, path in enumerate(one.sample.paths.tolist()) if f"{path:016x}" == row["path"])
    assert {int(cells.expected[cell]) for cells in one.spans} == {Expected.UNKNOWN}, "and no cause is looked for in it"


def test_where_any_target_is_enough_and_none_is_open_it_is_broken() -> None:
    one = Watched(with_policies(expectations=(declared(ALLOW, match="any"),))).seconds(8, closed("pod-2", "pod-3"))
    assert "broken" in told(one)


def test_what_one_source_reaches_is_not_enough_for_another() -> None:
    snapshot = with_policies(expectations=(declared(ALLOW, match="any"),))
    one = Watched(structs.replace(snapshot, vantages=(*snapshot.vantages, vantage(5, "n2", "shop"))))
    shut = closed("pod-2", "pod-3")
    assert "broken" in told(one.seconds(8, lambda path: shut(path) if path.vantage == "shop-n1" else None))


def test_where_each_target_must_be_open_one_that_is_closed_is_broken() -> None:
    assert "broken" in told(Watched(with_policies(expectations=(ALLOW,))).seconds(8, closed("pod-2")))


class Growing(Watched):
    """A cluster that gets another pod."""

    def grow(self) -> None:
        late = structs.replace(vantage(9, "n2", "pay"), name="late-n2")
        self.replan(structs.replace(self.snapshot, vantages=(*self.snapshot.vantages, late)), generation=2)


def test_a_pod_that_has_just_come_has_time_to_be_reached() -> None:
    watched = Growing(with_policies(expectations=(declared(ALLOW, grace={"afterPodStart": "20s", "afterChange": "0s"}),)))
    watched.seconds(5)
    watched.grow()
    assert of(watched.seconds(8), "pod-9")["verdict"] == "ok", "where it is reached sooner, that is known"
    young = watched.seconds(8, closed("pod-9"))
    assert "broken" not in told(young)
    assert (of(young, "pod-9")["verdict"], "has just come" in of(young, "pod-9")["because"]) == ("unknown", True)
    assert "broken" in told(watched.seconds(13, closed("pod-9")))


def test_those_that_a_collector_begins_with_have_none() -> None:
    one = Watched(with_policies(expectations=(declared(ALLOW, grace={"afterPodStart": "10m"}),)))
    assert "broken" in told(one.seconds(8, closed("pod-2")))


def test_a_pod_that_leaks_under_an_old_policy_has_no_time_either() -> None:
    watched = Growing(with_policies(SHUT, expectations=(declared(DENY, grace={"afterPodStart": "10m", "afterChange": "0s"}),)))
    watched.seconds(5, closed("pod-2", "pod-3"))
    watched.grow()
    assert "leak" in told(watched.seconds(8, closed("pod-2", "pod-3")))
