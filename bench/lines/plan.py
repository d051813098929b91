"""Plans of 5,000 nodes: all that is decided at once, and the plan of one vantage, made when it is asked for.

Three zones, an agent on each node, 100 services, 4 name servers and 5 external hosts, at the defaults; budgets included.
"""

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Final, Self

from bench.measurement import Bar
from collector.discovery.snapshot import DnsServer, External, Node, Service, Snapshot, Vantage
from collector.plan.compose import Plans, compose, rotated
from collector.settings import PlanSettings

NODES: Final = 5000
MADE: Final = 200
"""Plans of single vantages in a round."""


class Planning:
    """Time on the clock, in one thread."""

    ALL: Final = "plan: 5,000 nodes"
    DUAL: Final = "plan: 5,000 nodes, dual stack"
    ONE: Final = "plan: one vantage of 5,000"
    ONE_DUAL: Final = "plan: one vantage of 5,000, dual stack"
    SLOT: Final = "plan: next slot of 5,000 nodes"
    bars = (
        Bar(ALL, "s", 1),
        Bar(DUAL, "s", None),
        Bar(ONE, "ms", 3),
        Bar(ONE_DUAL, "ms", None),
        Bar(SLOT, "s", None),
    )

    def __enter__(self) -> Self:
        """Make the snapshots, which is discovery's business."""
        self._single, self._dual = snapshot(NODES, dual=False), snapshot(NODES, dual=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Nothing stays behind."""
        del self._single, self._dual

    def round(self, *, quick: bool) -> Mapping[str, float]:  # noqa: ARG002 - a round takes two seconds
        """Every figure."""
        single, all_seconds = _composed(self._single)
        dual, dual_seconds = _composed(self._dual)
        began = time.perf_counter()
        rotated(single, generation=2, keys=(), slot=1)
        slot_seconds = time.perf_counter() - began
        return {
            self.ALL: all_seconds,
            self.DUAL: dual_seconds,
            self.ONE: _one_ms(single),
            self.ONE_DUAL: _one_ms(dual),
            self.SLOT: slot_seconds,
        }


def snapshot(nodes: int, *, dual: bool) -> Snapshot:
    """A cluster of so many nodes."""

    def addresses(four: str, six: str) -> tuple[str, ...]:
        return (four, six) if dual else (four,)

    numbers = range(1, nodes + 1)
    places = {number: f"{number // 250}.{1 + number % 250}" for number in numbers}
    return Snapshot(
        nodes=tuple(
            Node(name=f"node-{i}", zone=f"zone-{i % 3}", addresses=addresses(f"172.16.{places[i]}", f"fd30::{i:x}"))
            for i in numbers
        ),
        vantages=tuple(
            Vantage(
                name=f"node-{i}",
                node=f"node-{i}",
                namespace="netmatrix",
                pod=f"agent-{i}",
                uid=f"00000000-0000-4000-8000-{i:012}",
                addresses=addresses(f"10.30.{places[i]}", f"fd31::{i:x}"),
            )
            for i in numbers
        ),
        services=tuple(
            Service(name=f"s{i}", namespace="shop", addresses=addresses(f"10.96.0.{i}", f"fd96::{i:x}"), port=80, endpoints=2)
            for i in range(1, 101)
        ),
        external=tuple(External(name=f"e{i}", host=f"e{i}.example.test", probes=("icmp", "tcp:443")) for i in range(5)),
        dns=tuple(
            DnsServer(
                name=f"d{i}",
                addresses=addresses(f"10.96.1.{i}", f"fd96:1::{i:x}"),
                names=("kubernetes.default.svc.cluster.local.",),
            )
            for i in range(1, 5)
        ),
    )


def _composed(subject: Snapshot) -> tuple[Plans, float]:
    began = time.perf_counter()
    plans = compose(subject, PlanSettings(), instance=1, generation=1, keys=())
    return plans, time.perf_counter() - began


def _one_ms(plans: Plans) -> float:
    chosen = plans.vantages[:: len(plans) // MADE][:MADE]
    began = time.perf_counter()
    for name in chosen:
        plans.plan(name)
    return (time.perf_counter() - began) * 1000 / len(chosen)
