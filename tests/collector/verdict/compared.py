"""Two namespaces with a vantage each beside the agents, policies and declarations, and reports of whatever a test wants."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np

from collector.derivation import ExpectSettings
from collector.discovery.canary import canary_wants
from collector.discovery.snapshot import Node, Snapshot, Vantage
from collector.expectation.document import declared
from collector.expectation.wants import Wants
from collector.matrix.slices import finished
from collector.matrix.store import Matrix
from collector.plan.compose import compose
from collector.policy.document import policy_of
from collector.policy.rules import Policy
from collector.settings import PlanSettings
from collector.verdict.comparison import Comparer, Comparison
from collector.verdict.explained import rows
from collector.verdict.reading import Reader
from tests.collector.small_cluster import SECOND, report_of, window
from wire.outcome import Outcome
from wire.path import Path
from wire.window import Flag

Says = Callable[[Path], Outcome | None]
"""What becomes of the probes of a path: a word, or None where they are answered."""

SHUT = {
    "metadata": {"name": "shut", "namespace": "pay"},
    "spec": {"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]}]},
}


def policy(document: Mapping[str, Any]) -> Policy:
    found = policy_of({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", **document})
    assert isinstance(found, Policy)
    return found


def vantage(number: int, node: str, namespace: str, **options: Any) -> Vantage:
    return Vantage(f"{namespace}-{node}", node, namespace, f"pod-{number}", (f"10.30.0.{number}",), uid=f"u{number}", **options)


SNAPSHOT = Snapshot(
    nodes=(Node("n1", "z1"), Node("n2", "z2")),
    vantages=(vantage(1, "n1", "shop"), vantage(2, "n2", "pay"), vantage(3, "n1", "pay"), vantage(4, "n2", "ops")),
)


def with_policies(*documents: Mapping[str, Any], expectations: tuple[Mapping[str, Any], ...] = ()) -> Snapshot:
    return msgspec.structs.replace(
        SNAPSHOT,
        policies=tuple(policy(one) for one in documents),
        expectations=tuple(declared(one) for one in expectations),
    )


class Watched:
    """A cluster that is probed each second, and compared when asked."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.now_ns = 1000 * SECOND
        self.matrix = Matrix(max_bytes=10**8, stale_after_ns=3 * SECOND)
        self.replan(snapshot, generation=1)
        self.takes: Callable[[Path], int] = lambda _: 50_000
        """Latency of what is answered, in nanoseconds."""
        self.translated: set[str] = set()
        """Vantages whose address others see as another."""
        self.comparer, self.reader = Comparer(ExpectSettings), Reader()

    def replan(self, snapshot: Snapshot, *, generation: int) -> None:
        """Another snapshot, and the plans that follow from it."""
        self.snapshot = snapshot
        wants = Wants(tuple(canary_wants(snapshot)))
        self.plans = compose(snapshot, PlanSettings(), instance=1, generation=generation, keys=(), wants=wants)
        self.matrix.replan(snapshot, self.plans)
        for name in self.plans.vantages:
            self.matrix.lay(name, self.plans.plan(name))

    def change(self, snapshot: Snapshot) -> None:
        """Another snapshot, for which nobody has another plan."""
        self.matrix.exclude(snapshot)

    def seconds(self, count: int, says: Says = lambda _: None) -> Comparison:
        """Let time pass and look at its end."""
        for _ in range(count):
            self.now_ns += SECOND
            for name in self.plans.vantages:
                windows = []
                for planned in self.plans.plan(name).paths:
                    word = says(planned.path)
                    failed = window(planned.path.id, failed={word: 1}) if word is not None else None
                    flags = Flag.NAT if name in self.translated else Flag.NONE
                    windows.append(failed or window(planned.path.id, [self.takes(planned.path)], flags=flags))
                self.matrix.apply(report_of(name, windows, span_ns=SECOND), arrived_ns=self.now_ns, counted=True)
        return self.look()

    def look(self) -> Comparison:
        heard = dict.fromkeys(self.plans.vantages, self.now_ns)
        sample = finished(self.reader.sample_in_slices(self.matrix, self.now_ns, heard=heard, leaving=frozenset()))
        return self.comparer.look(sample, wall_ns=self.now_ns)


def between(one: Comparison, source: str, target: str, kind: str = "tcp") -> dict[str, Any]:
    """The row of a cell between two namespaces."""
    return next(
        row
        for row in rows(one, np.arange(len(one.sample)))
        if (row["from"]["namespace"], row["to"]["namespace"], row["kind"], row["layer"]) == (source, target, kind, "pod")
    )


def into(namespace: str, word: Outcome = Outcome.TIMEOUT, *, source: str = "shop") -> Says:
    """What comes from one namespace into another fails."""
    return lambda path: word if path.vantage.startswith(source) and path.target.name.startswith(f"pod/{namespace}/") else None
