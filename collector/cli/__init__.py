"""The `netmatrix` command: what the collector knows, for people and for scripts.

It speaks to the collector's operator port, in a cluster through kubectl and the API server, and imports nothing that is slow to
import, numpy least of all.
Exit status: 0 all is well, 1 something was found, 2 a wrong command line, 3 the collector cannot be reached.
"""

import io
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from collector.cli import commands, completion, incidents, passage, probing, why
from collector.cli.check.file import check_file
from collector.cli.client import Client, RefusedError, UnreachableError
from collector.cli.passage import PassageError

USAGE: Final = 2
UNREACHABLE: Final = 3
LAYERS: Final = ("pod", "host", "service", "dns", "external", "mtu")
KINDS: Final = ("icmp", "udp", "tcp", "http", "dns")
OUTPUTS: Final = ("table", "json", "csv")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. argparse exits by itself for help and for a wrong command line."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = _parser()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal without `µ` gets `?` and no traceback
    try:
        status = _run(parser, words)
        sys.stdout.flush()
    except RefusedError as error:
        print(f"netmatrix: {error}", file=sys.stderr)
        return USAGE
    except (UnreachableError, PassageError) as error:
        print(f"netmatrix: {error}", file=sys.stderr)
        return UNREACHABLE
    except (LookupError, TypeError, AttributeError) as error:
        print(f"netmatrix: the collector answers what this version does not understand: {error!r}", file=sys.stderr)
        return UNREACHABLE
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read us has seen enough; without this Python would complain at exit that it cannot flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return commands.OK
    return status


def _run(parser: ArgumentParser, words: Sequence[str]) -> int:
    if words[:2] == [completion.HIDDEN, "--"]:
        print("\n".join(completion.offers(parser, words[2:])))
        return commands.OK
    options = parser.parse_args(words)
    if "shell" in options:
        print(completion.script(options.shell), end="")
        return commands.OK
    if "manifests" in options:
        return _verify(options, parser)
    if getattr(options, "file", None) is not None:
        return commands.OK if check_file(options.file, sys.stdout, output=options.output) else commands.FINDINGS
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    if options.run is None:
        return _check(options, parser, colour=colour)
    with _client(options, parser) as (client, _):
        status: int = options.run(client, options, sys.stdout, colour=colour)
    return status


def _check(options: Namespace, parser: ArgumentParser, *, colour: bool) -> int:
    # Here, since the libraries that read policies and configurations take longer to import than all else.
    from collector.cli.check import installation, kube  # noqa: PLC0415 - as above

    with _client(options, parser, paths=kube.PATHS) as (client, socket):
        well = installation.check_installation(
            client,
            socket,
            sys.stdout,
            namespace=options.namespace or passage.NAMESPACE,
            timeout=options.timeout,
            output=options.output,
            colour=colour,
        )
    return commands.OK if well else commands.FINDINGS


def _verify(options: Namespace, parser: ArgumentParser) -> int:
    # Here, for the same reason: manifests are read and judged by the collector's own code.
    from collector.cli.verify.command import verify  # noqa: PLC0415 - as above

    return verify(options, parser, sys.stdout, lambda: _client(options, parser))


@contextmanager
def _client(options: Namespace, parser: ArgumentParser, *, paths: tuple[str, ...] = ()) -> Iterator[tuple[Client, Path | None]]:
    """The collector at a URL where one is given, else the one of the cluster that kubectl speaks to, through the socket.

    `paths` are what else of the API server is to be let through.
    """
    asked = options.context or options.kubeconfig or options.namespace
    if options.server and asked:
        parser.error("--server says where the collector is, and --context, --kubeconfig and --namespace say so too")
    server = options.server or ("" if asked else os.environ.get("NETMATRIX_SERVER"))
    if server:
        try:
            client = Client.at(server, timeout=options.timeout)
        except ValueError as error:
            parser.error(f"--server: {error}")
        yield client, None
        return
    namespace = options.namespace or passage.NAMESPACE
    flags = [f"--{name}={value}" for name in ("context", "kubeconfig") if (value := getattr(options, name))]
    with passage.opened(namespace=namespace, flags=tuple(flags), timeout=options.timeout, paths=paths) as socket:
        token = partial(
            passage.token, namespace=namespace, flags=tuple(flags), account=passage.ACCOUNT, timeout=options.timeout
        )
        yield Client.through(socket, namespace=namespace, timeout=options.timeout, token=token), socket


