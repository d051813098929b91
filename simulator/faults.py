"""Faults, and what only looks like one: which cells they touch, how much is lost, and what should be said of them."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from collector.verdict.cells import LAYERS, Ints, Mask, Reason
from simulator.cluster import Cluster
from wire.path import Layer

FULL_MESH: Final = 150
LARGE: Final = 1000


class Truth(NamedTuple):
    """The one incident that a fault should open."""

    kind: str
    component: str
    direction: str
    layer: Layer


@dataclass(frozen=True, slots=True, eq=False)
class Fault:
    """From `start_s` to `stop_s`, cells lose `rate`; where it flaps, in every other `flap_s`."""

    name: str
    truth: Truth | None
    """None for what is harmless."""
    rate: float
    cells: Ints
    """Those that lose."""
    start_s: float
    stop_s: float
    mute: Ints
    """Sources whose reports do not arrive."""
    reason: Reason = Reason.JUDGED
    """Why its cells are not judged while it lasts."""
    flap_s: float = 0.0
    restart: bool = False
    """Whether the collector forgets everything at its start."""
    within_s: float = 60.0
    """How soon it should be said."""

    def active(self, now_s: float) -> bool:
        """Whether it is there at a moment."""
        if not self.start_s <= now_s < self.stop_s:
            return False
        return not self.flap_s or int((now_s - self.start_s) / self.flap_s) % 2 == 0


HARMFUL: Final = (
    "dead_node", "node", "node", "node", "zone_pair", "zone_pair", "pair", "service", "service_on_node", "dns", "external",
    "mtu", "agent_silent", "partition",
)  # fmt: skip
HARMLESS: Final = ("drain", "rollout", "scale", "restart", "cpu_hogs", "address_reuse")
NONE: Final = np.zeros(0, np.int64)


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
        match kind:
            case "dead_node" | "agent_silent" | "node" | "service_on_node" | "mtu":
                return self._of_node(kind)
            case "zone_pair":
                return self._of_zones()
            case "pair":
                return self._of_pair()
            case "service" | "dns" | "external":
                return self._of_target(kind)
            case "partition":
                count = self._cluster.nodes
                mute = self._dice.choice(count, int(count * self._dice.uniform(0.4, 1.0)), replace=False)
                return self._made(kind, Truth("agent", "collector", "both", Layer.POD), 0.0, NONE, mute=mute)
            case _ if kind in HARMLESS:
                return self._harmless(kind)
        raise ValueError(f"{kind} is no kind of fault")

    def _of_node(self, kind: str) -> Fault:
        node = self._node()
        name = self._near.words[node]
        out, into = self._rows(node), self._columns(node)
        layers = self._cluster.layer
        mute = np.flatnonzero(self._near.codes == node)
        if kind == "dead_node":
            return self._made(kind, Truth("node", name, "both", Layer.HOST), 1.0, np.flatnonzero(out | into), mute=mute)
        if kind == "agent_silent":
            return self._made(kind, Truth("agent", name, "both", Layer.POD), 0.0, NONE, mute=mute)
        if kind == "service_on_node":
            cells = np.flatnonzero(out & self._layer(Layer.SERVICE))
            return self._made(kind, Truth("node", name, "out", Layer.SERVICE), 1.0, cells, within_s=120)
        if kind == "mtu":
            cells = np.flatnonzero((out | into) & self._layer(Layer.MTU))
            return self._made(kind, Truth("mtu", name, "both", Layer.MTU), 1.0, cells, within_s=400)
        layer = Layer.HOST if self._dice.random() < 0.5 else Layer.POD  # noqa: PLR2004 - a coin
        direction = str(self._dice.choice(["in", "out", "both"]))
        rates = [0.2, 0.05] + ([1.0] if layer is Layer.POD or direction == "in" else [])
        rates += [0.01] if self._cluster.nodes >= FULL_MESH // 2 else []
        which = {"in": into, "out": out, "both": into | out}[direction]
        if layer is Layer.POD:
            which = which & (self._layer(Layer.POD) | self._layer(Layer.MTU))
        rate = float(self._dice.choice(rates))
        counted = which & ((layers == LAYERS.index(Layer.POD)) | (layers == LAYERS.index(Layer.HOST)))
        return self._made(
            f"node_{rate:g}",
            Truth("node", name, direction, layer),
            rate,
            np.flatnonzero(which),
            within_s=self._patience(rate, counted),
        )

    def _of_zones(self) -> Fault:
        cluster = self._cluster
        near, far = cluster.sources.zones, cluster.targets.zones
        one, other = self._dice.choice(cluster.zones, 2, replace=False).tolist()
        layer = Layer.HOST if self._dice.random() < 0.5 else Layer.POD  # noqa: PLR2004 - a coin
        which = (near.codes[cluster.source] == one) & (far.codes[cluster.target] == other)
        which &= self._layer(Layer.POD) | self._layer(Layer.MTU) | (self._layer(Layer.HOST) & (layer is Layer.HOST))
        rates = (
            [1.0, 0.2, 0.05] + ([0.01] if cluster.nodes >= FULL_MESH // 2 else []) + ([0.002] if cluster.nodes >= LARGE else [])
        )
        rate = float(self._dice.choice(rates))
        truth = Truth("zone_pair", f"{near.words[one]}>{far.words[other]}", "out", layer)
        return self._made(f"zone_pair_{rate:g}", truth, rate, np.flatnonzero(which), within_s=self._patience(rate, which))

    def _of_pair(self) -> Fault:
        cluster = self._cluster
        pods = np.flatnonzero(self._layer(Layer.POD))
        cell = int(self._dice.choice(pods))
        one, other = int(self._near.codes[cluster.source[cell]]), int(self._far.codes[cluster.target[cell]])
        which = (self._near.codes[cluster.source] == one) & (self._far.codes[cluster.target] == other)
        rate = float(self._dice.choice([1.0, 0.6]))
        truth = Truth("pair", f"{self._near.words[one]}>{self._far.words[other]}", "out", Layer.HOST)
        return self._made(f"pair_{rate:g}", truth, rate, np.flatnonzero(which), within_s=120)

    def _of_target(self, kind: str) -> Fault:
        cluster = self._cluster
        asked = np.unique(cluster.target[self._layer(Layer(kind))])
        target = int(self._dice.choice(asked))
        truth = Truth(kind, cluster.targets[target].name, "in", Layer(kind))
        rate = float(self._dice.choice([1.0, 0.5]))
        return self._made(f"{kind}_{rate:g}", truth, rate, np.flatnonzero(cluster.target == target), within_s=180)

    def _harmless(self, kind: str) -> Fault:
        node = self._node()
        which = self._rows(node) | self._columns(node)
        mute = np.flatnonzero(self._near.codes == node)
        if kind == "restart":
            return self._made(kind, None, 0.0, NONE, restart=True)
        if kind in {"cpu_hogs", "address_reuse"}:
            reason = Reason.ILL if kind == "cpu_hogs" else Reason.IDENTITY
            cells = which if kind == "cpu_hogs" else self._columns(node)
            return self._made(kind, None, float(self._dice.uniform(0.1, 0.9)), np.flatnonzero(cells), reason=reason)
        reason = Reason.SETTLING if kind == "scale" else Reason.LEAVING
        if kind == "rollout":  # a tenth of all at once
            some = self._dice.choice(self._cluster.nodes, max(1, self._cluster.nodes // 10), replace=False)
            which = np.isin(self._near.codes[self._cluster.source], some) | np.isin(self._far.codes[self._cluster.target], some)
            mute = np.flatnonzero(np.isin(self._near.codes, some))
        return self._made(kind, None, 1.0, np.flatnonzero(which), mute=mute, reason=reason)

    def _made(
        self, name: str, truth: Truth | None, rate: float, cells: Ints, *, mute: Ints = NONE, reason: Reason = Reason.JUDGED,
        restart: bool = False, within_s: float = 60.0,
    ) -> Fault:  # fmt: skip
        stop = self._start_s + within_s
        return Fault(name, truth, rate, cells, self._start_s, stop, mute, reason, restart=restart, within_s=within_s)

    def _patience(self, rate: float, which: Mask) -> float:
        """Seconds until some thirty losses are there."""
        probes = float((1000.0 / self._cluster.interval_ms[which]).sum())
        return float(min(max(60.0, 40.0 / (rate * max(probes, 1e-9))), 600.0))

    def _node(self) -> int:
        while True:
            node = int(self._dice.integers(self._cluster.nodes))
            if self._near.words[node] not in self._used:
                self._used.add(self._near.words[node])
                return node

    def _rows(self, node: int) -> Mask:
        result: Mask = self._near.codes[self._cluster.source] == node
        return result

    def _columns(self, node: int) -> Mask:
        result: Mask = self._far.codes[self._cluster.target] == node
        return result

    def _layer(self, layer: Layer) -> Mask:
        result: Mask = self._cluster.layer == LAYERS.index(layer)
        return result
