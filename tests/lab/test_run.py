"""End to end: the real programs in real namespaces, broken for real, and seen from outside."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lab.cluster import labs
from lab.demo import demo_name

ROOT = Path(__file__).parents[2]

# A path that loses nothing tells its numbers rarely, and one that loses everything not at all: of some eighteen probes of each
# of eight paths, one in ten thousand runs has such a path.
HALF_TRUE = """
name: half-true
cluster: {nodes: 3, zones: 3, namespaces: [shop], external: false}
timeline:
  - {at: 3s, fault: {kind: loss, node: n2, direction: in, percent: 50}}
  - {at: 28s, clear: all}
expect:
  cells:
    - {between: [5s, 27s], from: {node: "n[13]"}, to: {node: n2}, layer: pod, kind: udp, forward_loss: {equals: dropped}}
    - {between: [5s, 27s], from: {node: "n[13]"}, to: {node: n2}, layer: pod, kind: udp, backward_loss: {max: 0}}
    - {between: [5s, 27s], from: {node: n1}, to: {node: n3}, layer: pod, loss: {max: 0}}
    - {between: [5s, 27s], from: {node: "n[13]"}, to: {node: n2}, layer: pod, kind: udp, loss: {max: 0}}
    - {between: [5s, 27s], from: {node: n7}, loss: {max: 0}}
"""


def started(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "lab", *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def left_by(run: subprocess.Popen[str]) -> list[str]:
    """Labs of a process that has ended. Other tests may have labs of their own at the same time."""
    return [name for name in labs() if name.startswith(f"run{run.pid}x")]


@pytest.mark.lab
def test_a_run_tells_what_holds_from_what_does_not_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "half-true.yaml"
    file.write_text(HALF_TRUE)
    with started("run", str(file)) as run:
        said, progress = run.communicate()
    assert run.returncode == 1, progress
    result = json.loads(said)
    assert result["name"] == "half-true"
    assert [entry["passed"] for entry in result["expectations"]] == [True, True, True, False, False], said
    exact = result["expectations"][0]["measured"]
    assert exact["forward_lost"] == exact["forward_dropped"] > 0
    assert left_by(run) == []


@pytest.mark.lab
def test_a_run_that_is_told_to_stop_removes_its_cluster() -> None:
    scenario = ROOT / "lab" / "scenarios" / "ipv4-only.yaml"
    with started("run", str(scenario)) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if "every path is measured" in line:
                assert left_by(run) != []
                os.kill(run.pid, signal.SIGTERM)
        assert run.wait() == 143
    assert left_by(run) == []


def assert_passes(name: str) -> None:
    with started("run", str(ROOT / "lab" / "scenarios" / f"{name}.yaml")) as run:
        _, progress = run.communicate()
    assert run.returncode == 0, progress


@pytest.mark.lab
def test_survive_38_an_agent_that_loses_everything_is_a_bad_source_and_not_a_bad_cluster() -> None:
    assert_passes("cut-off-node")


@pytest.mark.lab
def test_a_short_scenario_passes() -> None:
    assert_passes("ipv4-only")


@pytest.mark.lab
def test_a_demo_whose_reader_goes_away_removes_its_cluster() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    command = [sys.executable, "-m", "lab", "demo", "--for", "20s", "--port", port]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline().startswith("starting")
        demo.stdout.close()
        assert demo.wait() != 0
    assert demo_name(int(port)) not in labs()
