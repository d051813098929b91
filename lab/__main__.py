"""The command line of the lab: `python -m lab demo|run|up|fault|clear|down|list`."""

import argparse
import asyncio
import itertools
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from msgspec import structs

from lab import rootless
from lab.cluster import demolish, labs
from lab.corpus import Ledger, play
from lab.demo import USUAL_PORT, Wish, demo, demo_name, taken
from lab.ending import until_done, until_done_with
from lab.expectation import SECOND
from lab.figures import missed
from lab.figures import summary as summary_of_corpus
from lab.options import count, fabric_of, port, seconds
from lab.playground import PLAYGROUND, RUNNING, clear, fault, meant, policy, up
from lab.reading import Refused
from lab.run import Result, run, say, summary
from lab.scenario import Scenario, load
from lab.shape import Fabric

SCENARIOS = Path(__file__).parent / "scenarios"
NO_LAB = "there is no lab"
TOOLS = ("ip", "bridge", "nft", "nsenter", "setpriv", "unshare")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 for good, 1 where an expectation failed, 2 for bad use."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    wish = _parser().parse_args(words)
    try:
        if wish.needs_root:
            _check_machine()
            if os.geteuid() != 0:
                return _without_root(wish, words)
        return int(wish.command(wish))
    except Refused as refusal:
        say(str(refusal))
        return 2
    except KeyboardInterrupt:
        return 130


def _check_machine() -> None:
    os.environ["PATH"] = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"  # where a user's shell does not look
    if absent := [tool for tool in TOOLS if shutil.which(tool) is None]:
        raise Refused(f"the lab needs the command {' and the command '.join(absent)}: install what is missing")


def _without_root(wish: argparse.Namespace, words: Sequence[str]) -> int:
    """Do it in a user namespace: that of the lab that is meant, or one for a lab that is yet to be built."""
    there = rootless.labs()
    if wish.command is _down:
        statuses = [rootless.visit(pid, words) for pid in sorted(set(there.values()))]
        if not statuses:
            print(NO_LAB)
        return max(statuses, default=0)
    if wish.command in {fault, clear, policy}:
        return rootless.visit(there[meant(there, wish.port)], words)
    if wish.command is up and PLAYGROUND in there:
        raise Refused(RUNNING)
    door = None
    if wish.command is _demo:
        _check_demo(wish)
        if (left := demo_name(wish.port)) in there:  # by a demo that was killed: the port is free, so no other one runs
            rootless.visit(there[left], ["down"])
    if why := rootless.refusal():
        raise Refused(why)
    if wish.command in {_demo, up}:
        door = socket.create_server(("127.0.0.1", getattr(wish, "port", 0)))
    return rootless.become(words, door)


def _run(wish: argparse.Namespace) -> int:
    scenarios = [load(file) for file in wish.files] * wish.repeat
    return until_done(_run_all(scenarios, wish))


async def _run_all(scenarios: Sequence[Scenario], wish: argparse.Namespace) -> int:
    places = asyncio.Semaphore(wish.jobs)

    async def in_turn(scenario: Scenario, *, again: bool = False) -> Result:
        async with places:
            result = await run(scenario, fabric=wish.fabric, keep=wish.keep, lab=next(names))
        result = structs.replace(result, beside_others=again and result.failed)
        if wish.json or not sys.stdout.isatty():
            print(msgspec.json.encode(result).decode(), flush=True)
        return result

    names = (f"run{os.getpid()}x{number}" for number in itertools.count(1))
    async with asyncio.TaskGroup() as tasks:
        beside = [scenario for scenario in scenarios if not scenario.starves]
        again = wish.again and wish.jobs > 1  # what ran alone and failed has failed
        running = [tasks.create_task(in_turn(scenario, again=again)) for scenario in beside]
    results = [task.result() for task in running]
    alone = [scenario for scenario, result in zip(beside, results, strict=True) if result.beside_others]
    alone += [scenario for scenario in scenarios if scenario.starves]
    results += [await in_turn(scenario) for scenario in alone]
    say(summary(results))
    return 1 if any(result.failed and not result.beside_others for result in results) else 0


def _down(_: argparse.Namespace) -> int:
    found = labs()
    for name in found:
        demolish(name)
    print(f"removed {', '.join(found)}" if found else NO_LAB)
    return 0


def _list(_: argparse.Namespace) -> int:
    for file in sorted(SCENARIOS.glob("*.yaml")):
        scenario = load(file)
        first = next((line.lstrip("# ") for line in file.read_text().splitlines() if line.startswith("#")), "")
        survives = f" [survives {', '.join(map(str, scenario.survives))}]" if scenario.survives else ""
        print(f"{scenario.name:32} {scenario.length / SECOND:5.0f} s  {first}{survives}")
    return 0


