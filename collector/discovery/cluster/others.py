"""Pods that are none of ours, followed as far as somebody asks for them.

In: interests. Out: `pods()`. There is a watch for each namespace that is asked for, by label where that says enough; where
those are too many it is one for all of them, and what nobody asks for is dropped as it is read.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from msgspec import structs

from collector.discovery.cluster.client import Api
from collector.discovery.cluster.follower import Follower
from collector.discovery.cluster.interests import Interests, Selectors, is_wanted, label_selector, read
from collector.discovery.cluster.kept import Pod
from collector.discovery.cluster.pods import PODS
from collector.discovery.cluster.resource import Resource

MOST_WATCHES = 32
"""Namespaces that have a watch each."""


class _Watch(NamedTuple):
    wanted: Mapping[str, Selectors]
    follower: Follower[Pod]
    task: "asyncio.Task[None]"


class Others:
    """See the module. `changed` and `unread` are as those of a Follower."""

    def __init__(self, api: Api, *, changed: Callable[[Pod | None, Pod | None], None], unread: Callable[[], None]) -> None:
        self._api = api
        self._changed = changed
        self._unread = unread
        self._interests = Interests()
        self._more = asyncio.Event()
        self._watches: dict[str, _Watch] = {}
        """By namespace; empty for all of them."""

    def ask(self, interests: Interests) -> None:
        """Follow these from now on, and no others."""
        if interests != self._interests:
            self._interests = interests
            self._more.set()

    def pods(self) -> Iterator[Pod]:
        """Those that are known, of what is asked for."""
        for watch in self._watches.values():
            yield from watch.follower.objects.values()

    def known(self) -> list[dict[str, object]]:
        """How it stands with each watch."""
        return [{**watch.follower.known(), "namespace": name} for name, watch in self._watches.items()]

    def heard(self) -> list[float]:
        """When each was last told of."""
        return [watch.follower.heard for watch in self._watches.values()]

    async def follow(self) -> None:
        """Follow what is asked for, for ever."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._adjust(tasks)
                await self._more.wait()
                self._more.clear()

    def _adjust(self, tasks: asyncio.TaskGroup) -> None:
        """End watches that nobody needs, and begin others, which go on with what the ones before them knew."""
        of = self._interests.of
        scopes = {name: {name: selectors} for name, selectors in of.items()} if len(of) <= MOST_WATCHES else {"": of}
        kept: dict[str, _Watch] = {}
        for name, wanted in scopes.items():
            before = self._watches.get(name)
            if before is not None and before.wanted == wanted:
                kept[name] = before
                continue
            follower = Follower(self._api, _pods(name, wanted), changed=self._changed, unread=self._unread)
            follower.objects = {
                (pod.namespace, pod.name): pod for pod in self.pods() if pod.namespace in wanted and _wants(wanted, pod)
            }
            kept[name] = _Watch(wanted, follower, tasks.create_task(follower.follow()))
        for name, watch in self._watches.items():
            if kept.get(name) is not watch:
                watch.task.cancel()
        self._watches = kept
        self._changed(None, None)


def _pods(namespace: str, wanted: Mapping[str, Selectors]) -> Resource[Any]:
    selectors = {name: read(found) for name, found in wanted.items()}
    return structs.replace(
        PODS,
        namespace=namespace,
        labels=label_selector(wanted[namespace]) if namespace else "",
        wanted=lambda pod: is_wanted(pod, selectors.get(pod.namespace, ())),
    )


def _wants(wanted: Mapping[str, Selectors], pod: Pod) -> bool:
    return is_wanted(pod, read(wanted[pod.namespace]))
