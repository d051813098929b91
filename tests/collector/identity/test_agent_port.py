"""What an agent gets to read of each reason, over a real socket, and that nothing of a request is looked at before it."""

import asyncio
from collections.abc import Iterable

import pytest

from collector.admission import Refusal, RefusedError
from collector.api import agents
from collector.api.agents import AgentPort
from collector.api.board import Board
from collector.api.listener import Listener, bound
from collector.discovery.snapshot import Vantage
from collector.plan.compose import compose
from collector.sessions import Sessions
from collector.settings import PlanSettings
from tests.collector.api.agent_port import SNAPSHOT, Row

STATUS = {
    Refusal.NO_TOKEN: 401,
    Refusal.MALFORMED_TOKEN: 401,
    Refusal.UNKNOWN_TOKEN: 401,
    Refusal.EXPIRED_TOKEN: 401,
    Refusal.OTHER_AUDIENCE: 401,
    Refusal.OTHER_ACCOUNT: 403,
    Refusal.UNBOUND_TOKEN: 403,
    Refusal.UNKNOWN_POD: 403,
    Refusal.OTHER_NODE: 403,
    Refusal.REVIEW_RATE: 503,
    Refusal.REVIEW_AWAY: 503,
}


class Refusing:
    """An admission that lets nobody in, for one reason."""

    def __init__(self, reason: Refusal) -> None:
        self.reason = reason

    def install(self, vantages: Iterable[Vantage]) -> None:
        raise AssertionError(vantages)

    async def vantage_of(self, authorization: str | None, remote: str) -> str:
        assert (authorization, remote) == ("Bearer x", "127.0.0.1")
        raise RefusedError(self.reason)


@pytest.mark.parametrize("reason", STATUS)
async def test_survive_47_each_reason_is_answered_and_counted_before_a_body_is_read(
    reason: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "LINGER_SECONDS", 0.05)
    refused: list[str] = []
    row = Row()
    port = AgentPort(
        admission=Refusing(reason),
        board=Board(compose(SNAPSHOT, PlanSettings(), instance=1, generation=1, keys=())),
        sessions=Sessions(instance=1, silent_after_ns=1),
        matrix=row,
        refuse=refused.append,
        now_ns=lambda: 7,
    )
    runner = port.runner()
    await runner.setup()
    listener = Listener(runner, bound("127.0.0.1", 0), most=9, most_per_address=9, dropped=refused.append)
    async with asyncio.TaskGroup() as tasks:
        accepting = tasks.create_task(listener.serve())
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(b"POST /agent/v1/report HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\nContent-Length: 1000000\r\n\r\n")
        async with asyncio.timeout(agents.BODY_SECONDS / 2):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        writer.transport.abort()
        accepting.cancel()
        await runner.cleanup()
    assert head.startswith(f"HTTP/1.1 {STATUS[reason]} ")
    assert ("\r\nRetry-After: " in head) is (STATUS[reason] == 503)
    assert ("\r\nWWW-Authenticate: Bearer" in head) is (STATUS[reason] == 401)
    assert refused == [reason.value]
    assert not row.taken
