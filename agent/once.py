"""`python -m agent once URL`: probes by the real probers, and all that is known of each.

In: a URL from the command line, whose author is the authority: loopback is allowed here, the rest of the deny list stays. Out:
text or JSON lines, and an exit status: 0 when every probe was answered, 1 when one was not, 2 when the question makes no sense.
"""

import argparse
import asyncio
import re
import sys
import time
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path as FilePath
from urllib.parse import urlsplit

import msgspec

from agent.probes import PROBERS
from agent.probes.prober import Context, Observation, Probe, Prober
from agent.resolver import Resolved, Resolver
from agent.told import text_of, told
from wire.address import refusal
from wire.outcome import Outcome
from wire.path import Ask, Family, Layer, Path, Target, Udp
from wire.plan import GroupKey
from wire.text import OptionalName

LOOK_SECONDS = 0.002
"""How often arrivals are taken in. Kernel stamps do not depend on it."""
INTERVAL_SECONDS = 1.0
ECHO_PORT = 8620
NO_KEY = "A reflector answers only to colleagues: give the group key of the cluster with --key-file."
_ANY_SOURCE = frozenset({""})
"""No address is known to be ours, so that whichever the peer saw is worth telling."""
_UNRESOLVED = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}
_SCHEMES = ("icmp", "udp", "tcp", "http", "https")
_KEY = re.compile(r"([0-9]{1,10}):([0-9a-fA-F]{32})\s*")


class Question(msgspec.Struct, frozen=True):
    """What the command line asks for."""

    url: str
    host: str
    """Name or address."""
    ask: Ask


def main(arguments: Sequence[str]) -> int:
    """Run the command; its exit status."""
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
        question = question_of(options.url)
        keys = (key_in(options.key_file),) if options.key_file else ()
        context = Context(keys=keys, addresses=_ANY_SOURCE, permits=_permits)
        uid = msgspec.convert(options.uid, OptionalName)
    except SystemExit as exit_:  # argparse has printed its help, or a complaint
        return exit_.code if isinstance(exit_.code, int) else 2
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return asyncio.run(_run(question, uid, context, options))


def question_of(url: str) -> Question:
    """What a URL asks for; raises ValueError with a sentence where it makes no sense."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials are never sent: leave them out of the URL")
    if parts.scheme not in _SCHEMES:
        raise ValueError(f"{url!r} does not start with one of {', '.join(f'{scheme}://' for scheme in _SCHEMES)}")
    if not parts.hostname:
        raise ValueError(f"{url!r} names no address (one of IPv6 stands in brackets, as in icmp://[::1])")
    fields: dict[str, object] = {"type": parts.scheme, "port": parts.port}  # raises ValueError where it is no port
    if parts.scheme in {"http", "https"}:
        tls = parts.scheme == "https"
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        fields |= {"type": "http", "tls": tls, "path": path, "host": "" if _is_address(parts.hostname) else parts.hostname}
        fields["port"] = parts.port or (443 if tls else 80)
    elif parts.path.strip("/") or parts.query:
        raise ValueError(f"{parts.scheme} has no path")
    elif parts.scheme == "icmp" and parts.port is not None:
        raise ValueError("icmp has no port")
    elif parts.scheme == "udp":
        fields["port"] = parts.port or ECHO_PORT
    elif parts.scheme == "tcp" and parts.port is None:
        raise ValueError("tcp needs a port, as in tcp://ADDRESS:PORT")
    try:
        return Question(url, parts.hostname, msgspec.convert(fields, Ask))
    except msgspec.ValidationError as error:
        raise ValueError(f"{url!r}: {error}") from None


def key_in(file: FilePath) -> GroupKey:
    """The group key in a file, `EPOCH:32 hexadecimal digits`; raises OSError or ValueError, and never quotes it."""
    match = _KEY.fullmatch(file.read_text("ascii", "replace"))
    if match is None:
        raise ValueError(f"{file} does not hold one key as EPOCH:32 hexadecimal digits")
    return msgspec.convert(GroupKey(int(match[1]), bytes.fromhex(match[2])), GroupKey)


async def _run(question: Question, uid: str, context: Context, options: argparse.Namespace) -> int:
    resolved, family = await _resolved(question, options)
    address = resolved.addresses[0] if resolved.addresses else _UNRESOLVED[family]
    target = Target(name="once", peer="once", address=address, uid=uid)
    path = Path(vantage="once", target=target, layer=Layer.EXTERNAL, family=family, ask=question.ask)
    failed = False
    async with asyncio.TaskGroup() as tasks:
        context.spawn = tasks.create_task
        prober = PROBERS[path.kind](context)
        for number in range(options.count):
            if number:
                await asyncio.sleep(INTERVAL_SECONDS)
            probe = Probe(number, path, address if resolved.addresses else "", resolved.elapsed_ns)
            if resolved.outcome is not None:
                observation, because = Observation(probe, outcome=resolved.outcome), ""
            else:
                observation, because = await _observed(prober, probe, context, options.timeout)
            known = told(question.url, observation, because)
            failed = failed or not known.answered
            print(msgspec.json.encode(known).decode() if options.json else text_of(known), flush=True)
        prober.close()
    return int(failed)


async def _resolved(question: Question, options: argparse.Namespace) -> tuple[Resolved, Family]:
    """Of the family that was asked for; else of the address's own, or the first that the name has."""
    families: list[Family] = [options.family] if options.family else list(Family)
    if options.family is None and _is_address(question.host):
        families = [Family.of(question.host)]
    resolver = Resolver(options.resolv_conf)
    results = []
    for family in families:
        results.append((await resolver.resolve(question.host, family), family))
        if results[-1][0].outcome is None:
            return results[-1]
    return results[0]


