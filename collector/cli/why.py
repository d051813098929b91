"""`netmatrix why SRC DST`: what should hold between two ends and who says so, what is seen layer by layer, and what follows."""

import json
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

from collector.cli.client import Client
from collector.cli.listing import lines_of
from collector.cli.table import RED, YELLOW, clean, painted

HEAD: Final = ("FROM", "TO", "LAYER", "KIND", "FAMILY", "PORT", "EXPECTED", "BY", "OBSERVED", "VERDICT")
WRONG: Final = frozenset({"broken", "leak"})
DOUBTFUL: Final = frozenset({"degraded", "target_down", "unverifiable"})
MOST: Final = 12
"""Most sentences."""
FINDINGS: Final = 1

Cell = Mapping[str, Any]


def add_to(words: "_SubParsersAction[ArgumentParser]", shared: ArgumentParser) -> None:
    """The subcommand."""
    one = words.add_parser("why", parents=[shared], help="what should be between two names, what is, and because of what")
    one.add_argument("source", metavar="SRC", help="a node, vantage, pod or namespace")
    one.add_argument("target", metavar="DST", help="another one, or a service or target")
    one.add_argument("--port", type=int, metavar="PORT", help="only what asks this port")
    one.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: table")
    one.set_defaults(run=why)


def why(client: Client, options: Namespace, out: IO[str], *, colour: bool) -> int:
    """All of it; FINDINGS where a path is not as it should be, or there is none."""
    port = None if options.port is None else str(options.port)
    answer = client.ask("why", from_=options.source, to=options.target, port=port)
    cells = answer["paths"]
    if options.output == "json":
        out.write(json.dumps(answer, indent=2) + "\n")
    elif not cells:
        out.write(f"nothing is probed from {clean(options.source)} to {clean(options.target)}\n")
    else:
        out.write(_text(answer, cells, colour=colour))
    return 0 if cells and not any(cell["verdict"] in WRONG | DOUBTFUL for cell in cells) else FINDINGS


def _text(answer: Mapping[str, Any], cells: Sequence[Cell], *, colour: bool) -> str:
    parts = ["Expected:\n", *_expected(cells), "\nSeen, the lowest layer first:\n"]
    parts += [_layer(layer, colour=colour) for layer in answer["layers"]]
    parts += ["\n", _table(cells, colour=colour), "\nBecause:\n", *_because(cells)]
    if answer["incidents"]:
        parts.append("\nIncidents:\n")
        parts += [f"  {clean(one['id'])}  {clean(one['sentence'])}\n" for one in answer["incidents"]]
    return "".join(parts)


def _expected(cells: Sequence[Cell]) -> list[str]:
    """Each thing that is said, with its rule, once."""
    said: dict[str, str] = {}
    for cell in cells:
        one = cell["expectation"]
        rule = f" (rule {one['rule'] + 1} of its {one['direction']})" if one["rule"] is not None else ""
        owner = f", owner {clean(one['owner'])}" if one["owner"] else ""
        kinds = f"{cell['kind']} {cell['port']}" if cell["port"] else str(cell["kind"])
        line = f"{cell['expected']}: {clean(one['because'])}{rule}{owner}"
        said[line] = f"{said[line]}, {kinds}" if line in said and kinds not in said[line].split(", ") else said.get(line, kinds)
    return [f"  {line}  [{kinds}]\n" for line, kinds in said.items()]


def _layer(layer: Mapping[str, Any], *, colour: bool) -> str:
    sent, lost = layer["sent"], layer["lost"]
    verdicts = ", ".join(f"{count} {word}" for word, count in sorted(layer["verdicts"].items()))
    return painted(f"  {clean(layer['layer']):<9}{lost} of {sent} lost; {verdicts}", YELLOW, wanted=colour and lost > 0) + "\n"


def _table(cells: Sequence[Cell], *, colour: bool) -> str:
    rows = [
        (
            str(cell["from"]["vantage"]),
            str(cell["to"]["name"]),
            *(str(cell[word]) for word in ("layer", "kind", "family")),
            str(cell["port"] or ""),
            *(str(cell[word]) for word in ("expected", "source", "observed", "verdict")),
        )
        for cell in cells
    ]
    colours = [RED if cell["verdict"] in WRONG else YELLOW if cell["verdict"] in DOUBTFUL else "0" for cell in cells]
    return lines_of(HEAD, rows, colours=colours if colour else None)


def _because(cells: Sequence[Cell]) -> list[str]:
    """Each sentence once, what is wrong first."""
    ranked = sorted(cells, key=lambda cell: (cell["verdict"] not in WRONG, cell["verdict"] not in DOUBTFUL))
    sentences = dict.fromkeys(f"  {cell['verdict']}: {clean(cell['because'])}\n" for cell in ranked)
    return list(sentences)[:MOST]
