"""The agent port and agents that are as they should be, or old, or late."""

import asyncio
from collections.abc import Callable

import trustme
from msgspec import structs

from collector.plan.compose import compose
from collector.settings import PlanSettings
from tests.collector.api.agent_port import (
    INSTANCE,
    MSGPACK,
    SNAPSHOT,
    Served,
    agent,
    deliver,
    report,
    serving,
    until,
)
from wire.codec import compress, decode_acknowledgement, decode_plan, encode
from wire.report import Acknowledgement


async def test_an_agent_gets_its_own_plan_and_not_again_what_it_has(served: Served) -> None:
    async with agent(served, "b") as session:
        async with session.get("/agent/v1/plan") as answer:
            plan = decode_plan(await answer.read())
            assert (answer.status, answer.content_type, plan.identity.vantage) == (200, MSGPACK, "b")
            assert answer.headers["ETag"] == '"1000-1"'
        for prefer in ({}, {"Prefer": "wait=0"}, {"Prefer": "respond-async, wait=nonsense"}):
            async with session.get("/agent/v1/plan", headers={"If-None-Match": '"1000-1"', **prefer}) as answer:
                assert (answer.status, await answer.read()) == (304, b"")


async def test_who_waits_for_another_plan_gets_it_when_it_is_made(served: Served) -> None:
    async def wait() -> int:
        headers = {"If-None-Match": '"1000-1"', "Prefer": "wait=30"}
        async with agent(served) as session, session.get("/agent/v1/plan", headers=headers) as answer:
            return decode_plan(await answer.read()).generation

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(wait()) for _ in range(3)]
        await until(lambda: served.listener.connections == 3)
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in waiting)
        served.board.publish(compose(SNAPSHOT, PlanSettings(), instance=INSTANCE, generation=2, keys=()))
    assert [task.result() for task in waiting] == [2, 2, 2]


async def test_an_agent_that_left_the_inventory_while_it_waited_is_refused(served: Served) -> None:
    headers = {"If-None-Match": '"1000-1"', "Prefer": "wait=30"}
    alone = structs.replace(SNAPSHOT, vantages=SNAPSHOT.vantages[1:])
    async with asyncio.timeout(60), agent(served) as session, asyncio.TaskGroup() as tasks:
        tasks.create_task(
            _later(lambda: served.board.publish(compose(alone, PlanSettings(), instance=1, generation=2, keys=())))
        )
        async with session.get("/agent/v1/plan", headers=headers) as answer:
            assert answer.status == 401


async def _later(do: Callable[[], None]) -> None:
    await asyncio.sleep(0.1)
    do()


async def test_survive_4_a_report_is_applied_once_however_often_it_comes(served: Served) -> None:
    async with agent(served) as session:
        for body, encoding in ((encode(report()), ""), (compress(encode(report())), "gzip"), (encode(report()), "identity")):
            status, answer = await deliver(session, body, encoding=encoding)
            assert (status, decode_acknowledgement(answer)) == (
                200,
                Acknowledgement(instance=INSTANCE, sequence=1, generation=1),
            )
    assert served.row.taken == [(1, True)]
    assert served.refused == {"repeated": 2}


async def test_an_acknowledgement_names_the_plan_that_the_vantage_would_get(served: Served) -> None:
    named = []
    async with agent(served) as session:
        for sequence, over_seconds in ((1, 0.0), (2, 3600.0)):
            plans = compose(SNAPSHOT, PlanSettings(), instance=INSTANCE, generation=1 + sequence, keys=())
            served.board.publish(plans, over_seconds=over_seconds)
            _, answer = await deliver(session, encode(report(sequence)))
            named.append(decode_acknowledgement(answer).generation)
    assert named == [2, 2]


async def test_survive_1_after_a_restart_every_window_is_sent_again_and_counted_only_if_nobody_had_it(
    authority: trustme.CA,
) -> None:
    async with serving(authority) as first, agent(first) as session:
        for sequence in (1, 2, 3):
            assert (await deliver(session, encode(report(sequence, acknowledged=sequence - 1))))[0] == 200
        assert first.row.taken == [(1, True), (2, True), (3, True)]
    async with serving(authority, instance=2_000) as second, agent(second) as session:
        # The answer to 3 was lost on the way: the agent knows of 2. It made 4 meanwhile.
        status, answer = await deliver(session, encode(report(4, acknowledged=2)))
        assert (status, decode_acknowledgement(answer)) == (409, Acknowledgement(instance=2_000, sequence=0, generation=1))
        assert second.row.taken == []
        for sequence in (1, 2, 3, 4):
            body = encode(report(sequence, instance=2_000, acknowledged=2))
            assert (await deliver(session, body))[0] == 200
        assert second.row.taken == [(1, False), (2, False), (3, True), (4, True)]
        assert second.refused == {"other_instance": 1}
