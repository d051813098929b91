import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from lab.corpus import Ledger, drawn
from lab.draw import KINDS
from lab.figures import Fault, Played, figures, missed, played, quantile, share
from lab.run import Result


def one(name: str, *seconds: float | None, false: tuple[str, ...] = (), where: str = "lab") -> Played:
    faults: list[Fault] = [
        {"kind": "loss", "seconds": found, "layer": True, "single": not false, "because": ""} for found in seconds
    ]
    return {"name": name, "where": where, "kind": "loss", "faults": faults, "false": list(false), "error": ""}


def test_a_seed_always_draws_the_same_and_another_one_does_not() -> None:
    assert drawn(7, 30) == drawn(7, 30)
    assert drawn(7, 30) != drawn(8, 30)


@pytest.mark.parametrize("seed", range(5))
def test_every_kind_comes_three_times_and_not_always_in_the_same_place(seed: int) -> None:
    scenarios = drawn(seed, 3 * len(KINDS))
    assert set(Counter(kind for kind, _ in scenarios).values()) == {3}
    places = {(kind, str(scenario.timeline)) for kind, scenario in scenarios}
    assert len(places) > 2.7 * len(KINDS)
    assert sum(kind in {"dead_node", "black_hole"} for kind, _ in scenarios) <= len(scenarios) / 4


def test_what_is_harmless_expects_nothing_and_what_is_broken_says_what_shall_be_said() -> None:
    for kind, scenario in drawn(3, len(KINDS)):
        harmless = {"drain", "rollout", "collector_restart", "strange_packets", "reused_address", "policy_change", "hogs"}
        assert (kind in harmless) == (not scenario.expect.incidents), kind
        assert scenario.expect.false_incidents == 0


def test_figures_count_hits_misses_and_false_ones() -> None:
    found = figures([one("a", 2.0), one("b", None), one("c", 4.0, false=("node n1",)), one("d", 1.0, where="simulator")])
    assert found["precision"]["value"] == 0.75
    assert found["recall"]["value"] == 0.75
    assert found["single_incident"]["hits"] == 2
    assert found["false_incidents"] == 1
    assert found["detection_seconds"] == {"loss": {"count": 3, "median": 2.0, "p95": 4.0}}
    assert found["by_place"]["simulator"]["recall"]["of"] == 1


def test_a_scenario_that_could_not_be_played_counts_nowhere_and_is_a_failure() -> None:
    broken: Any = {**one("a", None), "error": "no agent"}
    found = figures([broken, one("b", 1.0)])
    assert found["recall"]["value"] == 1.0
    assert missed(found) == ["1 could not be played"]


def test_a_bar_is_missed_only_where_that_is_certain() -> None:
    assert not missed(figures([one("a", None), *(one(f"b{number}", 1.0) for number in range(9))]))
    assert missed(figures([one(str(number), None) for number in range(99)]))[0].startswith("recall is 0.000 (0 of 99)")


def test_what_a_run_found_is_what_counts() -> None:
    kind, scenario = drawn(1, 1)[0]
    incident = {
        "expected": {"component": "n6"},
        "passed": True,
        "because": "as expected",
        "measured": {"detected_seconds": 3.0},
    }
    false = {"expected": {"false_incidents": 0}, "passed": False, "because": "", "measured": {"names": ["node n1 pod in"]}}
    entry = played(kind, scenario, Result(scenario.name, passed=False, expectations=(incident, false)))
    assert entry["faults"][0]["seconds"] == 3.0
    assert not entry["faults"][0]["single"]
    assert entry["false"] == ["node n1 pod in"]


def test_an_interrupted_run_goes_on_where_it_was(tmp_path: Path) -> None:
    file = tmp_path / "corpus.jsonl"
    Ledger(file).add(one("a", 1.0))
    assert json.loads(file.read_text())["name"] == "a"
    assert Ledger(file).played == {"a": one("a", 1.0)}


def test_a_share_has_an_interval_and_a_quantile_a_value() -> None:
    assert share(0, 0)["value"] is None
    assert share(95, 100)["interval"] == [0.8882, 0.9785]
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)
