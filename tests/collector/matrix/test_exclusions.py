"""Cells with an end that comes or goes: a state of their own, with a reason, and in no sum."""

from typing import Any, Literal

import pytest
from msgspec import structs

from collector.discovery.snapshot import Door, Pod, Service, Snapshot
from collector.matrix.exclusions import Exclusions
from collector.matrix.groups import group_by
from collector.matrix.query import Wanted, cells, worst
from collector.matrix.state import census
from collector.matrix.store import Matrix
from tests.collector.small_cluster import SECOND, SNAPSHOT, matrix_of, path_to, plans_of, replan, report_of, window
from wire.outcome import Outcome

NOW = 100 * SECOND
Word = Literal["terminating", "not_ready", "settling"]


def having(name: str, word: Word) -> Snapshot:
    return structs.replace(
        SNAPSHOT,
        vantages=tuple(structs.replace(one, excluded=word) if one.name == name else one for one in SNAPSHOT.vantages),
    )


def cordoned(node: str) -> Snapshot:
    return structs.replace(
        SNAPSHOT, nodes=tuple(structs.replace(one, excluded="cordoned") if one.name == node else one for one in SNAPSHOT.nodes)
    )


def lossy() -> Matrix:
    """A matrix in which nothing of n1 arrives at the cart, and all at n3."""
    matrix = matrix_of()
    cart, n3 = path_to(matrix, "n1", "cart-0"), path_to(matrix, "n1", "n3")
    windows = [window(cart.id, failed={Outcome.TIMEOUT: 10}), window(n3.id, [100_000] * 10)]
    matrix.apply(report_of("n1", windows), arrived_ns=NOW, counted=True)
    return matrix


def cell(matrix: Matrix, target: str) -> dict[str, Any]:
    path = path_to(matrix, "n1", target)
    return next(one for one in cells(matrix, NOW) if one["path"] == f"{path.id:016x}")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("terminating", "its pod is terminating"),
        ("not_ready", "its pod is not ready"),
        ("settling", "its pod became ready a moment ago"),
    ],
)
def test_a_cell_towards_an_excluded_pod_is_excluded_with_the_reason(word: Word, sentence: str) -> None:
    matrix = lossy()
    matrix.exclude(having("cart", word))
    found = cell(matrix, "cart-0")
    assert (found["state"], found["excluded"], found["sent"]) == ("excluded", word, 10)
    assert found["because"] == f"pod/shop/cart-0 is excluded: {sentence}; 10 of 10 probes lost within 60 s"
    assert cell(matrix, "n3")["state"] == "measured"
    assert "excluded" not in cell(matrix, "n3")


def test_all_cells_of_an_excluded_vantage_are_excluded_also_those_without_a_result() -> None:
    matrix = lossy()
    matrix.exclude(having("n1", "settling"))
    assert {one["state"] for one in cells(matrix, NOW, wanted=Wanted(source="n1"))} == {"excluded"}
    assert cell(matrix, "n3")["because"].startswith("n1 is excluded: its pod became ready a moment ago; 0 of 10")


def test_a_cordoned_node_excludes_its_agent_the_pods_on_it_and_itself() -> None:
    known = Exclusions(
        structs.replace(
            cordoned("n2"),
            services=(
                Service(
                    "cart", "shop", ("10.96.0.10",), 80, doors=(Door("node_port", "n2", ("172.30.0.2",), 30_080, node="n2"),)
                ),
            ),
        )
    )
    assert known.sources == {"n2": "cordoned", "cart": "cordoned"}
    assert set(known.targets) == {
        "node/n2",
        "pod/netmatrix/agent-n2",
        "pod/shop/cart-0",
        "node_port/shop/cart/n2",
    }
    matrix = lossy()
    matrix.exclude(cordoned("n2"))
    assert cell(matrix, "cart-0")["because"].startswith("pod/shop/cart-0 is excluded: its node is cordoned; 10 of 10")


