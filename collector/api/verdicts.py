"""The pages about verdicts: incidents, the verdict of every cell, why it is so, and what has been declared.

In: the judgement in force. Out: handlers, which `operator_app` puts under their paths. A judgement never changes, so what takes
long is written in a thread.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final, Protocol

import numpy as np
from aiohttp import web

from collector.api.guard import json_response
from collector.api.incidents import Written
from collector.api.known import unknown
from collector.api.question import QuestionError, parameters
from collector.verdict.comparison import Comparison
from collector.verdict.explained import named, names, rows
from collector.verdict.judgement import Judgement
from collector.verdict.pair import Verdict
from collector.verdict.status import Status

Handler = Callable[[web.Request], Awaitable[web.Response]]
Answer = dict[str, Any]
OCCURRENCE: Final = ("since", "closed", "seen", "cut_off", "sentence")
"""What is told of another incident with the same id."""
MOST: Final = 20_000
"""Most cells of an answer."""
WORDS: Final = {verdict.word: verdict for verdict in Verdict}


class Past(Protocol):
    """Who remembers incidents that the judgement forgot; see collector.history.keeper."""

    async def incident(self, name: str, since: str) -> Answer | None: ...  # noqa: D102 - see there
    async def occurrences(self, name: str) -> list[Answer]: ...  # noqa: D102 - see there


class Verdicts:
    """See the module. `written` writes what `judgement` returns; `past` is asked for incidents that it forgot.

    `exists` says whether there is something of a name though nothing of it was judged.
    """

    def __init__(
        self,
        judgement: Callable[[], Judgement],
        written: Written,
        past: Past | None = None,
        exists: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.judgement = judgement
        self._written = written
        self._past = past
        self._exists = exists

    @property
    def pages(self) -> Mapping[str, Handler]:
        """Each handler by its name under `/api/v1/`."""
        return {
            "incidents": self.incidents,
            "incident": self.incident,
            "verdicts": self.verdicts,
            "why": self.why,
            "expectations": self.expectations,
        }

    async def incidents(self, request: web.Request) -> web.Response:
        """How it stands in one sentence, and every incident."""
        parameters(request.query, ())
        return json_response(self._written.judgement(self.judgement(), time.monotonic_ns()))

    async def incident(self, request: web.Request) -> web.Response:
        """One incident with what shows it."""
        found = parameters(request.query, ("id", "since"))
        name, since = found.get("id", ""), found.get("since", "")
        if not name:
            raise QuestionError("id is needed: one of /api/v1/incidents or /api/v1/history/incidents")
        judgement = self.judgement()
        one = self._written.whole(judgement, name, since)
        if one is None and self._past is not None:
            one = await self._past.incident(name, since)
        if one is None:
            return json_response({"error": "there is no such incident, or not any more"}, status=404)
        told = [] if self._past is None else await self._past.occurrences(name)
        told += [self._written.closed(over) for over in judgement.closed if over.incident.id == name]
        others = {other["since"]: {word: other.get(word) for word in OCCURRENCE} for other in told}
        others.pop(one["since"], None)
        latest = sorted(others.values(), key=lambda other: str(other["since"]), reverse=True)
        return json_response({"version": 1, "incident": one, "others": latest})

    async def verdicts(self, request: web.Request) -> web.Response:
        """Every cell with what is expected, what is seen, and what is true of it."""
        found = parameters(request.query, ("from", "to", "verdict"))
        word = found.get("verdict", "")
        if word and word not in WORDS:
            raise QuestionError(f"verdict is one of {', '.join(WORDS)}, not {word}")
        return json_response({"version": 1, "verdicts": await self._listed(self.judgement().comparison, found)})

    async def why(self, request: web.Request) -> web.Response:
        """All that is known of the cells between two names, with the incidents that have a part in them."""
        found = parameters(request.query, ("from", "to", "port"))
        if "from" not in found or "to" not in found:
            raise QuestionError("from and to are needed: names of a node, vantage, pod, service, namespace or target")
        port = found.get("port", "")
        if port and not port.isdecimal():
            raise QuestionError("port is a number")
        judgement = self.judgement()
        cells = await self._listed(judgement.comparison, found)
        cells = [cell for cell in cells if not port or cell["port"] == int(port)]
        touched = [self._written.incident(incident) for incident in judgement.incidents if _touches(incident.component, cells)]
        return json_response({"version": 1, "paths": cells, "layers": _ladder(cells), "incidents": touched})

    async def _listed(self, one: Comparison | None, found: Mapping[str, str]) -> list[Answer]:
        """The cells of a question; none before anything was judged."""
        if one is None:
            return []
        strange = [side for side in ("from", "to") if side in found and not self._exists(found[side])]
        return await asyncio.to_thread(_listed, one, found, strange)

    async def expectations(self, request: web.Request) -> web.Response:
        """Every declaration with its conditions and how many paths have which verdict, and how every canary stands."""
        parameters(request.query, ())
        judgement = self.judgement()
        canaries = [{"node": node, "test": test, "ok": ok} for (node, test), ok in sorted(judgement.canaries.items())]
        listed = [_declared(one) for one in judgement.expectations]
        return json_response({"version": 1, "expectations": listed, "canaries": canaries})


def _listed(one: Comparison, found: Mapping[str, str], strange: Iterable[str]) -> list[Answer]:
    """Rows; `strange` are the sides whose name is known here or nowhere."""
    for side in strange:
        _expect_known(one, side, found[side])
    which = np.ones(len(one.sample), np.bool_)
    for side in ("from", "to"):
        if name := found.get(side):
            which &= named(one.sample, name, side=side)
    if word := found.get("verdict"):
        which &= one.compared.verdict == WORDS[word]
    cells = np.flatnonzero(which)
    if len(cells) > MOST:
        raise QuestionError(f"more than {MOST} cells are too many for one answer: use from, to or verdict")
    return rows(one, cells)


def _expect_known(one: Comparison, side: str, name: str) -> None:
    """Raises UnknownNameError."""
    if not any(named(one.sample, name, side=other).any() for other in ("from", "to")):
        tables = one.sample.tables
        raise unknown(
            side, name, list(dict.fromkeys(word for end in (*tables.sources.all, *tables.targets.all) for word in names(end)))
        )


def _touches(component: str, cells: list[Answer]) -> bool:
    """Whether an incident is about an end of one of the cells."""
    parts = set(component.split(">"))
    return any(parts & {*(str(word) for end in (cell["from"], cell["to"]) for word in end.values() if word)} for cell in cells)


def _ladder(cells: list[Answer]) -> list[Answer]:
    """What is lost on each layer, the lowest first."""
    found: dict[str, Answer] = {}
    for cell in cells:
        layer = found.setdefault(cell["layer"], {"layer": cell["layer"], "sent": 0, "lost": 0, "verdicts": {}})
        layer["sent"] += cell["sent"]
        layer["lost"] += cell["lost"]
        layer["verdicts"][cell["verdict"]] = layer["verdicts"].get(cell["verdict"], 0) + 1
    order = ("host", "pod", "mtu", "service", "dns", "external")
    return [found[layer] for layer in order if layer in found]


def _declared(one: Status) -> Answer:
    return {
        "name": one.name,
        "kind": one.kind,
        "expect": one.expect,
        "severity": one.severity,
        "owner": one.owner,
        "satisfied": one.satisfied,
        "pairs": {verdict.word: one.counts[verdict] for verdict in Verdict},
        "conditions": [condition._asdict() for condition in one.conditions],
    }


UNJUDGED: Final = Verdicts(Judgement, Written(epoch_ns=0))
"""Of a collector that judges nothing."""