def _corpus(wish: argparse.Namespace) -> int:
    ledger = Ledger(wish.resume)
    found = until_done_with(play(wish.seed, wish.count, wish.simulated, ledger, jobs=wish.jobs, tell=say))
    print(json.dumps(found, indent=None if wish.json else 1))
    sentences = missed(found)
    for line in (*sentences, summary_of_corpus(found)):
        say(line)
    return 1 if sentences else 0


def _check_demo(wish: argparse.Namespace) -> None:
    if why := taken(wish.port):
        raise Refused(why)
    if wish.json is not None and not wish.json.parent.is_dir():
        raise Refused(f"{wish.json} cannot be written: there is no directory {wish.json.parent}")


def _demo(wish: argparse.Namespace) -> int:
    _check_demo(wish)
    return until_done(
        _demonstrate(Wish(seconds=wish.seconds, json_file=wish.json, port=wish.port, fabric=wish.fabric or Fabric.FLAT))
    )


async def _demonstrate(wish: Wish) -> int:
    try:
        await demo(wish)
    except (RuntimeError, OSError) as error:  # of building the cluster: a program, or the machine, does not do its part
        say(str(error))
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m lab", description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, does: Callable[[argparse.Namespace], int], text: str, *, root: bool = True
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(command=does, needs_root=root)
        return added

    def fabric(one: argparse.ArgumentParser, otherwise: str) -> None:
        one.add_argument(
            "--fabric",
            type=fabric_of,
            choices=list(Fabric),
            help=f"how packets between pods get from node to node (default: {otherwise})",
        )

    def of_a_demo(one: argparse.ArgumentParser) -> None:
        one.add_argument("--port", type=port, help="of the demo that is meant, where there is more than one lab")

    one = command("demo", _demo, "six nodes, their matrix from real packets, a fault, and where it bites")
    one.add_argument("--for", dest="seconds", type=seconds, metavar="TIME", help="end by itself after this time, such as 40s")
    one.add_argument("--json", type=Path, metavar="FILE", help="write the last matrix there")
    one.add_argument("--port", type=port, default=USUAL_PORT, help="where page and API are on 127.0.0.1 (default: 8080)")
    fabric(one, "flat")
    one = command("run", _run, "run scenarios and judge them; one JSON object each on standard output")
    one.add_argument("files", nargs="+", type=Path, metavar="FILE")
    one.add_argument("--json", action="store_true", help="JSON also on a terminal")
    one.add_argument("--keep", action="store_true", help="leave the cluster running after a scenario")
    one.add_argument("--repeat", type=count, default=1, metavar="N", help="run all of them N times")
    one.add_argument("--jobs", type=count, default=1, metavar="N", help="run so many of them at a time (default: 1)")
    one.add_argument("--again", action="store_true", help="run what fails once more when no other one runs, and go by that")
    fabric(one, "what each scenario says")
    one = command("corpus", _corpus, "draw scenarios from a seed, play them here and in the simulator, and print the figures")
    one.add_argument("--json", action="store_true", help="on one line")
    one.add_argument("--seed", type=int, default=1, metavar="N", help="kind, place, rate and overlap follow from it (1)")
    one.add_argument("--count", type=int, default=81, metavar="N", help="scenarios of the lab (81: three of every kind)")
    one.add_argument("--simulated", type=int, default=500, metavar="N", help="scenarios of the simulator (500)")
    one.add_argument("--jobs", type=count, default=2, metavar="N", help="scenarios of the lab at a time (2)")
    one.add_argument("--resume", type=Path, metavar="FILE", help="write each result there, and go on where it ends")
    one = command("up", up, "build the cluster of a scenario and leave it running")
    one.add_argument("file", type=Path, metavar="FILE")
    fabric(one, "what the scenario says")
    one = command("fault", fault, "break something in the running lab, such as: fault loss node=n3 direction=in percent=20")
    one.add_argument("kind", metavar="KIND")
    one.add_argument("words", nargs="*", metavar="KEY=VALUE")
    of_a_demo(one)
    one = command("policy", policy, "have the nodes enforce a policy, or no longer; the collector is told")
    one.add_argument("change", choices=("apply", "delete"))
    one.add_argument("file", type=Path, metavar="FILE", help="Kubernetes documents")
    one.add_argument("--only", choices=("enforced", "told"), help="tell nobody, or do nothing but tell the collector")
    of_a_demo(one)
    of_a_demo(command("clear", clear, "mend all that was broken"))
    command("down", _down, "remove every lab of this machine (without root: of this user), also after a crash")
    command("list", _list, "the scenarios that come with the lab", root=False)
    return parser


if __name__ == "__main__":
    sys.exit(main())
