"""The pages about verdicts: incidents that are open or over.

In: the judgement in force. Out: handlers, which `operator_app` puts under their paths.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web

from collector.api.guard import json_response
from collector.api.incidents import Written
from collector.api.question import parameters
from collector.verdict.judgement import Judgement

Handler = Callable[[web.Request], Awaitable[web.Response]]


class Verdicts:
    """See the module. `written` writes what `judgement` returns."""

    def __init__(self, judgement: Callable[[], Judgement], written: Written) -> None:
        self._judgement = judgement
        self._written = written

    @property
    def pages(self) -> Mapping[str, Handler]:
        """Each handler by its name under `/api/v1/`."""
        return {"incidents": self.incidents, "incident": self.incident}

    async def incidents(self, request: web.Request) -> web.Response:
        """How it stands in one sentence, and every incident."""
        parameters(request.query, ())
        return json_response(self._written.judgement(self._judgement()))

    async def incident(self, request: web.Request) -> web.Response:
        """One incident with what shows it."""
        found = parameters(request.query, ("id",))
        answer = self._written.whole(self._judgement(), found.get("id", ""))
        if answer is None:
            return json_response({"error": "there is no such incident, or not any more"}, status=404)
        return json_response(answer)


UNJUDGED: Final = Verdicts(Judgement, Written(epoch_ns=0))
"""Of a collector that judges nothing."""
