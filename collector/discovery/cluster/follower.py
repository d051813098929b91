"""Follows one sort of objects: keeps the state of the cluster as the API server tells it, by one list and then a watch.

In: answers and lines. Out: `objects`, which is always a whole state, if perhaps an old one, and a call whenever it changed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, TypeVar

import msgspec
import structlog
from msgspec import Raw, Struct, field

from collector.discovery.cluster.client import Answer, Api, ApiAwayError, Stream, reason_of
from collector.discovery.cluster.course import Course, Order, Word
from collector.discovery.cluster.resource import Resource
from collector.discovery.cluster.rights import right

PAGE_OBJECTS = 500
WATCH_SECONDS = 480
"""How long a watch is asked for, and a fifth more by hash: then it ends and another goes on, which costs next to nothing."""
SILENCE_SECONDS = 120.0
"""The API server sends a bookmark a minute where nothing happens: a watch that says nothing for longer is dead."""
MAX_LINE_BYTES = 8 * 1024 * 1024
"""Longest line of a watch; an object has at most 1.5 MiB, and escapes."""

FORBIDDEN, NOT_FOUND, GONE, TOO_MANY, GATEWAY_TIMEOUT, SERVER_ERROR = 403, 404, 410, 429, 504, 500
Key = tuple[str, str]
"""Namespace, empty for none, and name."""
T = TypeVar("T")
_log = structlog.get_logger()


class _ListMetadata(Struct):
    version: str = field(default="", name="resourceVersion")
    token: str = field(default="", name="continue")


class _Page(Struct):
    metadata: _ListMetadata
    items: list[Raw] | None = None


class _Event(Struct):
    type: str
    object: Raw


class _Metadata(Struct):
    name: str = ""
    namespace: str = ""
    version: str = field(default="", name="resourceVersion")


class _Head(Struct):
    """What stands in every object, also in one that is not understood."""

    metadata: _Metadata = field(default_factory=_Metadata)
    code: int = 0
    """Of an error."""


_page = msgspec.json.Decoder(_Page)
_event = msgspec.json.Decoder(_Event)
_head = msgspec.json.Decoder(_Head)


class Follower(Generic[T]):
    """One sort of objects.

    `changed` is called whenever what is kept is another than before: with the object that was there and the one that is, or
    with neither where it may be all of them. `unread` is called for each object that is not understood.
    """

    def __init__(
        self,
        api: Api,
        resource: Resource[T],
        *,
        changed: Callable[[T | None, T | None], None],
        unread: Callable[[], None],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        right(resource.group, resource.name, "list", "watch")
        self._api = api
        self._resource = resource
        self._changed = changed
        self._unread = unread
        self._sleep = sleep
        self._course = Course(resource.name)
        self._fresh: dict[Key, T] = {}
        self._said = ""
        self._version = 0
        """Place of the API version that is asked for, among those that the resource may have."""
        self.objects: dict[Key, T] = {}
        """The last whole state."""
        self.listed = False
        """Whether there is one."""
        self.absent = False
        """Whether there is no such sort of objects in this cluster: then it is known that there are none."""
        self.denied = False
        """Whether we may not see them, so that nothing is known of what there is."""
        self.heard = time.monotonic()
        """When the API server last told us the state, or that it is as it was; before that, when we began to ask."""

    def known(self) -> dict[str, object]:
        """How it stands with this sort of objects."""
        return {
            "resource": self._resource.name,
            "listed": self.listed,
            **({"absent": self.absent, "denied": self.denied} if self._resource.optional else {}),
            "objects": len(self.objects),
            "age_seconds": round(time.monotonic() - self.heard, 3),
            "refused": self._said or None,
        }

    async def follow(self) -> None:
        """List and watch, for ever."""
        while True:
            order = self._course.order()
            if order.wait_seconds:
                await self._sleep(order.wait_seconds)
            try:
                await (self._watch(order) if order.watch else self._list(order))
            except ApiAwayError as error:
                self._course.failed(Word.AWAY)
                self._say(str(error))

    async def _list(self, order: Order) -> None:
        if not order.token:
            self._fresh = {}
        query = [("limit", str(PAGE_OBJECTS))]
        answer = await self._api.ask("GET", self._path, self._selected(query, order.token))
        if not answer.good:
            self._refused(answer)
            return
        try:
            page = _page.decode(answer.body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._course.failed(Word.AWAY)
            self._say(f"a page that is none: {error}")
            return
        del answer
        for item in page.items or ():
            await asyncio.sleep(0) if len(self._fresh) % 100 == 0 else None
            self._keep(item, self._fresh)
        if page.metadata.token:
            self._course.paged(page.metadata.token)
            return
        fresh, self._fresh = self._fresh, {}
        self._heard()
        self._course.listed(page.metadata.version)
        if fresh != self.objects or not self.listed or self.absent or self.denied:
            self.objects, self.listed, self.absent, self.denied = fresh, True, False, False
            self._changed(None, None)

    async def _watch(self, order: Order) -> None:
        query = [
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", order.version),
            ("timeoutSeconds", str(WATCH_SECONDS + len(self._resource.name) * WATCH_SECONDS // 100)),
        ]
        async with self._api.stream(self._path, self._selected(query), silence_seconds=SILENCE_SECONDS) as stream:
            if stream.status != 200:  # noqa: PLR2004 - HTTP
                self._refused(Answer(stream.status, b"", stream.retry_after))
                return
            self._heard()  # of that version: nothing has changed so far
            began, seen = time.monotonic(), _Seen(order.version)
            try:
                word = await self._lines(stream, seen)
            except ApiAwayError as error:
                word = Word.BROKEN
                self._say(str(error))
        self._course.watched(word, lasted_seconds=time.monotonic() - began, version=seen.version)

    async def _lines(self, stream: Stream, seen: "_Seen") -> Word:
        rest = bytearray()
        async for bit in stream.bits():
            begin = 0
            while (end := bit.find(b"\n", begin)) >= 0:
                rest += bit[begin:end]
                line, rest, begin = bytes(rest), bytearray(), end + 1
                word = self._line(line, seen) if line.strip() else None
                if word is not None:
                    return word
            rest += bit[begin:]
            if len(rest) > MAX_LINE_BYTES:
                self._say(f"a line of more than {MAX_LINE_BYTES} bytes")
                return Word.GARBLED
        return Word.BROKEN if rest else Word.ENDED

    def _line(self, line: bytes, seen: "_Seen") -> Word | None:
        """Take one line; a word where the watch cannot go on."""
        try:
            event = _event.decode(line)
            head = _head.decode(event.object)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._say(f"a line that is none of a watch: {error}")
            return Word.GARBLED
        meta = head.metadata
        key = meta.namespace, meta.name
        before, changed = self.objects.get(key), False
        match event.type:
            case "ADDED" | "MODIFIED":
                changed = self._keep(event.object, self.objects)
            case "DELETED":
                changed = self.objects.pop(key, None) is not None
            case "BOOKMARK":
                pass
            case "ERROR" if head.code == GONE:
                return Word.EXPIRED
            case _:
                self._say(f"a watch says {event.type[:40]} {head.code}")
                return Word.GARBLED
        if not meta.version:
            return Word.GARBLED
        seen.version = meta.version
        self._heard()
        if changed:
            self._changed(before, self.objects.get(key))
        return None

    def _keep(self, item: Raw, objects: dict[Key, T]) -> bool:
        """Keep one object; whether that changes anything. One that is not understood is as one that is gone."""
        try:
            meta = _head.decode(item).metadata
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._unread()
            return False
        key = (meta.namespace, meta.name)
        before = objects.get(key)
        try:
            kept = self._resource.read(item)
        except (ValueError, UnicodeDecodeError) as error:
            self._unread()
            _log.warning("an object is left out", resource=self._resource.name, because=_line(str(error)))
            return objects.pop(key, None) is not None
        if not self._resource.wanted(kept):
            return objects.pop(key, None) is not None
        if kept == before:
            return False
        objects[key] = kept
        return True

    def _selected(self, query: Iterable[tuple[str, str]], token: str = "") -> list[tuple[str, str]]:
        selector = [("labelSelector", self._resource.labels)] if self._resource.labels else []
        return [*query, *selector, *([("continue", token)] if token else [])]

    @property
    def _path(self) -> str:
        return self._resource.path(self._version)

    def _lacks(self, answer: Answer) -> None:
        """Of what need not be there: it is not, or we may not see it. What was kept is no longer true."""
        denied = answer.status == FORBIDDEN
        if not denied and self._version + 1 < len(self._resource.versions):
            self._version += 1
            self._course.failed(Word.OTHER)
            return
        self._version = 0
        self._course.failed(Word.ABSENT)
        if denied:
            self._say(reason_of(answer))
        else:
            self._heard()
        if (self.absent, self.denied) != (not denied, denied):
            self.objects, self.absent, self.denied = {}, not denied, denied
            self._changed(None, None)

    def _refused(self, answer: Answer) -> None:
        if self._resource.optional and answer.status in {FORBIDDEN, NOT_FOUND}:
            self._lacks(answer)
            return
        word = Word.REFUSED
        if answer.status == GONE:
            word = Word.EXPIRED
        elif answer.status == TOO_MANY or (answer.status >= SERVER_ERROR and answer.status != GATEWAY_TIMEOUT):
            word = Word.BUSY
        self._course.failed(word, retry_after=answer.retry_after)
        self._say(reason_of(answer))

    def _heard(self) -> None:
        self.heard = time.monotonic()
        self._said = ""

    def _say(self, because: str) -> None:
        """Once for each reason in a row."""
        if because != self._said:
            self._said = because
            _log.warning("what is known of the cluster may be old", resource=self._resource.name, because=_line(because))


class _Seen(Struct):
    """How far a watch was understood."""

    version: str


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:200])
