"""Looks at a running cluster through the collector's API, and nowhere else."""

import asyncio
import json
from collections.abc import Mapping
from time import monotonic
from typing import Any

import aiohttp

from lab.evidence import Cell, Look
from lab.pace import Pace

LOOK_SECONDS = 2.0
"""A collector that does not answer for so long is not there."""


class NotReadyError(RuntimeError):
    """The cluster did not come to life in time; the text says what is missing."""


class Watch:
    """Asks one collector. Opened and closed by its owner."""

    def __init__(self, api_url: str, session: aiohttp.ClientSession) -> None:
        self._api_url = api_url
        self._session = session

    async def ask(self, path: str, **query: str) -> dict[str, Any] | None:
        """What the API says, None where it does not answer."""
        try:
            async with (
                asyncio.timeout(LOOK_SECONDS),
                self._session.get(f"{self._api_url}/api/v1/{path}", params=query) as response,
            ):
                if response.status != 200:  # noqa: PLR2004 - OK
                    return None
                answer = json.loads(await response.read())
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None
        return answer if isinstance(answer, dict) else None

    async def alerts(self, url: str) -> list[dict[str, Any]] | None:
        """Labels of every alert that an Alertmanager tells people of; None where it does not answer."""
        try:
            async with (
                asyncio.timeout(LOOK_SECONDS),
                self._session.get(f"{url}/api/v2/alerts", params={"inhibited": "false", "silenced": "false"}) as response,
            ):
                return [alert["labels"] for alert in json.loads(await response.read())]
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return None

    async def look(self, pace: Pace) -> Look | None:
        """All sums as of now; None while the collector does not answer."""
        plan = await self.ask("plan")
        before = monotonic()
        matrix = await self.ask("matrix", totals="true")
        after = monotonic()
        agents = await self.ask("agents")
        if plan is None or matrix is None or agents is None:
            return None
        moment = (before + after) / 2
        return Look(
            at=pace.at(moment),
            before=lambda seconds: pace.at(moment - seconds),
            instance=int(plan["instance"]),
            cells=by_path(matrix),
            agents=agents["agents"],
        )

    async def latencies(self, seconds: float) -> Mapping[str, Cell]:
        """Cells over the span that ends now; empty where the collector does not answer."""
        matrix = await self.ask("matrix", span=f"{max(1, round(seconds))}s")
        return by_path(matrix) if matrix else {}

    async def ready(self, seconds: float, *, closed: bool = False) -> Look:
        """The first look at which every agent reports and every cell is measured; raises NotReadyError after so long.

        Where some paths may be `closed`, since policies are in force, a cell need only have been tried.
        """
        pace = Pace()
        look: Look | None = None
        while pace.now < seconds:
            look = await self.look(pace) or look
            if look is not None and not missing(look, closed=closed):
                return look
            await asyncio.sleep(0.25)
        raise NotReadyError(
            f"after {seconds:g} s {missing(look, closed=closed) if look else f'nothing answers at {self._api_url}'}"
        )


def missing(look: Look, *, closed: bool = False) -> str:
    """What keeps a cluster from being ready, in a few words; empty where nothing does."""
    silent = [str(agent["vantage"]) for agent in look.agents if agent["state"] != "reporting"]
    if silent or not look.agents:
        return f"no report from {', '.join(silent) or 'any agent'}"
    unknown = [
        cell for cell in look.cells.values() if cell["state"] == "unknown" or not (cell["sent"] if closed else cell["received"])
    ]
    if unknown or not look.cells:
        shown = "; ".join(
            f"{cell['from']['vantage']} > {cell['to']['name']} {cell['layer']} {cell['kind']} {cell['family']}: "
            f"{cell['because']} {cell['failed']} {cell['local']}"
            for cell in unknown[:3]
        )
        return f"{len(unknown)} of {len(look.cells)} paths have no answer yet, such as {shown or 'all of them'}"
    return ""


def by_path(matrix: Mapping[str, Any]) -> dict[str, Cell]:
    """Cells of an answer by the name of their path."""
    return {cell["path"]: cell for cell in matrix["cells"]}
