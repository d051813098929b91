from typing import Any

import msgspec
import numpy as np
import pytest

from collector.discovery.snapshot import Node, Snapshot
from collector.matrix import store
from collector.matrix.query import cells
from collector.matrix.store import Inconsistent, Matrix
from tests.collector.small_cluster import SECOND, SNAPSHOT, matrix_of, path_to, plans_of, replan, report_of, vantage, window
from wire.outcome import Outcome
from wire.path import Path
from wire.plan import Plan
from wire.report import pack
from wire.window import Flag, Measure, Window


def apply(matrix: Matrix, name: str, *windows: Window, at: int = 100 * SECOND, age_ns: int = 0, counted: bool = True) -> None:
    matrix.apply(report_of(name, windows, age_ns=age_ns), arrived_ns=at, counted=counted)


def probes(matrix: Matrix, *columns: str, at: int = 100 * SECOND, span_ns: int | None = None) -> int:
    """Probes in all cells together, all that were sent unless named otherwise; since the start without a span."""
    counts = [cell[name] for cell in cells(matrix, at, span_ns=span_ns) for name in columns or ("sent",)]
    return sum(sum(count.values()) if isinstance(count, dict) else count for count in counts)


def node_counters(matrix: Matrix) -> dict[tuple[str, ...], list[int]]:
    return dict(matrix.tallies.nodes.items())


def cell_of(matrix: Matrix, path: Path, *, at: int = 100 * SECOND, span_ns: int | None = None) -> dict[str, Any]:
    return next(cell for cell in cells(matrix, at, span_ns=span_ns) if cell["path"] == f"{path.id:016x}")


def test_totals_add_up_over_reports_and_the_span_ends() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n2").id
    for second in (10, 20, 30):
        apply(matrix, "n1", window(path, [50_000] * 9, failed={Outcome.TIMEOUT: 1}), at=second * SECOND)
    assert probes(matrix) == 30
    assert probes(matrix, "late", "failed") == 3
    assert probes(matrix, at=30 * SECOND, span_ns=15 * SECOND) == 20
    assert probes(matrix, at=31 * SECOND, span_ns=SECOND) == 0


def test_a_window_counts_in_the_span_in_which_it_ended_and_not_in_which_it_arrived() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n2").id
    apply(matrix, "n1", window(path, [50_000]), at=100 * SECOND, age_ns=50 * SECOND)
    assert probes(matrix, at=100 * SECOND, span_ns=40 * SECOND) == 0
    assert probes(matrix, at=100 * SECOND, span_ns=60 * SECOND) == 1
    apply(matrix, "n1", window(path, [50_000]), at=1000 * SECOND, age_ns=900 * SECOND)
    assert probes(matrix, at=1000 * SECOND, span_ns=300 * SECOND) == 0
    assert probes(matrix) == 2


def test_survive_01_a_window_that_was_merged_over_an_hour_is_not_of_the_last_minute() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n2").id
    merged = report_of("n1", [window(path, [50_000], failed={Outcome.TIMEOUT: 600})], age_ns=20 * SECOND)
    merged = msgspec.structs.replace(merged, span_ns=3600 * SECOND, merged=360)
    matrix.apply(merged, arrived_ns=5000 * SECOND, counted=True)
    assert probes(matrix, at=5000 * SECOND, span_ns=60 * SECOND) == 0
    assert probes(matrix, "late", "failed") == 600
    short = report_of("n1", [window(path, [50_000])], span_ns=20 * SECOND)
    matrix.apply(msgspec.structs.replace(short, merged=2), arrived_ns=5000 * SECOND, counted=True)
    assert probes(matrix, at=5000 * SECOND, span_ns=60 * SECOND) == 1


