"""Says at an object why it is left out, as an Event: people look there first.

In: refusals, as they are found. Out: at most one Event in a while, and never the same one twice; what is too much is left out,
since all of it is in the log and counted anyway.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b

import structlog

from collector.discovery.cluster.client import Api, ApiAwayError, reason_of
from collector.discovery.cluster.rights import right
from collector.discovery.cluster.world import Refused

MAX_WAITING = 100
EVERY_SECONDS = 2.0
_EXISTS = 409
_FORBIDDEN = 403
_log = structlog.get_logger()


class Announcer:
    """See the module."""

    def __init__(self, api: Api) -> None:
        right("", "events", "create")
        self._api = api
        self._waiting: deque[Refused] = deque(maxlen=MAX_WAITING)
        self._more = asyncio.Event()

    def say(self, refusals: Iterable[Refused]) -> None:
        """Say these, as soon as may be."""
        self._waiting.extend(refusals)
        if self._waiting:
            self._more.set()

    async def follow(self) -> None:
        """Create the Events, for ever."""
        while True:
            await self._more.wait()
            self._more.clear()
            while self._waiting:
                await self._create(self._waiting.popleft())
                await asyncio.sleep(EVERY_SECONDS)

    async def _create(self, refused: Refused) -> None:
        now = datetime.now(UTC)
        try:
            answer = await self._api.ask("POST", f"/api/v1/namespaces/{refused.namespace}/events", body=event_of(refused, now))
        except ApiAwayError:
            return
        if not answer.good and answer.status != _EXISTS:
            _log.warning("an event was not taken", because=reason_of(answer))
            if answer.status == _FORBIDDEN:
                self._waiting.clear()


def event_of(refused: Refused, now: datetime) -> dict[str, object]:
    """The Event of a refusal; its name follows from what it says, so that another collector does not say it again."""
    digest = blake2b(f"{refused.uid} {refused.sentence}".encode(), digest_size=8).hexdigest()
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{refused.name[:200].rstrip('.-')}.{digest}", "namespace": refused.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": refused.kind,
            "namespace": refused.namespace,
            "name": refused.name,
            "uid": refused.uid,
        },
        "reason": "NotProbed",
        "message": f"netmatrix: {refused.sentence}",
        "type": "Warning",
        "source": {"component": "netmatrix-collector"},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
