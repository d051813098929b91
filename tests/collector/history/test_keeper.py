import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from collector.api.asking import Asking
from collector.api.incidents import Written
from collector.history.file import HistoryError
from collector.history.keeper import MOST_WAITING, Keeper
from collector.verdict.judgement import Closed
from tests.collector.history.test_file import Open, opened
from tests.collector.incidents import DEAD, JUDGED

__all__ = ["opened"]
from tests.collector.small_cluster import SECOND, matrix_of, path_to, report_of, window
from wire.outcome import Outcome

NOW = 100 * SECOND
WALL = 1_800_000_000.0


class Kept:
    def __init__(self, opened: Open, wall: float = WALL) -> None:
        matrix = matrix_of()
        loss = window(path_to(matrix, "n1", "agent-n3").id, [50_000] * 9, failed={Outcome.TIMEOUT: 1})
        matrix.apply(report_of("n1", [loss]), arrived_ns=NOW, counted=True)
        self.failures = 0
        self.file = opened()
        self.wall = wall
        asking = Asking(matrix, lambda: NOW)
        self.keeper = Keeper(
            self.file,
            matrix,
            finished=asking.finished,
            whole=Written(epoch_ns=int(WALL * SECOND) - NOW).all_of,
            failed=self.fail,
            now_ns=lambda: NOW,
            now=lambda: self.wall,
        )

    async def incidents(self) -> list[tuple[str, bool]]:
        """Id of each, and whether it is over."""
        found = await self.keeper.incidents(10, since=0, until=int(self.wall))
        return [(one["id"], one["closed"] is not None) for one in found]

    def fail(self) -> None:
        self.failures += 1


async def test_a_minute_is_kept_by_zone_namespace_and_node(opened: Open) -> None:
    kept = Kept(opened)
    await kept.keeper.keep()
    (one,) = await kept.keeper.points("node", "n1", "n3")
    assert (one.at, one.sent, one.lost, one.loss) == (int(WALL), 10, 1, 0.1)
    assert len(await kept.keeper.points("zone", "z1", "z2")) == 1
    assert len(await kept.keeper.points("namespace", "netmatrix", "netmatrix")) == 1


async def test_what_is_open_and_what_is_over_is_kept_whole(opened: Open) -> None:
    kept = Kept(opened)
    kept.keeper.hear(JUDGED)
    await kept.keeper.keep()
    assert await kept.incidents() == [("00f0", False), ("00f2", True)]
    one = await kept.keeper.incident("00f0", "")
    assert one is not None
    assert one["evidence"][0]["source"] == "n1"
    assert one["against"] == "A reply from n3."
    kept.keeper.hear(JUDGED._replace(incidents=(), closed=(Closed(DEAD, 120 * SECOND), *JUDGED.closed)))
    kept.wall += 60
    await kept.keeper.keep()
    assert set(await kept.incidents()) == {("00f0", True), ("00f2", True)}


async def test_a_collector_that_ends_keeps_what_it_knows_and_the_next_one_says_whose_end_nobody_saw(opened: Open) -> None:
    first = Kept(opened)
    first.keeper.hear(JUDGED)
    await first.keeper.end()
    after = Kept(opened, WALL + 600)
    found = await after.keeper.incidents(10, since=0, until=int(after.wall))
    assert {one["id"]: one["cut_off"] for one in found} == {"00f0": True, "00f2": False}