def test_survive_49_an_inconsistent_report_changes_nothing_at_all() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n2").id
    good = pack([window(path, [50_000])])
    bad = report_of("n1", columns=msgspec.structs.replace(good, received=b"\x02\0\0\0"))
    before = matrix.nbytes
    with pytest.raises(Inconsistent):
        matrix.apply(bad, arrived_ns=SECOND, counted=True)
    assert (probes(matrix), matrix.nbytes, matrix.table.rows["n1"].heard_ns) == (0, before, None)


def test_survive_49_a_vantage_writes_its_own_row_only() -> None:
    matrix = matrix_of()
    other = path_to(matrix, "n2", "n1").id
    apply(matrix, "n1", window(other, [50_000]))
    assert probes(matrix) == 0
    assert matrix.unknown_paths == 1


def test_survive_01_a_report_sent_again_is_in_the_matrix_but_not_in_the_counters() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n2").id
    apply(matrix, "n1", window(path, [50_000] * 5), counted=False)
    assert probes(matrix) == 5
    assert probes(matrix, span_ns=60 * SECOND) == 5
    assert node_counters(matrix)["n1", "out", "pod"][0] == 0
    apply(matrix, "n1", window(path, [50_000] * 7), counted=True)
    assert node_counters(matrix)["n1", "out", "pod"][0] == 7
    assert node_counters(matrix)["n2", "in", "pod"][0] == 7


def test_survive_02_counters_do_not_go_down_when_an_agent_or_its_pod_is_replaced() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n2").id
    apply(matrix, "n1", window(path, [50_000] * 5, late=1))
    before = node_counters(matrix)
    others = tuple(one for one in SNAPSHOT.vantages if one.name != "n2")
    again = msgspec.structs.replace(SNAPSHOT, vantages=(*others, vantage("n2", "n2", number=9, pod="agent-again")))
    replan(matrix, again)
    matrix.apply(report_of("n1", [], boot=b"c" * 16), arrived_ns=101 * SECOND, counted=True)
    after = node_counters(matrix)
    assert after["n1", "out", "pod"] == before["n1", "out", "pod"]
    assert after["n2", "in", "pod"] == before["n2", "in", "pod"]
    assert probes(matrix) == 0


def test_survive_39_the_two_directions_of_a_pair_are_two_cells() -> None:
    matrix = matrix_of()
    there, back = path_to(matrix, "n1", "n3").id, path_to(matrix, "n3", "n1").id
    apply(matrix, "n1", window(there, failed={Outcome.TIMEOUT: 10}))
    apply(matrix, "n3", window(back, [50_000] * 10))
    found = {cell["path"]: cell["loss"] for cell in cells(matrix, 100 * SECOND)}
    assert found[f"{there:016x}"] == 1.0
    assert found[f"{back:016x}"] == 0.0
    assert node_counters(matrix)["n1", "out", "pod"][:2] == [10, 10]
    assert node_counters(matrix)["n1", "in", "pod"][:2] == [10, 0]


@pytest.mark.parametrize("flag", [Flag.UNCONFIRMED, Flag.ILL, Flag.ILL | Flag.UNCONFIRMED])
def test_flagged_windows_are_set_aside_and_enter_no_sum(flag: Flag) -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n2").id
    apply(matrix, "n1", window(path, [50_000] * 3, late=2, flags=flag, measures={Measure.REORDERED: 1}))
    name = "ill" if Flag.ILL in flag else "unconfirmed"
    cell = next(cell for cell in cells(matrix, 100 * SECOND, span_ns=None) if cell["path"] == f"{path:016x}")
    assert probes(matrix) == 0
    assert (cell["p50_us"], cell["min_us"], cell["measures"], cell["failed"]) == (None, None, {}, {})
    assert cell["set_aside"] == {"unconfirmed": 0, "ill": 0, name: 5}
    assert dict(matrix.tallies.set_aside.items())[(name,)] == [5]
    assert node_counters(matrix)["n1", "out", "pod"][0] == 0


