"""What an agent reports as lost, next to the packets that were really dropped: not one more and not one less.

One agent probes over icmp and udp at once, and reports to a collector; a link drops requests and answers at random and counts
them. After each share of drops the link is left whole until all that is open has been judged and reported, so that the counts
are of the same probes.
"""

import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import usage
from bench.agents import PLAN_PORT, SETTLED_SECONDS, Agent, agent, plan_of
from bench.dropping import Dropped, DroppingLink
from bench.measurement import Bar, Spoilt
from bench.network import Network, targets
from bench.programs import binary
from bench.totals import Totals, since
from bench.totals_server import reported
from wire.path import Icmp, Kind, Udp

SHARES = {"0": 0, "0.1": 1, "1": 10, "10": 100}
"""In percent, and in thousandths; of the requests, and of the answers as well."""
COUNT, INTERVAL_MS = 1000, 250
PER_SECOND = COUNT * 1000 // INTERVAL_MS
"""Probes of each kind; a reflector answers 5,000 a second."""
PROBES, QUICK_PROBES = 100_000, 5_000
QUICK_SHARES = frozenset({"1"})
UDP_PORT = 8620
REPORT_MS = 2000
WARM_SECONDS = 1.5
"""Until every session has had an answer: what was lost before that has no direction."""
SETTLING_NS = 3_000_000_000
"""A probe is given up after one second; a direction is known from an answer to a probe that left another second later."""
ATTEMPTS = 3
"""How often a share is measured, until no probe was out while the agent's own process stood still."""
MOST_PAUSED = 0.01
"""Share of the probes that may not be judged in the last attempt; losses by direction are exact even so."""
PATIENCE_NS = 20_000_000_000
PATIENCE_SECONDS = 10.0
"""And four times as long as it should take: a machine with other work sends fewer probes, which is no loss."""


class Loss:
    """Differences in packets, each of which must be none."""

    def __init__(self) -> None:
        self._network = Network("loss")
        self._stack = ExitStack()
        self._bars = {
            (kind, share): Bar(f"{kind} lost vs dropped, {share} %", "packets", 0)
            for kind in (Kind.ICMP, Kind.UDP)
            for share in SHARES
        }
        self._forward = Bar("udp lost forward vs dropped", "packets", 0)
        self._backward = Bar("udp lost backward vs dropped", "packets", 0)

    @property
    def bars(self) -> tuple[Bar, ...]:
        """For each kind at each share of drops; and by direction, added up over all shares."""
        return (*self._bars.values(), self._forward, self._backward)

    def __enter__(self) -> Self:
        """Lay out the network."""
        binary("nft", "nftables")
        with ExitStack() as stack:
            stack.enter_context(self._network)
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-loss-")))
            self._link = DroppingLink(self._network, UDP_PORT)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Take it down."""
        self._stack.close()

    def round(self, *, quick: bool) -> Mapping[str, float]:
        """One share of drops after the other, with the same agents."""
        probes = QUICK_PROBES if quick else PROBES
        asks = [(address, ask) for ask in (Icmp(), Udp(UDP_PORT)) for address in targets(COUNT)]
        plan = plan_of(asks, interval_ms=INTERVAL_MS, report_ms=REPORT_MS)
        figures: dict[str, float] = {self._forward.name: 0, self._backward.name: 0}
        with (
            agent(self._network.target, plan_of([], interval_ms=1000)) as answering,
            agent(self._network.prober, plan, collector="bench.totals_server"),
        ):
            time.sleep(SETTLED_SECONDS + WARM_SECONDS)
            for share, thousandths in SHARES.items():
                if quick and share not in QUICK_SHARES:
                    continue
                counted, dropped = self._whole_share(thousandths, probes, answering)
                for kind, one in counted.items():
                    figures[self._bars[kind, share].name] = beyond(one, sum(dropped[kind]))
                figures[self._forward.name] += abs(counted[Kind.UDP].forward_lost - dropped[Kind.UDP].forward)
                figures[self._backward.name] += abs(counted[Kind.UDP].backward_lost - dropped[Kind.UDP].backward)
        return figures

    def _whole_share(self, thousandths: int, probes: int, answering: Agent) -> tuple[dict[Kind, Totals], dict[Kind, Dropped]]:
        """As `_share`, of probes that were all judged where the machine allows it, and nearly all of them in any case."""
        for _ in range(ATTEMPTS):
            counted, dropped = self._share(thousandths, probes, answering)
            if not any(one.paused for one in counted.values()):
                return counted, dropped
        if any(one.paused > MOST_PAUSED * probes for one in counted.values()):
            raise Spoilt(f"the agent's own process stood still: {counted}")
        return counted, dropped

    def _share(self, thousandths: int, probes: int, answering: Agent) -> tuple[dict[Kind, Totals], dict[Kind, Dropped]]:
        """What was reported as lost, and what was dropped: by the link, or by the kernel of the side that is asked."""
        before, dropped, refused = self._settled(), self._link.dropped(), _refused(answering)
        self._link.drop(thousandths)
        self._wait_for(probes, answering)
        self._link.drop(0)
        after = self._settled()
        refused = _refused(answering) - refused
        return since(before, after), {
            kind: Dropped(
                until.forward - dropped[kind].forward + (refused if kind is Kind.UDP else 0),
                until.backward - dropped[kind].backward,
            )
            for kind, until in self._link.dropped().items()
        }

    def _wait_for(self, probes: int, answering: Agent) -> None:
        """Wait until so many requests of each kind have come through."""
        begun, deadline = _arrived(answering), time.monotonic() + PATIENCE_SECONDS + 4 * probes / PER_SECOND
        while any(now - before < probes for now, before in zip(_arrived(answering), begun, strict=True)):
            if time.monotonic() > deadline:
                raise Spoilt(f"the machine had no time for {probes} requests of each kind")
            time.sleep(0.1)

    def _settled(self) -> dict[Kind, Totals]:
        """The totals of all that was sent until now, once it has been judged and reported."""
        settled_ns = time.monotonic_ns() + SETTLING_NS
        deadline_ns = settled_ns + PATIENCE_NS
        while (state := reported(self._network.prober, PLAN_PORT)).through_ns < settled_ns:
            if time.monotonic_ns() > deadline_ns:
                raise Spoilt("the agent does not report")
            time.sleep(0.1)
        return state.totals


def beyond(counted: Totals, dropped: int) -> int:
    """By how many packets a count of losses is wrong, whatever became of the probes that the agent says it cannot judge."""
    return max(counted.lost - dropped, dropped - counted.lost - counted.paused, 0)


def _refused(answering: Agent) -> int:
    """Requests that found the reflector's buffer full, on a machine that had no time for it."""
    return usage.packets(answering.pid, "Udp", "RcvbufErrors")


def _arrived(answering: Agent) -> tuple[int, int]:
    """Requests over icmp and over udp that have come through the link."""
    return usage.packets(answering.pid, "Icmp", "InEchos"), usage.packets(answering.pid, "Udp", "InDatagrams")
