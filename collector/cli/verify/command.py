"""`netmatrix verify`: takes its options apart, prints the report and says by the exit status whether everything holds."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import IO, Final

from collector.cli.client import Client
from collector.cli.table import clean
from collector.cli.verify.formats import FORMATS, table
from collector.cli.verify.offline import verify_manifests
from collector.cli.verify.online import verify_cluster
from collector.cli.verify.report import Report
from collector.document import BadFileError
from collector.policy.profile import PROFILES

HOLDS: Final = 0
HOLDS_NOT: Final = 1
USAGE: Final = 2

Connect = Callable[[], AbstractContextManager[tuple[Client, Path | None]]]


def verify(options: Namespace, parser: ArgumentParser, out: IO[str], connect: Connect) -> int:
    """Verify once, and print; returns the exit status. `connect` finds the collector, where it is needed."""
    try:
        report = _of_manifests(options, parser) if options.manifests is not None else _of_cluster(options, connect)
    except BadFileError as error:
        print(f"netmatrix: {clean(error)}", file=sys.stderr)
        return USAGE
    if options.output == "table":
        out.write(table(report, colour=out.isatty() and not os.environ.get("NO_COLOR")))
    else:
        out.write(FORMATS[options.output](report))
    return HOLDS if report.holds else HOLDS_NOT


def _of_manifests(options: Namespace, parser: ArgumentParser) -> Report:
    if options.cni_profile not in PROFILES:
        parser.error(f"--cni-profile: {options.cni_profile} is not one of {', '.join(PROFILES)}")
    try:
        networks = [ip_network(text.strip()) for text in options.pod_cidr.split(",")]
    except ValueError as error:
        parser.error(f"--pod-cidr: {error}")
    first = next((one for one in networks if isinstance(one, IPv4Network)), None)
    if first is None:
        parser.error("--pod-cidr: needs an IPv4 network, and may have an IPv6 one after a comma")
    return verify_manifests(
        options.manifests,
        more=options.file,
        namespace=options.only,
        profile=options.cni_profile,
        network=first,
        network6=next((one for one in networks if isinstance(one, IPv6Network)), None),
        everything=options.all,
    )


def _of_cluster(options: Namespace, connect: Connect) -> Report:
    with connect() as (client, _):
        return verify_cluster(client, options.file, namespace=options.only)