def test_a_plan_that_changes_keeps_the_history_of_paths_that_stay() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n3", "n1")
    apply(matrix, "n3", window(path.id, [50_000] * 4))
    more = msgspec.structs.replace(
        SNAPSHOT,
        nodes=(*SNAPSHOT.nodes, Node("n0", "z9")),
        vantages=(vantage("n0", "n0", number=9), *SNAPSHOT.vantages),
    )
    replan(matrix, more)
    assert [cell_of(matrix, path, span_ns=span_ns)["received"] for span_ns in (None, SECOND)] == [4, 4]
    apply(matrix, "n3", window(path.id, [60_000] * 4))
    assert [cell_of(matrix, path, span_ns=span_ns)["received"] for span_ns in (None, SECOND)] == [8, 8]


def test_a_node_that_is_gone_vanishes_with_its_series() -> None:
    matrix = matrix_of()
    apply(matrix, "n3", window(path_to(matrix, "n3", "n1").id, [50_000] * 4))
    apply(matrix, "n1", window(path_to(matrix, "n1", "n3").id, [50_000] * 4), window(path_to(matrix, "n1", "n2").id, [1000]))
    less = msgspec.structs.replace(
        SNAPSHOT, nodes=SNAPSHOT.nodes[:2], vantages=tuple(v for v in SNAPSHOT.vantages if v.node != "n3")
    )
    replan(matrix, less)
    assert not any("n3" in (cell["from"]["node"], cell["to"]["node"]) for cell in cells(matrix, 100 * SECOND))
    assert not any("n3" in key for key in node_counters(matrix))
    assert probes(matrix) == probes(matrix, span_ns=SECOND) == 1
    assert "n3" not in matrix.table.rows
    assert not any("z2" in key for key, _ in matrix.tallies.zones.items())


def test_a_network_that_is_gone_leaves_no_row_behind() -> None:
    matrix = matrix_of()
    matrix.tallies.zones.rows_of([("z1", "z1", "pod", network) for network in ("", "storage")])
    replan(matrix, SNAPSHOT)
    assert {key[3] for key, _ in matrix.tallies.zones.items()} == {""}


def test_an_empty_cluster_is_a_matrix_too() -> None:
    matrix = matrix_of(Snapshot())
    apply(matrix, "n1", window(1, [1000]))
    assert matrix.unknown_paths == 1
    assert cells(matrix, 0) == []
    replan(matrix)
    apply(matrix, "n1", window(path_to(matrix, "n1", "n2").id, [1000]))
    replan(matrix, Snapshot())
    assert cells(matrix, 100 * SECOND) == []
    replan(matrix)
    assert {cell["sent"] for cell in cells(matrix, 100 * SECOND)} == {0}


def test_survive_33_memory_stays_under_its_limit_and_what_left_is_counted() -> None:
    matrix = matrix_of(max_bytes=60_000)
    path = path_to(matrix, "n1", "n2").id
    assert matrix.dropped > 100
    for second in range(200):
        apply(matrix, "n1", window(path, [50_000] * 5, failed={Outcome.TIMEOUT: 1}), at=second * SECOND)
        assert matrix.nbytes <= 60_000
    assert probes(matrix) == 1200
    assert probes(matrix, at=199 * SECOND, span_ns=3 * SECOND) == 18
    assert matrix.span(199 * SECOND, 300 * SECOND).start_ns > 100 * SECOND


def test_survive_33_a_report_that_waits_while_steps_are_given_up_counts_in_its_own() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n2")
    for second in range(100, 150):
        apply(matrix, "n1", window(path.id, [50_000]), at=second * SECOND)
    matrix.max_bytes = 10_000
    matrix.lay("n2", plans_of()["n2"])
    assert matrix.dropped > 0
    assert cell_of(matrix, path, at=149 * SECOND, span_ns=3 * SECOND)["sent"] == 3


def test_survive_33_rows_that_find_no_room_are_counted_and_have_no_cells() -> None:
    matrix = matrix_of(max_bytes=3_000)
    path = path_to(matrix, "n1", "n2").id
    assert matrix.dropped >= 4
    apply(matrix, "n1", window(path, [50_000]))
    assert (matrix.unknown_paths, cells(matrix, 100 * SECOND)) == (1, [])


