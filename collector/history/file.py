"""The file: SQLite, which is in Python itself. Whatever befalls it costs history and nothing else.

In: minutes of groups, incidents as the API tells them. Out: points of a pair, incidents of a span. A file that is torn
is put aside once and begun anew; a disk that is full is said, counted, and tried again with the next minute.
"""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from collector.history.columns import Point, point
from collector.moment import written

KEPT_SECONDS: Final = 3600
"""How long groups are remembered."""
KEPT_INCIDENTS_SECONDS: Final = 30 * 86_400
MOST_INCIDENTS: Final = 10_000
"""Incidents that are remembered; the oldest leave first."""
LATEST: Final = 253_402_300_799
"""The last second that can be written, of the year 9999."""
MOST_BYTES: Final = 512 * 2**20
"""Most that the file takes, by SQLite's own limit of pages."""
PAGE_BYTES: Final = 4096
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS minutes (
    at INTEGER NOT NULL, dimension TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (at, dimension)
);
CREATE TABLE IF NOT EXISTS incidents (
    id TEXT NOT NULL, since TEXT NOT NULL, ended INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (id, since)
);
CREATE TABLE IF NOT EXISTS memory (name TEXT PRIMARY KEY, body BLOB NOT NULL);
"""


def _ended(incident: Mapping[str, Any], now: int) -> int:
    """When one was over: now, while it is not."""
    closed = incident.get("closed")
    return round(datetime.fromisoformat(closed).timestamp()) if closed else now


class HistoryError(Exception):
    """The file cannot be had, or not be written now; one sentence."""


class HistoryFile:
    """One file; methods may be called from any thread, one at a time. `now` is in seconds since 1970."""

    def __init__(self, path: Path) -> None:
        """Open or make it; raises HistoryError where neither can be done."""
        self.path = path
        self.put_aside = False
        """Whether a torn file was found and put aside."""
        self._lock = threading.Lock()
        try:
            self._database = self._opened()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise HistoryError(f"{path}: {error}") from None
            self._set_aside()
            try:
                self._database = self._opened()
            except sqlite3.DatabaseError as again:
                raise HistoryError(f"{path}: {again}") from None

    def _opened(self) -> sqlite3.Connection:
        database = sqlite3.connect(self.path, timeout=5.0, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute(f"PRAGMA max_page_count = {MOST_BYTES // PAGE_BYTES}")
            if database.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("the file is torn")
            database.executescript(_SCHEMA)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _set_aside(self) -> None:
        """Keep one torn file for whoever wants to look at it."""
        self.put_aside = True
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        self.path.replace(self.path.with_name(self.path.name + ".torn"))

    def add_minute(self, at: int, groups: Sequence[tuple[str, bytes]]) -> None:
        """Remember a minute, by dimension, and forget what is older than an hour. Raises HistoryError."""
        with self._writing() as database:
            database.execute("DELETE FROM minutes WHERE at <= ? OR at > ?", (at - KEPT_SECONDS, at))
            database.executemany(
                "INSERT OR REPLACE INTO minutes VALUES (?, ?, ?)", [(at, dimension, body) for dimension, body in groups]
            )

    def add_incidents(self, now: int, incidents: Sequence[dict[str, Any]]) -> None:
        """Remember incidents as they are now, also those that are open, and forget what ended thirty days ago.

        Raises HistoryError.
        """
        with self._writing() as database:
            database.executemany(
                "INSERT OR REPLACE INTO incidents VALUES (?, ?, ?, ?)",
                [(one["id"], one["since"], _ended(one, now), msgspec.json.encode(one)) for one in incidents],
            )
            database.execute("DELETE FROM incidents WHERE ended <= ?", (now - KEPT_INCIDENTS_SECONDS,))
            database.execute(
                "DELETE FROM incidents WHERE rowid NOT IN"
                " (SELECT rowid FROM incidents ORDER BY ended DESC, rowid DESC LIMIT ?)",
                (MOST_INCIDENTS,),
            )

    def remember(self, name: str, body: bytes) -> None:
        """Keep what the next process must know, in place of what was kept by this name. Raises HistoryError."""
        with self._writing() as database:
            database.execute("INSERT OR REPLACE INTO memory VALUES (?, ?)", (name, body))

    def recalled(self, name: str) -> bytes | None:
        """What the process before has kept by this name, None for nothing. Raises HistoryError."""
        with self._asking() as database:
            row = database.execute("SELECT body FROM memory WHERE name = ?", (name,)).fetchone()
        return bytes(row[0]) if row else None

    def points(self, dimension: str, source: str, target: str) -> list[Point]:
        """The last hour of one pair, the oldest point first. Raises HistoryError."""
        with self._asking() as database:
            rows = database.execute("SELECT at, body FROM minutes WHERE dimension = ? ORDER BY at", (dimension,)).fetchall()
        try:
            found = [point(at, body, source, target) for at, body in rows]
        except ValueError as error:
            raise HistoryError(f"{self.path}: {error}") from None
        return [one for one in found if one is not None]

    def incidents(self, most: int, *, since: int = 0, until: int = LATEST) -> list[dict[str, Any]]:
        """Incidents that were open at some time in a span, the latest first. Raises HistoryError."""
        return self._incidents(
            "SELECT body FROM incidents WHERE ended >= ? AND since <= ? ORDER BY ended DESC, rowid DESC LIMIT ?",
            (since, written(until), most),
        )

    def incident(self, name: str, since: str) -> dict[str, Any] | None:
        """One incident by its id and when it began, or the latest one where that is empty. Raises HistoryError."""
        found = self._incidents(
            "SELECT body FROM incidents WHERE id = ? AND (? = '' OR since = ?) ORDER BY ended DESC, rowid DESC LIMIT 1",
            (name, since, since),
        )
        return found[0] if found else None

    def occurrences(self, name: str, most: int) -> list[dict[str, Any]]:
        """Every incident with an id, the latest first: it says what it is about, and so comes again. Raises HistoryError."""
        return self._incidents("SELECT body FROM incidents WHERE id = ? ORDER BY since DESC LIMIT ?", (name, most))

    def _incidents(self, question: str, values: tuple[object, ...]) -> list[dict[str, Any]]:
        with self._asking() as database:
            rows = database.execute(question, values).fetchall()
        try:
            return [msgspec.json.decode(body, type=dict[str, Any]) for (body,) in rows]
        except msgspec.MsgspecError as error:
            raise HistoryError(f"{self.path}: {error}") from None

    def close(self) -> None:
        """Close it."""
        with self._lock:
            self._database.close()

    @contextlib.contextmanager
    def _asking(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise HistoryError(f"{self.path}: {error}") from None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: whole or not at all."""
        with self._asking() as database, database:
            yield database
