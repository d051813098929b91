"""Which pods, besides our own, anybody needs to know of: those behind services and those that expectations name. Pure.

The API server is asked for these and no others, so that memory grows with what is asked for and not with the cluster.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct

from collector.discovery.cluster.endpoints import Owner
from collector.discovery.cluster.kept import Namespace, Pod, Service
from collector.discovery.cluster.metadata import APP, OWN_APP
from collector.discovery.cluster.world import World
from collector.expectation.document import Declared
from collector.expectation.peers import Destination
from collector.policy.labels import EVERYTHING, Selector

SIGNS = {"In": "in", "NotIn": "notin"}

Selectors = frozenset[bytes]
"""Selectors in JSON, any of which may select."""


class Interests(Struct, frozen=True):
    """Selectors of pods by namespace."""

    of: Mapping[str, Selectors] = {}


def interests_in(world: World, owners: Collection[Owner]) -> Interests:
    """What is asked for: the pods behind these services, and the targets of all expectations."""
    found: dict[str, set[bytes]] = defaultdict(set)
    services = {(one.namespace, one.name): one for one in world.services}
    wanted = dict.fromkeys((*owners, *expected_services(world)))
    for owner in wanted:
        for namespace, selector in _behind(services.get(owner)):
            found[namespace].add(_written(selector))
    for one in world.expectations:
        if isinstance(one, Declared):
            for peer in one.spec.to:
                for namespace, selector in _named(peer, one.namespace, world.namespaces):
                    found[namespace].add(_written(selector))
    return Interests({namespace: frozenset(selectors) for namespace, selectors in sorted(found.items())})


def expected_services(world: World) -> Iterator[Owner]:
    """The services that expectations name."""
    for one in world.expectations:
        if isinstance(one, Declared):
            for peer in one.spec.to:
                if peer.service is not None:
                    yield peer.service.namespace or one.namespace, peer.service.name


def is_wanted(pod: Pod, selectors: Iterable[Selector]) -> bool:
    """Whether anybody asks for a pod, and it is none of ours, which are known anyway."""
    return not pod.component and any(selector.selects(pod.labels) for selector in selectors)


def read(selectors: Selectors) -> list[Selector]:
    """The selectors themselves."""
    return [msgspec.json.decode(text, type=Selector) for text in selectors]


def label_selector(selectors: Selectors) -> str:
    """The one selector as the API takes it in a query; empty where there are several, so that all have to be looked at."""
    if len(selectors) != 1:
        return ""
    (selector,) = read(selectors)
    terms = [f"{key}={value}" for key, value in (selector.match_labels or {}).items()]
    for one in selector.match_expressions or ():
        if one.operator in SIGNS:
            terms.append(f"{one.key} {SIGNS[one.operator]} ({','.join(one.values or ())})")
        else:
            terms.append(one.key if one.operator == "Exists" else f"!{one.key}")
    return ",".join(terms)


def _behind(service: Service | None) -> Iterator[tuple[str, Selector]]:
    """A service without a selector has endpoints that somebody else makes; one of ours has our own pods."""
    if service is not None and service.selector and service.selector.get(APP) != OWN_APP:
        yield service.namespace, Selector(match_labels=service.selector)


def _named(peer: Destination, own: str, namespaces: Iterable[Namespace]) -> Iterator[tuple[str, Selector]]:
    if peer.workload is not None:
        yield peer.workload.namespace or own, EVERYTHING
    if peer.pods is None:
        return
    selector = peer.pods.pod_selector or EVERYTHING
    if peer.pods.namespace_selector is None and own:
        yield own, selector
        return
    spaces = peer.pods.namespace_selector or EVERYTHING
    for namespace in namespaces:
        if spaces.selects(namespace.labels):
            yield namespace.name, selector


def _written(selector: Selector) -> bytes:
    return msgspec.json.encode(selector, order="deterministic")
