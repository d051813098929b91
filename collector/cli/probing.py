"""`netmatrix probe`: has planned paths probed now, and prints what came of it."""

import json
from argparse import ArgumentParser, ArgumentTypeError, Namespace, _SubParsersAction
from collections.abc import Mapping, Sequence
from typing import IO, Any, Final

from collector.cli.client import Client
from collector.cli.listing import lines_of
from collector.cli.table import GREEN, RED, YELLOW, latency_text, loss_text

WELL: Final = 0
LOSSY: Final = 1
MOST_PROBES: Final = 20
"""As agents have it: so many packets a minute for each path."""
PATIENCE_SECONDS: Final = 120.0
"""How long an answer is waited for: two report intervals of the longest kind that anybody would watch, and the probes."""
HEAD: Final = ("FROM", "TO", "LAYER", "KIND", "FAMILY", "SENT", "LOSS", "MEAN", "STATE", "BECAUSE")
BECAUSE: Final = {
    "answered": "",
    "lossy": "some were lost",
    "lost": "none was answered",
    "refused": "each was refused",
    "unconfirmed": "answered, and nothing proved that the planned pod did",
    "not_sent": "its agent sends no more now: 20 packets a minute are the most for a path",
    "no_word": "its agent has not answered",
}


def add_to(words: "_SubParsersAction[ArgumentParser]", shared: ArgumentParser) -> None:
    """Add the subcommand, with the options that all share."""
    one = words.add_parser(
        "probe", parents=[shared], help="have the paths between two names probed now; exit status 1 if any loses or is silent"
    )
    one.add_argument("source", metavar="SRC", help="a node, vantage or pod")
    one.add_argument("target", metavar="DST", help="a node, pod, service or target")
    one.add_argument("--count", metavar="N", type=_count, default=5, help="probes of each path, 1 to 20 (default: 5)")
    one.add_argument("--layer", choices=("pod", "host", "service", "dns", "mtu"), help="only this layer")
    one.add_argument("--kind", choices=("icmp", "udp", "tcp"), help="only this kind of probe")
    one.add_argument("--family", choices=("ipv4", "ipv6"), help="only this address family")
    one.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: table")
    one.set_defaults(run=probe)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_PROBES):
        raise ArgumentTypeError(f"expected a number from 1 to {MOST_PROBES}")
    return int(text)


def probe(client: Client, options: Namespace, out: IO[str], *, colour: bool) -> int:
    """The paths between two names, probed now; LOSSY unless every one of them was answered."""
    asked = {"from": options.source, "to": options.target, "count": options.count}
    filters = {name: getattr(options, name) for name in ("layer", "kind", "family")}
    answer = client.act("probe", asked | filters, seconds=PATIENCE_SECONDS)
    paths = answer["paths"]
    if options.output == "json":
        out.write(json.dumps(answer, indent=2) + "\n")
    else:
        out.write(lines_of(HEAD, [_row(path) for path in paths], colours=[_colour(path) for path in paths] if colour else None))
        if answer["left_out"]:
            out.write(f"{answer['left_out']} more are not probed on demand: see `netmatrix pair`\n")
    return WELL if all(path["state"] == "answered" for path in paths) else LOSSY


def _row(path: Mapping[str, Any]) -> Sequence[str]:
    ends = str(path["from"]["vantage"]), str(path["to"]["name"])
    words = (str(path[name]) for name in ("layer", "kind", "family", "sent"))
    state = str(path["state"])
    return (*ends, *words, loss_text(path["loss"]), latency_text([path["mean_us"]]), state, BECAUSE.get(state, ""))


def _colour(path: Mapping[str, Any]) -> str:
    if path["state"] == "answered":
        return GREEN
    return YELLOW if path["state"] in {"lossy", "not_sent", "unconfirmed"} else RED
