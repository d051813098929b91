"""The command `python -m collector`: one process that plans, takes reports, keeps the matrix and exports it."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from collector import journal
from collector.document import BadFileError
from collector.process import raise_descriptors, settle
from collector.settings import load_settings


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """The command line; ends the process with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m collector", description="Plan the probes of a cluster, keep the matrix of what they measure, export it."
    )
    parser.add_argument(
        "--inventory", type=Path, required=True, metavar="FILE", help="what exists: YAML, read again when it changes"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, in YAML; each has a default")
    return parser.parse_args(words)


async def serve(asked: argparse.Namespace) -> None:
    """The collector until SIGTERM or SIGINT; raises BadFileError where it cannot start."""
    settings = load_settings(asked.config)
    journal.configure(settings.log.format)
    from collector.app import Collector  # noqa: PLC0415 - a wrong setting is told without waiting for the libraries

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    name = asked.config.name if asked.config else "default configuration"
    raise_descriptors()
    collector = Collector(settings, asked.inventory, configuration=name)
    settle()
    await collector.run(stop)


def main(words: Sequence[str]) -> int:
    """Run it; the exit status: 0 told to stop, 2 asked wrongly."""
    try:
        asyncio.run(serve(arguments(words)))
    except BadFileError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
