"""Permission in a cluster: the API server says whose a token is (TokenReview), and whether they may (SubjectAccessReview).

In: tokens of whoever wants something done. Out: names of users. What can be refused for nothing is refused first, and what was
refused is remembered for a while; of all others the API server is asked about a few a second and no more, apart from the tokens
of agents, so that nobody's flood costs it or them anything. Nothing good is remembered: a right that was taken away is gone.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import structlog

from collector.admission import MAX_TOKEN, Refusal, RefusedError, digest_of
from collector.discovery.cluster.client import ApiAwayError
from collector.identity.asking import Asks
from collector.identity.claims import claims_of
from collector.identity.review import ACCESS_PATH, PATH, User, access_request_of, allowed, request_of, user_of
from collector.identity.reviews import AUDIENCE, REVIEW_SECONDS
from collector.identity.turns import Turns
from collector.permission import Action

GROUP: Final = "netmatrix.io"
"""API group of the actions."""
REVIEWS_A_SECOND: Final = 2
REFUSED_SECONDS: Final = 10.0
"""How long a token that was refused is not asked about again."""
MAX_REFUSED: Final = 1024
_log = structlog.get_logger()


class OperatorReviews:
    """See the module. `count` is told what became of each review, `now` is in Unix seconds, `clock` in seconds of no wall."""

    def __init__(
        self,
        api: Asks,
        *,
        namespace: str,
        audience: str = AUDIENCE,
        count: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._audience = audience
        self._count = count
        self._now = now
        self._clock = clock
        self._turns = Turns(REVIEWS_A_SECOND)
        self._refused: OrderedDict[tuple[bytes, Action], tuple[Refusal, float]] = OrderedDict()

    async def permitted(self, token: str, action: Action) -> str:
        """See collector.permission.Permission."""
        if len(token) > MAX_TOKEN:
            raise RefusedError(Refusal.MALFORMED_TOKEN)
        subject = claims_of(token, audience=self._audience, now=self._now(), bound=False).subject[:253]
        key = digest_of(token), action
        self._refuse_again(key)
        async with self._turns.alone(subject):
            self._refuse_again(key)  # by whoever had the same token, and was first
            try:
                user = await self._user(token)
                await self._allowed(user, action)
            except ValueError:  # it answers something else than a review
                self._count("away")
                raise RefusedError(Refusal.REVIEW_AWAY) from None
            except RefusedError as error:
                if error.reason not in {Refusal.REVIEW_RATE, Refusal.REVIEW_AWAY}:
                    self._remember(key, error.reason)
                    _log.warning(
                        "action refused", action=action.value, reason=error.reason.value, claimed=subject, security=True
                    )
                raise
        return user.username

    async def _user(self, token: str) -> User:
        said = user_of(await self._asked(PATH, request_of(token, self._audience)), self._audience)
        self._count("refused" if isinstance(said, Refusal) else "valid")
        if isinstance(said, Refusal):
            raise RefusedError(said)
        return said

    async def _allowed(self, user: User, action: Action) -> None:
        body = access_request_of(user, group=GROUP, resource=action.value, verb=action.verb, namespace=self._namespace)
        if not allowed(await self._asked(ACCESS_PATH, body)):
            raise RefusedError(Refusal.NOT_PERMITTED)

    async def _asked(self, path: str, body: dict[str, Any]) -> bytes:
        await self._turns.turn()
        try:
            answer = await self._api.ask("POST", path, body=body, seconds=REVIEW_SECONDS)
        except ApiAwayError:
            answer = None
        if answer is None or not answer.good:
            self._count("away")
            raise RefusedError(Refusal.REVIEW_AWAY)
        return answer.body

    def _refuse_again(self, key: tuple[bytes, Action]) -> None:
        found = self._refused.get(key)
        if found is not None and self._clock() < found[1]:
            raise RefusedError(found[0])

    def _remember(self, key: tuple[bytes, Action], reason: Refusal) -> None:
        self._refused[key] = reason, self._clock() + REFUSED_SECONDS
        self._refused.move_to_end(key)
        if len(self._refused) > MAX_REFUSED:
            self._refused.popitem(last=False)