def test_survive_33_sparse_counts_that_find_no_room_are_dropped_and_the_dense_ones_stay_exact() -> None:
    matrix = matrix_of(max_bytes=400_000)
    path = path_to(matrix, "n1", "n2")
    before = matrix.dropped
    words = [word for word in Outcome if word is not Outcome.LATE and not word.is_local]
    for second in range(1, 200):
        one = window(path.id, [1000 << place for place in range(20)], failed=dict.fromkeys(words, 1))
        apply(matrix, "n1", one, at=second * SECOND)
        assert matrix.nbytes <= 400_000
    cell = cell_of(matrix, path, at=200 * SECOND, span_ns=199 * SECOND)
    assert matrix.dropped > before
    assert (cell["sent"], cell["received"]) == (198 * 35, 198 * 20)


def test_a_count_beyond_a_byte_is_exact_in_its_span() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n2")
    for _ in range(9):
        apply(matrix, "n1", window(path.id, [50_000] * 30, late=20, failed={Outcome.TIMEOUT: 10}))
    cell = cell_of(matrix, path, span_ns=SECOND)
    assert (cell["sent"], cell["received"], cell["late"], cell["failed"]) == (540, 270, 180, {"timeout": 90})


def test_survive_33_a_span_reaches_no_further_back_than_the_retention() -> None:
    matrix = matrix_of(retention_ns=10 * SECOND)
    path = path_to(matrix, "n1", "n2").id
    for second in range(1, 50):
        apply(matrix, "n1", window(path, [50_000] * 5), at=second * SECOND)
    assert probes(matrix, at=49 * SECOND, span_ns=40 * SECOND) == 11 * 5
    assert matrix.span(49 * SECOND, 40 * SECOND).start_ns == 38 * SECOND
    assert matrix.dropped == 0


def test_a_span_is_answered_in_whole_steps_and_says_which() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n2").id
    for tenth in range(300, 320):
        apply(matrix, "n1", window(path, [50_000]), at=tenth * SECOND // 10)
    span = matrix.span(31_900_000_000, SECOND)
    assert span.start_ns == 30 * SECOND
    assert probes(matrix, at=31_900_000_000, span_ns=SECOND) == 19


def test_survive_36_ten_thousand_namespaces_are_counted_under_other() -> None:
    """Counters stay bounded and complete: what has no row of its own is added up under `other`."""
    matrix = matrix_of()
    tally = matrix.tallies.namespaces
    rows = tally.rows_of([(f"from-{i}", "to") for i in range(10_000)])
    tally.add(rows, np.ones(10_000, np.int64), (0, 1))
    kept = dict(tally.items())
    assert len(kept) <= 2001
    assert sum(values[0] for values in kept.values()) == 10_000
    assert kept["other", "other"][0] > 7000


def test_facts_are_the_last_ones_and_follow_their_cell() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n2")
    for text in ("10.0.0.1", "10.0.0.2"):
        columns = msgspec.structs.replace(pack([window(path.id, [1000])]), facts=((0, "source", text), (0, "of tomorrow", "x")))
        matrix.apply(report_of("n1", columns=columns), arrived_ns=SECOND, counted=True)
    cell = next(cell for cell in cells(matrix, SECOND) if cell["path"] == f"{path.id:016x}")
    assert cell["facts"] == {"source": "10.0.0.2"}


def test_a_path_outside_of_the_plan_is_unsampled_with_its_last_result_and_never_unknown() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "n3")
    apply(matrix, "n1", window(path.id, [50_000] * 3, late=1))
    plans = plans_of()
    plans["n1"] = msgspec.structs.replace(plans["n1"], paths=tuple(item for item in plans["n1"].paths if item.path != path))
    replan(matrix, plans=plans)
    cell = next(cell for cell in cells(matrix, 1000 * SECOND) if cell["path"] == f"{path.id:016x}")
    assert cell["state"] == "unsampled"
    assert cell["last"] == {"sent": 4, "lost": 1, "age_seconds": 900.0}
    assert cell["because"] == "not in the plan; 900 s ago 1 of 4 probes were lost"


