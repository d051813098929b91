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
from pathlib import Path as FilePath

import msgspec

from agent.flight import SILENCE
from agent.packet_length import padding_bytes, payload_bytes
from agent.probe_url import Question, is_address, question_of
from agent.probes import PROBERS
from agent.probes.prober import NO_FACTS, Context, Note, Observation, Probe, Prober
from agent.resolver import Resolved, Resolver, nameservers
from agent.told import text_of, told
from agent.track import Track
from wire.address import refusal
from wire.outcome import Outcome
from wire.path import LONGEST_PACKET_BYTES, Family, Icmp, Layer, Path, Target, Udp
from wire.plan import GroupKey, PlannedPath
from wire.text import OptionalName

LOOK_SECONDS = 0.002
"""How often arrivals are taken in. Kernel stamps do not depend on it."""
INTERVAL_SECONDS = 1.0
NO_KEY = "A reflector answers only to colleagues: give the group key of the cluster with --key-file."
HALF_ANSWERED = (
    "Only one of two questions was answered: where A and AAAA leave one socket at once, two conntrack entries can race, "
    "and a packet is dropped."
)
_ANY_SOURCE = frozenset({""})
"""No address is known to be ours, so that whichever the peer saw is worth telling."""
_UNRESOLVED = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}
_KEY = re.compile(r"([0-9]{1,10}):([0-9a-fA-F]{32})\s*")


def main(arguments: Sequence[str]) -> int:
    """Run the command; its exit status."""
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
        question = question_of(options.url, options.size)
        keys = (key_in(options.key_file),) if options.key_file else ()
        resolvers = frozenset(nameservers(options.resolv_conf))
        context = Context(keys=keys, addresses=_ANY_SOURCE, permits=_permits, resolvers=resolvers)
        uid = msgspec.convert(options.uid, OptionalName)
    except SystemExit as exit_:  # argparse has printed its help, or a complaint
        return exit_.code if isinstance(exit_.code, int) else 2
    except (ValueError, OSError) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    return asyncio.run(_run(question, uid, context, options))


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
        prober, track = PROBERS[path.kind](context), Track(PlannedPath(path, 1000, 1000))
        for number in range(options.count):
            if number:
                await asyncio.sleep(INTERVAL_SECONDS)
            probe = Probe(number, path, address if resolved.addresses else "", resolved.elapsed_ns, track)
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
    if options.family is None and is_address(question.host):
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
    obstacle = _obstacle(prober, probe, context)
    if obstacle is not None:
        outcome, because = obstacle
        return Observation(probe, outcome=outcome), because
    deadline = time.monotonic() + patience_seconds
    found = list[object](prober.send([probe]))
    while time.monotonic() < deadline:
        for observation in found:
            if isinstance(observation, Observation) and observation.probe.number == probe.number:
                return observation, _because(observation)
        await asyncio.sleep(LOOK_SECONDS)
        found = list(prober.collect())
    prober.forget(probe)
    facts = [dict(note.facts) for note in prober.collect() if isinstance(note, Note)]
    outcome = SILENCE.get(probe.path.kind, Outcome.TIMEOUT)
    silent = Observation(probe, outcome=outcome, facts=facts[-1] if facts else NO_FACTS)
    return silent, HALF_ANSWERED if facts else f"No answer came within {patience_seconds:g} s."


def _obstacle(prober: Prober, probe: Probe, context: Context) -> tuple[Outcome, str] | None:
    """Why a probe cannot be sent, as a word and a sentence; None where it can."""
    ask = probe.path.ask
    port = None if isinstance(ask, Icmp) else ask.port
    if (reason := refusal(probe.address, allow_loopback=True, resolvers=context.resolvers, port=port)) is not None:
        return Outcome.FORBIDDEN, f"Nothing is ever sent to this address: {reason}."
    if isinstance(ask, Udp) and not context.keys:
        return Outcome.UNSUPPORTED, NO_KEY
    try:
        if isinstance(ask, Icmp):
            payload_bytes(ask, probe.path.family)
        elif isinstance(ask, Udp):
            padding_bytes(ask, probe.path.family)
    except ValueError as error:
        return Outcome.UNSUPPORTED, f"{str(error).capitalize()}."
    if (reason := prober.unsupported(probe.path.family)) is not None:
        return Outcome.UNSUPPORTED, f"It cannot be sent from here: {reason}."
    return None


def _because(observation: Observation) -> str:
    ask = observation.probe.path.ask
    if observation.outcome is Outcome.UNSUPPORTED and isinstance(ask, Icmp | Udp) and ask.packet_bytes:
        return f"A packet of {ask.packet_bytes} bytes is longer than our own link takes, and never left."
    return ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agent once",
        description="Send one probe and print all that is known of it.",
        epilog="A name server is asked for NAME as it stands, never with a search list; ?type=AAAA or both, &tcp=1 and "
        "&contains=ADDRESS say how and for what. Exit status: 0 answered, 1 failed, 2 wrong usage.",
    )
    parser.add_argument(
        "url",
        help="icmp://ADDRESS, udp://ADDRESS[:PORT], tcp://ADDRESS:PORT, http://…, https://… or dns://SERVER[:PORT]/NAME",
    )
    parser.add_argument("--count", type=_count, default=1, metavar="N", help="probes, one a second (default: 1)")
    parser.add_argument("--timeout", type=_seconds, default=1.0, metavar="1s", help="longest wait for an answer (default: 1s)")
    parser.add_argument(
        "--size",
        type=_size,
        default=0,
        metavar="N",
        help="length of the IP packet in bytes, which then stays whole (icmp, udp)",
    )
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


def _size(text: str) -> int:
    if not (re.fullmatch("[1-9][0-9]{0,4}", text) and int(text) <= LONGEST_PACKET_BYTES):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes from 1 to {LONGEST_PACKET_BYTES}")
    return int(text)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"([0-9]{1,5}(?:\.[0-9]{1,6})?)(ms|s)", text)
    seconds = float(match[1]) / (1000 if match[2] == "ms" else 1) if match else 0
    if not 0 < seconds <= 60:  # noqa: PLR2004 - the longest timeout of a plan, too
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration of at most 60s, such as 500ms or 1s")
    return seconds


def _permits(address: str) -> bool:
    return refusal(address, allow_loopback=True) is None
