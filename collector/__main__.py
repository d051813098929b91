"""The command `python -m collector`: one process that plans, takes reports, keeps the matrix and exports it."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from collector import journal
from collector.configuration import Configuration
from collector.document import BadFileError
from collector.process import raise_descriptors, settle


def arguments(words: Sequence[str]) -> argparse.Namespace:
    """The command line; ends the process with status 2 where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m collector", description="Plan the probes of a cluster, keep the matrix of what they measure, export it."
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--inventory", type=Path, metavar="FILE", help="what exists: YAML, read again when it changes")
    source.add_argument("--cluster", action="store_true", help="what exists: from the Kubernetes API")
    parser.add_argument(
        "--kubeconfig", type=Path, metavar="FILE", help="with --cluster: credentials, where this is not a pod of the cluster"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, in YAML; each has a default")
    asked = parser.parse_args(words)
    if asked.kubeconfig and not asked.cluster:
        parser.error("--kubeconfig goes with --cluster")
    return asked


async def serve(asked: argparse.Namespace) -> None:
    """The collector until SIGTERM or SIGINT; raises BadFileError where it cannot start."""
    configuration = Configuration(asked.config)
    journal.configure(configuration.settings.log.format)
    from collector.app import Collector  # noqa: PLC0415 - a wrong setting is told without waiting for the libraries

    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    raise_descriptors()
    where = asked.inventory
    if asked.cluster:
        from collector.discovery.cluster.source import ClusterSource  # noqa: PLC0415 - 30 MiB, for a cluster alone

        where = ClusterSource(configuration.settings, kubeconfig=asked.kubeconfig)
    collector = Collector(configuration, where)
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
