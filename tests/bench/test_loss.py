"""How a count of losses is held against drops."""

from bench.lines.loss import beyond
from bench.totals import Totals


def test_every_loss_is_a_drop_and_every_drop_a_loss() -> None:
    assert [beyond(Totals(lost=5), dropped) for dropped in (3, 5, 6)] == [2, 0, 1]


def test_probes_that_nobody_can_judge_excuse_so_many_drops_and_no_loss() -> None:
    assert [beyond(Totals(lost=5, paused=2), dropped) for dropped in (4, 5, 7, 8)] == [1, 0, 0, 1]
