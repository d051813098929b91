"""Draws faults, and what only looks like one: which cells they touch, how much is lost, and what should be said of them."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from collector.verdict.cells import KINDS, LAYERS, Ints, Mask, Reason
from simulator.cluster import NAMESPACES, POOLS, Cluster
from simulator.fault import BACKWARD, NONE, Fault, Part, Truth
from wire.path import Kind, Layer

FULL_MESH: Final = 150
LARGE: Final = 1000
POOLED: Final = 24
"""Fewest nodes of a cluster in which a pool of them fails: fewer in a pool are told one by one."""

HARMFUL: Final = (
    "dead_node", "dead_node", "node", "node", "node", "node_pod", "node_stateful", "zone_pair", "zone_pair", "zone_pair_pod",
    "pair", "pair_stateful", "group", "service", "service_on_node", "dns", "dns_all", "external", "mtu", "policy",
    "busy_host", "agent_silent", "partition",
)  # fmt: skip
HARMLESS: Final = (
    "drain", "rollout", "scale_up", "scale_down", "restart", "cpu_hogs", "throttled", "clock_step", "address_reuse",
)  # fmt: skip
LARGEST: Final = ("dead_node", "node_0.05", "node_0.01", "zone_pair_0.002")
"""Kinds with a bar of their own at 5,000 nodes."""
ROUND_TRIPS: Final = 2
"""Of a probe of a service or of a name server: a handshake and a request, or A and AAAA."""
PROGRAMS: Final = (KINDS.index(Kind.UDP), KINDS.index(Kind.HTTP))


class Draw:
    """Draws faults of one cluster. `start_s` is when the first begins."""

    def __init__(self, cluster: Cluster, dice: np.random.Generator, start_s: float) -> None:
        self._cluster = cluster
        self._dice = dice
        self._start_s = start_s
        self._used: set[str] = set()
        self._near = cluster.sources.nodes
        self._far = cluster.targets.nodes

    def fault(self, kind: str) -> Fault:
        """A fault of a kind, in a place where none of this draw was before; raises ValueError for an unknown kind."""
        name, _, rate = kind.rpartition("_") if kind.rpartition("_")[2].replace(".", "").isdigit() else (kind, "", "")
        makers = {
            **dict.fromkeys(("dead_node", "agent_silent", "service_on_node", "mtu", "busy_host"), self._of_node),
            **dict.fromkeys(("node", "node_pod", "node_stateful"), self._lossy_node),
            **dict.fromkeys(("zone_pair", "zone_pair_pod"), self._of_zones),
            **dict.fromkeys(("pair", "pair_stateful"), self._of_pair),
            **dict.fromkeys(("service", "dns", "dns_all", "external"), self._of_target),
            **dict.fromkeys(HARMLESS, self._harmless),
            "group": self._of_group,
            "policy": self._of_policy,
            "partition": self._partition,
        }
        if name not in makers:
            raise ValueError(f"{kind} is no kind of fault")
        return makers[name](name, float(rate) if rate else 0.0)

    def possible(self) -> tuple[str, ...]:
        """Kinds that this cluster can have: a few of large ones would have no cells."""
        cluster = self._cluster
        missing = {"service_on_node", "policy"} if cluster.nodes > FULL_MESH else set()
        missing |= {"zone_pair", "zone_pair_pod"} if cluster.nodes < 2 * cluster.zones else set()
        missing |= {"group"} if cluster.nodes < POOLED or cluster.nodes > LARGE else set()
        return tuple(name for name in HARMFUL if name not in missing)

    def _of_node(self, kind: str, _rate: float) -> Fault:
        node = self._node()
        name = self._near.words[node]
        out, into = self._rows(node), self._columns(node)
        if kind == "dead_node":
            mute = np.flatnonzero(self._near.codes == node)
            parts = [Part(_places(out | into), 1.0), *self._served([node], 1.0)]
            return self._made(kind, Truth("node", name, "both", Layer.HOST), parts, mute=mute)
        if kind == "agent_silent":
            mute = np.array([number for number, end in enumerate(self._cluster.sources.all) if end.name == name], np.int64)
            return self._made(kind, Truth("agent", name, "both", Layer.POD), [], mute=mute)
        if kind == "service_on_node":
            cells = _places(out & self._layer(Layer.SERVICE))
            return self._made(kind, Truth("node", name, "out", Layer.SERVICE), [Part(cells, 1.0)], within_s=120)
        if kind == "busy_host":
            programs = into & self._layer(Layer.POD) & np.isin(self._cluster.kind, PROGRAMS)
            rate = float(self._dice.choice([1.0, 0.5]))
            return self._made(kind, Truth("agent", name, "in", Layer.POD), [Part(_places(programs), rate, BACKWARD)])
        into, out = into & self._cluster.long, out & self._cluster.long
        # Few paths have long packets: what nobody sends, nobody misses.
        direction = "both" if into.any() and out.any() else "in" if into.any() else "out"
        return self._made(kind, Truth("mtu", name, direction, Layer.MTU), [Part(_places(out | into), 1.0)], within_s=600)

    def _lossy_node(self, kind: str, rate: float) -> Fault:
        """Packets into or out of a node, of its pods alone, or requests to its pods alone by a rule that keeps connections."""
        node = self._node()
        name = self._near.words[node]
        out, into = self._rows(node), self._columns(node)
        pods = self._layer(Layer.POD) | self._layer(Layer.MTU)
        rates = [0.2, 0.05] + ([1.0] if kind != "node" else []) + ([0.01] if self._cluster.nodes >= FULL_MESH // 2 else [])
        rate = rate or float(self._dice.choice(rates))
        direction = "in" if kind == "node_stateful" else str(self._dice.choice(["in", "out", "both"]))
        if kind != "node":
            into, out = into & pods, out & pods
        parts = [Part(_places(into), rate)] if kind == "node_stateful" else _packets(into, out, rate, direction)
        parts += self._served([node], rate if direction != "both" else 1 - (1 - rate) ** 2)
        counted = into if kind == "node_stateful" else into | out
        counted = counted & (self._layer(Layer.POD) | self._layer(Layer.HOST))
        told = "both" if rate == 1.0 and kind != "node_stateful" else direction
        truth = Truth("node", name, told, Layer.HOST if kind == "node" else Layer.POD)
        return self._made(f"{kind}_{rate:g}", truth, parts, within_s=self._patience(rate, counted))

    def _of_zones(self, kind: str, rate: float) -> Fault:
        cluster = self._cluster
        near, far = cluster.sources.zones, cluster.targets.zones
        one, other = self._dice.choice(cluster.zones, 2, replace=False).tolist()
        layers = self._layer(Layer.POD) | self._layer(Layer.MTU)
        layers = layers if kind == "zone_pair_pod" else layers | self._layer(Layer.HOST)
        ahead = (near.codes[cluster.source] == one) & (far.codes[cluster.target] == other) & layers
        back = (near.codes[cluster.source] == other) & (far.codes[cluster.target] == one) & layers
        rates = [1.0, 0.2, 0.05]
        rates += ([0.01] if cluster.nodes >= FULL_MESH // 2 else []) + ([0.002] if cluster.nodes >= LARGE else [])
        rate = rate or float(self._dice.choice(rates))
        both = rate == 1.0 or self._dice.random() < 0.3  # noqa: PLR2004 - some
        names = [near.words[one], near.words[other]]
        names = sorted(names) if both else names
        truth = Truth("zone_pair", ">".join(names), "both" if both else "out", Layer.POD if "pod" in kind else Layer.HOST)
        parts = _packets(ahead, back, rate, "both" if both else "in")
        return self._made(f"{kind}_{rate:g}", truth, parts, within_s=self._patience(rate, ahead | back))

    def _of_pair(self, kind: str, rate: float) -> Fault:
        """All that one node sends to another; or what it asks of the other alone, where a rule keeps connections.

        Pairs of the rotation are left out: each is probed for a minute in hours.
        """
        cluster = self._cluster
        apart = self._near.codes[cluster.source] != self._far.codes[cluster.target]
        steady = self._layer(Layer.POD) & (cluster.kind == KINDS.index(Kind.TCP))
        cell = int(self._dice.choice(_places(steady & apart)))
        one, other = int(self._near.codes[cluster.source[cell]]), int(self._far.codes[cluster.target[cell]])
        layers = self._layer(Layer.POD) | self._layer(Layer.MTU)
        layers = layers | self._layer(Layer.HOST) if kind == "pair" else layers
        ahead, back = self._rows(one) & self._columns(other) & layers, self._rows(other) & self._columns(one) & layers
        self._used |= {self._near.words[one], self._near.words[other]}
        rate = rate or float(self._dice.choice([1.0, 0.7])) if kind == "pair" else 1.0
        both = kind != "pair_stateful" and rate == 1.0 and bool(back.any())
        names = [self._near.words[one], self._near.words[other]]
        names = sorted(names) if both else names
        truth = Truth("pair", ">".join(names), "both" if both else "out", Layer.HOST if kind == "pair" else Layer.POD)
        parts = [Part(_places(ahead), rate)] if kind == "pair_stateful" else _packets(ahead, back, rate, "in")
        return self._made(f"{kind}_{rate:g}", truth, parts, within_s=120)

    def _of_group(self, kind: str, rate: float) -> Fault:
        cluster = self._cluster
        pool = f"pool=p{int(self._dice.integers(POOLS))}"
        members = [number for number, word in enumerate(self._near.words) if pool in _groups(cluster, word)]
        out, into = (np.isin(codes, members) for codes in (self._near.codes[cluster.source], self._far.codes[cluster.target]))
        pods = self._layer(Layer.POD) | self._layer(Layer.MTU)
        direction = str(self._dice.choice(["in", "out", "both"]))
        rate = rate or float(self._dice.choice([0.2, 0.05]))
        parts = _packets(into & ~out & pods, out & ~into & pods, rate, direction)
        parts += self._served(members, rate if direction != "both" else 1 - (1 - rate) ** 2)
        return self._made(f"{kind}_{rate:g}", Truth("group", pool, direction, Layer.POD), parts, within_s=90)

    def _of_policy(self, kind: str, _rate: float) -> Fault:
        cluster = self._cluster
        one, other = self._dice.choice(NAMESPACES, 2, replace=False).tolist()
        near, far = cluster.sources.namespaces, cluster.targets.namespaces
        which = (near.codes[cluster.source] == near.words.index(one)) & (far.codes[cluster.target] == far.words.index(other))
        cells = _places(which & self._layer(Layer.POD))
        return self._made(kind, Truth("policy", f"{one}>{other}", "in", Layer.POD), [Part(cells, 1.0)], within_s=90)

    def _of_target(self, kind: str, rate: float) -> Fault:
        cluster = self._cluster
        layer = Layer.DNS if kind == "dns_all" else Layer(kind)
        rate = rate or float(self._dice.choice([1.0, 0.5]))
        if kind == "dns_all":
            cells, truth = _places(self._layer(layer)), Truth("dns", "all", "in", layer)
        else:
            target = int(self._dice.choice(np.unique(cluster.target[self._layer(layer)])))
            cells, truth = _places(cluster.target == target), Truth(kind, cluster.targets[target].name, "in", layer)
        return self._made(f"{kind}_{rate:g}", truth, [Part(cells, rate)], within_s=180)

    def _partition(self, kind: str, _rate: float) -> Fault:
        count = len(self._cluster.sources)
        mute = self._dice.choice(count, int(count * self._dice.uniform(0.4, 1.0)), replace=False)
        return self._made(kind, Truth("collector", "collector", "both", Layer.POD), [], mute=mute)

    def _harmless(self, kind: str, _rate: float) -> Fault:
        node = self._node()
        which = self._rows(node) | self._columns(node)
        mute = np.flatnonzero(self._near.codes == node)
        if kind == "restart":
            return self._made(kind, None, [], restart=True)
        if kind in {"cpu_hogs", "throttled", "clock_step", "address_reuse"}:
            reason = Reason.IDENTITY if kind == "address_reuse" else Reason.ILL
            cells = self._columns(node) if kind == "address_reuse" else which
            rate = float(self._dice.uniform(0.1, 0.9))
            return self._made(
                kind, None, [Part(_places(cells), rate)], reason=reason, within_s=10 if kind == "clock_step" else 60
            )
        if kind == "rollout":  # a tenth of all at once
            some = self._dice.choice(self._cluster.nodes, max(1, self._cluster.nodes // 10), replace=False)
            which = np.isin(self._near.codes[self._cluster.source], some) | np.isin(self._far.codes[self._cluster.target], some)
            mute = np.flatnonzero(np.isin(self._near.codes, some))
        reason = Reason.SETTLING if kind == "scale_up" else Reason.LEAVING
        return self._made(
            kind, None, [Part(_places(which), 1.0)], mute=mute, reason=reason, noticed_s=0.0 if kind == "scale_up" else 1.5
        )

    def _made(
        self, name: str, truth: Truth | None, parts: Sequence[Part], *, mute: Ints = NONE,
        reason: Reason = Reason.JUDGED, restart: bool = False, within_s: float = 60.0, noticed_s: float = 0.0,
    ) -> Fault:  # fmt: skip
        stop = self._start_s + within_s
        return Fault(
            name, truth, parts, self._start_s, stop, mute, reason, restart=restart, within_s=within_s, noticed_s=noticed_s
        )

    def _served(self, nodes: Sequence[int], rate: float) -> list[Part]:
        """What services lose of which some backends are on nodes that lose so much: all round trips must get there."""
        names = {self._near.words[node] for node in nodes}
        outside = ~np.isin(self._near.codes[self._cluster.source], nodes)
        parts = []
        for number, end in enumerate(self._cluster.targets.all):
            mine = sum(node in names for node in end.behind)
            if mine:
                cells = _places(outside & (self._cluster.target == number))
                parts.append(Part(cells, mine / len(end.behind) * (1 - (1 - rate) ** ROUND_TRIPS)))
        return [part for part in parts if len(part.cells)]

    def _patience(self, rate: float, which: Mask) -> float:
        """Seconds until some forty losses are there."""
        probes = float((1000.0 / self._cluster.interval_ms[which]).sum())
        return float(min(max(60.0, 40.0 / (rate * max(probes, 1e-9))), 600.0))

    def _node(self) -> int:
        while True:
            node = int(self._dice.integers(self._cluster.nodes))
            if self._near.words[node] not in self._used:
                self._used.add(self._near.words[node])
                return node

    def _rows(self, node: int) -> Mask:
        """What leaves a node."""
        near, far = self._near.codes[self._cluster.source], self._far.codes[self._cluster.target]
        result: Mask = (near == node) & (far != node)
        return result

    def _columns(self, node: int) -> Mask:
        """What comes into a node."""
        near, far = self._near.codes[self._cluster.source], self._far.codes[self._cluster.target]
        result: Mask = (far == node) & (near != node)
        return result

    def _layer(self, layer: Layer) -> Mask:
        result: Mask = self._cluster.layer == LAYERS.index(layer)
        return result


def _packets(into: Mask, out: Mask, rate: float, direction: str) -> list[Part]:
    """Packets into something get lost, out of it, or both: requests of the ones there, replies to the others."""
    parts = [Part(_places(into), rate), Part(_places(out), rate, BACKWARD)] if direction != "out" else []
    parts += [Part(_places(into), rate, BACKWARD), Part(_places(out), rate)] if direction != "in" else []
    return parts


def _places(mask: Mask) -> Ints:
    return np.flatnonzero(mask).astype(np.int64)


def _groups(cluster: Cluster, node: str) -> tuple[str, ...]:
    return next(end.groups for end in cluster.sources.all if end.node == node)
