"""The cluster as a source of whole snapshots: its objects, followed, and put together when one of them has changed.

In: the Kubernetes API. Out: `snapshot`, the last good one, which stays whatever happens to the API server.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from collector.discovery.cluster.announcer import Announcer, event_at
from collector.discovery.cluster.assemble import Assembled, assemble
from collector.discovery.cluster.client import Api
from collector.discovery.cluster.kept import Slice
from collector.discovery.cluster.own_mtu import own_mtu
from collector.discovery.cluster.status_writer import StatusWriter
from collector.discovery.cluster.watches import Watches
from collector.discovery.cluster.world import Because, Refused, misconfigured
from collector.discovery.snapshot import Snapshot
from collector.discovery.source import Event
from collector.discovery.standings import Standing
from collector.settings import Settings

if TYPE_CHECKING:
    from collector.discovery.cluster.endpoints import Owner

LONGEST_PLAUSIBLE_MTU = 65_535
LOGGED = 20
"""Refusals that are logged at once; how many more there are is counted anyway."""

_log = structlog.get_logger()


class ClusterSource:
    """See the module. `kubeconfig` is for those who are not in the cluster themselves."""

    def __init__(self, settings: Settings, *, kubeconfig: Path | None = None) -> None:
        self._settings = settings
        self.api = Api(kubeconfig)
        self._mtu = 0 if kubeconfig else min(own_mtu(os.environ.get("KUBERNETES_SERVICE_HOST", "")), LONGEST_PLAUSIBLE_MTU)
        self._dirty = True
        self._settled: float | None = None
        self._looked_behind: frozenset[Owner] | None = None
        """The services whose endpoints matter; None while that is being found out."""
        self._refused: frozenset[Refused] = frozenset()
        self._announcer = Announcer(self.api)
        self._watches = Watches(self.api, changed=self._note, slice_changed=self._note_slice, unread=self._count)
        self._statuses = StatusWriter(self.api, self._watches.expected)
        self._unread = 0
        self.snapshot = Snapshot()
        """The last good one."""
        self.ready = False
        """Whether there was one."""

    def known(self) -> Mapping[str, Any]:
        """How it stands with each sort of objects, what is left out, and which namespaces ask for vantages."""
        return {
            "source": "cluster",
            "age_seconds": round(self.sync_age_seconds(), 3),
            "watches": self._watches.known(),
            "policies_read": self._watches.policies_read,
            "network_plugin": self.snapshot.profile,
            "left_out": {word: count for word, count in self.refused().items() if count},
            "unread": self._unread,
            "asking": sorted(one.name for one in self._watches.namespaces.objects.values() if one.vantages),
        }

    def configure(self, settings: Settings) -> None:
        """Follow other settings from now on."""
        self._settings = settings
        self._dirty = True

    def complain(self, sentence: str) -> None:
        """Say at the ConfigMap why it is refused."""
        self._announcer.say([misconfigured(self._settings.discovery.namespace, sentence)])

    def tell(self, standings: Iterable[Standing]) -> None:
        """Write at expectations how it stands with them."""
        self._statuses.tell(standings)

    async def say(self, event: Event) -> str:
        """Say something at an object."""
        uid = ""
        if event.kind == "Service":
            services = self._watches.services.objects.values()
            uid = next((one.uid for one in services if (one.namespace, one.name) == (event.namespace, event.name)), "")
        elif event.kind == "Node":
            uid = event.name  # which is what kubelets say, and what kubectl looks for
        return await self._announcer.create(event_at(event, uid, datetime.now(UTC)))

    async def follow(self) -> None:
        """Follow the cluster, for ever."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.api.close)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watches.follow())
                tasks.create_task(self._announcer.follow())
                tasks.create_task(self._statuses.follow())

    async def changed(self) -> bool:
        """Look once; True where there is another whole snapshot."""
        now = time.time()
        due = self._settled is not None and now >= self._settled
        if not (self._dirty or due) or not self._watches.whole:
            return False
        self._dirty, self._looked_behind = False, None
        world = self._watches.world()
        made = await asyncio.to_thread(
            assemble, world, self._settings.discovery, external=self._settings.external, mtu=self._mtu, now=now
        )
        self._settled, self._looked_behind = made.settled, made.looked_behind
        self._watches.others.ask(made.interests)
        self._say(made)
        first, self.ready = not self.ready, True
        if made.snapshot == self.snapshot and not first:
            return False
        self.snapshot = made.snapshot
        return True

    def sync_age_seconds(self) -> float:
        """How old what we know may be: for how long one of the sorts of objects has not been heard of."""
        return self._watches.age_seconds()

    def unread(self) -> int:
        """How many objects were not understood so far."""
        return self._unread

    def requests(self) -> int:
        """How many requests the API server got from us so far."""
        return self.api.requests

    def refused(self) -> Mapping[str, int]:
        """How many objects are left out now, by every reason there is."""
        counts = Counter(one.because for one in self._refused)
        return {word.value: counts[word] for word in Because}

    def _note(self) -> None:
        self._dirty = True

    def _note_slice(self, before: Slice | None, after: Slice | None) -> None:
        """Most of what happens in a cluster happens to endpoints of services that nobody probes."""
        owners = {(one.namespace, one.service) for one in (before, after) if one}
        if self._looked_behind is None or not owners or owners & self._looked_behind:
            self._dirty = True

    def _count(self) -> None:
        self._unread += 1

    def _say(self, made: Assembled) -> None:
        """What is left out for the first time, once."""
        fresh = [one for one in dict.fromkeys(made.refused) if one not in self._refused]
        self._refused = frozenset(made.refused)
        for one in fresh[:LOGGED]:
            _log.warning("left out", kind=one.kind, object=f"{one.namespace}/{one.name}", because=one.sentence)
        self._announcer.say(fresh)
