"""Many agents that end at once; `python -m tests.cluster.crowd` measures with two hundred how long that takes to mend."""

from pathlib import Path

import pytest

from tests.cluster.crowd import PATIENCE_SECONDS, Crowd, again
from tests.cluster.plane import Plane, eventually

pytestmark = pytest.mark.timeout(400)
AGENTS = 40


def test_survive_21_from_one_agent_to_many_and_back_the_matrix_is_whole_each_time_and_nothing_false_is_said(
    own_plane: Plane, tmp_path: Path
) -> None:
    crowd, said = Crowd(own_plane, tmp_path, 1), set()
    with crowd.running():
        for count in (1, AGENTS, 1):
            if count < crowd.count:
                crowd.shrink()
            else:
                crowd.grow(count)
                crowd.start()
            assert crowd.count == count

            def holds(count: int = count) -> bool:
                said.update(crowd.false_statements())
                found = crowd.get("/api/v1/agents")["agents"]
                every = len(found) == count and all(one["state"] == "reporting" for one in found)
                return every and (crowd.is_whole() if count > 1 else not crowd.cells()["excluded"])

            eventually(holds, patience=PATIENCE_SECONDS, what=f"{count} agents and a whole matrix")
    for number in range(AGENTS):
        own_plane.api.delete(f"/api/v1/nodes/n{number}")
    assert said == set()


def test_survive_20_agents_that_all_end_at_once_are_a_whole_matrix_again_and_nothing_false_is_said(
    own_plane: Plane, tmp_path: Path
) -> None:
    crowd = Crowd(own_plane, tmp_path, AGENTS)
    with crowd.running():
        *_, said = again(crowd, steady_seconds=20.0)
    assert said == set()
