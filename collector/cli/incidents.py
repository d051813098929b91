"""`netmatrix incidents`: what is wrong, a line for each cause and below it what that means. JSON as the API answers it in."""

import json
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import IO, Any, Final

from collector.cli.client import Client
from collector.cli.listing import age_text, lines_of
from collector.cli.table import RED, YELLOW, clean

HEAD: Final = ("SINCE", "PHASE", "SEVERITY", "KIND", "COMPONENT", "LAYER", "DIRECTION", "EFFECT", "ID")
FINDINGS: Final = 1


def add_to(words: "_SubParsersAction[ArgumentParser]", shared: ArgumentParser) -> None:
    """The subcommand."""
    one = words.add_parser("incidents", parents=[shared], help="what is wrong, by cause; exit status 1 if anything is")
    one.add_argument("--all", action="store_true", help="also those that are not yet sure, and the last ones that are over")
    one.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: table")
    one.set_defaults(run=incidents)


def incidents(client: Client, options: Namespace, out: IO[str], *, colour: bool) -> int:
    """Every incident that is open, and with `--all` the others; FINDINGS where one is open or nothing is known."""
    answer = client.ask("incidents")
    if options.output == "json":
        out.write(json.dumps(answer, indent=2) + "\n")
    else:
        out.write(_text(answer, everything=options.all, colour=colour))
    return FINDINGS if answer["incidents"] or answer["state"] == "unknown" else 0


def _text(answer: Mapping[str, Any], *, everything: bool, colour: bool) -> str:
    listed = [*answer["incidents"], *(answer["pending"] if everything else ())]
    text = clean(answer["sentence"]) + "\n"
    if listed:
        text += "\n" + _table(listed, colour=colour)
        text += "\n" + "".join(f"{clean(one['id'])}  {clean(one['sentence'])}\n" for one in listed)
    if everything and answer["closed"]:
        text += "\nOver:\n\n" + _table(answer["closed"], colour=False)
    return text


def _table(listed: list[Mapping[str, Any]], *, colour: bool) -> str:
    rows = [
        (
            _since(one),
            *(str(one[word]) for word in ("phase", "severity", "kind", "component", "layer", "direction", "effect", "id")),
        )
        for one in listed
    ]
    colours = [RED if one["severity"] == "critical" else YELLOW for one in listed]
    return lines_of(HEAD, rows, colours=colours if colour else None)


def _since(one: Mapping[str, Any]) -> str:
    since = datetime.fromisoformat(one["since"])
    until = datetime.fromisoformat(one["closed"]) if one["closed"] else datetime.now(UTC)
    length = age_text(max(0.0, (until - since).total_seconds()))
    return f"{since:%H:%M:%S} for {length}" if one["closed"] else f"{length} ago"
