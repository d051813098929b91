"""The load generator against the real agent port, over TLS."""

import asyncio
from contextlib import closing

import pytest
import trustme
from msgspec import structs

from bench.load import Load
from bench.load_agent import Collector
from collector.api import agents
from collector.settings import PlanSettings
from tests.collector.api.agent_port import KEY, Served, serving

HALF_A_SECOND = structs.replace(PlanSettings(), report=type(PlanSettings().report)(500_000_000))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


def played(served: Served, keys: dict[str, str]) -> Load:
    return Load(Collector(("127.0.0.1", served.port), served.context), list(keys.items()), ramp=0.0)


async def test_every_agent_gets_its_plan_and_delivers_a_report_each_span(authority: trustme.CA) -> None:
    async with serving(authority, settings=HALF_A_SECOND) as served:
        load = played(served, KEY)
        warm = await asyncio.to_thread(load.warm, 5.0)
        assert warm["reporting"] == len(KEY)
        assert warm["answers"] == {"plan 200": 2, "report 200": 2}
        assert served.sessions.agents(7)[0].sequence == 1
        load.close()


async def test_survive_20_whoever_is_turned_away_comes_back_when_told_and_all_are_served(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "_spread_seconds", lambda _: 0)
    async with serving(authority, settings=HALF_A_SECOND) as served:
        monkeypatch.setattr(agents, "MAX_READING", 0)
        load = played(served, KEY)
        turned_away = await asyncio.to_thread(load.warm, 1.0)
        assert turned_away["reporting"] == 0
        assert turned_away["answers"]["report 429"] == served.refused["shed"] > 0
        monkeypatch.setattr(agents, "MAX_READING", 64)
        served_now = await asyncio.to_thread(load.warm, 5.0)
        assert served_now["reporting"] == len(KEY)
        assert [agent.gaps for agent in served.sessions.agents(7)] == [0, 0]
        load.close()


async def test_a_key_that_is_not_known_gets_no_plan_and_sends_no_report(authority: trustme.CA) -> None:
    async with serving(authority) as served:
        with closing(played(served, {"a": "x" * 32})) as load:
            while not (warm := await asyncio.to_thread(load.warm, 0.1))["answers"]:
                pass
            assert set(warm["answers"]) == {"plan 401"}
