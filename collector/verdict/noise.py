"""The background: how often a path loses probes while nothing is wrong, by layer and directed zone pair.

In: how many events a span had, and out of how many probes. Out: the probability of an event per probe. An event is a pair of
ends that lost something on a layer in one span, however much it lost: losses of a pair come in bursts, so they are not
independent trials (Guo et al., Pingmesh, SIGCOMM 2015, count a double drop once). What a cause explains is no background.

The estimate is a mean over the last hour without its worst block, held up by a prior, so that a small cluster's silent hour is
not taken for a network that never loses anything.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from collector.verdict.cells import LAYERS, Cells, Ints, chunks
from collector.verdict.frame import grouping_of

Floats = NDArray[np.float64]

BLOCK_NS: Final = 300 * 10**9
BLOCKS: Final = 12
"""An hour."""
TRIMMED_FROM: Final = 4
"""As many blocks are needed before the worst is left out."""
PRIOR_PROBES: Final = 20_000.0
PRIOR: Final = 1e-4
"""Loss of a sound network with some noise, believed as much as so many probes."""
FLOOR: Final = 1e-5
MOST_DISPERSION: Final = 4.0
DISPERSION_PRIOR: Final = 50.0

FADE: Final = 0.999
"""Of the spread, from pass to pass: it is remembered for some hours."""

Zones = tuple[str, str]


class Block(NamedTuple):
    """Five minutes of one layer and directed zone pair."""

    number: int
    events: float = 0.0
    probes: float = 0.0


Pair = tuple[str, str, str]
"""Two nodes, or names of what has none, and a class of layers."""


class Window(NamedTuple):
    """A short span, and the pairs that lost something in it, where so many are remembered."""

    start_ns: int
    stop_ns: int
    pairs: frozenset[Pair]


class Noise(NamedTuple):
    """All that is remembered."""

    blocks: dict[tuple[int, Zones], tuple[Block, ...]]
    square: float = 0.0
    """Sum over nodes and passes of the squared, scaled distance between events and their expected number (Pearson)."""
    degrees: float = 0.0
    """How many terms that sum has."""
    until_ns: int = 0
    """End of the last span that was learned from."""
    windows: tuple[Window, ...] = ()
    """The last of them, one after the other; see `recurrence`."""

    @property
    def dispersion(self) -> float:
        """By how much events spread more than independent ones would: 1 or more."""
        value = (self.square + DISPERSION_PRIOR) / (self.degrees + DISPERSION_PRIOR)
        return min(max(1.0, value), MOST_DISPERSION)


SILENCE: Final = Noise({})
"""Before anything was measured."""


def groups(cells: Cells, here: slice = slice(None)) -> Ints:
    """Of each cell the number of its layer and directed zone pair, in 0 to `size(cells) - 1`."""
    return grouping_of(cells.sources, cells.targets).of(cells.source[here], cells.target[here], cells.layer[here])


def present(cells: Cells) -> Ints:
    """The groups that occur."""
    counts = np.zeros(size(cells), np.int64)
    for here in chunks(len(cells)):
        counts += np.bincount(groups(cells, here), minlength=len(counts))
    return np.flatnonzero(counts).astype(np.int64)


def size(cells: Cells) -> int:
    """Number of groups that there may be."""
    return len(LAYERS) * (len(cells.sources.zones.words) + 1) * (len(cells.targets.zones.words) + 1)


def _key(cells: Cells, group: int) -> tuple[int, Zones]:
    ahead, behind = cells.sources.zones.words, cells.targets.zones.words
    rest, second = divmod(group, len(behind) + 1)
    layer, first = divmod(rest, len(ahead) + 1)
    return layer, ("" if first == 0 else ahead[first - 1], "" if second == 0 else behind[second - 1])


def rates(noise: Noise, cells: Cells, present: Ints) -> Floats:
    """Events per probe of each group; `present` are the groups that occur, the others get the floor."""
    result = np.full(size(cells), FLOOR)
    by_layer: dict[int, tuple[float, float]] = {}
    for (layer, _), blocks in noise.blocks.items():
        events, probes = _trimmed(blocks)
        before = by_layer.get(layer, (0.0, 0.0))
        by_layer[layer] = before[0] + events, before[1] + probes
    for group in present.tolist():
        layer, zones = _key(cells, group)
        events, probes = by_layer.get(layer, (0.0, 0.0))
        whole = (events + PRIOR * PRIOR_PROBES) / (probes + PRIOR_PROBES)
        own_events, own_probes = _trimmed(noise.blocks.get((layer, zones), ()))
        result[group] = max(FLOOR, (own_events + whole * PRIOR_PROBES) / (own_probes + PRIOR_PROBES))
    return result


def learned(noise: Noise, cells: Cells, events: Floats, probes: Floats, *, spread: tuple[float, float]) -> Noise:
    """The memory after another span; arrays are by group, `spread` adds to `square` and `degrees`. An hour is kept."""
    number = cells.stop_ns // BLOCK_NS
    blocks = dict(noise.blocks)
    for group in np.flatnonzero(probes).tolist():
        key = _key(cells, group)
        kept = blocks.get(key, ())
        last = kept[-1] if kept and kept[-1].number == number else Block(number)
        older = tuple(block for block in kept if number - BLOCKS < block.number < number)
        blocks[key] = (*older, Block(number, last.events + events.item(group), last.probes + probes.item(group)))
    blocks = {key: kept for key, kept in blocks.items() if kept[-1].number > number - BLOCKS}
    return Noise(blocks, noise.square * FADE + spread[0], noise.degrees * FADE + spread[1], cells.stop_ns)


def _trimmed(blocks: tuple[Block, ...]) -> tuple[float, float]:
    """Events and probes without the worst block."""
    kept = list(blocks)
    if len(kept) >= TRIMMED_FROM:
        kept.remove(max(kept, key=lambda block: block.events / max(block.probes, 1.0)))
    return sum(block.events for block in kept), sum(block.probes for block in kept)