def without(*paths: Path) -> dict[str, Plan]:
    plans = plans_of()
    kept = tuple(item for item in plans["n1"].paths if item.path not in paths)
    return {**plans, "n1": msgspec.structs.replace(plans["n1"], paths=kept)}


def test_a_cell_that_left_long_ago_has_its_last_result_and_a_fresh_start_when_it_returns() -> None:
    matrix = matrix_of()
    path, other = path_to(matrix, "n1", "n3"), path_to(matrix, "n1", "n2")
    apply(matrix, "n1", window(path.id, [50_000] * 3, late=1))
    replan(matrix, plans=without(path))
    late = window(path.id, [50_000])
    apply(matrix, "n1", late, at=101 * SECOND)
    assert cell_of(matrix, path, at=101 * SECOND)["sent"] == 5
    apply(matrix, "n1", window(other.id, [50_000]), at=110 * SECOND)
    replan(matrix, plans=without(path))
    matrix.lay("n1", without(path, path_to(matrix, "n1", "n3", "icmp"))["n1"])
    cell = cell_of(matrix, path, at=200 * SECOND)
    assert (cell["state"], cell["sent"]) == ("unsampled", 0)
    assert cell["last"] == {"sent": 1, "lost": 0, "age_seconds": 99.0, "latency_us": pytest.approx(50, rel=0.05)}
    assert cell["because"] == "not in the plan; 99 s ago 0 of 1 probes were lost"
    replan(matrix)
    cell = cell_of(matrix, path, at=200 * SECOND)
    assert (cell["state"], cell["sent"], cell["age_seconds"]) == ("unknown", 0, None)
    assert "last" not in cell


def test_survive_33_last_results_are_bounded_and_the_oldest_leave_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MOST_DEPARTED", 2)
    matrix = matrix_of()
    paths = [item.path for item in plans_of()["n1"].paths]
    for number, path in enumerate(paths[:4]):
        apply(matrix, "n1", window(path.id, [50_000]), at=(100 + 10 * number) * SECOND)
        apply(matrix, "n1", window(paths[5].id, [50_000]), at=(105 + 10 * number) * SECOND)
        for gone in (paths[: number + 1], [*paths[: number + 1], paths[6]]):
            matrix.lay("n1", without(*gone)["n1"])
    kept = matrix.table.rows["n1"].departed["id"].tolist()
    assert kept == [path.id for path in paths[2:4]]


def test_survive_23_a_vantage_of_the_same_name_and_another_uid_has_another_row() -> None:
    matrix = matrix_of()
    path = path_to(matrix, "n1", "shop/cart", "tcp")
    apply(matrix, "n1", window(path.id, [50_000]))
    again = tuple(msgspec.structs.replace(one, uid="uid-again") if one.name == "n1" else one for one in SNAPSHOT.vantages)
    replan(matrix, msgspec.structs.replace(SNAPSHOT, vantages=again))
    cell = cell_of(matrix, path)
    assert (cell["sent"], cell["because"]) == (0, "no report yet")


def test_rotation_keeps_memory_and_what_stays_whoever_comes_and_goes() -> None:
    matrix = matrix_of()
    paths = [item.path for item in plans_of()["n1"].paths]
    stays, slabs = paths[7], len(matrix.table.slabs)
    for slot in range(60):
        away = paths[slot % 7]
        matrix.lay("n1", without(away)["n1"])
        windows = [window(path.id, [50_000]) for path in paths if path != away]
        apply(matrix, "n1", *windows, at=(100 + 60 * slot) * SECOND)
    assert cell_of(matrix, stays)["sent"] == 60
    assert len(matrix.table.slabs) == slabs
    assert matrix.unknown_paths == 0
