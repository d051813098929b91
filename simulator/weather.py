"""How a sound network loses probes: a little everywhere, unevenly; noisy pairs in bursts; a blip of one node now and then."""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from collector.verdict.cells import Ints
from simulator.cluster import Cluster
from simulator.fault import BACKWARD, FORWARD

MOST: Final = 8.0
"""How much worse than the mean a node may be."""


class Lost(NamedTuple):
    """Places of cells, one as often as it lost, and which packet of the probe it was."""

    places: Ints
    ways: Ints

    def with_(self, places: Ints, ways: Ints) -> "Lost":
        """These and others."""
        return Lost(np.concatenate([self.places, places]), np.concatenate([self.ways, ways]))


@dataclass(frozen=True, slots=True)
class Weather:
    """A sound network."""

    base: float = 3e-5
    """Of every probe, on average over nodes: some are several times worse than others."""
    uneven: float = 0.5
    """Shape of the gamma distribution of nodes; the smaller, the more uneven."""
    noisy: float = 0.01
    """Share of the pairs of nodes that are noisy, in one direction: a chain of two states."""
    bad: float = 0.3
    """Loss of a noisy pair in its bad state."""
    begins_s: float = 165.0
    """Mean time between bad states."""
    lasts_s: float = 6.0
    blip_s: float = 7200.0
    """Mean time between blips: a node loses a third of everything for a second and a half."""
    blip: float = 0.33
    blip_lasts_s: float = 1.5


class Sky:
    """The weather over one cluster."""

    def __init__(self, cluster: Cluster, dice: np.random.Generator, weather: Weather) -> None:
        self._cluster, self._dice, self._weather = cluster, dice, weather
        near, far = cluster.sources.nodes.codes[cluster.source], cluster.targets.nodes.codes[cluster.target]
        self._near, self._far = near, far
        nodes = np.minimum(dice.gamma(weather.uneven, 1 / weather.uneven, cluster.nodes + 1), MOST)
        self._worse = ((nodes[near] + nodes[far]) / 2).astype(np.float32)
        wide = cluster.nodes + 1
        ahead = np.where(far >= 0, near * wide + far, -1)
        back = np.where(far >= 0, far * wide + near, -1)
        pairs = np.unique(ahead[(ahead >= 0) & (near != far)])
        chosen = np.sort(dice.choice(pairs, int(len(pairs) * weather.noisy + dice.random()), replace=False))
        self._bad = np.zeros(len(chosen), np.bool_)
        parts = [(np.flatnonzero(np.isin(code, chosen)), code, way) for code, way in ((ahead, FORWARD), (back, BACKWARD))]
        self._cells = np.concatenate([cells for cells, _, _ in parts])
        self._chain = np.concatenate([np.searchsorted(chosen, code[cells]) for cells, code, _ in parts])
        self._ways = np.concatenate([np.full(len(cells), way) for cells, _, way in parts])

    def losses(self, sent: Ints, step_s: float) -> Lost:
        """What gets lost in a step."""
        dice, weather = self._dice, self._weather
        until = np.cumsum(sent)
        asked = int(until[-1]) if len(until) else 0
        some = np.searchsorted(until, dice.integers(max(asked, 1), size=dice.poisson(weather.base * MOST * asked)), "right")
        some = some[dice.random(len(some)) * MOST < self._worse[some]]
        lost = Lost(some, dice.integers(FORWARD, BACKWARD + 1, len(some)))
        turns = dice.random(len(self._bad))
        ends, begins = 1 - np.exp(-step_s / weather.lasts_s), 1 - np.exp(-step_s / weather.begins_s)
        self._bad = np.where(self._bad, turns >= ends, turns < begins)
        here = np.flatnonzero(self._bad[self._chain])
        counts = dice.binomial(sent[self._cells[here]], weather.bad)
        lost = lost.with_(np.repeat(self._cells[here], counts), np.repeat(self._ways[here], counts))
        if weather.blip and dice.random() < step_s / weather.blip_s:
            lost = lost.with_(*self._blip(sent, weather.blip * min(1.0, weather.blip_lasts_s / step_s)))
        return lost

    def _blip(self, sent: Ints, rate: float) -> Lost:
        node = int(self._dice.integers(self._cluster.nodes))
        cells = np.flatnonzero((self._near == node) | (self._far == node))
        cells = np.repeat(cells, self._dice.binomial(sent[cells], rate))
        return Lost(cells, self._dice.integers(FORWARD, BACKWARD + 1, len(cells)))


CALM: Final = Weather(base=0.0, noisy=0.0, blip=0.0)
"""No noise at all."""
