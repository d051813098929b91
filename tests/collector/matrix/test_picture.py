import numpy as np
import pytest

from collector.matrix import picture
from collector.matrix.picture import LATENCY_LEVELS, LEVEL, LOSS_LEVELS, Code, Picture, picture_in_slices
from collector.matrix.query import TooManyError, Wanted
from collector.matrix.slices import finished
from collector.matrix.store import Matrix
from tests.collector.small_cluster import SECOND, SNAPSHOT, matrix_of, path_to, paths_of, report_of, window
from wire.outcome import Outcome

NOW = 100 * SECOND


def drawn(matrix: Matrix, rows: str = "node", columns: str = "node", *, measure: str = "loss", **wanted: str) -> Picture:
    return finished(picture_in_slices(matrix, NOW, rows, columns, measure=measure, wanted=Wanted(**wanted)))


def code(one: Picture, row: str, column: str) -> int:
    return int(one.codes[list(one.rows).index(row), list(one.columns).index(column)])


def with_loss() -> Matrix:
    matrix = matrix_of()
    good, bad = path_to(matrix, "n1", "agent-n3").id, path_to(matrix, "n1", "cart-0").id
    windows = [window(good, [50_000] * 10), window(bad, [200_000] * 9, failed={Outcome.TIMEOUT: 1})]
    matrix.apply(report_of("n1", windows), arrived_ns=NOW, counted=True)
    return matrix


def test_a_pair_has_the_level_of_its_worst_cell_and_of_nothing_less_bad() -> None:
    one = drawn(with_loss())
    assert code(one, "n1", "n3") == LEVEL
    assert code(one, "n1", "n2") == LEVEL + LOSS_LEVELS.index(0.1)


def test_what_is_bad_between_two_cells_stays_visible_between_their_zones() -> None:
    one = drawn(with_loss(), "zone", "zone")
    assert code(one, "z1", "z1") == LEVEL + LOSS_LEVELS.index(0.1)
    assert code(one, "z1", "z2") == LEVEL


def test_kinds_between_the_same_two_ends_are_added_up_and_never_the_worse_of_two() -> None:
    matrix = matrix_of()
    udp, icmp = (path.id for path in paths_of(SNAPSHOT, "n1") if path.target.name == "pod/shop/cart-0")
    windows = [window(udp, [200_000] * 8, failed={Outcome.TIMEOUT: 2}), window(icmp, [200_000] * 10)]
    matrix.apply(report_of("n1", windows), arrived_ns=NOW, counted=True)
    assert code(drawn(matrix), "n1", "n2") == LEVEL + LOSS_LEVELS.index(0.1)


def test_what_should_be_closed_and_is_loses_nothing() -> None:
    matrix = with_loss()
    shut = np.array(sorted(path.id for path in paths_of(SNAPSHOT, "n1") if path.target.name == "pod/shop/cart-0"), np.uint64)
    one = finished(picture_in_slices(matrix, NOW, "node", "node", measure="loss", wanted=Wanted(), closed=shut))
    assert code(one, "n1", "n3") == LEVEL
    assert code(one, "n1", "n2") == Code.CLOSED
    targets = finished(picture_in_slices(matrix, NOW, "vantage", "target", measure="loss", wanted=Wanted(), closed=shut))
    assert code(targets, "n1", "pod/netmatrix/agent-n2") == Code.UNKNOWN


def test_silence_is_unknown_and_no_path_is_nothing() -> None:
    one = drawn(with_loss())
    assert code(one, "n3", "n1") == Code.UNKNOWN
    assert code(drawn(with_loss(), layer="external", columns="target"), "n1", "external/example") == Code.UNKNOWN
    assert code(one, "n1", "n1") == Code.NOTHING


def test_rows_and_columns_without_a_cell_are_left_out_and_a_zone_can_be_asked_for() -> None:
    one = drawn(with_loss(), source="zone/z2")
    assert list(one.rows) == ["n3"]
    assert list(one.columns) == ["n1", "n2"]
    assert one.codes.shape == (1, 2)


def test_latencies_are_levels_of_a_scale() -> None:
    matrix = with_loss()
    near, far = (code(drawn(matrix, measure="p50"), "n1", to) - LEVEL for to in ("n3", "n2"))
    assert LATENCY_LEVELS[near - 1] < 50_000 <= LATENCY_LEVELS[near] * 1.05
    assert LATENCY_LEVELS[far - 1] < 200_000 <= LATENCY_LEVELS[far] * 1.05
    assert code(drawn(matrix, measure="p99"), "n1", "n2") == LEVEL + far


def test_of_one_kind_each_latencies_are_the_same_as_among_others() -> None:
    """There is nothing to add up then, and it is not: each target has its own."""
    matrix = with_loss()
    alone, among = (drawn(matrix, measure="p50", **wanted) for wanted in ({"kind": "udp"}, {}))
    for to in ("n2", "n3"):
        assert code(alone, "n1", to) == code(among, "n1", to)
    assert code(alone, "n1", "n2") != code(alone, "n1", "n3")


def test_a_dimension_or_measure_that_does_not_exist_is_refused() -> None:
    with pytest.raises(KeyError):
        drawn(matrix_of(), "colour")
    with pytest.raises(KeyError):
        drawn(matrix_of(), measure="weight")


def test_more_pairs_than_a_picture_has_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "MAX_PAIRS", 5)
    with pytest.raises(TooManyError, match="3 by 3 pairs"):
        drawn(with_loss())
    assert drawn(with_loss(), source="zone/z2").cells > 0


def test_an_empty_matrix_is_an_empty_picture() -> None:
    one = drawn(with_loss(), source="nobody")
    assert (list(one.rows), list(one.columns), one.codes.size, one.cells) == ([], [], 0, 0)
    assert one.codes.dtype == np.uint8
