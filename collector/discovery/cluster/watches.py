"""All that is followed in a cluster, and the state of it as far as it is known.

Five sorts of objects are needed. Policies and expectations need not exist, nor need we be allowed to see them.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from collector.discovery.cluster.client import Api
from collector.discovery.cluster.follower import Follower
from collector.discovery.cluster.kept import Slice
from collector.discovery.cluster.network_plugin import NetworkPlugin, chosen
from collector.discovery.cluster.objects import NAMESPACES, NODES, SERVICES, SLICES
from collector.discovery.cluster.others import Others
from collector.discovery.cluster.pods import PODS
from collector.discovery.cluster.policies import EXPECTATIONS, POLICIES, Expected, Key
from collector.discovery.cluster.resource import Resource
from collector.discovery.cluster.world import World


class Watches:
    """See the module. `changed` is called whenever the state is another, `slice_changed` where only a slice is."""

    def __init__(
        self,
        api: Api,
        *,
        changed: Callable[[], None],
        slice_changed: Callable[[Slice | None, Slice | None], None],
        unread: Callable[[], None],
    ) -> None:
        def note(_before: object = None, _after: object = None) -> None:
            changed()

        def follower(resource: Resource[Any]) -> Follower[Any]:
            return Follower(api, resource, changed=note, unread=unread)

        self.nodes, self.namespaces = follower(NODES), follower(NAMESPACES)
        self.pods, self.services = follower(PODS), follower(SERVICES)
        self.slices = Follower(api, SLICES, changed=slice_changed, unread=unread)
        self.policies = [follower(resource) for resource in POLICIES]
        self.expectations = {kind: follower(resource) for kind, resource in EXPECTATIONS.items()}
        self.others = Others(api, changed=note, unread=unread)
        self._plugin = NetworkPlugin(api, changed=changed)

    @property
    def _needed(self) -> tuple[Follower[Any], ...]:
        return self.nodes, self.namespaces, self.pods, self.services, self.slices

    @property
    def whole(self) -> bool:
        """Whether all that is needed is known."""
        return all(follower.listed for follower in self._needed)

    @property
    def policies_read(self) -> bool:
        """Whether every kind of policy is known, or known not to exist."""
        return all(not one.denied and (one.listed or one.absent) for one in self.policies)

    def world(self) -> World:
        """The state now."""
        nodes = tuple(self.nodes.objects.values())
        return World(
            nodes=nodes,
            namespaces=tuple(self.namespaces.objects.values()),
            pods=tuple(self.pods.objects.values()),
            services=tuple(self.services.objects.values()),
            slices=tuple(self.slices.objects.values()),
            others=tuple(self.others.pods()),
            policies=tuple(one for follower in self.policies for one in follower.objects.values()),
            policies_read=self.policies_read,
            expectations=tuple(one.said for one in self.expected().values()),
            profile=chosen(self._plugin.found, nodes),
        )

    def expected(self) -> Mapping[Key, Expected]:
        """The expectations that there are."""
        return {(kind, *key): one for kind, follower in self.expectations.items() for key, one in follower.objects.items()}

    def known(self) -> list[dict[str, object]]:
        """How it stands with each."""
        return [one.known() for one in self._all()] + self.others.known()

    def age_seconds(self) -> float:
        """For how long something that is known has not been heard of; what we never saw, or see no more, has no age."""
        seen = [one for one in (*self.policies, *self.expectations.values()) if one.listed and not (one.absent or one.denied)]
        heard = [one.heard for one in (*self._needed, *seen)]
        return time.monotonic() - min(heard + self.others.heard())

    async def follow(self) -> None:
        """Follow all of it, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for follower in self._all():
                tasks.create_task(follower.follow())
            tasks.create_task(self.others.follow())
            tasks.create_task(self._plugin.follow())

    def _all(self) -> Iterator[Follower[Any]]:
        yield from (*self._needed, *self.policies, *self.expectations.values())
