"""A configuration is checked before it is applied, by whoever has the command and nothing else."""

import json
from pathlib import Path

import pytest

from collector.cli import main

Capture = pytest.CaptureFixture[str]


def test_a_good_file_is_0(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "config.yaml").write_text("plan: {interval: 5s}")
    assert main(["check", "-f", str(tmp_path / "config.yaml")]) == 0
    assert capsys.readouterr().out == "config.yaml: a collector takes it\n"


def test_survive_63_a_wrong_file_is_1_with_the_sentence_that_the_collector_would_say(tmp_path: Path, capsys: Capture) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("external:\n  - {name: a, host: x.test, probes: [icmp]}\n  - {name: b, host: localhost, probes: [icmp]}\n")
    assert main(["check", "-f", str(file)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("config.yaml: external[1].host: localhost is never probed: ")
    assert len(out.splitlines()) == 1
    assert main(["check", "--file", str(file), "-o", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["fault"] + "\n" == out


def test_a_file_that_is_none_says_which_line(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "config.yaml").write_text("plan:\n  interval: 5s\n timeout: 1s\n")
    assert main(["check", "-f", str(tmp_path / "config.yaml")]) == 1
    assert capsys.readouterr().out.startswith("config.yaml: line 3: not YAML: ")
    assert main(["check", "-f", str(tmp_path / "absent.yaml")]) == 1
    assert "cannot be read: No such file" in capsys.readouterr().out
