"""Kubernetes Events at what an incident is about, where people look first: a node, a service, a namespace.

In: news. Out: Events, one at a time and not too fast. What creates them is handed in: only discovery knows Kubernetes.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from collector.discovery.source import Event
from collector.notify.notices import Notice, Status
from collector.notify.post import Attempt, Word
from collector.notify.telling import Telling
from collector.verdict.canary import EVERYWHERE

EVERY_SECONDS: Final = 1.0


Announce = Callable[[Event], Awaitable[str]]
"""Creates one; what became of it is a word of collector.notify.post, and any other that it is refused."""


class Events:
    """See the module."""

    def __init__(self, telling: Telling, announce: Announce, *, own_namespace: str) -> None:
        self._telling = telling
        self._announce = announce
        self._own_namespace = own_namespace

    async def follow(self) -> None:
        """Create them, for ever."""
        while True:
            await self._telling.wait()
            for notice in self._telling.outbox.take(1):
                word = await self._announce(event_of(notice, self._own_namespace))
                self._telling.record(Attempt(Word(word) if word in set(Word) else Word.REFUSED))
                await asyncio.sleep(EVERY_SECONDS)


def event_of(notice: Notice, own_namespace: str) -> Event:
    """The Event of a notification."""
    over = notice.status is Status.RESOLVED
    kind, namespace, name = object_of(notice, own_namespace)
    return Event(
        kind,
        namespace,
        name,
        key=f"{notice.id} {notice.status} {notice.since:.0f}",
        reason=f"{notice.alert}Resolved" if over else notice.alert,
        sentence=f"over: {notice.sentence}" if over else notice.sentence,
        warning=not over,
    )


def object_of(notice: Notice, own_namespace: str) -> tuple[str, str, str]:
    """Kind, namespace and name of what an incident is about."""
    labels = notice.labels
    component, target = labels.get("component", ""), labels.get("component", "").split("/")
    match labels.get("kind"):
        case "node" | "canary" if component and component != EVERYWHERE:
            return "Node", "", component
        case "service" if len(target) == 3 and target[0] == "service":  # noqa: PLR2004 - service/NAMESPACE/NAME
            return "Service", target[1], target[2]
        case "service" if len(target) == 2:  # noqa: PLR2004 - NAMESPACE/NAME
            return "Service", target[0], target[1]
        case "policy" | "expectation" if labels.get("dst_namespace"):
            return "Namespace", "", labels["dst_namespace"]
    return "Namespace", "", own_namespace
