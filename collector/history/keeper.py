"""Keeps the history: a minute of groups at a time, and incidents as they end.

In: the matrix, through questions in slices, and judgements. Out: the file, written in a thread, so that no disk keeps a report
waiting. Where a file fails it is said once, counted each time, and everything else goes on.
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import structlog

from collector.history.columns import Point, packed
from collector.history.file import HistoryError, HistoryFile
from collector.matrix.groups import groups_in_slices
from collector.matrix.query import ALL, TooManyError
from collector.matrix.slices import Slices
from collector.matrix.store import Matrix
from collector.moment import written
from collector.verdict.incident import Incident
from collector.verdict.judgement import Closed, Judgement

MINUTE: Final = 60
MEMORY_MINUTES: Final = 5
"""Minutes after which all that the next process must know is kept again."""
DIMENSIONS: Final = ("zone", "namespace", "node")
"""What is remembered; a dimension with more pairs than one answer has is left out."""
MOST_WAITING: Final = 200
"""Incidents that wait for a file that fails."""
MOST_OCCURRENCES: Final = 50

_log = structlog.get_logger()

_P = ParamSpec("_P")
_T = TypeVar("_T")


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


Memory = Callable[[], bytes | None]
"""Writes what the next process must know, None for nothing; called in a thread."""
Finished = Callable[[Callable[[], Slices[dict[str, Any]]]], Any]
Whole = Callable[[Incident, int | None], dict[str, Any]]
"""Writes an incident with all that is known of it, and when it was over."""


class Keeper:
    """See the module. `finished` answers slices with pauses; see collector.api.asking. `failed` is told of each failure."""

    def __init__(
        self,
        file: HistoryFile,
        matrix: Matrix,
        *,
        finished: Finished,
        whole: Whole,
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
        self._reading = asyncio.Semaphore(1)
        """Questions that are read for at a time: judging needs the same threads, and anybody may ask."""
        self._whole = whole
        self._memories: dict[str, Memory] = {}
        self._waiting: set[str] = set()
        self._woken = asyncio.Event()
        self._began = now()
        self._open: tuple[Incident, ...] = ()
        self._ended: dict[tuple[str, int], Closed] = {}
        self._told: frozenset[tuple[str, int]] = frozenset()

    def hear(self, judgement: Judgement) -> None:
        """Take what is open, and what is over; one that is told again is the same one."""
        told = {(one.incident.id, one.incident.since_ns): one for one in judgement.closed}
        self._ended |= {key: one for key, one in told.items() if key not in self._told}
        self._told = frozenset(told)
        self._open = judgement.incidents

    def recalled(self, name: str) -> bytes | None:
        """What the process before has left under a name; None for nothing, or where the file fails."""
        try:
            return self._file.recalled(name)
        except HistoryError as error:
            self._complain(str(error))
            return None

    def remember(self, name: str, memory: Memory) -> None:
        """Keep what this says for the next process, every few minutes and at the end, and as soon as it is `changed`."""
        self._memories[name] = memory

    def changed(self, name: str) -> None:
        """Let what is remembered by this name be kept at once."""
        self._waiting.add(name)
        self._woken.set()

    async def follow(self) -> None:
        """Keep a minute at a time, for ever, and at once what has changed."""
        loop = asyncio.get_running_loop()
        while True:
            until = loop.time() + MINUTE - self._now() % MINUTE
            while loop.time() < until:
                try:
                    async with asyncio.timeout_at(until):
                        await self._woken.wait()
                except TimeoutError:
                    break
                await self.keep_memories(self._waiting)  # with no timeout: what is half kept when a minute ends would be lost
            await self.keep()

    async def keep_memories(self, names: Iterable[str]) -> None:
        """Keep what the next process must know."""
        wanted = [name for name in names if name in self._memories]
        self._waiting = set()
        self._woken.clear()
        try:
            for name in wanted:
                if (body := await asyncio.to_thread(self._memories[name])) is not None:
                    await asyncio.to_thread(self._file.remember, name, body)
        except HistoryError as error:
            self._complain(str(error))

    async def end(self) -> None:
        """Keep what the last minute has not, and close the file; it is not asked any more."""
        try:
            await self._keep_incidents(round(self._now()))
        except HistoryError as error:
            self._complain(str(error))
        await self.keep_memories(tuple(self._memories))
        self._file.close()

    async def keep(self) -> None:
        """Keep the minute that ends now, and the incidents that are open or have ended since the last."""
        at = round(self._now())
        if at // MINUTE % MEMORY_MINUTES == 0:
            await self.keep_memories(tuple(self._memories))
        groups = [(dimension, body) for dimension in DIMENSIONS if (body := await self._minute(dimension)) is not None]
        try:
            await asyncio.to_thread(self._file.add_minute, at, groups)
            await self._keep_incidents(at)
        except HistoryError as error:
            self._complain(str(error))
        else:
            self._said = ""

    async def _keep_incidents(self, at: int) -> None:
        """Those that are open too: a collector that is killed leaves what it knew a minute before. Raises HistoryError."""
        ended, self._ended = self._ended, {}
        known = [self._whole(one.incident, one.closed_ns) for one in ended.values()]
        known += [self._whole(one, None) for one in self._open]
        if not known:
            return
        try:
            await asyncio.to_thread(self._file.add_incidents, at, known)
        except HistoryError:
            if len(ended) < MOST_WAITING:
                self._ended = ended | self._ended
            raise

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
        return await self._read(self._file.points, dimension, source, target) or []

    async def incidents(self, most: int, *, since: int, until: int) -> list[dict[str, Any]]:
        """Incidents that were open in a span, in seconds since 1970, the latest first; none where the file fails."""
        found = await self._read(self._file.incidents, most, since=since, until=until)
        return [self._marked(one) for one in found or []]

    async def incident(self, name: str, since: str) -> dict[str, Any] | None:
        """One of them, by its id and when it began, or the latest one; None where there is none or the file fails."""
        found = await self._read(self._file.incident, name, since)
        return None if found is None else self._marked(found)

    async def occurrences(self, name: str) -> list[dict[str, Any]]:
        """How often it came: every incident with this id, the latest first; none where the file fails."""
        found = await self._read(self._file.occurrences, name, MOST_OCCURRENCES)
        return [self._marked(one) for one in found or []]

    async def _read(self, ask: Callable[_P, _T], *values: _P.args, **named: _P.kwargs) -> _T | None:
        """What the file answers, one question after the other; None where it fails."""
        try:
            async with self._reading:
                return await asyncio.to_thread(ask, *values, **named)
        except HistoryError as error:
            self._complain(str(error))
            return None

    def _marked(self, incident: dict[str, Any]) -> dict[str, Any]:
        """With `cut_off` where a collector before us ended while it was open, so that nobody knows its end."""
        return {**incident, "cut_off": not incident.get("closed") and incident["since"] < written(int(self._began))}

    def _complain(self, sentence: str) -> None:
        self._failed()
        if sentence != self._said:
            self._said = sentence
            _log.warning("history is not kept", because=sentence)
