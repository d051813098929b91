"""The command `python -m agent`: `run` is the agent, `once` a single probe told whole, `canary` a pod to be closed."""

import asyncio
import gc
import os
import socket
import sys
from collections.abc import Sequence
from uuid import uuid4

from agent import VERSION, journal
from agent.settings import VARIABLES, SettingsError, read

_YOUNG_OBJECTS = 10_000
"""After so many the interpreter looks for cycles; a few megabytes at the most."""

_SWITCH_SECONDS = 100e-6
"""Each system call that may wait lets go of the interpreter; if another thread takes it, it is back after this long."""

USAGE = """\
usage: python -m agent [run]            probe, answer and report until SIGTERM
       python -m agent once URL [...]   send one probe and print what is known of it (once --help)
       python -m agent canary           answer where a policy lets nobody through, see docs/expectations.md
       python -m agent --help | --version

The agent is configured by its environment alone:
"""


def usage() -> str:
    """The help text, with every variable and what it may be."""
    width = max(map(len, VARIABLES)) + len("NETMATRIX_")
    lines = [f"  {'NETMATRIX_' + name:<{width}}  {allowed}" for name, (_, _, allowed) in VARIABLES.items()]
    return USAGE + "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Run a command; the exit status: 0 done, 1 failed, 2 asked wrongly."""
    match list(arguments):
        case ["--help" | "-h"] | ["run", "--help" | "-h"]:
            sys.stdout.write(usage())
            return 0
        case ["--version"]:
            sys.stdout.write(f"netmatrix {VERSION}\n")
            return 0
        case [] | ["run"]:
            return run()
        case ["once", *rest]:
            from agent.once import main as once  # noqa: PLC0415 - an agent does not load what it never runs

            return once(rest)
        case ["canary"]:
            from agent.canary import main as canary  # noqa: PLC0415 - which loads nothing else of an agent

            return canary()
        case _:
            sys.stderr.write(usage())
            return 2


def run() -> int:
    """The agent itself."""
    try:
        settings = read(os.environ, hostname=socket.gethostname(), uid=str(uuid4()))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    from agent.app import Agent  # noqa: PLC0415 - a wrong setting is told without waiting for the libraries

    sieve = journal.configure(settings.log)
    sys.setswitchinterval(_SWITCH_SECONDS)
    # What the libraries have made stays, and cycles are rare: looking for them after every 700 objects costs more than they do.
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS, 20, 20)

    async def lead() -> int:
        return await Agent(settings, sieve).run()

    return asyncio.run(lead())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
