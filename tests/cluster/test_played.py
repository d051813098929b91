"""Two agents on a node, and agents of other versions, against a real collector and a real API server."""

import http.client
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.plane import Plane, eventually
from tests.cluster.played import Message, Played

pytestmark = pytest.mark.timeout(240)
OFTEN = 12
"""Steps for which nothing may change."""


@pytest.fixture
def played(own_plane: Plane, tmp_path: Path) -> Iterator[Played]:
    with Played(own_plane, tmp_path, "versions") as played:
        eventually(lambda: played.step() and not played.wrong(), what="a whole matrix")
        yield played


def test_survive_22_of_two_agents_on_a_node_the_newer_one_is_let_in_and_they_do_not_take_turns(played: Played) -> None:
    older, other = played.agents
    time.sleep(1.1)  # the API server tells ages in whole seconds
    newer = played.agent(older.name, played.pod(older.name, 9))
    assert newer.plan.identity.pod == "agent-9"
    eventually(lambda: older.status_of("GET", "/agent/v1/plan") in {401, 403}, what="the older one to be turned away")
    played.agents = [newer, other]
    played.step()
    asked = newer.plan.identity, newer.plan.paths
    for _ in range(OFTEN):
        played.step()
        assert older.status_of("GET", "/agent/v1/plan") in {401, 403}
        # Of another generation it may be, where keys go on meanwhile.
        assert (newer.plan.identity, newer.plan.paths) == asked, "nobody is planned anew because of the other"
    assert played.wrong() == []
    assert [one["vantage"] for one in played.ask("/api/v1/agents")["agents"]] == list(played.nodes)


def later(message: Message) -> Message:
    """As a later version sends it: a higher number of the version, and fields that nobody here knows."""
    return message | {"version": message.get("version", 1) + 1, "mood": "calm", "columns": message["columns"] | {"hue": b"12"}}


def earlier(message: Message) -> Message:
    """As an earlier version sends it: without anything that was not always there."""
    return {name: value for name, value in message.items() if name not in {"health", "leaving", "merged"}}


def test_survive_24_an_agent_that_is_upgraded_and_downgraded_again_goes_on_with_its_row(played: Played) -> None:
    agent = played.agents[0]
    for version in (earlier, lambda same: same, later, earlier):
        for _ in range(OFTEN // 4):
            played.step()
            assert agent.report(version).sequence
            assert agent.status_of("GET", "/agent/v1/plan") == http.client.OK
    assert played.wrong() == []
    (seen,) = (one for one in played.ask("/api/v1/agents")["agents"] if one["vantage"] == agent.name)
    assert (seen["state"], seen["gaps"]) == ("reporting", 0)
