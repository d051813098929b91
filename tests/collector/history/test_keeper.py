import pytest

from collector.api.asking import Asking
from collector.history.file import HistoryError
from collector.history.keeper import Keeper
from tests.collector.history.test_file import Open, incident, opened

__all__ = ["opened"]
from tests.collector.small_cluster import SECOND, matrix_of, path_to, report_of, window
from wire.outcome import Outcome

NOW = 100 * SECOND
WALL = 1_800_000_000.0


class Kept:
    def __init__(self, opened: Open) -> None:
        matrix = matrix_of()
        loss = window(path_to(matrix, "n1", "agent-n3").id, [50_000] * 9, failed={Outcome.TIMEOUT: 1})
        matrix.apply(report_of("n1", [loss]), arrived_ns=NOW, counted=True)
        self.failures = 0
        self.file = opened()
        self.wall = WALL
        asking = Asking(matrix, lambda: NOW)
        self.keeper = Keeper(
            self.file, matrix, finished=asking.finished, failed=self.fail, now_ns=lambda: NOW, now=lambda: self.wall
        )

    def fail(self) -> None:
        self.failures += 1


async def test_a_minute_is_kept_by_zone_namespace_and_node(opened: Open) -> None:
    kept = Kept(opened)
    await kept.keeper.keep()
    (one,) = await kept.keeper.points("node", "n1", "n3")
    assert (one.at, one.sent, one.lost, one.loss) == (int(WALL), 10, 1, 0.1)
    assert len(await kept.keeper.points("zone", "z1", "z2")) == 1
    assert len(await kept.keeper.points("namespace", "netmatrix", "netmatrix")) == 1


async def test_incidents_are_kept_as_they_end_and_again_after_a_failure(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(opened)
    kept.keeper.ended([incident("a"), incident("a")])
    with monkeypatch.context() as patch:

        def full(*_: object) -> None:
            raise HistoryError("history.db: database or disk is full")

        patch.setattr(kept.file, "add_minute", full)
        await kept.keeper.keep()
    assert kept.failures == 1
    assert await kept.keeper.incidents() == []
    kept.wall += 60
    await kept.keeper.keep()
    assert await kept.keeper.incidents() == [incident("a")]


async def test_a_file_that_fails_answers_nothing_and_is_counted(opened: Open) -> None:
    kept = Kept(opened)
    kept.file.close()
    assert await kept.keeper.points("node", "n1", "n3") == []
    assert await kept.keeper.incidents() == []
    assert kept.failures == 2
