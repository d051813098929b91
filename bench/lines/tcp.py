"""CPU per TCP probe, next to blackbox_exporter's tcp prober."""

from functools import partial

from bench.connecting import ConnectingCost

TcpCost = partial(ConnectingCost, "tcp", 2000, most=0.2)
