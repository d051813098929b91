"""The explicit table of measurements, in the order in which they run."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from bench.lines.accuracy import Accuracy
from bench.lines.collector import Decoding, Taking
from bench.lines.collector_size import FullMesh, Standard
from bench.lines.exposition import Writing
from bench.lines.guest import Guest
from bench.lines.http import HttpCost
from bench.lines.icmp import IcmpCost
from bench.lines.loss import Loss
from bench.lines.page import Page
from bench.lines.plan import Planning
from bench.lines.tcp import TcpCost
from bench.lines.udp import UdpCost
from bench.measurement import Measurement

ROUNDS = 5
FEW_ROUNDS = 3
"""Of what takes minutes."""


class Entry(NamedTuple):
    """A measurement's place in the whole."""

    make: Callable[[], Measurement]
    rounds: int = ROUNDS
    """How many rounds it takes part in, where nobody asks for a number."""
    quick: bool = False
    """Whether the short form has it, which is to end within three minutes."""


MEASUREMENTS = (
    Entry(partial(IcmpCost, "1,000", count=1000, interval_ms=1000, smokeping_most=0.12)),
    Entry(partial(IcmpCost, "5,000", count=5000, interval_ms=1000, smokeping_most=0.12, burst_most=1.8), quick=True),
    Entry(partial(IcmpCost, "10,000", count=1000, interval_ms=100, smokeping_most=0.35)),
    Entry(UdpCost, quick=True),
    Entry(TcpCost),
    Entry(HttpCost),
    Entry(Accuracy, quick=True),
    Entry(Loss, rounds=1, quick=True),  # 800,000 probes, which must all be accounted for
    Entry(Planning, quick=True),
    Entry(Decoding, quick=True),
    Entry(Writing, quick=True),
    Entry(Taking, rounds=FEW_ROUNDS),
    Entry(Standard, rounds=FEW_ROUNDS),
    Entry(FullMesh, rounds=FEW_ROUNDS),
    Entry(Page, rounds=FEW_ROUNDS),
    Entry(Guest, rounds=FEW_ROUNDS, quick=True),  # last, since its first round takes half an hour
)
