"""One Alertmanager, told as Prometheus would tell it (`POST /api/v2/alerts`): all that goes on, again and again.

In: news, and what is told and not over. Out: POSTs, one at a time. An alert that is not repeated is taken for over after four
intervals, so a collector that dies leaves none behind; one that restarts sends the same labels, which is the same alert there.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

import msgspec

from collector.alerts import SUMMARIES
from collector.moment import written
from collector.notify.notices import Notice, Status
from collector.notify.post import Attempt, Post, Word, skew_seconds
from collector.notify.telling import Links, Telling

PATH: Final = "/api/v2/alerts"
KEPT_FOR: Final = 4
"""Intervals without a word after which an alert is over, as with Prometheus."""
TICK: Final = 0.001
"""Seconds by which an alert ends after it began, at least: what ends first is refused."""
NOTICEABLE_SECONDS: Final = 1.0


class Alertmanager:
    """See the module. `standing` is asked for what is told and not over."""

    def __init__(
        self,
        telling: Telling,
        post: Post,
        *,
        links: Links,
        resend_seconds: float,
        standing: Callable[[], Collection[Notice]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._telling = telling
        self._post = post
        self._links = links
        self._resend_seconds = resend_seconds
        self._standing = standing
        self._now = now
        self._ahead = 0.0
        """By how many seconds its clock is ahead of ours."""

    async def follow(self) -> None:
        """Tell it, for ever."""
        while True:
            await self._telling.wait(self._resend_seconds)
            over = [notice for notice in self._telling.outbox.take() if notice.status is Status.RESOLVED]
            notices = [*filter(self._telling.wants, self._standing()), *over]
            if notices:
                self._telling.record(await self._tell(notices))

    async def _tell(self, notices: Collection[Notice]) -> Attempt:
        """All of these; once more where its clock turns out to be another than we thought, since it goes by those times."""
        before = self._ahead
        attempt = await self._sent(notices)
        if attempt.word is Word.SENT and abs(self._ahead - before) > NOTICEABLE_SECONDS:
            attempt = await self._sent(notices)
        return attempt

    async def _sent(self, notices: Collection[Notice]) -> Attempt:
        kept_seconds = KEPT_FOR * self._resend_seconds
        body = alerts_of(notices, self._now(), ahead=self._ahead, links=self._links, kept_seconds=kept_seconds)
        attempt = await self._post.send(body)
        if attempt.date is not None:
            self._ahead = skew_seconds(attempt.date, self._now())
        return attempt


def alerts_of(notices: Iterable[Notice], now: float, *, ahead: float, links: Links, kept_seconds: float) -> bytes:
    """The body of a request; times are on the clock of the Alertmanager, which is `ahead` of ours."""
    return msgspec.json.encode([_alert(one, now, ahead, links, kept_seconds) for one in notices])


def _alert(notice: Notice, now: float, ahead: float, links: Links, kept_seconds: float) -> Mapping[str, Any]:
    ends = now + kept_seconds if notice.closed is None else min(notice.closed, now)
    url = links.incident(notice)
    return {
        "labels": notice.labels,
        "annotations": {
            "summary": SUMMARIES.get(notice.alert, notice.alert),
            "description": notice.sentence,
            "runbook_url": links.runbook(notice),
        },
        "startsAt": written(min(notice.since, ends - TICK) + ahead),
        "endsAt": written(ends + ahead),
        **({"generatorURL": url} if url else {}),
    }
