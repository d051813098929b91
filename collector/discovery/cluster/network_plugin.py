"""Which network plugin the cluster has, by the labels of its pods and nodes.

In: the Kubernetes API, which is asked for one pod of each plugin. That takes no right but the one on pods, and no watch: when
it is known, it is looked at again only after hours.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Final

import msgspec
import structlog
from msgspec import Raw, Struct

from collector.discovery.cluster.client import Api, ApiAwayError, reason_of
from collector.discovery.cluster.kept import Node
from collector.discovery.cluster.rights import right

UNKNOWN: Final = "generic"
AGAIN_SECONDS: Final = 300.0
"""Until the second look where nothing was found; then twice as long each time, since each look is a list for the API server."""
SURE_SECONDS: Final = 6 * 3600.0
"""The most, and at once where something was found."""

PLUGINS: Final[Mapping[str, tuple[str, ...]]] = {
    "cilium": ("k8s-app=cilium",),
    "calico": ("k8s-app in (calico-node,canal)",),
    "antrea": ("app=antrea,component=antrea-agent",),
    "tungsten-fabric": ("app in (contrail-agent,contrail-vrouter-agent,tf-vrouter-agent)",),
    "kube-network-policies": ("k8s-app in (kindnet,kube-network-policies)", "app in (kindnet,kube-network-policies)"),
    "kube-router": ("k8s-app=kube-router",),
    "none": ("app=flannel", "k8s-app=flannel"),
}
"""By profile, the labels that the pods of a plugin have in its own manifests: each is a question, and any answer is enough."""
WHOLE: Final = frozenset({"cilium", "calico", "antrea", "tungsten-fabric"})
"""Of these a cluster has one; of two, who is to say which one enforces?"""
ONLY_ROUTES: Final = ("kube-router", "none")
"""These also stand beside one that enforces."""
K3S: Final = "k3s"
"""Its controller is part of the program on every node, so that no pod shows it; the nodes say what they are."""
INSTANCE_TYPE: Final = "node.kubernetes.io/instance-type"

_log = structlog.get_logger()


class _Pods(Struct):
    items: list[Raw] | None = None


_pods = msgspec.json.Decoder(_Pods)


def chosen(found: Collection[str], nodes: Iterable[Node]) -> str:
    """The profile, from those whose pods were found."""
    whole = sorted(WHOLE & set(found))
    if whole:
        return whole[0] if len(whole) == 1 else UNKNOWN
    if "kube-network-policies" in found:
        return "kube-network-policies"
    if any(node.labels.get(INSTANCE_TYPE) == K3S for node in nodes):
        return "kube-router"
    return next((name for name in ONLY_ROUTES if name in found), UNKNOWN)


class NetworkPlugin:
    """See the module. `changed` is called when other pods are found than before."""

    def __init__(
        self, api: Api, *, changed: Callable[[], None], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    ) -> None:
        right("", "pods", "list")
        self._sleep = sleep
        self._api = api
        self._changed = changed
        self.found: frozenset[str] = frozenset()
        """Profiles whose pods there are."""

    async def follow(self) -> None:
        """Look, for ever."""
        longer = AGAIN_SECONDS
        while True:
            found = await self._look()
            if found is not None and found != self.found:
                _log.info("network plugins", found=sorted(found))
                self.found = found
                self._changed()
            pause = SURE_SECONDS if self.found else longer
            if found is None:
                pause = AGAIN_SECONDS
            elif not found:
                longer = min(2 * longer, SURE_SECONDS)
            await self._sleep(pause)

    async def _look(self) -> frozenset[str] | None:
        """None where it could not be seen."""
        found = set()
        for name, questions in PLUGINS.items():
            for labels in questions:
                try:
                    answer = await self._api.ask("GET", "/api/v1/pods", [("labelSelector", labels), ("limit", "1")])
                    if not answer.good:
                        _log.warning("the network plugin cannot be looked for", because=reason_of(answer))
                        return None
                    if _pods.decode(answer.body).items:
                        found.add(name)
                except (ApiAwayError, msgspec.DecodeError):
                    return None
        return frozenset(found)
