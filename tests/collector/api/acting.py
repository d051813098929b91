"""A collector with actions, and agents that do as they are told when they report."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from collector.api.actions import Actions
from collector.api.operators import operator_app
from collector.api.verifying import Verify, VerifyAsked
from collector.bursts import Bursts, Place, Result
from collector.export.exposition import exposition
from collector.matrix.answers import Answer
from collector.matrix.store import Matrix
from collector.matrix.suspects import Suspect, suspects
from collector.permission import Action, OperatorKeys
from collector.sessions import Sessions
from collector.settings import BurstSettings
from tests.collector.small_cluster import SNAPSHOT, composed, matrix_of, path_to, report_of, window
from wire.burst import Burst
from wire.window import Measure

KEY = "an-operators-key-0123456789"
PROBE, VERIFY = "/api/v1/actions/probe", "/api/v1/actions/verify"
NOW = 10**12


class Judge:
    """In the place of whoever owns expectations: one path, and its numbers as the answer."""

    def __init__(self, paths: list[Suspect]) -> None:
        self._paths = paths

    def paths(self, asked: VerifyAsked, /) -> list[Suspect]:
        return [one for one in self._paths if not asked.namespace or asked.namespace in one.target]

    def answer(self, asked: VerifyAsked, results: Mapping[Place, Result], /) -> Answer:
        return {"namespace": asked.namespace, "sent": [result.sent for result in results.values()]}


class Collector:
    """The real application with actions, and agents that do as they are told when they report."""

    def __init__(self, keys: Path, verify: Callable[[Matrix], Verify] | None = None) -> None:
        self.matrix = matrix_of()
        self.refused: Counter[str] = Counter()
        self.asked: list[tuple[str, Action]] = []
        self.bursts = Bursts(
            settings=BurstSettings, find=partial(suspects, self.matrix), now_ns=lambda: NOW, count=lambda *_: None
        )
        self._keys = OperatorKeys(keys)
        self.actions = Actions(
            permission=self,
            bursts=self.bursts,
            matrix=self.matrix,
            report_seconds=lambda: 0.05,
            refused=lambda word: self.refused.update([word]),
            verify=verify(self.matrix) if verify else Judge(suspects(self.matrix, "n1", [path_to(self.matrix, "n1", "n2").id])),
            body_seconds=0.3,
            round_seconds=0.3,
        )

    async def permitted(self, token: str, action: Action) -> str:
        self.asked.append((token, action))
        return await self._keys.permitted(token, action)

    def app(self, **more: Any) -> web.Application:
        sessions = Sessions(instance=1, silent_after_ns=1)
        sessions.replan(SNAPSHOT)
        return operator_app(
            matrix=self.matrix,
            sessions=sessions,
            plans=composed,
            metrics=lambda now_ns: (yield from _metrics(self, sessions, now_ns)),
            now_ns=lambda: NOW,
            ready=lambda: True,
            refused=lambda word: self.refused.update([word]),
            actions=self.actions,
            **more,
        )

    async def agents(self, find: Callable[[Burst], Mapping[Measure, int]], *, forever: bool = True) -> None:
        """Report from every vantage again and again, and do what comes back."""
        heard: dict[str, list[Burst]] = {name: [] for name in ("n1", "n2", "n3", "cart")}
        while forever:
            for name, orders in heard.items():
                windows = [window(order.path, measures={**find(order), Measure.BURST_ENDED: 1}) for order in orders]
                heard[name] = list(self.bursts.took(report_of(name, windows)))
            await asyncio.sleep(0.01)


def _metrics(collector: Collector, sessions: Sessions, now_ns: int) -> Any:
    yield
    return exposition(collector.matrix, sessions, composed(), now_ns=now_ns, max_series=1000)


def all_well(order: Burst) -> Mapping[Measure, int]:
    return {Measure.BURST_SENT: order.probes, Measure.BURST_NS: order.probes * 50_000}


def all_lost(order: Burst) -> Mapping[Measure, int]:
    return {Measure.BURST_SENT: order.probes, Measure.BURST_LOST: order.probes}


async def with_agents(collector: Collector, find: Callable[[Burst], Mapping[Measure, int]], work: Awaitable[Any]) -> Any:
    async with asyncio.TaskGroup() as tasks:
        agents = tasks.create_task(collector.agents(find))
        try:
            return await work
        finally:
            agents.cancel()
