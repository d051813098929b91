"""Every command line that a document shows is understood by its program, and run by a test or for a reason by nobody."""

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from types import MappingProxyType
from typing import Any, Final, NoReturn

import pytest

import agent.__main__
import bench.__main__
import bench.sizing
import collector.__main__
import collector.cli
import lab.__main__
import simulator.__main__
from agent.probe_url import question_of
from tests.documents.runs import NOT_RUN, place
from tests.documents.shown import Command, commands, mentions
from tests.manifests.rendering import kubectl
from tests.rules.tree import ROOT

PROGRAMS: Mapping[str, Callable[[Sequence[str]], object]] = MappingProxyType(
    {
        "netmatrix": collector.cli.main,
        "python -m agent": agent.__main__.main,
        "python -m bench": bench.__main__.main,
        "python -m bench.sizing": bench.sizing.main,
        "python -m collector": collector.__main__.main,
        "python -m lab": lab.__main__.main,
        "python -m simulator": lambda _: simulator.__main__.main(),
    }
)
"""Ours, each with what parses its words."""
THEIRS: Final = {"curl", "docker", "kind", "python -m pytest", "export", "echo"}
"""Known by everybody; what is run of them shows whether it is right."""
SHELL: Final = frozenset({"token=$(kubectl", "echo"})
"""Lines of a script, which are run as one."""


def named_by_place(command: Command) -> str:
    return f"{command.shown.place} {command.line}"


EVERY = pytest.mark.parametrize("command", commands(), ids=named_by_place)


class ParsedError(Exception):
    """The words were understood."""


@pytest.fixture
def only_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs understand their words, and do nothing then."""
    understood = argparse.ArgumentParser.parse_args

    def parse_args(self: argparse.ArgumentParser, *words: Any, **named: Any) -> NoReturn:
        understood(self, *words, **named)
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)


@EVERY
def test_every_command_is_run_by_a_test_or_by_nobody_for_a_reason(command: Command) -> None:
    assert place(command) is not None, f"{command.shown.place}: say in tests/documents/runs.py who runs `{command.line}`"


def test_no_reason_is_left_of_a_command_that_is_gone() -> None:
    lines = [command.line.removeprefix(".venv/bin/") for command in commands()]
    assert [pattern for pattern in NOT_RUN if not any(fnmatchcase(line, pattern) for line in lines)] == []


@pytest.mark.usefixtures("only_parsed")
@EVERY
def test_every_command_is_understood(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    if command.program in PROGRAMS:
        monkeypatch.setattr(sys, "argv", [command.program, *command.arguments])
        with pytest.raises(ParsedError):
            PROGRAMS[command.program](command.arguments)
    elif command.program == "make":
        assert command.words[1] in targets()
    elif command.program == "kubectl":
        assert refused(command.line.partition(" -- ")[0]) == ""
    elif command.words[0] not in SHELL:
        assert command.program.removeprefix(".venv/bin/") in THEIRS


@pytest.mark.parametrize("command", [one for one in commands() if one.program == "python -m agent"], ids=lambda one: one.line)
def test_every_probe_is_one(command: Command) -> None:
    (url,) = [word for word in command.words if "://" in word]
    question_of(url)


@cache
def targets() -> frozenset[str]:
    return frozenset(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@cache
def refused(line: str) -> str:
    """What kubectl has against a command line; it is asked for its help, which it gives where it understands all the rest."""
    asked = [kubectl(), *line.split()[1:], "--help"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=60)
    return done.stderr if done.returncode else ""


@pytest.mark.usefixtures("only_parsed")
@pytest.mark.parametrize("command", list(mentions()), ids=named_by_place)
def test_a_command_within_a_sentence_is_understood_too(
    command: Command, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`N` stands for any number, and what the sentence is not about may be left out."""
    words = ["1" if word == "N" else word for word in command.arguments]
    if command.program not in PROGRAMS:
        return
    if command.program == "python -m agent" and words[0] != "once":
        assert f"python -m agent {words[0]}" in agent.__main__.USAGE.replace("[run]", "run")
        return
    monkeypatch.setattr(sys, "argv", [command.program, *words])
    try:
        with pytest.raises(ParsedError):
            PROGRAMS[command.program](words)
    except SystemExit:
        assert re.search("the following arguments are required|expected .* argument", capsys.readouterr().err)
