"""Tells whoever the configuration names of incidents, each receiver on a task of its own.

In: the open incidents after each pass. Out: notifications. What a receiver does, or does not, never reaches whoever calls: news
are put into its outbox, and that is all.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from collector.notify.alertmanager import PATH, Alertmanager
from collector.notify.deliveries import Deliveries
from collector.notify.events import Announce, Events
from collector.notify.memory import Memory, read, written
from collector.notify.notices import Ledger, Notice, followed
from collector.notify.post import THREADS, Destination, Post
from collector.notify.telling import Count, Links, Telling
from collector.notify.webhook import Webhook
from collector.receivers import Authorities, Notify
from collector.verdict.incident import Incident
from collector.verdict.judgement import Judgement


class Receiver(Protocol):
    """Whoever is told."""

    async def follow(self) -> None:
        """Tell it, for ever."""


class Notifier:
    """See the module. `announce` creates Kubernetes Events, in a cluster; `remember` is called when `memory` is another."""

    def __init__(
        self,
        settings: Notify,
        *,
        count: Count,
        announce: Announce | None = None,
        own_namespace: str = "netmatrix",
        now: Callable[[], float] = time.time,
        remember: Callable[[], None] = lambda: None,
    ) -> None:
        self._settings = settings
        self._remember = remember
        self._count = count
        self._announce = announce
        self._own_namespace = own_namespace
        self._now = now
        self._ledger = Ledger()
        self.deliveries = Deliveries()
        self._tellings: dict[str, Telling] = {}
        self._changed = asyncio.Event()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="notify")
        self._receivers = self._made()

    def configure(self, settings: Notify) -> None:
        """Tell others from now on; what waits for one that stays goes on waiting, a new one hears of all that is open."""
        if settings != self._settings:
            self._settings = settings
            self._receivers = self._made()
            self._changed.set()

    def recall(self, kept: bytes | None) -> None:
        """Begin with what the process before has told and with what it has not yet; before the first pass."""
        memory = read(kept)
        self._ledger = Ledger({one.id: one for one in memory.told}, recalled=dict.fromkeys(one.id for one in memory.told))
        for name, telling in self._tellings.items():
            telling.put(memory.waiting.get(name, ()))

    def memory(self) -> bytes:
        """What the next process must know."""
        waiting = {name: telling.outbox.all() for name, telling in self._tellings.items() if telling.outbox}
        return written(Memory(tuple(self._ledger.told.values()), waiting))

    def tell(self, incidents: Iterable[Incident], now_ns: int) -> None:
        """After a pass; `now_ns` is its moment, on the clock of the incidents."""
        news, self._ledger = followed(incidents, self._ledger, now_ns, now=self._now(), cluster=self._settings.cluster)
        if news:
            for telling in self._tellings.values():
                telling.put(news)
            self._remember()

    def hear(self, judgement: Judgement) -> None:
        """The same, of a judgement."""
        if judgement.at_ns is not None:
            self.tell(judgement.incidents, judgement.at_ns)

    def waiting(self) -> Mapping[str, int]:
        """How many notifications wait for each receiver."""
        return Counter({name: len(telling.outbox) for name, telling in self._tellings.items()})

    async def follow(self) -> None:
        """Tell everybody, for ever."""
        try:
            while True:
                self._changed.clear()
                async with asyncio.TaskGroup() as tasks:
                    running = [tasks.create_task(receiver.follow()) for receiver in self._receivers]
                    await self._changed.wait()
                    for task in running:
                        task.cancel()
        finally:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _made(self) -> list[Receiver]:
        """The receivers that the settings name."""
        before, self._tellings = self._tellings, {}
        settings = self._settings
        links = Links(settings.runbooks, settings.external_url)
        receivers: list[Receiver] = []
        for place, url in enumerate(settings.alertmanager.urls):
            telling = self._telling(f"alertmanager/{place}", before, least=settings.alertmanager)
            post = self._post(settings.alertmanager, url=f"{url.rstrip('/')}{PATH}")
            receivers.append(
                Alertmanager(
                    telling,
                    post,
                    links=links,
                    resend_seconds=settings.resend / 1e9,
                    standing=self._standing,
                    now=self._now,
                )
            )
        for webhook in settings.webhooks:
            telling = self._telling(webhook.name, before, least=webhook, resolved=webhook.resolved)
            post = self._post(webhook, url=webhook.url, url_file=webhook.url_file)
            receivers.append(Webhook(telling, post, webhook, links=links))
        if settings.events and self._announce is not None:
            telling = self._telling("events", before)
            receivers.append(Events(telling, self._announce, own_namespace=self._own_namespace))
        return receivers

    def _standing(self) -> Collection[Notice]:
        return self._ledger.told.values()

    def _telling(
        self, name: str, before: Mapping[str, Telling], *, least: Authorities | None = None, resolved: bool = True
    ) -> Telling:
        telling = Telling(
            name,
            count=self._count,
            least=least.least if least else "info",
            resolved=resolved,
            delivered=self._delivered,
        )
        telling.put(before[name].outbox.all() if name in before else self._ledger.told.values())
        self._tellings[name] = telling
        return telling

    def _delivered(self, receiver: str, notices: Iterable[Notice], taken: bool) -> None:  # noqa: FBT001 - as Telling has it
        self.deliveries.note(receiver, notices, at=self._now(), taken=taken)
        self._remember()

    def _post(self, to: Authorities, *, url: str = "", url_file: str = "") -> Post:
        settings = self._settings
        destination = Destination(
            to, url=url, url_file=url_file, timeout_seconds=settings.timeout / 1e9, loopback=settings.loopback
        )
        return Post(destination, self._threads)
