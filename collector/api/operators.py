"""The operator port: what people, scripts and Prometheus read. Nothing is changed by reading it, and no secret is behind it.

In: the matrix, the sessions and the plans in force. Out: `/metrics`, `/healthz`, `/readyz`, `/api/v1/*`, and
the page that shows them.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Final
from urllib.parse import urlencode

import msgspec
from aiohttp import web
from msgspec import structs

from collector.api.actions import Actions
from collector.api.asking import Asking
from collector.api.events import Beats, Events
from collector.api.guard import guarded, json_response
from collector.api.known import Names
from collector.api.pages import add_page, add_runbooks
from collector.api.pictures import Pictures
from collector.api.question import FILTERS, MAX_WORST, QuestionError, count, dimensions, parameters, span_ns, wanted
from collector.api.renderings import Renderings
from collector.api.signing import Readers, add_sign_in
from collector.api.verdicts import UNJUDGED, Verdicts
from collector.matrix.answers import Answer, seconds
from collector.matrix.groups import groups_in_slices
from collector.matrix.query import Wanted, asked, both, cells_in_slices, worst_in_slices
from collector.matrix.slices import Slices
from collector.matrix.store import Matrix
from collector.plan.compose import Plans
from collector.sessions import Sessions
from collector.settings import SignIn
from collector.verdict.judgement import Judgement
from collector.verdict.pictured import lossless

METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
LONG: Final = frozenset({"verdicts", "why"})
"""Pages about verdicts that have a line for every cell."""


def _nothing(_reason: str) -> None:
    """Count no refusal."""


def _unknown(_now_ns: int) -> Answer:
    """Nobody knows."""
    return {"version": 1}


class Operators:
    """The handlers; `operator_app` puts them under their paths."""

    def __init__(
        self,
        *,
        matrix: Matrix,
        sessions: Sessions,
        plans: Callable[[], Plans],
        metrics: Callable[[int], Slices[bytes]],
        now_ns: Callable[[], int],
        ready: Callable[[], bool],
        standing: Callable[[int], Answer],
        judgement: Callable[[], Judgement],
    ) -> None:
        self._matrix = matrix
        self._sessions = sessions
        self._plans = plans
        self.asking = Asking(matrix, now_ns)
        """Whatever may be long."""
        self.looking = Asking(matrix, now_ns)
        """Whatever is short, and so waits for nothing long."""
        self.renderings = Renderings(self.asking)
        self._scrapes = Renderings(self.looking)
        self._metrics = metrics
        self._now_ns = now_ns
        self._ready = ready
        self._standing = standing
        self._judgement = judgement

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text."""
        encoding = "gzip" if "gzip" in request.headers.get("Accept-Encoding", "") else ""
        headers = {"Content-Type": METRICS_TYPE, "Vary": "Accept-Encoding"}
        if encoding:
            headers["Content-Encoding"] = encoding
        body = await self._scrapes.body("metrics", self._metrics, now_ns=self._now_ns(), encoding=encoding)
        return web.Response(body=body, headers=headers)

    async def healthz(self, _request: web.Request) -> web.Response:
        """200 while the process answers at all."""
        return web.Response(text="ok\n")

    async def readyz(self, _request: web.Request) -> web.Response:
        """200 once there is a plan, 503 before."""
        return web.Response(text="ok\n") if self._ready() else web.Response(text="not ready\n", status=503)

    async def matrix(self, request: web.Request) -> web.Response:
        """Cells, or groups of them with `by`."""
        found = parameters(request.query, ("by", *FILTERS))
        span, which = self._span_ns(found), wanted(found)
        if "by" not in found:
            return await self._cells(found, span, which)
        rows, columns = dimensions(found["by"])

        def groups(now_ns: int) -> Slices[Answer]:
            shut = lossless(self._judgement().comparison)
            answer = yield from groups_in_slices(self._matrix, now_ns, rows, columns, span_ns=span, wanted=which, closed=shut)
            return {**answer, "by": found["by"]}

        return await self._answered("matrix", found, groups)

    async def pair(self, request: web.Request) -> web.Response:
        """Both directions between two names."""
        found = parameters(request.query, ("from", "to", "span", "totals"))
        if "from" not in found or "to" not in found:
            raise QuestionError("from and to are needed: names of a node, vantage, pod, service or target")
        return await self._cells(found, self._span_ns(found), *both(found["from"], found["to"]))

    async def worst(self, request: web.Request) -> web.Response:
        """The measured cells with the highest loss or p99."""
        found = parameters(request.query, ("k", "measure", *FILTERS))
        span, which, k = self._span_ns(found), wanted(found), count(found, "k", default=20, most=MAX_WORST)
        measure = found.get("measure", "loss")

        def worst(now_ns: int) -> Slices[Answer]:
            shut = lossless(self._judgement().comparison)
            cells = yield from worst_in_slices(
                self._matrix, now_ns, k, measure=measure, span_ns=span, wanted=which, closed=shut
            )
            return self._listed(cells, now_ns, span)

        return await self._answered("worst", found, worst)

    async def _cells(self, found: Mapping[str, str], span: int | None, *which: Wanted) -> web.Response:
        def cells(now_ns: int) -> Slices[Answer]:
            cells = yield from cells_in_slices(self._matrix, now_ns, span, *which)
            return self._listed(cells, now_ns, span)

        return await self._answered("pair" if len(which) > 1 else "matrix", found, cells)

    async def _answered(self, page: str, found: Mapping[str, str], slices: Callable[[int], Slices[Answer]]) -> web.Response:
        body = await self.asking.answer(f"{page}?{urlencode(sorted(found.items()))}", slices)
        return web.Response(body=body, content_type="application/json")

    def _span_ns(self, found: Mapping[str, str]) -> int | None:
        return span_ns(found, retention_ns=self._matrix.retention_ns)

    def _listed(self, found: list[Answer], now_ns: int, span: int | None) -> Answer:
        return {"version": 1, "span_seconds": seconds(asked(self._matrix, now_ns, span).span_ns), "cells": found}

    async def agents(self, request: web.Request) -> web.Response:
        """Every agent of the inventory, and how long ago it was heard."""
        parameters(request.query, ())
        agents = [
            {**structs.asdict(agent), "health": agent.health and structs.asdict(agent.health)}
            for agent in self._sessions.agents(self._now_ns())
        ]
        return json_response({"version": 1, "agents": agents})

    async def self(self, request: web.Request) -> web.Response:
        """How it stands with the collector itself."""
        parameters(request.query, ())
        return json_response(self._standing(self._now_ns()))

    async def plan(self, request: web.Request) -> web.Response:
        """What is asked of the agents; of one of them, every path. Never the keys."""
        found = parameters(request.query, ("vantage",))
        plans = self._plans()
        answer: Answer = {
            "version": 1,
            "instance": plans.instance,
            "generation": plans.generation,
            "stretched": plans.stretched,
            "notes": plans.notes,
        }
        if "vantage" not in found:
            answer["vantages"] = {
                name: {"paths": plans.paths_in(name), "packets_per_second": round(plans.packets_per_second(name), 3)}
                for name in plans.vantages
            }
            return json_response(answer)
        if found["vantage"] not in plans:
            return json_response({"error": "there is no such vantage"}, status=404)
        answer["vantage"] = found["vantage"]
        answer["paths"] = [
            {"path": f"{planned.path.id:016x}", "kind": planned.path.kind.value, **msgspec.to_builtins(planned)["path"]}
            | {"interval_ms": planned.interval_ms, "timeout_ms": planned.timeout_ms}
            for planned in plans.plan(found["vantage"]).paths
        ]
        return json_response(answer)


