"""Who runs a command that a document shows: a test with a demo, one with a control plane, or nobody, and then why.

A command that is in none of these fails the tests until it has a place here.
"""

from enum import StrEnum, auto
from fnmatch import fnmatchcase
from typing import Final

from tests.documents.shown import Command, commands


class Place(StrEnum):
    """Where a command is run."""

    DEMO = auto()
    """`test_asked_of_a_demo.py`."""
    CLUSTER = auto()
    """`tests/cluster/test_documents.py`."""
    NOWHERE = auto()
    """It is only parsed."""


LONG: Final = "takes minutes or hours; its own tests run a short one"
KUBELET: Final = "asks the kubelet of a node, and a control plane has none"

NOT_RUN: Final = {
    "make check": "runs this test",
    "make test": "runs this test",
    "make bench": LONG,
    "make bench-quick": LONG,
    "python -m bench *": LONG,
    "python -m bench.sizing *": LONG,
    "python -m simulator *": LONG,
    "*python -m pytest *": "runs this test, or others that run beside it",
    "python -m lab demo": "what `make demo` runs",
    "python -m lab run *": "every scenario has a test of its own",
    "python -m lab up FILE": "there is one playground to a machine, and tests do not take it",
    "python -m lab down": "removes every lab of the machine, those of other tests too",
    "python -m lab fault *": "the playground's, as above; tests/lab breaks each thing",
    "python -m lab policy *": "the playground's; `make break` runs the same",
    "python -m lab clear": "the playground's",
    "docker *": "there is no container engine in a test; tests/image builds the same Dockerfile with buildah",
    "kind *": "there is no kind in a test",
    "kubectl *port-forward *": KUBELET,
    "kubectl *logs *": KUBELET,
    "kubectl debug *": KUBELET,
    "kubectl *top *": "asks the metrics server, which a cluster has or not",
    "kubectl *edit *": "opens an editor",
    "echo * | kubectl create -f - --raw *": "no collector is behind a control plane; tests/cluster/test_actions.py has one",
    "kubectl *get servicemonitors": "a kind of the Prometheus operator",
    "python -m agent once https://host.example.com/": "a host outside, which no test asks",
}
"""Patterns of command lines, each with the reason."""

RUN: Final = {
    "netmatrix": Place.DEMO,
    "curl": Place.DEMO,
    "python -m agent": Place.DEMO,
    "make demo": Place.DEMO,
    "make break": Place.DEMO,
    "make mend": Place.DEMO,
    "python -m lab": Place.DEMO,
    "export": Place.DEMO,
    "kubectl": Place.CLUSTER,
    "token=$(kubectl": Place.CLUSTER,
}
"""Programs, by where they are run."""


def reason(command: Command) -> str:
    """Why nobody runs it; empty where somebody does."""
    line = command.line.removeprefix(".venv/bin/")
    return next((why for pattern, why in NOT_RUN.items() if fnmatchcase(line, pattern)), "")


def place(command: Command) -> Place | None:
    """Where it is run; None where nobody has thought of it."""
    if reason(command):
        return Place.NOWHERE
    program = f"make {command.words[1]}" if command.program == "make" else command.program
    return RUN.get(program)


def at(wanted: Place) -> list[Command]:
    """The commands that are run there, each line once, in the order of the documents."""
    found: dict[str, Command] = {}
    for command in commands():
        if place(command) is wanted:
            found.setdefault(command.line, command)
    return list(found.values())
