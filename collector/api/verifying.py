"""Verifications: all expectations' paths probed once, now, and what that says of the expectations.

In: what is to be verified, by somebody who may. Out: an id at once, then progress, then the answer, to whoever has the id. What
is probed and what the numbers mean is the business of a Verify; here they are asked for, waited for and kept, within bounds.
"""

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, Protocol

from aiohttp import web
from msgspec import Meta, Struct

from collector.admission import Refusal, RefusedError
from collector.api.guard import json_response
from collector.api.question import QuestionError
from collector.bursts import Bursts, Place, Result, Watch
from collector.matrix.answers import Answer
from collector.matrix.suspects import Suspect
from wire.text import NAME_PATTERN

PROBES: Final = 3
"""Of each path: enough for a word, and few, since an expectation may have thousands of paths."""
MAX_PATHS: Final = 5000
MOST: Final = 4
"""Verifications under way."""
KEPT_SECONDS: Final = 300.0
"""How long an answer can be fetched."""


class VerifyAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Expectations to be verified now."""

    token: str
    namespace: Annotated[str, Meta(max_length=63, pattern=rf"^$|{NAME_PATTERN}")] = ""
    """Only those from it or to it; all where empty."""
    expectations: Annotated[tuple[dict[str, Any], ...], Meta(max_length=64)] = ()
    """Further declarations, as objects of Kubernetes, besides those of the cluster."""


class Verify(Protocol):
    """What is probed for a verification, and what comes of it."""

    def paths(self, asked: VerifyAsked, /) -> Sequence[Suspect]:
        """The paths to probe; raises QuestionError where there is nothing to verify."""

    def answer(self, asked: VerifyAsked, results: Mapping[Place, Result], /) -> Answer:
        """What to say; a path that nobody spoke of has a result in which nothing was sent."""


class _Verification(Struct, eq=False):
    asked: VerifyAsked
    watch: Watch
    until: float
    paths: int
    answer: Answer | None = None
    done_at: float = 0.0


class Verifying:
    """See the module. `patience_seconds` is how long bursts of some paths, of so many probes, may take."""

    def __init__(
        self,
        bursts: Bursts,
        verify: Verify | None,
        *,
        patience_seconds: Callable[[Sequence[Suspect], int], float],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bursts = bursts
        self._verify = verify
        self._patience_seconds = patience_seconds
        self._now = now
        self._known: dict[str, _Verification] = {}

    def begin(self, asked: VerifyAsked) -> Answer:
        """Begin one; raises QuestionError, or RefusedError where there are too many."""
        if self._verify is None:
            raise QuestionError("this collector has no expectations to verify")
        self._settle()
        if sum(one.answer is None for one in self._known.values()) >= MOST:
            raise RefusedError(Refusal.SHED)
        suspects = list(self._verify.paths(asked))[:MAX_PATHS]
        seconds = self._patience_seconds(suspects, PROBES)
        watch = self._bursts.watch(suspects, probes=PROBES, on_change=lambda: None)
        name = secrets.token_hex(16)
        self._known[name] = _Verification(asked, watch, self._now() + seconds, len(watch.results))
        return {"version": 1, "id": name, "paths": len(watch.results), "seconds": round(seconds, 1)}

    async def look(self, request: web.Request) -> web.Response:
        """How far a verification is, and its answer once there is one."""
        self._settle()
        one = self._known.get(request.query.get("id", ""))
        if one is None:
            return json_response({"error": "there is no such verification, or not any more"}, status=404)
        told = one.paths - len(one.watch.pending)
        progress: Answer = {"version": 1, "done": one.answer is not None, "paths": one.paths, "told": told}
        return json_response(progress if one.answer is None else progress | {"answer": one.answer})

    def _settle(self) -> None:
        """Answer those that are over, and forget those that nobody came for."""
        now = self._now()
        for name, one in list(self._known.items()):
            if one.answer is None and (not one.watch.pending or now >= one.until) and self._verify is not None:
                self._bursts.unwatch(one.watch)
                one.answer, one.done_at = self._verify.answer(one.asked, one.watch.results), now
            elif one.answer is not None and now >= one.done_at + KEPT_SECONDS:
                del self._known[name]
