"""The corpus: scenarios of the lab and of the simulator, drawn from a seed, played, and counted together.

In: how many and from which seed. Out: one value with precision, recall and the like. What has been played is written down, so
that an interrupted run goes on where it was.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, Final

from lab.dice import SHAPE, Dice
from lab.draw import KINDS
from lab.figures import Fault, Played, figures, played
from lab.observe import Say
from lab.reading import convert
from lab.run import run
from lab.scenario import PLAN, Scenario

_CHUNK: Final = 20
QUICK: Final = {**PLAN, "agent_packets_per_second": 150, "service_interval": "1s", "mtu_interval": "5s"}
"""The plan of the corpus: what is rare otherwise would say more of intervals than of verdicts."""


def drawn(seed: int, count: int) -> list[tuple[str, Scenario]]:
    """So many scenarios of the lab with their kinds: every kind in turn, so that each comes equally often."""
    names = [list(KINDS)[number % len(KINDS)] for number in range(count)]
    return [(name, _scenario(seed, number, name)) for number, name in enumerate(names)]


def _scenario(seed: int, number: int, name: str) -> Scenario:
    words = KINDS[name](Dice(Random(f"{seed}/{number}")))  # noqa: S311 - no secret, and the same draws for a seed
    shape = {"nodes": SHAPE.nodes, "zones": SHAPE.zones, "namespaces": list(SHAPE.namespaces)}
    whole = {
        **words,
        "name": f"drawn-{seed}-{number:03}-{name.replace('_', '-')}",
        "plan": QUICK,
        "cluster": {**shape, **words.get("cluster", {})},
        "expect": {"false_incidents": 0, **words.get("expect", {})},
    }
    return convert(whole, Scenario, str(whole["name"]))


class Ledger:
    """What has been played already, in a file where there is one."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file and file.exists() else []
        self.played: dict[str, Played] = {entry["name"]: entry for entry in map(json.loads, lines)}

    def add(self, entry: Played) -> None:
        """Write one down."""
        self.played[entry["name"]] = entry
        if self._file:
            with self._file.open("a") as output:
                output.write(json.dumps(entry) + "\n")


async def play(seed: int, count: int, simulated: int, ledger: Ledger, *, jobs: int, tell: Say) -> dict[str, Any]:
    """Play what is not in the ledger yet, so many scenarios of the lab at a time; return all figures."""
    wanted = drawn(seed, count)
    places = asyncio.Semaphore(jobs)

    async def one(number: int, kind: str, scenario: Scenario) -> None:
        if scenario.name in ledger.played:
            return
        async with places:
            result = await run(scenario, lab=f"corpus{number}", tell=tell)
        ledger.add(played(kind, scenario, result))

    async with asyncio.TaskGroup() as tasks:
        for number, (kind, scenario) in enumerate(wanted):
            if not scenario.starves:
                tasks.create_task(one(number, kind, scenario))
    for number, (kind, scenario) in enumerate(wanted):
        if scenario.starves:
            await one(number, kind, scenario)
    names = [scenario.name for _, scenario in wanted]
    for first in range(0, simulated, _CHUNK):
        chunk = range(first, min(first + _CHUNK, simulated))
        names += [_simulated_name(seed, number) for number in chunk]
        if any(_simulated_name(seed, number) not in ledger.played for number in chunk):
            tell(f"simulating {chunk.start} to {chunk.stop - 1} of {simulated}")
            for entry in await asyncio.to_thread(_simulate, seed, chunk):
                ledger.add(entry)
    return figures([ledger.played[name] for name in names])


def _simulated_name(seed: int, number: int) -> str:
    return f"simulated-{seed}-{number:03}"


def _simulate(seed: int, chunk: range) -> Sequence[Played]:
    words = ["--seed", str(seed), "--first", str(chunk.start), "--count", str(len(chunk)), "--each", "--json"]
    done = subprocess.run([sys.executable, "-m", "simulator", *words], capture_output=True, text=True, check=False)
    if not done.stdout:
        raise RuntimeError(f"the simulator failed: {done.stderr.strip().splitlines()[-1:]}")
    return [_of_simulator(seed, result) for result in json.loads(done.stdout)["each"]]


def _of_simulator(seed: int, result: Mapping[str, Any]) -> Played:
    faults: list[Fault] = [
        {
            "kind": fault["name"],
            "seconds": fault["seconds"],
            "layer": fault["layer"],
            "single": fault["single"],
            "because": fault["truth"],
        }
        for fault in result["faults"]
    ]
    return {
        "name": _simulated_name(seed, result["number"]),
        "where": "simulator",
        "kind": result["harmless"] or "+".join(fault["kind"] for fault in faults),
        "faults": faults,
        "false": list(result["false"]),
        "error": "",
    }
