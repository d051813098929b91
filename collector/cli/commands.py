"""The subcommands: each asks, prints, and returns its exit status."""

import json
import shutil
import time
from argparse import Namespace
from collections.abc import Mapping
from typing import IO, Any, Final

from collector.cli.client import Client, UnreachableError
from collector.cli.listing import age_text, agent_lines, cell_lines, csv_text, flat_cells, group_lines
from collector.cli.table import RED, YELLOW, clean, loss_text, painted, render_matrix

OK: Final = 0
FINDINGS: Final = 1

GROUP_FIELDS: Final = (
    "from",
    "to",
    "sent",
    "received",
    "late",
    "failed",
    "loss",
    "p50_us",
    "p99_us",
    "state",
    "cells",
    "unknown",
    "closed",
)
AGENT_FIELDS: Final = (
    "vantage",
    "node",
    "zone",
    "namespace",
    "state",
    "age_seconds",
    "boot",
    "sequence",
    "gaps",
    "plan_generation",
)
WATCH_SECONDS: Final = 2.0
NOT_HEARD: Final = frozenset({"silent", "never"})


def status(client: Client, options: Namespace, out: IO[str], *, colour: bool) -> int:
    """Who reports, how much is lost on each layer, and where most; FINDINGS where anything is lost or silent."""
    agents = client.ask("agents")["agents"]
    layers = client.ask("matrix", by="layer", span=options.span)["cells"]
    worst = [cell for cell in client.ask("worst", k="5", span=options.span)["cells"] if cell["loss"]]
    missing = [agent for agent in agents if agent["state"] in NOT_HEARD]
    if options.output == "json":
        out.write(_json({"version": 1, "agents": agents, "layers": layers, "worst": worst}))
        return FINDINGS if worst or missing else OK
    out.write(f"agents    {sum(agent['state'] == 'reporting' for agent in agents)} of {len(agents)} report\n")
    for agent in missing:
        since = "has never reported" if agent["state"] == "never" else f"silent for {age_text(agent['age_seconds'])}"
        out.write(painted(f"          {clean(agent['vantage'])} on {clean(agent['node'])}: {since}", RED, wanted=colour) + "\n")
    for layer in layers:
        lost = layer["sent"] - layer["received"]
        words = f"{loss_text(layer['loss'])} lost, {lost} of {layer['sent']} probes" if layer["sent"] else "no probe judged"
        words += f"; {layer['cells']} paths"
        words += f", {layer['unknown']} unknown" if layer["unknown"] else ""
        words += f", {layer['closed']} closed as they should be" if layer.get("closed") else ""
        out.write(painted(f"{clean(layer['from']):<10}{words}", YELLOW, wanted=colour and lost > 0) + "\n")
    if worst:
        out.write("\n" + cell_lines(worst, colour=colour))
    return FINDINGS if worst or missing else OK


def matrix(client: Client, options: Namespace, out: IO[str], *, colour: bool) -> int:
    """The matrix grouped, or its worst cells; again and again with `--watch`."""
    if not options.watch:
        out.write(_matrix_text(client, options, colour=colour))
        return OK
    while True:
        try:
            text = _matrix_text(client, options, colour=colour)
        except UnreachableError as error:
            text = f"{error}\n"
        stamp = time.strftime("%H:%M:%S")
        out.write(f"\x1b[H\x1b[J{stamp}\n\n{text}" if out.isatty() else f"{stamp}\n\n{text}\n")
        out.flush()
        time.sleep(WATCH_SECONDS)


def _matrix_text(client: Client, options: Namespace, *, colour: bool) -> str:
    filters = {name: getattr(options, name) for name in ("span", "layer", "kind", "family", "from_", "to")}
    if options.totals:
        filters["totals"] = "true"
    if options.worst is not None:
        answer = client.ask("worst", k=str(options.worst), measure=options.measure, **filters)
        if options.output == "csv":
            return csv_text(*flat_cells(answer["cells"]))
        return _json(answer) if options.output == "json" else cell_lines(answer["cells"], colour=colour)
    answer = client.ask("matrix", by=options.by, **filters)
    if options.output == "csv":
        return csv_text(GROUP_FIELDS, answer["cells"])
    if options.output == "json":
        return _json(answer)
    if options.output == "wide":
        return group_lines(answer, colour=colour)
    return render_matrix(answer, colour=colour, width=shutil.get_terminal_size((120, 40)).columns)


def pair(client: Client, options: Namespace, out: IO[str], *, colour: bool) -> int:
    """Every cell between two names, in both directions; FINDINGS where there is none."""
    answer = client.ask("pair", from_=options.source, to=options.target, span=options.span)
    cells = answer["cells"]
    if options.output == "json":
        out.write(_json(answer))
    elif options.output == "csv":
        out.write(csv_text(*flat_cells(cells)))
    elif not cells:
        out.write(f"no path between {clean(options.source)} and {clean(options.target)}\n")
    else:
        out.write(cell_lines(cells, colour=colour))
    return OK if cells else FINDINGS


def agents(client: Client, options: Namespace, out: IO[str], *, colour: bool) -> int:  # noqa: ARG001 - all commands are called alike
    """Every agent; FINDINGS where one is silent."""
    answer = client.ask("agents")
    if options.output == "json":
        out.write(_json(answer))
    elif options.output == "csv":
        out.write(csv_text(AGENT_FIELDS, answer["agents"]))
    else:
        out.write(agent_lines(answer["agents"]))
    return FINDINGS if any(agent["state"] in NOT_HEARD for agent in answer["agents"]) else OK


def _json(answer: Mapping[str, Any]) -> str:
    """JSON in ASCII, in which no character obeys a terminal."""
    return json.dumps(answer, indent=2) + "\n"
