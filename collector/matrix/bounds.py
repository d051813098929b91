"""What is believed of a window, and what codes this version knows."""

from typing import Final

import numpy as np

from collector.matrix.histograms import UPPER
from wire.burst import MAX_PACKETS, MINUTE_NS
from wire.outcome import Outcome
from wire.window import Measure

MAX_COUNT: Final = 2**31 - 1
"""More than this of anything in one window is absurd."""
MAX_VALUE: Final = 2**53
"""Largest measure that is believed; sums of them stay exact and far from an overflow."""
SECOND: Final = 1_000_000_000
SECOND_MS: Final = 1000
LONGEST_NS: Final = 60 * SECOND
"""Nobody waits longer for an answer (wire.plan)."""
MILLISECOND: Final = 1_000_000

KNOWN_OUTCOMES: Final = np.isin(np.arange(256), [int(outcome) for outcome in Outcome])
KNOWN_MEASURES: Final = np.isin(np.arange(256), [int(measure) for measure in Measure])

AT_LEAST: Final = np.concatenate(([-1.0, -1.0], UPPER[:-2]))
AT_MOST: Final = np.concatenate((UPPER[1:-1], [np.inf, np.inf]))
"""Of each place, the upper bounds two places below and one above: between them are the latencies of it and its neighbours."""


def bursts(span_ns: int) -> int:
    """Most probes of a path in bursts."""
    return MAX_PACKETS * (2 + span_ns // MINUTE_NS)


def believed(span_ns: int) -> int:
    """So many probes of a path in a window are always believed: two a second, since an older plan may have had one."""
    return 2 * (span_ns // SECOND) + bursts(span_ns)
