"""`/api/v1/history`: the last hour of two nodes, zones or namespaces; `/api/v1/history/incidents`: thirty days of incidents."""

import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from aiohttp import web
from msgspec import structs

from collector.api.guard import json_response
from collector.api.question import QuestionError, count, moment, parameters
from collector.history.columns import Point
from collector.history.file import KEPT_INCIDENTS_SECONDS
from collector.history.outages import outages
from collector.moment import written

PREFIXES: Final = ("zone", "namespace", "node")
MOST: Final = 1000
"""Incidents of one answer."""
LISTED: Final = frozenset({"evidence", "against", "timeline"})
"""What only the page of one incident has."""


class History(Protocol):
    """Who remembers; see collector.history.keeper."""

    async def points(self, dimension: str, source: str, target: str) -> list[Point]: ...  # noqa: D102 - see there
    async def incidents(self, most: int, *, since: int, until: int) -> list[dict[str, Any]]: ...  # noqa: D102 - see there


def add_history(app: web.Application, history: History | None, *, now: Callable[[], float] = time.time) -> None:
    """Put the answers under their paths; without a history they are always empty, and say so."""

    async def points(request: web.Request) -> web.Response:
        found = parameters(request.query, ("from", "to"))
        if "from" not in found or "to" not in found:
            raise QuestionError("from and to are needed: two nodes, or zone/NAME or namespace/NAME twice")
        (dimension, source), (other, target) = _named(found["from"]), _named(found["to"])
        if dimension != other:
            raise QuestionError("from and to must be of one sort: two nodes, two zones or two namespaces")
        points = [] if history is None else await history.points(dimension, source, target)
        return json_response(
            {"version": 1, "by": dimension, "kept": history is not None, "points": [structs.asdict(one) for one in points]}
        )

    async def incidents(request: web.Request) -> web.Response:
        found = parameters(request.query, ("since", "until", "k"))
        latest = now()
        until = min(latest, moment(found, "until", default=latest, now=latest))
        since = moment(found, "since", default=until - KEPT_INCIDENTS_SECONDS, now=latest)
        if not since < until:
            raise QuestionError("since must be before until")
        if until < latest - KEPT_INCIDENTS_SECONDS:
            raise QuestionError("incidents are kept for thirty days, and this is before them")
        since = max(since, latest - KEPT_INCIDENTS_SECONDS)
        most = count(found, "k", default=200, most=MOST)
        told = [] if history is None else await history.incidents(most + 1, since=int(since), until=int(until) + 1)
        kept = told[:most]
        return json_response(
            {
                "version": 1,
                "kept": history is not None,
                "since": written(since),
                "until": written(until),
                "more": len(told) > most,
                "incidents": [{name: value for name, value in one.items() if name not in LISTED} for one in kept],
                "outages": [structs.asdict(one) for one in outages(kept)],
            }
        )

    app.router.add_get("/api/v1/history", points)
    app.router.add_get("/api/v1/history/incidents", incidents)


def _named(word: str) -> tuple[str, str]:
    prefix, slash, name = word.partition("/")
    return (prefix, name) if slash and prefix in PREFIXES else ("node", word)
