"""The command `python -m bench`: enters every measurement, runs rounds through all of them, and says what came out."""

import argparse
import re
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from bench.lines import MEASUREMENTS, ROUNDS
from bench.measurement import Measurement, Spoilt, Unavailable
from bench.results import Line, line, table, write

ATTEMPTS = 3
"""How often a spoilt round is taken again."""


def main(arguments: Sequence[str]) -> int:
    """Measure; the exit status: 0 every bar is met, 1 one is missed or could not be measured."""
    asked = _asked(arguments)
    wanted = asked.only
    entries = [entry for entry in MEASUREMENTS if entry.quick or not asked.quick]
    if not any(wanted.search(bar.name) for entry in entries for bar in entry.make().bars):
        form = " of the short form" if asked.quick else ""
        _say(f"no line{form} has a name like {wanted.pattern!r}; docs/benchmarks.md names them")
        return 2
    signal.signal(signal.SIGTERM, _end)
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # smokeping_prober needs a socket for every address
    runs: dict[str, list[float]] = {}
    notes: dict[str, str] = {}
    with ExitStack() as stack:
        chosen: list[Measurement] = []
        entered: list[tuple[Measurement, int]] = []
        for entry in entries:
            measurement = entry.make()
            if any(wanted.search(bar.name) for bar in measurement.bars):
                chosen.append(measurement)
                if _enter(stack, measurement, notes):
                    entered.append((measurement, asked.rounds or (1 if asked.quick else entry.rounds)))
        for number in range(1, max((rounds for _, rounds in entered), default=0) + 1):
            for measurement, rounds in entered:
                if number > rounds:
                    continue
                figures = _measure(measurement, notes, quick=asked.quick)
                for name, value in figures.items():
                    runs.setdefault(name, []).append(value)
                    _say(f"round {number}/{rounds}  {name}: {value:.4g}")
    lines = [
        line(bar, runs.get(bar.name, ()), notes.get(bar.name, ""))
        for measurement in chosen
        for bar in measurement.bars
        if wanted.search(bar.name) and (bar.name in runs or bar.name in notes or not asked.quick)
    ]
    return _tell(lines, asked.json)


def _tell(lines: Sequence[Line], file: Path) -> int:
    print(table(lines))
    write(lines, file)
    return 0 if lines and all(one.ok for one in lines) else 1


def _asked(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures the programs; see docs/benchmarks.md.")
    parser.add_argument("--quick", action="store_true", help="short form: one short round, the most telling lines")
    parser.add_argument(
        "--only",
        type=_pattern,
        default=re.compile(""),
        metavar="REGEX",
        help="only measurements that have a line of such a name",
    )
    parser.add_argument(
        "--rounds", type=_count, default=0, help=f"how many rounds (default {ROUNDS} or fewer, and 1 for the short form)"
    )
    parser.add_argument("--json", type=Path, default=Path("bench/results.json"), metavar="FILE", help="default: %(default)s")
    return parser.parse_args(arguments)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no regular expression: {error}") from None


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def _enter(stack: ExitStack, measurement: Measurement, notes: dict[str, str]) -> bool:
    try:
        stack.enter_context(measurement)
    except Unavailable as reason:
        _say(f"not measured: {reason}")
        notes.update({bar.name: str(reason) for bar in measurement.bars})
        return False
    return True


def _measure(measurement: Measurement, notes: dict[str, str], *, quick: bool) -> Mapping[str, float]:
    for attempt in range(1, ATTEMPTS + 1):
        started = time.monotonic()
        try:
            figures = measurement.round(quick=quick)
        except (Spoilt, RuntimeError, OSError) as reason:  # whatever befalls one, the others are measured
            _say(f"spoilt, attempt {attempt}: {measurement.bars[0].name}: {reason}")
            notes.update({bar.name: str(reason) for bar in measurement.bars})
        else:
            if figures:
                _say(f"{measurement.bars[0].name} and what goes with it took {time.monotonic() - started:.0f} s")
            return figures
    return {}


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _end(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)  # leaves through every `with`, so that no namespace and no process stays behind


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
