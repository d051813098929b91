"""Sign-in: who may read, where the operator port is exposed and `operators.sign_in` is `all`.

In: a token in a header of each request, never in a cookie, so that no other page can have a browser send it. Out: the request
goes on, or one sentence that says why not. The page itself has no data in it and is served to everybody, as are health,
readiness and the runbooks, since it is links that lead there, and no link sends a token. Who was let in is so for a minute: a
page costs the API server a question a minute, and not one for each picture.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from collector.admission import Refusal, RefusedError, digest_of, presentable
from collector.alerts import RUNBOOKS
from collector.api.guard import ACTIONS, Handler, json_response
from collector.api.question import parameters
from collector.api.refusals import refusal_of
from collector.page import assets
from collector.permission import Action, Permission
from collector.settings import SignIn

HEADER: Final = "X-Netmatrix-Token"
"""What the page sends: the API server takes Authorization off what it proxies."""
STATE: Final = "/api/v1/signin"
OPEN: Final = frozenset({"/healthz", "/readyz", STATE, *(f"/{path}" for path in assets())})
"""What anybody may read: nothing of the cluster is in it."""
GOOD_SECONDS: Final = 60.0
"""How long a token that was found good is not asked about again: so long a right that was taken away may still read."""
MOST_GOOD: Final = 1024
REFUSED_A_SECOND: Final = 20
"""Tokens that are refused in a second; beyond, all that are not known to be good are."""
SENTENCES: Final = {
    Refusal.NO_TOKEN: f"sign in: this needs a token, as Authorization: Bearer or as {HEADER}",
    Refusal.SHED: "too many tokens are refused now: try again in a second",
}
_BEARER: Final = "bearer "


class Readers:
    """Who may read. `refused` is told the word for each refusal; `clock` is in seconds of no wall."""

    def __init__(
        self, permission: Permission, *, refused: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._permission = permission
        self._refused = refused
        self._clock = clock
        self._good: OrderedDict[bytes, float] = OrderedDict()
        self._locks: dict[bytes, asyncio.Lock] = {}
        self._refusals = 0
        self._second = 0.0

    def middleware(self) -> Middleware:
        """Lets through what is open, actions, which have a token in their body, runbooks, and whoever has a good token."""

        @web.middleware
        async def signed_in(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path not in OPEN and not request.path.startswith((ACTIONS, f"/{RUNBOOKS}")):
                try:
                    await self._admit(_token_of(request))
                except RefusedError as error:
                    self._refused(error.reason.value)
                    return _refusal(error.reason)
            return await handler(request)

        return signed_in

    async def _admit(self, token: str) -> None:
        """Raises RefusedError."""
        key = digest_of(token)
        if self._is_good(key):
            return
        lock = self._locks.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                if self._is_good(key):
                    return
                self._spend(0)
                try:
                    await self._permission.permitted(token, Action.READ)
                except RefusedError:
                    self._spend(1)
                    raise
                self._good[key] = self._clock() + GOOD_SECONDS
                self._good.move_to_end(key)
                if len(self._good) > MOST_GOOD:
                    self._good.popitem(last=False)
        finally:
            if not lock.locked():
                self._locks.pop(key, None)

    def _is_good(self, key: bytes) -> bool:
        return self._clock() < self._good.get(key, 0.0)

    def _spend(self, refusals: int) -> None:
        """Count refusals of this second; raises RefusedError where there were too many."""
        if self._clock() - self._second >= 1.0:
            self._second, self._refusals = self._clock(), 0
        if self._refusals >= REFUSED_A_SECOND:
            raise RefusedError(Refusal.SHED)
        self._refusals += refusals


def add_sign_in(app: web.Application, mode: SignIn, *, cluster: bool) -> None:
    """Tell a page whether there is a sign-in, and where tokens come from."""

    async def state(request: web.Request) -> web.Response:
        parameters(request.query, ())
        return json_response({"version": 1, "sign_in": mode, "tokens": "cluster" if cluster else "keys"})

    app.router.add_get(STATE, state)


def _token_of(request: web.Request) -> str:
    said = request.headers.get(HEADER, "")
    if not said and request.headers.get(hdrs.AUTHORIZATION, "").lower().startswith(_BEARER):
        said = request.headers[hdrs.AUTHORIZATION][len(_BEARER) :].strip()
    if not said:
        raise RefusedError(Refusal.NO_TOKEN)
    return presentable(said)


def _refusal(reason: Refusal) -> web.Response:
    status, sentence = refusal_of(reason)
    response = json_response({"error": SENTENCES.get(reason, sentence)}, status=status)
    if status == web.HTTPUnauthorized.status_code:
        response.headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="netmatrix"'
    return response
