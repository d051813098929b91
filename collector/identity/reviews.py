"""Admission in a cluster: ServiceAccount tokens that are bound to pods, reviewed by the API server as seldom as can be.

In: Authorization headers, snapshots, and answers of the API server. Out: names of vantages. What can be refused for nothing is
refused first: a token must claim to be of a pod that discovery knows before the API server is asked about it. There is one
review of a pod's tokens at a time, and a rate of all together, in the order in which they came: both once for pods that ask
from their own address, which nobody else in a pod network has, and once for everybody else. While the API server is away
whoever it found valid before stays let in, for as long as `passes` says.
"""

import time
from collections.abc import Callable, Iterable
from typing import Final

import structlog

from collector.admission import Refusal, RefusedError, bearer, digest_of
from collector.discovery.cluster.client import ApiAwayError, reason_of
from collector.discovery.snapshot import Vantage
from collector.identity.asking import Asks
from collector.identity.claims import claims_of
from collector.identity.passes import Passes, Standing
from collector.identity.review import PATH, Reviewed, request_of, reviewed
from collector.identity.turns import Turns

AUDIENCE: Final = "netmatrix-collector"
ACCOUNTS: Final = frozenset({"netmatrix-agent", "netmatrix-vantage"})
"""ServiceAccounts of agents and vantages, in whichever namespace their pods are."""
LEAST_REVIEWS_A_SECOND = 20
ALL_WITHIN_SECONDS = 25
"""When a collector starts, the tokens of all agents are new to it."""
AGAIN_SECONDS = 2.0
"""From any review to a renewed one, of all tokens together: 150 agents have theirs reviewed every five minutes, and thousands,
whose tokens are replaced all the time, no more often than that."""
REVIEW_SECONDS = 3.0
"""Deadline of a review."""
AWAY_SECONDS = 5.0
"""How long the API server is left alone after it gave no review."""
_log = structlog.get_logger()


class TokenReviews:
    """See the module. `count` is told what became of each review: `valid`, `refused` or `away`.

    `now` is in Unix seconds, `clock` in seconds of no clock on any wall.
    """

    def __init__(
        self,
        api: Asks,
        *,
        count: Callable[[str], None],
        audience: str = AUDIENCE,
        now: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._count = count
        self._audience = audience
        self._now = now
        self._clock = clock
        self._vantages: dict[str, Vantage] = {}
        """By the UID of their pods."""
        self._passes = Passes()
        self._turns, self._strangers = Turns(LEAST_REVIEWS_A_SECOND), Turns(LEAST_REVIEWS_A_SECOND)
        """Of pods at their own address, and of everybody else; those behind a translation of addresses are there too."""
        self._away_until = float("-inf")
        self._renew_at = float("-inf")

    def install(self, vantages: Iterable[Vantage]) -> None:
        """Let the pods of these vantages in; those that are gone are out at once, whatever was said of their tokens."""
        self._vantages = {vantage.uid: vantage for vantage in vantages if vantage.uid}
        for turns in (self._turns, self._strangers):
            turns.rate = max(LEAST_REVIEWS_A_SECOND, len(self._vantages) // ALL_WITHIN_SECONDS)

    async def vantage_of(self, authorization: str | None, remote: str) -> str:
        """See collector.admission.Admission."""
        token = bearer(authorization)
        digest, now = digest_of(token), self._now()
        found = self._passes.found(digest, now)
        if isinstance(found, Refusal):
            raise RefusedError(found)
        if found is None:
            claims = claims_of(token, audience=self._audience, now=now)
            if claims.pod_uid not in self._vantages:
                raise RefusedError(Refusal.UNKNOWN_POD)
            turns = self._turns_of(claims.pod_uid, remote)
            return self._known(await self._reviewed(token, digest, claims.pod_uid, claims.expires, turns))
        vantage, turns = self._known(found.holder), self._turns_of(found.holder.uid, remote)
        standing = found.standing(now)
        if standing is Standing.OVER or (standing is Standing.DUE and self._may_renew()):
            try:
                vantage = self._known(await self._reviewed(token, digest, found.holder.uid, found.expires, turns))
            except RefusedError as error:
                if standing is Standing.OVER or error.reason is not Refusal.REVIEW_RATE:
                    raise
        return vantage

    def _known(self, holder: Reviewed) -> str:
        """The vantage of the holder of a valid token, as discovery knows it now; raises RefusedError."""
        if holder.account not in ACCOUNTS:
            raise RefusedError(Refusal.OTHER_ACCOUNT)
        vantage = self._vantages.get(holder.uid)
        if vantage is None or (vantage.namespace, vantage.pod) != (holder.namespace, holder.pod):
            raise RefusedError(Refusal.UNKNOWN_POD)
        if vantage.node != holder.node:
            raise RefusedError(Refusal.OTHER_NODE)
        return vantage.name

    def _turns_of(self, uid: str, remote: str) -> Turns:
        """Whose turns are waited for by somebody at an address who says that they are a pod."""
        vantage = self._vantages.get(uid)
        own = vantage is not None and remote.removeprefix("::ffff:") in vantage.addresses
        return self._turns if own else self._strangers

    def _may_renew(self) -> bool:
        """Whether it is time for a renewed review; then it is not, for a while."""
        now = self._clock()
        if now < self._renew_at:
            return False
        self._renew_at = now + AGAIN_SECONDS
        return True

    async def _reviewed(self, token: str, digest: bytes, uid: str, expires: float, turns: Turns) -> Reviewed:
        """The holder, by the API server's word, or by its last one where it has none now; raises RefusedError."""
        async with turns.alone(uid):
            now = self._now()
            found = self._passes.found(digest, now)  # by whoever had the same token, and was first
            if isinstance(found, Refusal):
                raise RefusedError(found)
            if found is not None and found.standing(now) is Standing.FRESH:
                return found.holder
            said = await self._review(token, turns)
            if said is None:
                if found is None:
                    raise RefusedError(Refusal.REVIEW_AWAY)
                return found.holder
            self._passes.keep(digest, said, expires=expires, now=now)
        if isinstance(said, Refusal):
            _log.warning("token refused", reason=said.value, claimed=uid, security=True)
            raise RefusedError(said)
        return said

    async def _review(self, token: str, turns: Turns) -> Reviewed | Refusal | None:
        """What the API server says, None where it says nothing; raises RefusedError."""
        if self._clock() < self._away_until:
            return None
        await turns.turn()
        if self._clock() < self._away_until:  # by now
            return None
        self._renew_at = self._clock() + AGAIN_SECONDS
        try:
            answer = await self._api.ask("POST", PATH, body=request_of(token, self._audience), seconds=REVIEW_SECONDS)
            said = reviewed(answer.body, self._audience) if answer.good else None
        except ApiAwayError as error:
            self._away(str(error))
            return None
        except ValueError:
            self._away("it answers something else than a TokenReview")
            return None
        if said is None:
            self._away(reason_of(answer), answer.retry_after or AWAY_SECONDS)
            return None
        if self._away_until != float("-inf"):
            self._away_until = float("-inf")
            _log.info("tokens are reviewed again")
        self._count("refused" if isinstance(said, Refusal) else "valid")
        return said

    def _away(self, because: str, seconds: float = AWAY_SECONDS) -> None:
        if self._away_until == float("-inf"):
            _log.warning("tokens cannot be reviewed: agents that are known stay let in, others wait", because=because)
        self._away_until = self._clock() + seconds
        self._count("away")
