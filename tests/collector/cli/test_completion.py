import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from collector.cli import main
from collector.cli.completion import SCRIPTS, script

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["mat"], ["matrix"]),
        (["matrix", "--la"], ["--layer"]),
        (["matrix", "--layer", "ex"], ["external"]),
        (["matrix", "--watch", "--kind", "t"], ["tcp"]),
        (["completion", "z"], ["zsh"]),
        (["pair", "n1", ""], []),
        (["nonsense", "--o"], []),
    ],
)
def test_it_offers_what_the_command_line_can_go_on_with(words: list[str], expected: list[str], capsys: Capture) -> None:
    assert main(["__complete", "--", *words]) == 0
    assert capsys.readouterr().out.split() == expected


def test_an_empty_command_line_is_offered_the_subcommands_and_not_the_hidden_one(capsys: Capture) -> None:
    main(["__complete", "--"])
    offered = capsys.readouterr().out.split()
    assert {"status", "matrix", "pair", "agents", "completion"} <= set(offered)
    assert not [word for word in offered if word.startswith("_")]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_every_script_asks_the_command_itself(shell: str, capsys: Capture) -> None:
    assert main(["completion", shell]) == 0
    assert "netmatrix __complete" in capsys.readouterr().out


def test_bash_completes_with_it(tmp_path: Path) -> None:
    program = tmp_path / "netmatrix"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m collector.cli "$@"\n')
    program.chmod(0o755)
    ask = "COMP_WORDS=(netmatrix matrix --layer h); COMP_CWORD=3; _netmatrix; echo ${COMPREPLY[@]}"
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-c", f"{script('bash')}\n{ask}"],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "host\n", done.stderr
