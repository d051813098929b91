"""What a demonstration tells of incidents: those that are open, and what has arrived where people are told.

In: a lab, asked through the collector's API, Alertmanager and the receiver. Out: lines for people, and each piece of news once.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from lab.cluster import Cluster
from lab.doorway import Doorway
from lab.monitoring import NOTIFICATIONS
from lab.receiver import read
from lab.roles import ALERTMANAGER_PORT
from lab.watch import Watch

_TOLD = ("firing", "resolving")


class News:
    """Of one lab. Opened by its owner where there is an Alertmanager, whose page is then reachable too."""

    def __init__(self, cluster: Cluster, watch: Watch) -> None:
        self._cluster = cluster
        self._watch = watch
        self._open: dict[str, str] = {}
        self._arrived = 0
        self._door: Doorway | None = None
        self.lines: Sequence[str] = ()
        """What is open now, as of the last look."""

    async def open(self) -> str:
        """Where Alertmanager is; empty where there is none."""
        pod = self._cluster.topology.monitoring
        if self._cluster.topology.shape.alerting != "prometheus" or pod is None:
            return ""
        self._door = Doorway(pod.netns, (next(iter(pod.addresses.values())), ALERTMANAGER_PORT))
        await self._door.open()
        return f"http://127.0.0.1:{self._door.port}"

    async def close(self) -> None:
        """Close the way to Alertmanager."""
        if self._door is not None:
            await self._door.close()

    async def look(self) -> list[str]:
        """What is new since the last look: incidents that opened or are over, and notifications that arrived."""
        answer = await self._watch.ask("incidents")
        news: list[str] = []
        if answer is not None:
            now = {one["id"]: str(one["sentence"]) for one in answer["incidents"] if one["phase"] in _TOLD}
            news += [f"INCIDENT: {sentence}" for ident, sentence in now.items() if ident not in self._open]
            news += [f"OVER: {sentence}" for ident, sentence in self._open.items() if ident not in now]
            self._open = now
            self.lines = [f"incident: {sentence}" for sentence in now.values()]
        arrived = await asyncio.to_thread(read, self._cluster.directory / NOTIFICATIONS)
        news += [told(notice) for notice in arrived[self._arrived :]]
        self._arrived = len(arrived)
        return news


def told(notice: Mapping[str, Any]) -> str:
    """A notification in words, such as `ALERT NetmatrixNodeUnreachable firing, told by Alertmanager`."""
    names = sorted({str(labels.get("alertname")) for labels in notice.get("alerts", [])}) or [str(notice.get("alert"))]
    by = "Alertmanager" if notice["by"] == "alertmanager" else "the collector"
    return f"ALERT {', '.join(names)} {notice['status']}, told by {by}"
