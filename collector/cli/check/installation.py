"""Looks at an installation and says of each point how it stands, and what to do about what is wrong."""

import json
import shutil
import textwrap
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from msgspec import structs

from collector.cli.check.finding import Finding, Missing, State
from collector.cli.check.installed import installed
from collector.cli.check.kube import Kube
from collector.cli.check.measured import measured
from collector.cli.check.own_policies import own_policies
from collector.cli.check.seen import installation_of, page_of
from collector.cli.check.vantages import vantages
from collector.cli.client import Client, UnreachableError
from collector.cli.table import GREEN, MAGENTA, RED, YELLOW, clean, painted

COLOURS: Final = {State.OK: GREEN, State.WRONG: RED, State.UNKNOWN: MAGENTA, State.NOTE: YELLOW}
NOT_WELL: Final = frozenset({State.WRONG, State.UNKNOWN})
INDENT: Final = 26


def check_installation(
    client: Client, socket: Path | None, out: IO[str], *, namespace: str, timeout: float, output: str, colour: bool
) -> bool:
    """Look, and print; whether all is well.

    `socket` is kubectl's proxy; without one the collector alone is looked at. Raises UnreachableError where whoever has to be
    asked first is away.
    """
    findings = list(_findings(client, socket, namespace=namespace, timeout=timeout))
    if output == "json":
        out.write(json.dumps({"version": 1, "points": [structs.asdict(one) for one in findings]}, indent=2) + "\n")
    else:
        out.write(lines_of(findings, colour=colour, width=shutil.get_terminal_size((120, 40)).columns))
    return not any(one.state in NOT_WELL for one in findings)


def _findings(client: Client, socket: Path | None, *, namespace: str, timeout: float) -> Iterator[Finding]:
    seen = installation_of(Kube(socket, timeout=timeout), namespace) if socket is not None else None
    page = page_of(client)
    if seen is None and isinstance(page.itself, Missing):
        raise UnreachableError(page.itself.because)
    if seen is not None:
        yield from installed(seen)
    yield from measured(page, now=time.time(), namespace=namespace)
    if seen is not None:
        yield from own_policies(seen, page)
        yield from vantages(seen, page)


def lines_of(findings: Sequence[Finding], *, colour: bool, width: int) -> str:
    """Findings as lines for a terminal."""
    lines = []
    for one in findings:
        head = f"{one.point:<16}" + painted(f"{one.state:<9}", COLOURS[one.state], wanted=colour)
        said, *rest = _wrapped(one.said, width) or [""]
        lines += [f"{head} {said}".rstrip(), *(" " * INDENT + line for line in rest)]
        lines += [" " * INDENT + line for line in _wrapped(f"-> {one.do}", width)] if one.do else []
    return "\n".join(lines) + "\n"


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(clean(text), max(40, width - INDENT), break_long_words=False, break_on_hyphens=False)
