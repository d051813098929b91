import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from collector.history import file as module
from collector.history.columns import packed
from collector.history.file import KEPT_INCIDENTS_SECONDS, KEPT_SECONDS, HistoryError, HistoryFile
from collector.moment import written
from tests.collector.history.test_columns import cell

NOW = 1_800_000_000


Open = Callable[..., HistoryFile]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens the file of the test, or another one; all of them are closed at the end."""
    files: list[HistoryFile] = []

    def opened(path: Path | None = None) -> HistoryFile:
        files.append(HistoryFile(path or tmp_path / "history.db"))
        return files[-1]

    yield opened
    for file in files:
        file.close()


def incident(name: str, *, since: str = "2027-01-15T07:00:00.000Z", closed: str | None = None) -> dict[str, Any]:
    return {"id": name, "since": since, "closed": closed, "sentence": f"{name} is broken; \u2028 <b>"}


def minute(file: HistoryFile, at: int, lost: int = 0) -> None:
    file.add_minute(at, [("node", packed([cell("a", "b", lost=lost)]))])


def test_points_are_of_the_last_hour_the_oldest_first(opened: Open) -> None:
    file = opened()
    for number in range(70):
        minute(file, NOW + 60 * number, lost=number % 7)
    found = file.points("node", "a", "b")
    last = NOW + 60 * 69
    assert [one.at for one in found] == list(range(last - KEPT_SECONDS + 60, last + 1, 60))
    assert found[-1].lost == 69 % 7
    assert file.points("zone", "a", "b") == []


def test_a_clock_that_goes_back_leaves_no_point_of_the_future(opened: Open) -> None:
    file = opened()
    minute(file, NOW + 7200)
    minute(file, NOW)
    assert [one.at for one in file.points("node", "a", "b")] == [NOW]


def test_incidents_survive_a_restart_are_told_once_and_leave_after_thirty_days(opened: Open) -> None:
    file = opened()
    file.add_incidents(NOW, [incident("old")])
    file.add_incidents(NOW + 60, [incident("a"), incident("b")])
    file.add_incidents(NOW + 120, [incident("a")])
    file.close()
    file = opened()
    assert [one["id"] for one in file.incidents(10)] == ["a", "b", "old"]
    assert file.incidents(1) == [incident("a")]
    file.add_incidents(NOW + KEPT_INCIDENTS_SECONDS, [])
    assert [one["id"] for one in file.incidents(10)] == ["a", "b"]


def test_a_span_has_what_was_open_in_it_and_not_what_began_or_ended_elsewhere(opened: Open) -> None:
    file = opened()
    spans = {"before": (1, 2), "into": (1, 4), "within": (4, 5), "around": (1, 9), "out": (5, 9), "after": (8, 9)}
    for name, (since, closed) in spans.items():
        file.add_incidents(NOW, [incident(name, since=written(NOW - 100 + since), closed=written(NOW - 100 + closed))])
    file.add_incidents(NOW, [incident("open", since=written(NOW - 98))])
    found = {one["id"] for one in file.incidents(10, since=NOW - 97, until=NOW - 94)}
    assert found == {"into", "within", "around", "out", "open"}


def test_one_incident_is_found_by_its_id_and_its_beginning_and_the_latest_by_its_id_alone(opened: Open) -> None:
    file = opened()
    first, second = (incident("a", since=written(NOW - ago), closed=written(NOW - ago + 5)) for ago in (200, 100))
    file.add_incidents(NOW, [second, first])
    assert file.incident("a", first["since"]) == first
    assert file.incident("a", "") == second
    assert file.incident("a", written(NOW)) is None
    assert file.incident("b", "") is None
    assert file.occurrences("a", 10) == [second, first]


def test_of_too_many_incidents_the_oldest_leave(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_INCIDENTS", 3)
    file = opened()
    for number in range(5):
        file.add_incidents(NOW + number, [incident(str(number))])
    assert [one["id"] for one in file.incidents(10)] == ["4", "3", "2"]


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be looked at" * 100, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_survive_10_a_torn_file_is_put_aside_and_begun_anew(opened: Open, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "history.db"
    path.write_bytes(content)
    file = opened(path)
    assert file.put_aside
    assert (tmp_path / "history.db.torn").read_bytes() == content
    minute(file, NOW)
    assert len(file.points("node", "a", "b")) == 1


def test_survive_10_a_file_torn_in_the_middle_is_put_aside(opened: Open, tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    file = opened(path)
    for number in range(50):
        file.add_minute(NOW + number, [("node", packed([cell(f"n{one}", f"n{one + number}") for one in range(200)]))])
    file.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:6000] + b"\0" * 9000 + whole[15000:20000])
    assert opened(path).put_aside


def test_survive_11_a_full_disk_is_an_error_in_one_sentence_and_the_next_minute_is_tried(
    opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 20 * module.PAGE_BYTES)
    file = opened()
    minute(file, NOW)
    with pytest.raises(HistoryError, match="full"):
        file.add_minute(NOW + 60, [("node", bytes(200_000))])
    minute(file, NOW + 120)
    assert [one.at for one in file.points("node", "a", "b")] == [NOW, NOW + 120]


def test_survive_11_a_folder_that_is_not_there_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="unable to open database file"):
        HistoryFile(tmp_path / "nowhere" / "history.db")


def test_another_thread_may_ask_while_one_writes(opened: Open, tmp_path: Path) -> None:
    file = opened()
    threads = [threading.Thread(target=minute, args=(file, NOW + number)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(sqlite3.connect(tmp_path / "history.db")) as database:
        assert database.execute("SELECT count(*) FROM minutes").fetchone()[0] >= 1
