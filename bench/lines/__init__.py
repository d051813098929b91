"""The explicit table of measurements, in the order in which they run."""

from collections.abc import Callable
from functools import partial

from bench.lines.accuracy import Accuracy
from bench.lines.collector import Decoding, Taking
from bench.lines.collector_size import FullMesh, Standard
from bench.lines.exposition import Writing
from bench.lines.guest import Guest
from bench.lines.http import HttpCost
from bench.lines.icmp import IcmpCost
from bench.lines.loss import Loss
from bench.lines.plan import Planning
from bench.lines.tcp import TcpCost
from bench.lines.udp import UdpCost
from bench.measurement import Measurement

MEASUREMENTS: tuple[Callable[[], Measurement], ...] = (
    partial(IcmpCost, "1,000", count=1000, interval_ms=1000, smokeping_most=0.12),
    partial(IcmpCost, "5,000", count=5000, interval_ms=1000, smokeping_most=0.12, burst_most=1.8, quick=True),
    partial(IcmpCost, "10,000", count=1000, interval_ms=100, smokeping_most=0.35),
    UdpCost,
    TcpCost,
    HttpCost,
    Accuracy,
    Loss,
    Planning,
    Decoding,
    Writing,
    Taking,
    Standard,
    FullMesh,
    Guest,  # last, since its first round takes half an hour
)
