"""An hour without an API server, and a little more: for the collector it passes in seconds, and everything else is real."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.plane import Plane, eventually
from tests.cluster.played import STEP_SECONDS, TOKEN_SECONDS, Played

pytestmark = pytest.mark.timeout(240)
MINUTES = 65


@pytest.fixture
def hour(own_plane: Plane, tmp_path: Path) -> Iterator[Played]:
    with Played(own_plane, tmp_path, "hour") as played:
        yield played


def test_survive_13_over_an_hour_without_an_api_server_plans_tokens_and_readiness_stay(hour: Played) -> None:
    assert 60 * MINUTES > TOKEN_SECONDS, "tokens expire meanwhile, which nobody can renew"
    eventually(lambda: hour.step() and not hour.wrong(), what="a whole matrix")
    first = [agent.plan for agent in hour.agents]
    with hour.plane.without_api_server():
        for minute in range(MINUTES):
            for _ in range(int(60 / STEP_SECONDS)):
                hour.step()
            assert hour.wrong() == [], f"in minute {minute}"
        assert hour.age() > 60 * MINUTES - 60
        # Keys went on twice, from the secrets that the collector has in memory; what is asked stayed the same.
        for before, agent in zip(first, hour.agents, strict=True):
            assert agent.plan.keys != before.keys
            assert agent.plan.paths == before.paths
    eventually(lambda: hour.step() and hour.age() < 60 - STEP_SECONDS, what="news of the cluster")
    assert hour.wrong() == []
    reviews = [line for line in hour.text("/metrics").splitlines() if line.startswith("netmatrix_token_reviews_total{")]
    assert not [line for line in reviews if "refused" in line]
