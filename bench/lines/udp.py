"""CPU per UDP probe: of the agent that sends STAMP packets, and of the agent whose reflector answers them.

Both are whole agents. The one that answers has a plan without paths; its pulse, its pages and its reports are in its figure.
"""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from bench import usage
from bench.agents import SETTLED_SECONDS, agent, plan_of
from bench.lines.icmp import MOST_LOST, QUICK_WINDOW_SECONDS, WARM_SECONDS, WINDOW_SECONDS
from bench.measurement import Bar, Spoilt
from bench.network import Network, targets
from wire.path import Udp

PATHS, INTERVAL_MS = 5000, 1000
PORT = 8620
SENDER = Bar("udp 5,000/s, sender", "µs/probe", 18)
REFLECTOR = Bar("udp 5,000/s, reflector", "µs/probe", 12)


class UdpCost:
    """5,000 paths, each once a second."""

    def __init__(self) -> None:
        self._network = Network("udp")

    @property
    def bars(self) -> tuple[Bar, ...]:
        """Both ends."""
        return SENDER, REFLECTOR

    def __enter__(self) -> Self:
        """Lay out the network."""
        self._network.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Take it down."""
        self._network.__exit__(kind, error, traceback)

    def round(self, *, quick: bool) -> Mapping[str, float]:
        """One run of both ends."""
        seconds = QUICK_WINDOW_SECONDS if quick else WINDOW_SECONDS
        plan = plan_of([(address, Udp(PORT)) for address in targets(PATHS)], interval_ms=INTERVAL_MS)
        idle = plan_of([], interval_ms=INTERVAL_MS)
        with agent(self._network.target, idle) as answering, agent(self._network.prober, plan) as sending:
            time.sleep(SETTLED_SECONDS + WARM_SECONDS)
            before = self._state(sending.pid, answering.pid)
            time.sleep(seconds)
            after = self._state(sending.pid, answering.pid)
            probes = sending.probes()
        sender_ns, reflector_ns, sent, answered = (later - sooner for later, sooner in zip(after, before, strict=True))
        if answered < sent * (1 - MOST_LOST):
            raise Spoilt(f"{sent} requests arrived and {answered} were answered; of all probes became {dict(probes)}")
        return {SENDER.name: sender_ns / 1000 / sent, REFLECTOR.name: reflector_ns / 1000 / sent}

    def _state(self, sender: int, reflector: int) -> tuple[int, int, int, int]:
        requests, replies = (usage.packets(reflector, "Udp", counter) for counter in ("InDatagrams", "OutDatagrams"))
        return usage.cpu_ns(sender), usage.cpu_ns(reflector), requests, replies
