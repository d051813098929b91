"""CPU per HTTP probe on a connection of its own, with its phases, next to blackbox_exporter's http prober."""

from functools import partial

from bench.connecting import ConnectingCost

HttpCost = partial(ConnectingCost, "http", 1000, most=0.25)
