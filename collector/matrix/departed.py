"""Last results of cells that left the plan, in little and bounded memory: the oldest leave first.

Where peers rotate, most pairs are out of the plan at any time. A row keeps what its last cells ended with, 29 bytes each.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from collector.matrix.histograms import Ids, Ints, Mask
from collector.matrix.slab import Slab

KIND: Final = np.dtype(
    [
        ("id", np.uint64),
        ("aim", np.int32),
        ("ask", np.int32),
        ("end_ns", np.int64),
        ("sent", np.uint16),
        ("lost", np.uint16),
        ("place", np.uint8),
    ]
)
"""`place` is the histogram place, plus one, of a latency of its last steps, 0 for none."""

Departed = NDArray[np.void]
NONE: Final[Departed] = np.zeros(0, KIND)


def departed(slab: Slab, room: slice, cells: Ints, slots: Ints) -> Departed:
    """What the cells at these places of a room ended with, those left out that never had a window; `slots` newest first."""
    cells = cells[slab.last_sent[room][cells] > 0] + room.start
    result = np.zeros(len(cells), KIND)
    for name, column in (
        ("id", slab.ids),
        ("aim", slab.aim),
        ("ask", slab.ask),
        ("end_ns", slab.good_ns),
        ("sent", slab.last_sent),
        ("lost", slab.last_lost),
    ):
        result[name] = column[cells]
    if len(cells) and len(slots):
        places = slab.step_place[:, cells][slots]
        newest = np.argmax(places > 0, axis=0)
        result["place"] = places[newest, np.arange(len(cells))]
    return result


def joined(before: Departed, more: Departed, gone: Mask, *, most: int) -> Departed:
    """Those of before that are not `gone` and then the others, the last `most` of them."""
    if not len(more) and not gone.any() and len(before) <= most:
        return before
    together: Departed = np.concatenate([before[~gone], more])[-most:] if most else NONE
    return together


def superseded(before: Departed, ids: Ids) -> Mask:
    """Which of them are cells again."""
    return np.isin(before["id"], ids)
