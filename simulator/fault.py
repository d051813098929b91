"""What a fault is: which probes it loses and which way, and what should be said of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from collector.verdict.cells import Ints, Reason
from wire.path import Layer

FORWARD: Final = 1
BACKWARD: Final = 2
"""Which packet of a probe gets lost: the request, or the reply."""
NONE: Final = np.zeros(0, np.int64)


class Truth(NamedTuple):
    """The one incident that a fault should open."""

    kind: str
    component: str
    direction: str
    layer: Layer


class Part(NamedTuple):
    """Cells that lose so much, in one direction. A fault of packets into a node has two: requests to it, and replies to it."""

    cells: Ints
    rate: float
    way: int = FORWARD


@dataclass(frozen=True, slots=True, eq=False)
class Fault:
    """From `start_s` to `stop_s`; where it flaps, in every other `flap_s`."""

    name: str
    truth: Truth | None
    """None for what is harmless."""
    parts: Sequence[Part]
    start_s: float
    stop_s: float
    mute: Ints = field(default_factory=lambda: NONE)
    """Sources whose reports do not arrive."""
    reason: Reason = Reason.JUDGED
    """Why its cells are not judged while it lasts."""
    flap_s: float = 0.0
    restart: bool = False
    """Whether the collector forgets everything at its start."""
    within_s: float = 60.0
    """How soon it should be said."""
    noticed_s: float = 0.0
    """How long the collector does not know the reason: a pod is gone before its deletion is heard of."""

    @property
    def rate(self) -> float:
        """The greatest loss of its parts."""
        return max((part.rate for part in self.parts), default=0.0)

    @property
    def cells(self) -> Ints:
        """All that it touches."""
        return np.unique(np.concatenate([NONE, *(part.cells for part in self.parts)]))

    def active(self, now_s: float) -> bool:
        """Whether it is there at a moment."""
        if not self.start_s <= now_s < self.stop_s:
            return False
        return not self.flap_s or int((now_s - self.start_s) / self.flap_s) % 2 == 0

    def excused(self, now_s: float) -> bool:
        """Whether the collector knows that its cells are not to be judged."""
        return self.reason is not Reason.JUDGED and now_s >= self.start_s + self.noticed_s and self.active(now_s)
