"""Keeps the history: a minute of groups at a time, and incidents as they end.

In: the matrix, through questions in slices, and incidents. Out: the file, written in a thread of its own, so that no disk keeps
a report waiting. Where a file fails it is said once, counted each time, and everything else goes on.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import structlog

from collector.history.columns import Point, packed
from collector.history.file import HistoryError, HistoryFile
from collector.matrix.groups import groups_in_slices
from collector.matrix.query import ALL, TooManyError
from collector.matrix.slices import Slices
from collector.matrix.store import Matrix

MINUTE: Final = 60
DIMENSIONS: Final = ("zone", "namespace", "node")
"""What is remembered; a dimension with more pairs than one answer has is left out."""
MOST_CLOSED: Final = 200
"""Incidents that are over, of one answer."""

_log = structlog.get_logger()


def opened(path: str, failed: Callable[[], None]) -> HistoryFile | None:
    """The file at a path, None without one or where it cannot be had: then it is said, and there is no history."""
    if not path:
        return None
    try:
        file = HistoryFile(Path(path))
    except HistoryError as error:
        failed()
        _log.warning("there is no history", because=str(error))
        return None
    if file.put_aside:
        failed()
        _log.warning("the history was torn and is begun anew", kept=f"{path}.torn")
    return file


Finished = Callable[[Callable[[], Slices[dict[str, Any]]]], Any]


class Keeper:
    """See the module. `finished` answers slices with pauses; see collector.api.asking. `failed` is told of each failure."""

    def __init__(
        self,
        file: HistoryFile,
        matrix: Matrix,
        *,
        finished: Finished,
        failed: Callable[[], None],
        now_ns: Callable[[], int] = time.monotonic_ns,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._matrix = matrix
        self._finished = finished
        self._failed = failed
        self._now_ns = now_ns
        self._now = now
        self._said = ""
        self._ended: dict[tuple[str, str], dict[str, Any]] = {}
        self._told: frozenset[tuple[str, str]] = frozenset()

    def ended(self, incidents: Sequence[dict[str, Any]]) -> None:
        """Take incidents that are over; one that is told again is the same one."""
        told = {(one["id"], one["since"]): one for one in incidents}
        self._ended |= {key: one for key, one in told.items() if key not in self._told}
        self._told = frozenset(told)

    async def follow(self) -> None:
        """Keep a minute at a time, for ever."""
        while True:
            await asyncio.sleep(MINUTE - self._now() % MINUTE)
            await self.keep()

    def close(self) -> None:
        """Close the file; it is not asked any more."""
        self._file.close()

    async def keep(self) -> None:
        """Keep the minute that ends now, and the incidents that have ended since the last."""
        at = round(self._now())
        groups = [(dimension, body) for dimension in DIMENSIONS if (body := await self._minute(dimension)) is not None]
        ended, self._ended = self._ended, {}
        try:
            await asyncio.to_thread(self._file.add_minute, at, groups)
            if ended:
                await asyncio.to_thread(self._file.add_incidents, at, list(ended.values()))
        except HistoryError as error:
            self._ended = ended | self._ended if len(ended) < MOST_CLOSED else self._ended
            self._complain(str(error))
        else:
            self._said = ""

    async def _minute(self, dimension: str) -> bytes | None:
        try:
            answer = await self._finished(
                lambda: groups_in_slices(self._matrix, self._now_ns(), dimension, dimension, span_ns=MINUTE * 10**9, wanted=ALL)
            )
        except TooManyError:
            return None
        return await asyncio.to_thread(packed, answer["cells"])

    async def points(self, dimension: str, source: str, target: str) -> list[Point]:
        """The last hour of one pair; none where the file fails."""
        try:
            return await asyncio.to_thread(self._file.points, dimension, source, target)
        except HistoryError as error:
            self._complain(str(error))
            return []

    async def incidents(self) -> list[dict[str, Any]]:
        """Incidents that are over, the latest first; none where the file fails."""
        try:
            return await asyncio.to_thread(self._file.incidents, MOST_CLOSED)
        except HistoryError as error:
            self._complain(str(error))
            return []

    def _complain(self, sentence: str) -> None:
        self._failed()
        if sentence != self._said:
            self._said = sentence
            _log.warning("history is not kept", because=sentence)