def operator_app(
    *,
    matrix: Matrix,
    sessions: Sessions,
    plans: Callable[[], Plans],
    metrics: Callable[[int], Slices[bytes]],
    now_ns: Callable[[], int],
    ready: Callable[[], bool],
    standing: Callable[[int], Answer] = _unknown,
    hosts: Collection[str] = (),
    refused: Callable[[str], None] = _nothing,
    beats: Beats | None = None,
    verdicts: Verdicts = UNJUDGED,
    actions: Actions | None = None,
    sign_in: SignIn = "off",
    readers: Readers | None = None,
    cluster: bool = False,
) -> web.Application:
    """The application of the operator port.

    `metrics(now_ns)` renders a scrape in slices; `standing(now_ns)` is the page about the collector itself.
    `hosts` are further names to answer to; `refused` is told the word for each refusal; a beat of `beats` is told to pages;
    `verdicts` has pages of its own; without `actions` nothing can be done. With `readers` reading needs a token that they let
    in; `cluster` is whether tokens are of a cluster.
    """
    operators = Operators(
        matrix=matrix,
        sessions=sessions,
        plans=plans,
        metrics=metrics,
        now_ns=now_ns,
        ready=ready,
        standing=standing,
        judgement=verdicts.judgement,
    )
    signed = [readers.middleware()] if readers is not None else []
    guard = guarded(hosts, refused, acting_page=sign_in != "off")
    app = web.Application(middlewares=[guard, *signed, Names(matrix).middleware()], client_max_size=1024)
    app.router.add_get("/metrics", operators.metrics)
    app.router.add_get("/healthz", operators.healthz)
    app.router.add_get("/readyz", operators.readyz)
    for name in ("matrix", "pair", "worst"):
        app.router.add_get(f"/api/v1/{name}", getattr(operators, name))
    for name in ("agents", "plan", "self"):
        app.router.add_get(f"/api/v1/{name}", operators.looking.shared(getattr(operators, name)))
    for name, handler in verdicts.pages.items():
        asking = operators.asking if name in LONG else operators.looking
        app.router.add_get(f"/api/v1/{name}", asking.shared(handler))
    app.router.add_get("/api/v1/picture", Pictures(matrix, verdicts.judgement, operators.renderings, now_ns).picture)
    if actions is not None:
        actions.add(app)
    add_sign_in(app, sign_in, cluster=cluster)
    events = Events(beats or Beats())
    app.router.add_get("/api/v1/events", events.stream)
    app.on_shutdown.append(events.end)
    add_page(app)
    add_runbooks(app)
    return app
