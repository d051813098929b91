"""Many agents that end at once; `python -m tests.cluster.crowd` measures with two hundred how long that takes to mend."""

from pathlib import Path

import pytest

from tests.cluster.crowd import Crowd, again
from tests.cluster.plane import Plane

pytestmark = pytest.mark.timeout(400)
AGENTS = 40


def test_survive_20_agents_that_all_end_at_once_are_a_whole_matrix_again_and_nothing_false_is_said(
    own_plane: Plane, tmp_path: Path
) -> None:
    crowd = Crowd(own_plane, tmp_path, AGENTS)
    with crowd.running():
        *_, said = again(crowd, steady_seconds=20.0)
    assert said == set()