async def _observed(prober: Prober, probe: Probe, context: Context, patience_seconds: float) -> tuple[Observation, str]:
    """What becomes of a probe, and why, where more is known than the word says."""
    if (reason := refusal(probe.address, allow_loopback=True)) is not None:
        return Observation(probe, outcome=Outcome.FORBIDDEN), f"Nothing is ever sent to this address: {reason}."
    if isinstance(probe.path.ask, Udp) and not context.keys:
        return Observation(probe, outcome=Outcome.UNSUPPORTED), NO_KEY
    if (reason := prober.unsupported(probe.path.family)) is not None:
        return Observation(probe, outcome=Outcome.UNSUPPORTED), f"It cannot be sent from here: {reason}."
    deadline = time.monotonic() + patience_seconds
    found = list[object](prober.send([probe]))
    while time.monotonic() < deadline:
        for observation in found:
            if isinstance(observation, Observation) and observation.probe.number == probe.number:
                return observation, ""
        await asyncio.sleep(LOOK_SECONDS)
        found = list(prober.collect())
    prober.forget(probe)
    return Observation(probe, outcome=Outcome.TIMEOUT), f"No answer came within {patience_seconds:g} s."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agent once",
        description="Send one probe and print all that is known of it.",
        epilog="Exit status: 0 answered, 1 failed, 2 wrong usage.",
    )
    parser.add_argument("url", help="icmp://ADDRESS, udp://ADDRESS[:PORT], tcp://ADDRESS:PORT, http://… or https://…")
    parser.add_argument("--count", type=_count, default=1, metavar="N", help="probes, one a second (default: 1)")
    parser.add_argument("--timeout", type=_seconds, default=1.0, metavar="1s", help="longest wait for an answer (default: 1s)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    family = parser.add_mutually_exclusive_group()
    family.add_argument("--ipv4", dest="family", action="store_const", const=Family.IPV4, help="resolve to IPv4 only")
    family.add_argument("--ipv6", dest="family", action="store_const", const=Family.IPV6, help="resolve to IPv6 only")
    parser.add_argument("--key-file", type=FilePath, metavar="FILE", help="group key as EPOCH:HEX, which udp needs")
    parser.add_argument("--uid", default="", metavar="UID", help="UID of the pod that should answer and prove it (udp, /echo)")
    parser.add_argument("--resolv-conf", type=FilePath, default=FilePath("/etc/resolv.conf"), metavar="FILE")
    return parser


def _count(text: str) -> int:
    if not re.fullmatch("[1-9][0-9]{0,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 999999")
    return int(text)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,5}(?:\.[0-9]{1,6})?)(ms|s)", text)
    seconds = float(match[1]) / (1000 if match[2] == "ms" else 1) if match else 0
    if not 0 < seconds <= 60:  # noqa: PLR2004 - the longest timeout of a plan, too
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration of at most 60s, such as 500ms or 1s")
    return seconds


def _permits(address: str) -> bool:
    return refusal(address, allow_loopback=True) is None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
