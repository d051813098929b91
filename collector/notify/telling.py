"""What all receivers have in common: what waits for them, when they are tried again, and what is counted of it.

In: news, and what came of each attempt. Out: moments at which to try. A receiver that is away costs one attempt a minute; what
waits for it is bounded, and what is left out is counted. What is logged is when it begins to fail and when it is over.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import structlog

from collector.alerts import RUNBOOKS, runbook_of
from collector.notify.notices import Notice, Status
from collector.notify.outbox import Left, Outbox, pause_seconds
from collector.notify.post import Attempt, Word
from collector.receivers import SEVERITIES, Severity

Count = Callable[[str, str, int], None]
"""Takes a receiver, an outcome and how often."""
Delivered = Callable[[str, Sequence[Notice], bool], None]
"""Takes a receiver, what reached it, and whether it took it."""

_log = structlog.get_logger()


def _nobody(_receiver: str, _notices: Sequence[Notice], _taken: bool) -> None:  # noqa: FBT001 - see Delivered
    """Nobody wants to know."""


class Links(NamedTuple):
    """Where notifications lead to."""

    runbooks: str = ""
    external_url: str = ""

    def runbook(self, notice: Notice) -> str:
        """The page of its alert: the collector's own one, unless somebody said where others are."""
        own = f"{self.external_url.rstrip('/')}/{RUNBOOKS}" if self.external_url else RUNBOOKS
        return runbook_of(notice.alert, self.runbooks or own)

    def incident(self, notice: Notice) -> str:
        """All that is known of the incident; empty where nobody said how it is reached."""
        return f"{self.external_url.rstrip('/')}/api/v1/incident?id={notice.id}" if self.external_url else ""


class Telling:
    """See the module."""

    def __init__(
        self, name: str, *, count: Count, least: Severity = "info", resolved: bool = True, delivered: Delivered = _nobody
    ) -> None:
        self.name = name
        self.outbox = Outbox()
        self._count = count
        self._delivered = delivered
        self._least = SEVERITIES.index(least)
        self._resolved = resolved
        self._more = asyncio.Event()
        self._failures = 0
        self._pause_seconds = 0.0

    def wants(self, notice: Notice) -> bool:
        """Whether this receiver is told of it."""
        return notice.severity >= self._least

    def put(self, news: Iterable[Notice]) -> None:
        """Let these wait, as far as they are for this receiver."""
        left = self.outbox.put(one for one in news if self.wants(one))
        if not self._resolved:  # it hears no more of one that was over before it was told
            self.outbox.drop(Status.RESOLVED)
        self._leave(left)
        if self.outbox:
            self._more.set()

    async def wait(self, most_seconds: float | None = None) -> None:
        """Until there is something to tell or so long; after a failure, for as long as its pause is."""
        if self._failures:
            await asyncio.sleep(self._pause_seconds)
            return
        try:
            async with asyncio.timeout(most_seconds):
                while not self.outbox:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            return

    def record(self, attempt: Attempt) -> None:
        """What came of telling what was taken out of the outbox."""
        word = attempt.word
        if word in {Word.SENT, Word.REFUSED}:
            if self.outbox.out:  # what is only repeated is no news
                self._delivered(self.name, self.outbox.out, word is Word.SENT)
            self._note(word, self.outbox.sent())
        else:
            self._note(word, 1)
            self._leave(self.outbox.back())
        failed = word is not Word.SENT
        if failed != bool(self._failures):
            self._say(attempt)
        self._failures = self._failures + 1 if failed else 0
        self._pause_seconds = pause_seconds(self.name, self._failures, attempt.retry_after) if failed else 0.0

    def _leave(self, left: Left) -> None:
        self._note("superseded", left.superseded)
        self._note("dropped", left.dropped)

    def _note(self, outcome: str, times: int) -> None:
        if times:
            self._count(self.name, outcome, times)

    def _say(self, attempt: Attempt) -> None:
        if attempt.word is Word.SENT:
            _log.info("notifications arrive again", receiver=self.name)
        else:
            _log.warning("notifications do not arrive", receiver=self.name, because=attempt.word.value, status=attempt.status)
