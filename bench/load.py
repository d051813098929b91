"""The command `python -m bench.load`: plays thousands of agents against one collector, on one core.

In: the collector's URL, its CA, and a file of vantages with their keys, one `NAME KEY` a line. Out: on standard output one JSON
line when all agents have reported once, then one every `--every` seconds, the last one when the time is over or on SIGTERM.
"""

import argparse
import json
import resource
import signal
import socket
import ssl
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

from bench.load_agent import Agent, Collector
from bench.load_connection import Loop
from bench.load_tally import Tally, summed
from bench.load_windows import LOSS


class Load:
    """All agents, on one loop."""

    def __init__(
        self, collector: Collector, keys: Sequence[tuple[str, str]], *, ramp: float, entries: int = 0, loss: float = LOSS
    ) -> None:
        self.tally = Tally()
        self._loop = Loop()
        self._began = self._loop.now
        self._agents = [Agent(self._loop, collector, name, key, self.tally, entries=entries, loss=loss) for name, key in keys]
        for place, agent in enumerate(self._agents):
            self._loop.at(self._began + ramp * place / len(self._agents), agent.start)
        self._ended = False

    def end(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Come to an end at the next turn."""
        self._ended = True

    def warm(self, seconds: float) -> dict[str, Any]:
        """Until every agent has had a report taken, at most so long."""
        until = self._began + seconds
        self._loop.run(until, ended=lambda: self._ended or len(self.tally.reporting) == len(self._agents))
        figures = {"event": "warm", "reporting": len(self.tally.reporting), **self._figures(self._began)}
        self.tally.reset()
        return figures

    def measure(self, seconds: float) -> dict[str, Any]:
        """The figures of so many seconds."""
        began, cpu = time.monotonic(), time.process_time()
        self._loop.run(began + seconds, ended=lambda: self._ended)
        figures = {"event": "measured", **self._figures(began)}
        figures["own_cpu"] = round((time.process_time() - cpu) / (time.monotonic() - began), 3)
        self.tally.reset()
        return figures

    @property
    def ended(self) -> bool:
        """Whether it was told to."""
        return self._ended

    def close(self) -> None:
        """Close every connection."""
        for agent in self._agents:
            agent.close()

    def _figures(self, began: float) -> dict[str, Any]:
        external = summed(agent.external for agent in self._agents)
        rates = [agent.packets_per_second for agent in self._agents]
        return {
            "agents": len(self._agents),
            **self.tally.figures(time.monotonic() - began),
            "external_packets_per_second": {name: round(rate, 4) for name, rate in sorted(external.items())},
            "agent_packets_per_second_max": round(max(rates, default=0.0), 3),
            "generations": sorted({agent.generation for agent in self._agents}),
        }


def main(words: Sequence[str]) -> int:
    """Play; the exit status: 0 all agents reported, 1 some never could."""
    asked = _asked(words)
    keys = [(name, key) for name, key in (line.split() for line in asked.keys.read_text().splitlines() if line)]
    if asked.agents > len(keys):
        sys.stderr.write(f"{asked.keys} has {len(keys)} keys, not {asked.agents}\n")
        return 2
    _allow_files(asked.agents + 100)
    load = Load(
        _collector(asked.collector, asked.ca), keys[: asked.agents], ramp=asked.ramp, entries=asked.entries, loss=asked.loss
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, load.end)
    warm = load.warm(asked.warm)
    _say(warm)
    until = time.monotonic() + asked.seconds
    while not load.ended and (left := until - time.monotonic()) > 0:
        _say(load.measure(min(left, asked.every or left)))
    load.close()
    return 0 if warm["reporting"] == asked.agents else 1


def _asked(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench.load",
        description="Play agents against a collector over TLS with keys: each reports every interval at its own phase, and "
        "fetches its plan whenever there is another one.",
    )
    parser.add_argument("--collector", required=True, metavar="URL", help="such as https://127.0.0.1:8443")
    parser.add_argument("--ca", type=Path, metavar="FILE", help="what its certificate is verified with, in PEM")
    parser.add_argument("--keys", type=Path, required=True, metavar="FILE", help="vantages and keys, one `NAME KEY` a line")
    parser.add_argument("--agents", type=int, default=500, metavar="N", help="how many of them to play (default %(default)s)")
    parser.add_argument(
        "--seconds", type=float, default=60.0, metavar="S", help="after all have reported (default %(default)s)"
    )
    parser.add_argument(
        "--every", type=float, default=0.0, metavar="S", help="how often to say the figures (default: at the end)"
    )
    parser.add_argument(
        "--ramp", type=float, default=0.0, metavar="S", help="spread the first connections over so long (default: none)"
    )
    parser.add_argument(
        "--warm", type=float, default=600.0, metavar="S", help="longest wait for all to report (default %(default)s)"
    )
    parser.add_argument(
        "--entries", type=int, default=0, metavar="N", help="only so many paths of each plan, all in every report"
    )
    parser.add_argument(
        "--loss", type=float, default=LOSS, metavar="SHARE", help="of probes that get no answer (default %(default)s)"
    )
    return parser.parse_args(words)


def _collector(url: str, ca: Path | None) -> Collector:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    host, port = parts.hostname or "127.0.0.1", parts.port or (443 if secure else 80)
    address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][4]
    return Collector((str(address[0]), int(address[1])), ssl.create_default_context(cafile=ca) if secure else None)


def _allow_files(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))


def _say(figures: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
