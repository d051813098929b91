"""`/api/v1/history`: the last hour of a pair of nodes, zones or namespaces, a point a minute."""

from typing import Final, Protocol

from aiohttp import web
from msgspec import structs

from collector.api.guard import json_response
from collector.api.question import QuestionError, parameters
from collector.history.columns import Point

PREFIXES: Final = ("zone", "namespace", "node")


class History(Protocol):
    """Who remembers; see collector.history.keeper."""

    async def points(self, dimension: str, source: str, target: str) -> list[Point]: ...  # noqa: D102 - see there


def add_history(app: web.Application, history: History | None) -> None:
    """Put the answer under its path; without a history it is always empty, and says so."""

    async def answer(request: web.Request) -> web.Response:
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

    app.router.add_get("/api/v1/history", answer)


def _named(word: str) -> tuple[str, str]:
    prefix, slash, name = word.partition("/")
    return (prefix, name) if slash and prefix in PREFIXES else ("node", word)
