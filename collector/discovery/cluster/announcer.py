"""Says at an object why it is left out, or refused, as an Event: people look there first.

In: notices, as they arise. Out: at most one Event in a while, and never the same one twice; what is too much is left out,
since all of it is in the log and counted anyway.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec
import structlog
from msgspec import Struct, structs

from collector.discovery.cluster.client import Api, ApiAwayError, reason_of
from collector.discovery.cluster.rights import right
from collector.discovery.cluster.world import Notice
from collector.discovery.source import Event

MAX_WAITING = 100
EVERY_SECONDS = 2.0
MAX_MESSAGE = 1024
"""Longest message that the API takes."""
Body = dict[str, Any]
_EXISTS = 409
_LATER = {408, 429}
_THEIRS = 500
_FORBIDDEN = 403
_log = structlog.get_logger()


class _Metadata(Struct):
    uid: str = ""


class _Object(Struct):
    metadata: _Metadata


_object = msgspec.json.Decoder(_Object)


class Announcer:
    """See the module."""

    def __init__(self, api: Api) -> None:
        right("", "events", "create")
        right("", "configmaps", "get")
        self._api = api
        self._waiting: deque[Notice] = deque(maxlen=MAX_WAITING)
        self._more = asyncio.Event()

    def say(self, notices: Iterable[Notice]) -> None:
        """Say these, as soon as may be."""
        self._waiting.extend(notices)
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

    async def _create(self, notice: Notice) -> None:
        now = datetime.now(UTC)
        try:
            if not notice.uid:
                notice = structs.replace(notice, uid=await self._uid(notice))
        except ApiAwayError:
            return
        if await self.create(event_of(notice, now)) == "forbidden":
            self._waiting.clear()

    async def create(self, event: Body) -> str:
        """One Event, at once; `sent`, also where it is there already, `away`, `failed`, `refused`, or `forbidden` for good."""
        try:
            answer = await self._api.ask("POST", f"/api/v1/namespaces/{event['metadata']['namespace']}/events", body=event)
        except ApiAwayError:
            return "away"
        if answer.good or answer.status == _EXISTS:
            return "sent"
        _log.warning("an event was not taken", because=reason_of(answer))
        if answer.status == _FORBIDDEN:
            return "forbidden"
        return "failed" if answer.status in _LATER or answer.status >= _THEIRS else "refused"

    async def _uid(self, notice: Notice) -> str:
        """Of the ConfigMap, without which nobody who looks at it sees the Event; empty where it cannot be had."""
        answer = await self._api.ask("GET", f"/api/v1/namespaces/{notice.namespace}/configmaps/{notice.name}")
        try:
            return _object.decode(answer.body).metadata.uid if answer.good else ""
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""


def event_of(notice: Notice, now: datetime) -> Body:
    """The Event of a notice; its name follows from what it says, so that another collector does not say it again."""
    key = f"{notice.uid} {notice.sentence}"
    said = Event(notice.kind, notice.namespace, notice.name, key, notice.reason, notice.sentence, warning=True)
    return event_at(said, notice.uid, now)


def event_at(said: Event, uid: str, now: datetime) -> Body:
    """The Event that says this at the object with this UID. Where the object is in no namespace, it is in that of others."""
    digest = blake2b(said.key.encode(), digest_size=8).hexdigest()
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    place = {"namespace": said.namespace} if said.namespace else {}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{said.name[:200].rstrip('.-')}.{digest}", "namespace": said.namespace or "default"},
        "involvedObject": {"apiVersion": "v1", "kind": said.kind, **place, "name": said.name, "uid": uid},
        "reason": said.reason,
        "message": f"netmatrix: {said.sentence}"[:MAX_MESSAGE],
        "type": "Warning" if said.warning else "Normal",
        "source": {"component": "netmatrix-collector"},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
