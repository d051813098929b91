"""A cluster of a given size with the plan that its agents would really have, as the columns of its cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from collector.discovery.snapshot import Backed, Backend, DnsServer, External, Node, Service, Snapshot, Vantage
from collector.matrix.places import source_places, target_places
from collector.plan.compose import compose
from collector.settings import PlanSettings
from collector.verdict.cells import FAMILIES, KINDS, LAYERS, End, Ends, Ints, Mask, Small
from collector.verdict.sample import behind_of
from wire.path import Layer

SMALL: Final = 150
"""Most nodes of a cluster in which agents run in namespaces of users as well."""
NAMESPACES: Final = ("pay", "shop", "web")
SHORT: Final = 1300
TENANTS: Final = 2
"""Agents in each of them."""
POOLS: Final = 4
BACKENDS: Final = 2
"""Servers behind each service, on nodes of their own."""
SERVERS: Final = 2
"""Name servers: a service with all of them, and one of them."""
APART: Final = 7
"""Between the nodes of two servers."""


@dataclass(frozen=True, slots=True, eq=False)
class Cluster:
    """Columns have one element a path of the plan."""

    nodes: int
    zones: int
    sources: Ends
    targets: Ends
    source: Ints
    target: Ints
    layer: Small
    kind: Small
    family: Small
    interval_ms: Ints
    long: Mask
    """Whether its packets are long, so that they get lost where short ones do not."""


@lru_cache(maxsize=8)
def cluster(nodes: int, zones: int, services: int) -> Cluster:
    """A cluster with an agent on each node, two name servers and two hosts outside; the same every time."""
    snapshot = drawn(nodes, zones, services)
    plans = compose(snapshot, PlanSettings(), instance=1, generation=1, keys=())
    near, far = source_places(snapshot), target_places(snapshot)
    names = {name: number for number, name in enumerate(sorted(far))}
    behind = behind_of(snapshot)
    rows: list[tuple[int, ...]] = []
    for number, vantage in enumerate(plans.vantages):
        for planned in plans.plan(vantage).paths:
            path = planned.path
            rows.append(
                (
                    number,
                    names[path.target.name],
                    LAYERS.index(path.layer),
                    KINDS.index(path.kind),
                    FAMILIES.index(path.family),
                    planned.interval_ms,
                    int(path.layer is Layer.MTU and getattr(path.ask, "packet_bytes", 0) > SHORT),
                )
            )
    table = np.array(rows, np.int64).reshape(-1, 7).T
    return Cluster(
        nodes,
        zones,
        Ends(
            End(
                name,
                near[name].node or "",
                near[name].zone or "",
                near[name].namespace or "",
                groups=(pool(near[name].node or ""),),
            )
            for name in plans.vantages
        ),
        Ends(
            End(name, far[name].node or "", far[name].zone or "", far[name].namespace or "", behind=behind.get(name, ()))
            for name in sorted(far)
        ),
        table[0],
        table[1],
        table[2].astype(np.uint8),
        table[3].astype(np.uint8),
        table[4].astype(np.uint8),
        table[5],
        table[6].astype(np.bool_),
    )


def pool(node: str) -> str:
    """Label that nodes have in common; every pool has nodes in every zone."""
    return f"pool=p{int(node[1:]) // 3 % POOLS}"


def drawn(nodes: int, zones: int, services: int) -> Snapshot:
    """What discovery would have found."""
    numbers = range(1, nodes + 1)
    places = {number: f"{number // 250}.{1 + number % 250}" for number in numbers}
    return Snapshot(
        nodes=tuple(Node(name=f"n{i}", zone=f"z{i % zones}", addresses=(f"172.16.{places[i]}",)) for i in numbers),
        vantages=tuple(
            Vantage(
                name=f"n{i}",
                node=f"n{i}",
                namespace="netmatrix",
                pod=f"agent-{i}",
                uid=f"00000000-0000-4000-8000-{i:012}",
                addresses=(f"10.30.{places[i]}",),
            )
            for i in numbers
        )
        + (_tenants(nodes) if nodes <= SMALL else ()),
        services=tuple(
            Service(
                name=f"s{i}",
                namespace="shop",
                addresses=(f"10.96.{i // 250}.{1 + i % 250}",),
                port=80,
                endpoints=BACKENDS,
            )
            for i in range(services)
        ),
        backed=(
            *(_backed("shop", f"s{i}", f"10.96.{i // 250}.{1 + i % 250}", BACKENDS * i, places) for i in range(services)),
            *(_backed("kube-system", f"d{i}", f"10.97.1.{i + 1}", 2, places, many=BACKENDS - i) for i in range(SERVERS)),
        ),
        external=tuple(External(name=f"e{i}", host=f"e{i}.example.test", probes=("icmp", "tcp:443")) for i in range(2)),
        dns=tuple(
            DnsServer(name=f"d{i}", addresses=(f"10.97.1.{i + 1}",), names=("kubernetes.default.svc.cluster.local.",))
            for i in range(SERVERS)
        ),
        mtu=1450,
    )


def _backed(namespace: str, name: str, address: str, first: int, places: Mapping[int, str], *, many: int = BACKENDS) -> Backed:
    """A service whose backends are on some nodes, in the network of these."""
    on = [1 + (first + number) * APART % len(places) for number in range(many)]
    return Backed(namespace, name, (address,), (), tuple(Backend((f"172.16.{places[i]}",), 80, 80) for i in on))


def _tenants(nodes: int) -> tuple[Vantage, ...]:
    return tuple(
        Vantage(
            name=f"{space}-{number}",
            node=f"n{1 + (TENANTS * place + number) * APART % nodes}",
            namespace=space,
            pod=f"probe-{number}",
            uid=f"00000000-0000-4000-9000-{TENANTS * place + number:012}",
            addresses=(f"10.31.{place}.{1 + number}",),
        )
        for place, space in enumerate(NAMESPACES)
        for number in range(TENANTS)
    )
