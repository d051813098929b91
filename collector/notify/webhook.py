"""One webhook: a POST for each incident that opens, and one when it is over, in the order in which they came.

In: news. Out: POSTs of the body that people wrote, one at a time, each until it is taken or will never be.
"""

from collections.abc import Callable
from html import escape
from typing import Final

from collector.notify.notices import values
from collector.notify.post import Post
from collector.notify.telling import Links, Telling
from collector.receivers import Webhook as Settings

ESCAPES: Final[dict[str, Callable[[str], str]]] = {"none": str, "html": escape}


class Webhook:
    """See the module."""

    def __init__(self, telling: Telling, post: Post, settings: Settings, *, links: Links) -> None:
        self._telling = telling
        self._post = post
        self._template = settings.template()
        self._escape = ESCAPES[settings.escape]
        self._links = links

    async def follow(self) -> None:
        """Tell it, for ever."""
        while True:
            await self._telling.wait()
            for notice in self._telling.outbox.take(1):
                runbook, url = self._links.runbook(notice), self._links.incident(notice)
                body = self._template.fill(values(notice, runbook=runbook, url=url), escape=self._escape)
                self._telling.record(await self._post.send(body))
