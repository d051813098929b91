"""Says at an object why it is left out, or refused, as an Event: people look there first.

In: notices, as they arise. Out: at most one Event in a while, and never the same one twice; what is too much is left out,
since all of it is in the log and counted anyway.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import blake2b

import msgspec
import structlog
from msgspec import Struct, structs

from collector.discovery.cluster.client import Api, ApiAwayError, reason_of
from collector.discovery.cluster.rights import right
from collector.discovery.cluster.world import Notice

MAX_WAITING = 100
EVERY_SECONDS = 2.0
_EXISTS = 409
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
            answer = await self._api.ask("POST", f"/api/v1/namespaces/{notice.namespace}/events", body=event_of(notice, now))
        except ApiAwayError:
            return
        if not answer.good and answer.status != _EXISTS:
            _log.warning("an event was not taken", because=reason_of(answer))
            if answer.status == _FORBIDDEN:
                self._waiting.clear()

    async def _uid(self, notice: Notice) -> str:
        """Of the ConfigMap, without which nobody who looks at it sees the Event; empty where it cannot be had."""
        answer = await self._api.ask("GET", f"/api/v1/namespaces/{notice.namespace}/configmaps/{notice.name}")
        try:
            return _object.decode(answer.body).metadata.uid if answer.good else ""
        except (msgspec.DecodeError, UnicodeDecodeError):
            return ""


def event_of(notice: Notice, now: datetime) -> dict[str, object]:
    """The Event of a notice; its name follows from what it says, so that another collector does not say it again."""
    digest = blake2b(f"{notice.uid} {notice.sentence}".encode(), digest_size=8).hexdigest()
    time = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{notice.name[:200].rstrip('.-')}.{digest}", "namespace": notice.namespace},
        "involvedObject": {
            "apiVersion": "v1",
            "kind": notice.kind,
            "namespace": notice.namespace,
            "name": notice.name,
            "uid": notice.uid,
        },
        "reason": notice.reason,
        "message": f"netmatrix: {notice.sentence}",
        "type": "Warning",
        "source": {"component": "netmatrix-collector"},
        "firstTimestamp": time,
        "lastTimestamp": time,
        "count": 1,
    }