def _parser() -> ArgumentParser:
    reaching = ArgumentParser(add_help=False)
    reaching.add_argument("--context", metavar="NAME", help="kubectl's context to use (default: the current one)")
    reaching.add_argument("--kubeconfig", metavar="FILE", help="kubectl's configuration (default: as kubectl)")
    reaching.add_argument(
        "--server", metavar="URL", help="the collector's operator port, without kubectl (default: $NETMATRIX_SERVER)"
    )
    reaching.add_argument(
        "--timeout", metavar="SECONDS", type=_seconds, default=5.0, help="longest wait for an answer (default: 5)"
    )
    shared = ArgumentParser(add_help=False, parents=[reaching])
    shared.add_argument(
        *("-n", "--namespace"), metavar="NAME", help=f"where the collector is installed (default: {passage.NAMESPACE})"
    )
    parser = ArgumentParser(
        prog="netmatrix",
        description="Who can reach whom in the cluster, and how well.",
        epilog="Exit status: 0 all is well, 1 something was found, 2 a wrong command line, 3 the collector cannot be reached.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    words = parser.add_subparsers(metavar="COMMAND", required=True)

    one = words.add_parser("status", parents=[shared], help="who reports, what is lost; exit status 1 if anything is")
    _add_span(one)
    one.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: table")
    one.set_defaults(run=commands.status)

    one = words.add_parser("matrix", parents=[shared], help="the matrix, grouped")
    one.add_argument("--by", metavar="WHAT", default="node", help="node, zone, namespace, service, or two as in zone:service")
    one.add_argument("--layer", choices=LAYERS, help="only this layer")
    one.add_argument("--kind", choices=KINDS, help="only this kind of probe")
    one.add_argument("--family", choices=("ipv4", "ipv6"), help="only this address family")
    one.add_argument("--from", dest="from_", metavar="NAME", help="only from this node, vantage or pod")
    one.add_argument("--to", metavar="NAME", help="only to this node, pod, service or target")
    _add_span(one)
    one.add_argument("--totals", action="store_true", help="sums since the collector started, instead of a span")
    one.add_argument("--worst", metavar="N", type=int, help="the N worst paths instead of a matrix")
    one.add_argument("--measure", choices=("loss", "p99"), default="loss", help="by what they are the worst (default: loss)")
    one.add_argument("--watch", action="store_true", help="draw it again every 2 seconds")
    one.add_argument("-o", "--output", choices=("table", "wide", "json", "csv"), default="table", help="default: table")
    one.set_defaults(run=commands.matrix)

    one = words.add_parser("pair", parents=[shared], help="all that is known between two names, in both directions")
    one.add_argument("source", metavar="SRC", help="a node, vantage, pod or target")
    one.add_argument("target", metavar="DST", help="another one")
    _add_span(one)
    one.add_argument("-o", "--output", choices=OUTPUTS, default="table", help="default: table")
    one.set_defaults(run=commands.pair)

    probing.add_to(words, shared)

    one = words.add_parser("agents", parents=[shared], help="the agents; exit status 1 if one is silent")
    one.add_argument("-o", "--output", choices=OUTPUTS, default="table", help="default: table")
    one.set_defaults(run=commands.agents)

    incidents.add_to(words, shared)
    why.add_to(words, shared)

    one = words.add_parser(
        "check", parents=[shared], help="what is not as it should be, and what to do; exit status 1 if anything"
    )
    one.add_argument("-f", "--file", metavar="FILE", type=Path, help="look at this configuration instead, and at no cluster")
    one.add_argument("-o", "--output", choices=("table", "json"), default="table", help="default: table")
    one.set_defaults(run=None)

    one = words.add_parser(
        "verify", parents=[reaching], help="what should hold and whether it does, now; exit status 1 if something does not"
    )
    _add_verify(one)

    one = words.add_parser("completion", help="a script that completes this command in a shell")
    one.add_argument("shell", choices=tuple(completion.SCRIPTS), help="kubectl: for `kubectl netmatrix`")
    return parser


def _add_verify(parser: ArgumentParser) -> None:
    parser.add_argument("-f", "--file", metavar="FILE", type=Path, help="also what is declared in this file")
    parser.add_argument("-n", "--namespace", dest="only", metavar="NS", default="", help="only what concerns this namespace")
    parser.add_argument(
        *("--installed-in",), dest="namespace", metavar="NAME", help=f"where the collector is (default: {passage.NAMESPACE})"
    )
    parser.add_argument(
        "--manifests", metavar="DIR", type=Path, help="the manifests under this folder instead of a cluster, without a packet"
    )
    parser.add_argument("--all", action="store_true", help="with --manifests: also what follows from policies alone")
    parser.add_argument(
        "--cni-profile", metavar="NAME", default="generic", help="with --manifests: the network plugin (default: generic)"
    )
    parser.add_argument(
        "--pod-cidr",
        metavar="CIDR",
        default="10.244.0.0/16",
        help="with --manifests: of pods (default: 10.244.0.0/16)",
    )
    parser.add_argument("-o", "--output", choices=("table", "json", "junit", "tap"), default="table", help="default: table")


def _add_span(parser: ArgumentParser) -> None:
    parser.add_argument("--span", metavar="60s", help="how far back, such as 30s or 5m (default: 60s)")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 600:  # noqa: PLR2004 - ten minutes are longer than anybody waits
        raise ArgumentTypeError("expected seconds, more than 0 and at most 600")
    return seconds
