"""The collector of a large cluster, as a process of its own with every agent connected: CPU, memory, answers, metrics.

One round starts it, lets all agents connect at once, lets the matrix fill, measures, restarts it under all its agents, and ends
it: nothing runs between rounds. Memory is that of the whole process, with a TLS connection for each agent.
"""

import itertools
import json
import re
import statistics
import time
import urllib.error
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Final, Self

from bench.cluster import Cluster, Played
from bench.measurement import Bar, Spoilt
from collector.settings import PlanSettings

NODES: Final = 5000
FEW: Final = 300
"""Of the short form."""
FULL_SECONDS: Final = 330
"""Longer than what is kept of single windows: from then on memory grows no more."""
MEASURED_SECONDS: Final = 60
DIMENSIONS: Final = ("vantage", "node", "zone", "namespace", "service", "target", "layer", "kind", "family")
TOO_MUCH: Final = 400
BETWEEN_PASSES: Final = 12
"""Seconds between two looks at what a pass took: longer than between two passes."""
_JUDGING: Final = re.compile(rb"^netmatrix_judging_seconds (\S+)$", re.MULTILINE)


class Standard:
    """5,000 agents at the standard plan."""

    CPU: Final = "collector: CPU, 5,000 agents at the standard plan"
    MEMORY: Final = "collector: resident memory, 5,000 nodes at the standard plan"
    GROUP: Final = "collector: slowest group-by at 5,000 nodes"
    ROW: Final = "collector: slowest row at 5,000 nodes"
    WORST: Final = "collector: worst 100 at 5,000 nodes"
    SCRAPE: Final = "collector: /metrics at 5,000 nodes"
    SERIES: Final = "collector: series per node at 5,000 nodes"
    VERDICT: Final = "verdict: one pass of verdict and cause at 5,000 nodes"
    TARGET: Final = "plan: packets/s to one external target, all agents together"
    CONNECT: Final = "collector: 5,000 agents connect at once, all reports taken after"
    RETURN: Final = "collector: restart under 5,000 agents, all reports taken after"
    PEAK: Final = "collector: resident memory after that restart"
    LOAD: Final = "load generator: CPU, 5,000 agents"
    bars = (
        Bar(CPU, "cores", 0.5),
        Bar(MEMORY, "MiB", 600),
        Bar(GROUP, "ms", 200),
        Bar(ROW, "ms", 200),
        Bar(WORST, "ms", 200),
        Bar(SCRAPE, "s", 1),
        Bar(SERIES, "series", 60),
        Bar(VERDICT, "s", 0.5),
        Bar(TARGET, "packets/s", PlanSettings().external_packets_per_second),
        Bar(CONNECT, "s", None),
        Bar(RETURN, "s", None),
        Bar(PEAK, "MiB", 1024),
        Bar(LOAD, "cores", None),
    )

    def __init__(self) -> None:
        self._filled = False

    def __enter__(self) -> Self:
        """Nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Nothing stays behind."""

    def round(self, *, quick: bool) -> Mapping[str, float]:
        """All figures; memory only of the first round, which waits until the matrix is full. Raises Spoilt for lost reports."""
        nodes = FEW if quick else NODES
        figures: dict[str, float] = {}
        with ExitStack() as stack:
            cluster = stack.enter_context(Cluster(nodes))
            played = stack.enter_context(cluster.load("standard", seconds=3600, every=5))
            warm = played.wait(1, seconds=900)
            figures[self.CONNECT] = warm["seconds"]
            self._steady(cluster, played, figures, fill=0 if quick or self._filled else FULL_SECONDS, quick=quick)
            if quick or not self._filled:
                figures[self.MEMORY] = cluster.resident_mib
            self._filled = True
            self._ask(cluster, nodes, figures)
            figures[self.VERDICT] = _pass_seconds(cluster, times=2 if quick else 5)
        figures.update(_restarted(nodes, taken=self.RETURN, peak=self.PEAK))
        return figures

    def _steady(self, cluster: Cluster, played: Played, figures: dict[str, float], *, fill: int, quick: bool) -> None:
        time.sleep(fill)
        began, cpu, first = time.monotonic(), cluster.cpu_seconds, len(played.said())
        time.sleep(10 if quick else MEASURED_SECONDS)
        figures[self.CPU] = (cluster.cpu_seconds - cpu) / (time.monotonic() - began)
        said = played.said()[first:]
        rate = statistics.mean(line["reports_per_second"] for line in said)
        if rate < 0.97 * cluster.nodes / 10:
            raise Spoilt(f"{rate:.0f} reports/s of {cluster.nodes} agents: {said[-1]['answers']}")
        figures[self.LOAD] = statistics.mean(line["own_cpu"] for line in said)
        figures[self.TARGET] = max(rate for line in said for rate in line["external_packets_per_second"].values())

    def _ask(self, cluster: Cluster, nodes: int, figures: dict[str, float]) -> None:
        """Ask over HTTP while all agents report."""
        groups = [f"{rows}:{columns}" for rows, columns in itertools.product(DIMENSIONS, repeat=2)]
        asked = {by: _milliseconds(cluster, f"/api/v1/matrix?by={by}", times=1) or 0.0 for by in groups}
        slowest = sorted(asked, key=asked.__getitem__)[-3:]
        figures[self.GROUP] = max(_milliseconds(cluster, f"/api/v1/matrix?by={by}") or 0.0 for by in slowest)
        rows = [_milliseconds(cluster, f"/api/v1/matrix?from=node-{number}") for number in range(0, nodes, nodes // 10)]
        figures[self.ROW] = max(taken for taken in rows if taken is not None)
        figures[self.WORST] = _milliseconds(cluster, "/api/v1/worst?k=100") or 0.0
        scrapes = []
        for _ in range(3):
            time.sleep(1.2)  # a rendering is shared by all who ask within a second
            began = time.monotonic()
            text = cluster.get("/metrics")
            scrapes.append(time.monotonic() - began)
        figures[self.SCRAPE] = statistics.median(scrapes)
        series = sum(1 for line in text.splitlines() if line and not line.startswith(b"#"))
        figures[self.SERIES] = series / nodes


class FullMesh:
    """1,000 nodes that all probe each other on three layers."""

    LINE: Final = "collector: resident memory, full mesh of 1,000 nodes, three layers"
    bars = (Bar(LINE, "MiB", 600),)
    NODES: Final = 1000
    FEW: Final = 200
    ROUNDS: Final = 14
    """Rounds of reports: intervals are stretched to stay within the agents' budgets, to more than a minute for some cells."""

    def __init__(self) -> None:
        self._done = False

    def __enter__(self) -> Self:
        """Nothing yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Nothing stays behind."""

    def round(self, *, quick: bool) -> Mapping[str, float]:
        """Once, since memory does not vary; raises Spoilt where cells stayed empty."""
        if self._done:
            return {}
        nodes = self.FEW if quick else self.NODES
        plan = {
            "full_mesh_nodes": nodes,
            "kinds": {"icmp": 0, "udp": 1, "tcp": 1, "http": 0},
            "target_packets_per_second": 10_000,
        }
        with ExitStack() as stack:
            cluster = stack.enter_context(Cluster(nodes, plan=plan))
            played = stack.enter_context(cluster.load("mesh", seconds=3600, every=5 if quick else 10))
            played.wait(1 + (1 if quick else self.ROUNDS), seconds=1800)
            measured = json.loads(cluster.get("/api/v1/matrix?by=zone&span=5m"))
            filled = sum(cell["cells"] - cell["unknown"] for cell in measured["cells"])
            if not quick and filled < 3 * nodes * (nodes - 1):
                raise Spoilt(f"only {filled} cells are measured")
            resident = cluster.resident_mib
        self._done = True
        return {self.LINE: resident}


def _pass_seconds(cluster: Cluster, *, times: int) -> float:
    """The median CPU time of some passes over the matrix as it is, while all agents report; reading it is in it."""
    taken = []
    for _ in range(times):
        time.sleep(BETWEEN_PASSES)
        found = _JUDGING.search(cluster.get("/metrics"))
        taken.append(float(found[1]) if found is not None else 0.0)
    if not all(taken):
        raise Spoilt("nothing is judged yet")
    return statistics.median(taken)


def _milliseconds(cluster: Cluster, path: str, *, times: int = 3) -> float | None:
    """The median of some answers; None where the collector says that it is too much for one answer."""
    taken = []
    for _ in range(times):
        began = time.monotonic()
        try:
            cluster.get(path)
        except urllib.error.HTTPError as error:
            if error.code == TOO_MUCH:
                return None
            raise
        taken.append(1000 * (time.monotonic() - began))
    return statistics.median(taken)


def _restarted(nodes: int, *, taken: str, peak: str) -> dict[str, float]:
    """How long after the start of another process every agent has had a report taken, and what that process holds then."""
    with ExitStack() as stack:
        cluster = stack.enter_context(Cluster(nodes))
        with cluster.load("before", seconds=3600) as before:
            before.wait(1, seconds=900)
            cluster.stop()
            cluster.start()
            began = time.monotonic()
            while _reporting(cluster) < nodes:
                if time.monotonic() - began > 300:  # noqa: PLR2004 - not a herd that comes back
                    raise Spoilt(f"after 300 s only {_reporting(cluster)} agents report")
                time.sleep(0.5)
            return {taken: time.monotonic() - began, peak: cluster.resident_mib}


def _reporting(cluster: Cluster) -> int:
    agents = json.loads(cluster.get("/api/v1/agents"))["agents"]
    return sum(1 for agent in agents if agent["state"] == "reporting")
