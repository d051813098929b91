"""`python -m simulator --count 500 --seed 1 --json`: plays scenarios and prints what was found of them."""

import argparse
import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

from msgspec import to_builtins

from simulator.faults import HARMFUL, HARMLESS
from simulator.play import quiet, scenario
from simulator.score import score


def _kind(word: str) -> str:
    """One that there is, with or without a loss of 0 to 1."""
    known = sorted({*HARMFUL, *HARMLESS})
    name, _, loss = word.rpartition("_")
    if not word or word in known or (name in known and loss.replace(".", "", 1).isdigit() and 0 < float(loss) <= 1):
        return word
    raise argparse.ArgumentTypeError(f"{word} is none of {', '.join(known)}")


def main() -> int:
    """0, or 1 where a quiet run was not quiet."""
    parser = argparse.ArgumentParser(prog="python -m simulator", description="Faults and noise in virtual time.")
    parser.add_argument("--count", type=int, default=40, help="scenarios (40)")
    parser.add_argument("--first", type=int, default=0, help="number of the first (0)")
    parser.add_argument("--seed", type=int, default=1, help="draws kind, place, rate and overlap (1)")
    parser.add_argument("--nodes", type=int, default=0, help="size of all clusters; drawn where left out")
    parser.add_argument(
        "--kind", default="", type=_kind, help="one kind alone, with its loss where that is not drawn: node_0.05"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (as many as there are processors)")
    parser.add_argument("--quiet-hours", type=float, default=0.0, help="noise alone, for so long, in place of scenarios")
    parser.add_argument("--each", action="store_true", help="each scenario's result as well")
    parser.add_argument("--json", action="store_true", help="on one line")
    asked = parser.parse_args()
    indent = None if asked.json else 1
    if asked.quiet_hours:
        said, longest = quiet(asked.nodes or 100, asked.quiet_hours, asked.seed)
        print(json.dumps({"incidents": said, "hours": asked.quiet_hours, "longest_pass_ms": longest}, indent=indent))
        return bool(said)
    played = partial(scenario, asked.seed, nodes=asked.nodes, kind=asked.kind)
    numbers = range(asked.first, asked.first + asked.count)
    with ProcessPoolExecutor(min(asked.jobs, max(asked.count, 1)), get_context("spawn")) as workers:
        results = list(workers.map(played, numbers))
    answer = score(results)
    if asked.each:
        answer["each"] = to_builtins(results)
    print(json.dumps(answer, indent=indent))
    return 0


if __name__ == "__main__":
    sys.exit(main())
