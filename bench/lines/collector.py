"""What one report costs the collector: decoded and applied in this process, and taken over TLS by a process of its own."""

import json
import statistics
import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

import msgspec

from bench.cluster import Cluster, inventory
from bench.load_agent import HEALTH
from bench.load_windows import Windows
from bench.measurement import Bar, Spoilt
from collector.discovery.static import parse_inventory
from collector.matrix.store import Matrix
from collector.plan.compose import compose
from collector.settings import MatrixSettings, PlanSettings
from wire.codec import decode_report, encode
from wire.report import Report

SECOND_NS: Final = 1_000_000_000
ENTRIES: Final = 5000
RATE: Final = 500
EACH: Final = 200


class Decoding:
    """One report of 5,000 entries: decode and apply, on a matrix of one row."""

    LINE: Final = f"collector: decode and apply a report of {ENTRIES:,} entries"
    bars = (Bar(LINE, "µs", 400),)

    def __enter__(self) -> Self:
        """Plan a full mesh that is large enough, and lay one row of it."""
        settings = msgspec.convert({"full_mesh_nodes": 2000, "kinds": {"icmp": 1, "udp": 1, "tcp": 1, "http": 1}}, PlanSettings)
        snapshot = parse_inventory(json.dumps(inventory(ENTRIES // 4 + 1, services=0, external=0)), name="bench")
        plans = compose(snapshot, settings, instance=1, generation=1, keys=())
        plan = plans.plan("node-0")
        self._windows = Windows(plan, entries=ENTRIES)
        self._matrix = Matrix(max_bytes=MatrixSettings().max_bytes, stale_after_ns=30 * SECOND_NS)
        self._matrix.replan(snapshot, plans)
        self._matrix.lay("node-0", plan)
        self._sequence = 0
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Nothing stays behind."""

    def round(self, *, quick: bool) -> Mapping[str, float]:
        """The median CPU time of many, in the order in which they would come."""
        taken = []
        for _ in range(20 if quick else 100):
            self._sequence += 1
            body = encode(self._report(self._sequence))
            began = time.process_time_ns()
            self._matrix.apply(decode_report(body), arrived_ns=self._sequence * 10 * SECOND_NS, counted=True)
            taken.append(time.process_time_ns() - began)
        return {self.LINE: statistics.median(taken) / 1000}

    def _report(self, sequence: int) -> Report:
        return Report(
            vantage="node-0",
            instance=1,
            boot=b"b" * 16,
            sequence=sequence,
            acknowledged=sequence - 1,
            generation=1,
            span_ns=10 * SECOND_NS,
            age_ns=0,
            columns=self._windows.columns(sequence),
            health=HEALTH,
        )


class Taking:
    """500 reports a second of 200 entries each, over TLS with keys: the whole process, replies included."""

    LINE: Final = f"collector: {RATE} reports/s of {EACH} entries over TLS with keys"
    bars = (Bar(LINE, "cores", 0.25),)

    def __enter__(self) -> Self:
        """Nothing yet: what plays agents would not be idle between rounds."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Nothing stays behind."""

    def round(self, *, quick: bool) -> Mapping[str, float]:
        """As many agents as reports a second, each with one a second. Raises Spoilt where they were fewer, or smaller."""
        seconds = 10 if quick else 30
        with ExitStack() as stack:
            # Many rotating peers, so that every plan has enough paths; and no other slot within the measurement.
            cluster = stack.enter_context(
                Cluster(RATE, plan={"report": "1s", "peers": 40, "rotation": {"peers": 40, "slot": "1h"}})
            )
            played = stack.enter_context(cluster.load("rate", seconds=seconds + 15, every=1, entries=EACH, ramp=3))
            played.wait(3, seconds=120)
            began, cpu, first = time.monotonic(), cluster.cpu_seconds, len(played.said())
            time.sleep(seconds)
            cores = (cluster.cpu_seconds - cpu) / (time.monotonic() - began)
            said = played.said()[first:]
        rate = statistics.mean(line["reports_per_second"] for line in said)
        entries = statistics.mean(line["entries_per_report"] or 0 for line in said)
        if rate < 0.98 * RATE or entries < EACH:
            raise Spoilt(f"{rate:.0f} reports/s of {entries:.0f} entries")
        return {self.LINE: cores * RATE / rate}