async def test_incidents_that_could_not_be_written_are_written_with_the_next_minute(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(opened)
    kept.keeper.hear(JUDGED)
    for method in ("add_minute", "add_incidents"):
        with monkeypatch.context() as patch:
            patch.setattr(kept.file, method, full)
            await kept.keeper.keep()
    assert kept.failures == 2
    assert await kept.incidents() == []
    kept.wall += 60
    await kept.keeper.keep()
    assert ("00f2", True) in await kept.incidents()


def full(*_: object) -> None:
    raise HistoryError("history.db: database or disk is full")


async def test_what_is_over_is_written_once_however_long_it_is_told(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(opened)
    over = JUDGED._replace(incidents=())
    kept.keeper.hear(over)
    await kept.keeper.keep()
    assert await kept.incidents() == [("00f2", True)]
    monkeypatch.setattr(kept.file, "add_incidents", full)
    kept.keeper.hear(over)
    await kept.keeper.keep()
    assert kept.failures == 0


async def test_no_more_than_so_many_wait_for_a_file_that_fails(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(opened)
    over = tuple(Closed(DEAD._replace(id=f"{number:04x}"), 120 * SECOND) for number in range(MOST_WAITING))
    kept.keeper.hear(JUDGED._replace(incidents=(), closed=over))
    with monkeypatch.context() as patch:
        patch.setattr(kept.file, "add_incidents", full)
        await kept.keeper.keep()
    await kept.keeper.keep()
    assert await kept.incidents() == []


async def test_a_file_that_fails_is_said_once_and_again_after_it_was_well(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(opened)
    with capture_logs() as said:
        for fails in (True, True, False, True):
            with monkeypatch.context() as patch:
                if fails:
                    patch.setattr(kept.file, "add_minute", full)
                await kept.keeper.keep()
    assert [one["event"] for one in said] == ["history is not kept"] * 2
    assert kept.failures == 3


async def test_what_the_next_process_must_know_is_kept_every_five_minutes_where_nobody_says_that_it_changed(
    opened: Open,
) -> None:
    kept = Kept(opened)
    kept.keeper.remember("learned", lambda: b"one")
    for minute in (1, 2, 3, 4):
        kept.wall = WALL + 60 * minute
        await kept.keeper.keep()
        assert kept.keeper.recalled("learned") is None
    kept.wall = WALL + 300
    await kept.keeper.keep()
    assert kept.keeper.recalled("learned") == b"one"


async def test_a_file_that_fails_answers_nothing_and_is_counted(opened: Open) -> None:
    kept = Kept(opened)
    kept.file.close()
    assert await kept.keeper.points("node", "n1", "n3") == []
    assert await kept.incidents() == []
    assert await kept.keeper.incident("00f0", "") is None
    assert kept.failures == 3


async def test_what_the_next_process_must_know_is_kept_when_it_changes_and_at_the_end(opened: Open) -> None:
    kept, said = Kept(opened), [b"one"]
    kept.keeper.remember("told", lambda: said[0])
    kept.keeper.remember("nothing", lambda: None)
    kept.keeper.changed("told")
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(kept.keeper.follow())
        async with asyncio.timeout(30):
            while kept.keeper.recalled("told") is None:  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.01)
        following.cancel()
    assert (kept.keeper.recalled("told"), kept.keeper.recalled("nothing")) == (b"one", None)
    said[0] = b"two"
    await kept.keeper.end()
    again = Kept(opened)
    assert again.keeper.recalled("told") == b"two"


async def test_what_changes_as_a_minute_ends_is_kept_all_the_same(opened: Open) -> None:
    kept, begun, released = Kept(opened, WALL + 59.9), threading.Event(), threading.Event()

    def told() -> bytes:
        begun.set()
        released.wait(60)
        return b"one"

    kept.keeper.remember("told", told)
    kept.keeper.changed("told")
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(kept.keeper.follow())
        async with asyncio.timeout(30):
            assert await asyncio.to_thread(begun.wait, 30)
            await asyncio.sleep(0.2)  # the minute is over
            released.set()
            while kept.keeper.recalled("told") is None:  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(0.01)
        following.cancel()


async def test_a_file_that_fails_leaves_nothing_to_know_and_stops_nobody(opened: Open) -> None:
    kept = Kept(opened)
    kept.keeper.remember("told", lambda: b"one")
    kept.file.close()
    await kept.keeper.keep_memories(["told"])
    assert kept.keeper.recalled("told") is None
    assert kept.failures == 2


@pytest.mark.parametrize(
    ("method", "ask"),
    [
        ("points", lambda keeper, number: keeper.points("node", "n1", f"n{number}")),
        ("incidents", lambda keeper, number: keeper.incidents(number, since=0, until=1)),
        ("incident", lambda keeper, number: keeper.incident(f"{number}", "")),
        ("occurrences", lambda keeper, number: keeper.occurrences(f"{number}")),
    ],
)
async def test_survive_34_however_many_look_back_there_is_a_thread_left_for_everything_else(
    opened: Open, monkeypatch: pytest.MonkeyPatch, method: str, ask: Callable[[Keeper, int], Coroutine[Any, Any, object]]
) -> None:
    kept = Kept(opened)
    released, begun = threading.Event(), 0

    def slow(*_: object, **__: object) -> None:
        nonlocal begun
        begun += 1
        released.wait(60)

    monkeypatch.setattr(kept.file, method, slow)
    async with asyncio.TaskGroup() as tasks:
        for number in range(200):
            tasks.create_task(ask(kept.keeper, number))
        async with asyncio.timeout(60):
            while not begun:  # noqa: ASYNC110 - a thread says so
                await asyncio.sleep(0.01)
            await asyncio.to_thread(int)  # which would wait for ever
        assert begun == 1
        released.set()
    assert begun == 200
