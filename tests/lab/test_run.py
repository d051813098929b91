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

ROOT = Path(__file__).parents[2]

# A path that loses nothing tells its numbers rarely; of ten probes here, none is lost in one of ten thousand cases.
HALF_TRUE = """
name: half-true
cluster: {nodes: 3, zones: 3, namespaces: [shop], external: false}
timeline:
  - {at: 3s, fault: {kind: loss, node: n2, direction: in, percent: 60}}
  - {at: 16s, clear: all}
expect:
  cells:
    - {between: [5s, 15s], from: {node: "n[13]"}, to: {node: n2}, layer: pod, kind: udp, forward_loss: {equals: dropped}}
    - {between: [5s, 15s], from: {node: "n[13]"}, to: {node: n2}, layer: pod, kind: udp, backward_loss: {max: 0}}
    - {between: [5s, 15s], from: {node: n1}, to: {node: n3}, layer: pod, loss: {max: 0}}
    - {between: [5s, 15s], from: {node: "n[13]"}, to: {node: n2}, layer: pod, kind: udp, loss: {max: 0}}
    - {between: [5s, 15s], from: {node: n7}, loss: {max: 0}}
"""


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "lab", *words], cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.lab
def test_a_run_tells_what_holds_from_what_does_not_and_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "half-true.yaml"
    file.write_text(HALF_TRUE)
    before = set(labs())
    done = lab("run", str(file))
    assert done.returncode == 1, done.stderr
    result = json.loads(done.stdout)
    assert result["name"] == "half-true"
    assert [entry["passed"] for entry in result["expectations"]] == [True, True, True, False, False], done.stdout
    exact = result["expectations"][0]["measured"]
    assert exact["forward_lost"] == exact["forward_dropped"] > 0
    assert set(labs()) <= before


@pytest.mark.lab
def test_a_run_that_is_told_to_stop_removes_its_cluster() -> None:
    before = set(labs())
    scenario = ROOT / "lab" / "scenarios" / "ipv4-only.yaml"
    with subprocess.Popen(
        [sys.executable, "-m", "lab", "run", str(scenario)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr is not None
        for line in run.stderr:
            if "every path is measured" in line:
                os.kill(run.pid, signal.SIGTERM)
        assert run.wait() == 143
    assert set(labs()) <= before


def assert_passes(name: str) -> None:
    done = lab("run", str(ROOT / "lab" / "scenarios" / f"{name}.yaml"))
    assert done.returncode == 0, done.stderr


@pytest.mark.lab
def test_survive_38_an_agent_that_loses_everything_is_a_bad_source_and_not_a_bad_cluster() -> None:
    assert_passes("cut-off-node")


@pytest.mark.lab
def test_a_short_scenario_passes() -> None:
    assert_passes("ipv4-only")


@pytest.mark.lab
def test_a_demo_whose_reader_goes_away_removes_its_cluster() -> None:
    before = set(labs())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
    command = [sys.executable, "-m", "lab", "demo", "--for", "20s", "--port", port]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as demo:
        assert demo.stdout is not None
        assert demo.stdout.readline().startswith("starting")
        demo.stdout.close()
        assert demo.wait() != 0
    assert set(labs()) <= before
