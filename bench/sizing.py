"""The command `python -m bench.sizing`: what clusters of some sizes take at the standard plan, as rows of a table in Markdown.

A real collector over TLS on loopback, and the load generator that plays its agents; nothing is probed. See docs/sizing.md.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from bench.cluster import Cluster

SIZES: Final = (10, 100, 1000)
HEAD: Final = ("nodes", "paths of an agent", "packets/s of an agent", "collector: CPU", "resident", "series per node", "scrape")


class Size(NamedTuple):
    """The figures of one size, after so many seconds of reports."""

    nodes: int
    paths: int
    packets_per_second: float
    cpu_cores: float
    resident_mib: float
    series_per_node: float
    scrape_ms: float

    @property
    def row(self) -> str:
        """A row of the table."""
        cells = (
            f"{self.nodes:,}",
            f"{self.paths}",
            f"{self.packets_per_second:.0f}",
            f"{self.cpu_cores:.3f} cores",
            f"{self.resident_mib:.0f} MiB",
            f"{self.series_per_node:.0f}",
            f"{self.scrape_ms:.0f} ms",
        )
        return f"| {' | '.join(cells)} |"


def measured(nodes: int, *, seconds: float) -> Size:
    """Play the agents of so many nodes; CPU is that of the last so many seconds, memory what is held at their end."""
    with Cluster(nodes) as cluster, cluster.load("sizing", seconds=3600, every=5) as played:
        played.wait(1, seconds=900)
        time.sleep(seconds)
        began, cpu = time.monotonic(), cluster.cpu_seconds
        time.sleep(seconds)
        cores = (cluster.cpu_seconds - cpu) / (time.monotonic() - began)
        scrapes, text = [], b""
        for _ in range(3):
            time.sleep(1.2)  # a rendering is shared by all who ask within a second
            began = time.monotonic()
            text = cluster.get("/metrics")
            scrapes.append(1000 * (time.monotonic() - began))
        plans = json.loads(cluster.get("/api/v1/plan"))["vantages"].values()
        series = sum(1 for line in text.splitlines() if line and not line.startswith(b"#"))
        return Size(
            nodes,
            round(statistics.median(plan["paths"] for plan in plans)),
            statistics.median(plan["packets_per_second"] for plan in plans),
            cores,
            cluster.resident_mib,
            series / nodes,
            statistics.median(scrapes),
        )


def main(arguments: Sequence[str]) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.sizing", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int, nargs="+", default=SIZES, metavar="N", help="sizes (default: 10 100 1000)")
    parser.add_argument("--seconds", type=float, default=30.0, help="before and while CPU is counted (default: 30)")
    asked = parser.parse_args(arguments)
    print(f"| {' | '.join(HEAD)} |")
    print("|---" * len(HEAD) + "|")
    for nodes in asked.nodes:
        print(measured(nodes, seconds=asked.seconds).row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