def test_what_excluded_cells_did_is_in_no_group_and_is_nothing_bad() -> None:
    matrix = lossy()
    matrix.exclude(having("cart", "not_ready"))
    groups = {(one["from"], one["to"]): one for one in group_by(matrix, NOW, "vantage", "vantage")["cells"]}
    cart, other = groups["n1", "cart"], groups["n1", "n3"]
    assert (cart["state"], cart["excluded"], cart["sent"], cart["loss"], cart["unknown"]) == ("excluded", 2, 0, None, 0)
    assert (other["state"], other["excluded"], other["sent"], other["p50_us"]) == ("measured", 0, 10, 100.0)
    assert [one["to"]["name"] for one in worst(matrix, NOW, 5)] == ["pod/netmatrix/agent-n3"]


def test_a_cell_is_excluded_also_when_its_path_has_left_the_plan_since_the_pod_is_terminating() -> None:
    matrix = lossy()
    leaving = having("cart", "terminating")
    plans = plans_of()
    kept = {
        name: structs.replace(plan, paths=tuple(one for one in plan.paths if "cart-0" not in one.path.target.name))
        for name, plan in plans.items()
    }
    replan(matrix, leaving, kept)
    assert cell(matrix, "cart-0")["state"] == "excluded"


def test_a_pod_that_is_ready_again_is_measured_again() -> None:
    matrix = lossy()
    matrix.exclude(having("cart", "not_ready"))
    before = census(matrix, NOW, 60 * SECOND)
    matrix.exclude(SNAPSHOT)
    after = census(matrix, NOW, 60 * SECOND)
    assert before["excluded"] == 14
    assert after["excluded"] == 0
    assert (before["measured"], after["measured"]) == (1, 2)
    assert cell(matrix, "cart-0")["state"] == "measured"


def test_a_row_that_comes_after_the_exclusions_is_not_taken_for_another() -> None:
    matrix = matrix_of()
    matrix.exclude(having("cart", "not_ready"))
    assert cell(matrix, "cart-0")["state"] == "excluded"
    replan(matrix, SNAPSHOT)
    assert cell(matrix, "cart-0")["state"] == "unknown"


@pytest.mark.parametrize("name", ["cart", "n1"])
def test_exported_counters_hear_nothing_of_excluded_ends_but_that_it_was_set_aside(name: str) -> None:
    matrix = matrix_of()
    matrix.exclude(having(name, "terminating"))
    lost = [window(path_to(matrix, "n1", target).id, failed={Outcome.TIMEOUT: 10}) for target in ("cart-0", "agent-n3")]
    answered = window(path_to(matrix, "n1", "cart-0", "icmp").id, [100_000] * 10)
    matrix.apply(report_of("n1", [*lost, answered]), arrived_ns=NOW, counted=True)
    tallies = matrix.tallies
    set_aside = {key: int(values[0]) for key, values in tallies.set_aside.items()}
    nodes = {key: values[:2] for key, values in tallies.nodes.items() if any(values[:2])}
    assert [key for key, values in tallies.zones.items() if any(values[4:])] == [], "no latency is in a histogram"
    assert sum(int(times) for _, (times,) in tallies.failures.items()) == (10 if name == "cart" else 0)
    if name == "cart":
        assert set_aside == {("excluded",): 20, ("ill",): 0, ("unconfirmed",): 0}
        assert nodes == {("n3", "in", "pod"): [10, 10], ("n1", "out", "pod"): [10, 10]}
    else:
        assert set_aside[("excluded",)] == 30
        assert nodes == {}


def test_a_pod_that_is_not_ready_is_excluded_as_a_target() -> None:
    pods = tuple(Pod("shop", f"db-{number}", (f"10.30.9.{number}",), "n1", ready=bool(number)) for number in range(2))
    assert dict(Exclusions(structs.replace(SNAPSHOT, pods=pods)).targets) == {"pod/shop/db-0": "not_ready"}
