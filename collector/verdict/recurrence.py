"""How often a pair of ends has lost something in a small cluster, counted over short spans that do not overlap.

In: the events of short spans that were looked at before, and a longer span. Out: of each of its events, in how many of them it
happened. A node of three has two others: so few pairs cannot show many events at once, but they can again and again, while a
burst is over in some seconds. The background is calibrated in such events. Large clusters have pairs enough, and some of these
are noisy for ever: there, an event of a long span counts once.
"""

from typing import Final

import numpy as np

from collector.verdict.candidates import CLASS_OF, CLASSES, Ground
from collector.verdict.cells import Ints
from collector.verdict.noise import Pair, Window

SMALL: Final = 12
"""Most nodes of a small cluster."""
KEPT_NS: Final = 300 * 10**9


def window(ground: Ground) -> Window:
    """What is remembered of a span."""
    pairs = frozenset(_pairs(ground)) if len(ground.frame.words) <= SMALL else frozenset[Pair]()
    return Window(ground.cells.start_ns, ground.cells.stop_ns, pairs)


def remembered(windows: tuple[Window, ...], latest: Window) -> tuple[Window, ...]:
    """With another one, which begins after all others have ended."""
    return (*(one for one in windows if one.start_ns > latest.stop_ns - KEPT_NS), latest)


def times(windows: tuple[Window, ...], latest: Window, ground: Ground) -> Ints:
    """In how many windows of a span each of its events happened, at least one; the latest is looked at now."""
    inside = [one for one in windows if ground.cells.start_ns <= one.start_ns and one.stop_ns <= latest.start_ns and one.pairs]
    if not inside or len(ground.frame.words) > SMALL:
        return np.ones(len(ground.events.source), np.int64)
    every = [*inside, latest]
    return np.array([max(1, sum(pair in one.pairs for one in every)) for pair in _pairs(ground)], np.int64)


def _pairs(ground: Ground) -> list[Pair]:
    cells, events = ground.cells, ground.events
    return [
        (
            cells.sources[source].node or cells.sources[source].name,
            cells.targets[target].node or cells.targets[target].name,
            word,
        )
        for source, target, word in zip(
            events.source.tolist(),
            events.target.tolist(),
            (CLASSES[number] for number in CLASS_OF[events.layer].tolist()),
            strict=True,
        )
    ]
