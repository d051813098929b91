"""The simulator, and the verdict in it."""

import subprocess
import sys

import numpy as np
import pytest

from simulator.cluster import cluster
from simulator.fault import BACKWARD, Fault, Part
from simulator.faults import HARMFUL, HARMLESS, Draw
from simulator.play import quiet, scenario
from simulator.score import quantile, score, share, wilson
from simulator.weather import CALM, Weather
from simulator.world import World


def test_the_same_numbers_are_the_same_scenario() -> None:
    one, other = scenario(7, 3, nodes=12), scenario(7, 3, nodes=12)
    assert (one.faults, one.false) == (other.faults, other.false)


@pytest.mark.parametrize("kind", sorted(set(HARMFUL)))
def test_every_kind_of_fault_is_found_in_a_small_cluster(kind: str) -> None:
    result = scenario(5, 1, nodes=24, kind=kind)
    assert not result.false
    assert [fault.name for fault in result.faults if fault.seconds is None] == []


@pytest.mark.parametrize("kind", HARMLESS)
def test_what_is_harmless_opens_no_incident(kind: str) -> None:
    assert scenario(5, 2, nodes=24, kind=kind).false == ()


def test_noise_alone_opens_no_incident() -> None:
    assert quiet(30, 0.5, 11)[0] == []


def test_forty_scenarios_are_told_right_and_nothing_else_is() -> None:
    """Small clusters, so that it takes seconds; a constant answer would find nothing, and nothing false is forgiven of it."""
    figures = score([scenario(2024, number, nodes=(10, 20, 30, 50)[number % 4]) for number in range(40)])
    assert figures["recall"]["of"] >= 25
    assert figures["recall"]["value"] >= 0.9
    assert figures["precision"]["value"] >= 0.9
    assert figures["layer"]["value"] >= 0.9
    assert figures["false_incidents_harmless"] == 0


def test_the_counts_of_a_world_follow_the_intervals_of_the_plan() -> None:
    ground = cluster(8, 2, 2)
    world = World(ground, (), np.random.default_rng(1), Weather())
    cells = [world.step() for _ in range(60)][-1][1]
    wanted = cells.span_ns / 1e6 / ground.interval_ms
    late = 10_000 / ground.interval_ms
    assert (cells.sent <= wanted + 1).all()
    assert (cells.sent >= wanted - late - 2).all(), "reports are at most one interval late"


def test_a_world_without_noise_and_faults_loses_nothing() -> None:
    world = World(cluster(8, 2, 2), (), np.random.default_rng(1), CALM)
    assert sum(int(world.step()[2].lost.sum()) for _ in range(20)) == 0


def test_no_cell_loses_more_than_it_sends() -> None:
    dice = np.random.default_rng(2)
    ground = cluster(8, 2, 2)
    world = World(ground, [Draw(ground, dice, 1010.0).fault("dead_node")], dice, Weather())
    for _ in range(30):
        for cells in world.step():
            assert (cells.lost <= cells.sent).all()
            assert (cells.lost >= 0).all()


def test_no_reply_gets_lost_of_requests_that_do() -> None:
    ground = cluster(8, 2, 2)
    every = np.arange(len(ground.source))
    fault = Fault("cut", None, [Part(every, 1.0, BACKWARD), Part(every, 1.0)], 1010.0, 1300.0, flap_s=30.0)
    world = World(ground, [fault], np.random.default_rng(1), CALM)
    cells = [world.step() for _ in range(100)][-1][2]
    assert cells.forward is not None
    assert cells.backward is not None
    assert int(cells.forward.sum()) > 0 == int(cells.backward.sum())


def test_an_unknown_kind_of_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="no kind of fault"):
        Draw(cluster(8, 2, 2), np.random.default_rng(1), 0.0).fault("gremlins")


def test_intervals_hold_the_share_and_nothing_is_not_a_share() -> None:
    low, high = wilson(98, 100)
    assert low < 0.98 < high
    assert share(0, 0)["value"] is None
    assert score([])["precision"]["interval"] == [0.0, 1.0]


def test_a_quantile_is_one_of_the_values() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    with pytest.raises(ValueError, match="no quantile"):
        quantile([], 0.5)


def test_spans_leave_old_losses_behind() -> None:
    world = World(cluster(8, 2, 2), (), np.random.default_rng(3), Weather(base=1e-2, uneven=1e4, noisy=0.0, blip=0.0), 5.0)
    lost = [int(world.step()[2].lost.sum()) for _ in range(300)]
    assert lost[299] <= 2 * lost[65]


@pytest.mark.parametrize("nodes", [4, 5, 6])
def test_a_dead_node_of_a_few_is_one_node_and_not_a_pair_for_each_of_the_others(nodes: int) -> None:
    played = [scenario(90_210, number, nodes=nodes, kind="dead_node") for number in range(8)]
    found = [fault for one in played for fault in one.faults]
    assert sum(fault.seconds is not None for fault in found) >= len(found) - 1
    assert sum(len(one.false) for one in played) <= 1


@pytest.mark.parametrize("word", ["gremlins", "node_5", "node_", "node_x", "node_0"])
def test_an_unknown_kind_is_bad_use_that_names_those_there_are(word: str) -> None:
    done = subprocess.run([sys.executable, "-m", "simulator", "--kind", word], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f"{word} is none of address_reuse, " in done.stderr
    assert "Traceback" not in done.stderr
