"""What can be done through the operator port, and all that can: have planned paths probed now, and all expectations verified.

In: a POST whose body is JSON of at most 8 KiB with a token in its first field. Out: what came of it. The API server takes every
header of credentials off what it proxies, so the token is in the body: it is looked at before the rest of the body is read, let
alone parsed. No target is ever taken from a request: names choose among the paths of the plans in force.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Final, Literal, TypeVar

import msgspec
import structlog
from aiohttp import ClientPayloadError, web
from msgspec import Meta, Struct, field

from collector.admission import Refusal, RefusedError
from collector.api.guard import ACTIONS, json_response
from collector.api.question import QuestionError
from collector.api.refusals import MAX_BODY, refusal_of
from collector.api.verifying import Verify, VerifyAsked, Verifying
from collector.bursts import Bursts, Result
from collector.matrix.answers import Answer
from collector.matrix.query import Wanted
from collector.matrix.store import Matrix
from collector.matrix.suspects import Suspect, described, suspects_between
from collector.permission import Action, Permission
from wire.burst import MAX_PACKETS, PACKETS_PER_SECOND
from wire.path import Family, Layer
from wire.text import Name

BODY_SECONDS: Final = 5.0
"""For the token and all before it, and again for what follows, however it drips."""
MAX_PATHS: Final = 64
"""Most paths that one request has probed."""
MAX_AT_ONCE: Final = 8
ROUND_SECONDS: Final = 12.0
"""Besides the wait for its report, how long an agent may take to hear, to send, to wait for answers and to tell."""
_FIRST: Final = re.compile(rb'\s*\{\s*"token"\s*:\s*"([!#-\[\]-~]{1,4096})"\s*[,}]')
"""A token is printable, without spaces, and with nothing that JSON would write in another way."""
MAYBE: Final = 4200
"""So many bytes are looked at for a token."""

_log = structlog.get_logger()


class ProbeAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Paths to be probed now."""

    token: str
    from_: Name = field(name="from")
    """A node, vantage, pod or namespace, as in every other question."""
    to: Name
    """A node, pod, service or target."""
    count: Annotated[int, Meta(ge=1, le=MAX_PACKETS)] = 5
    layer: Layer | None = None
    kind: Literal["icmp", "udp", "tcp"] | None = None
    family: Family | None = None


class SignInAsked(Struct, frozen=True, forbid_unknown_fields=True):
    """Whose a token is."""

    token: str


class Actions:
    """The handlers. `report_seconds` says how long an agent is silent between two reports; with `reads` reading is a right."""

    def __init__(
        self,
        *,
        permission: Permission,
        bursts: Bursts,
        matrix: Matrix,
        report_seconds: Callable[[], float],
        refused: Callable[[str], None],
        verify: Verify | None = None,
        reads: bool = False,
        body_seconds: float = BODY_SECONDS,
        round_seconds: float = ROUND_SECONDS,
    ) -> None:
        self._permission = permission
        self._bursts = bursts
        self._matrix = matrix
        self._report_seconds = report_seconds
        self._refused = refused
        self._reads = reads
        self._body_seconds = body_seconds
        self._round_seconds = round_seconds
        self._under_way = 0
        self.verifying = Verifying(bursts, verify, patience_seconds=self._patience_seconds)
        self.prove: Callable[[web.BaseRequest], object] = lambda _request: None
        """Told of every request whose token is good: it may take its time."""

    def add(self, app: web.Application) -> None:
        """Put them under their paths."""
        app.router.add_post(f"{ACTIONS}signin", self.sign_in)
        app.router.add_post(f"{ACTIONS}probe", self.probe)
        app.router.add_post(f"{ACTIONS}verify", self.verify)
        app.router.add_get("/api/v1/verification", self.verifying.look)

    async def sign_in(self, request: web.Request) -> web.Response:
        """Say whose a token is, where its holder may do what the page is for: read, or have paths probed."""
        try:
            who, body = await self._body_of(request, Action.READ if self._reads else Action.PROBE)
            _decoded(body, SignInAsked)
            _log.info("sign-in", by=who)
            return json_response({"version": 1, "user": who})
        except RefusedError as error:
            return self._refusal(error.reason)

    async def probe(self, request: web.Request) -> web.Response:
        """Have paths probed, wait for what comes of it, and say that."""
        try:
            who, body = await self._body_of(request, Action.PROBE)
            if self._under_way >= MAX_AT_ONCE:
                raise RefusedError(Refusal.SHED)  # noqa: TRY301 - one place turns refusals into answers
            self._under_way += 1
            try:
                asked = _decoded(body, ProbeAsked)
                _log.info("probe", by=who, source=asked.from_, target=asked.to, count=asked.count)
                return json_response(await self._probed(asked))
            finally:
                self._under_way -= 1
        except RefusedError as error:
            return self._refusal(error.reason)

    async def verify(self, request: web.Request) -> web.Response:
        """Begin to verify; the answer has the id to look for."""
        try:
            who, body = await self._body_of(request, Action.VERIFY)
            asked = _decoded(body, VerifyAsked)
            _log.info("verify", by=who, namespace=asked.namespace)
            return json_response(self.verifying.begin(asked), status=202)
        except RefusedError as error:
            return self._refusal(error.reason)

    def _refusal(self, reason: Refusal) -> web.Response:
        self._refused(reason.value)
        status, sentence = refusal_of(reason)
        response = json_response({"error": sentence}, status=status)
        response.force_close()  # there may be more of the body
        return response

    async def _body_of(self, request: web.Request, action: Action) -> tuple[str, bytes]:
        """Whoever may do this, and the body, the rest of which is read only then; raises RefusedError."""
        if (request.content_length or 0) > MAX_BODY:
            raise RefusedError(Refusal.OVERSIZED)
        body, loop = bytearray(), asyncio.get_running_loop()
        until = loop.time() + self._body_seconds
        while (first := _FIRST.match(body)) is None:
            if len(body) > MAYBE or not await self._more(request, body, until):
                raise RefusedError(Refusal.NO_TOKEN)
        who = await self._permission.permitted(first[1].decode(), action)
        self.prove(request)
        until = loop.time() + self._body_seconds
        while await self._more(request, body, until):
            pass
        return who, bytes(body)

    async def _more(self, request: web.Request, body: bytearray, until: float) -> bool:
        """Read some more of a body before some time of the loop's clock, and say whether there was any."""
        try:
            async with asyncio.timeout_at(until):
                part = await request.content.readany()
        except TimeoutError:
            raise RefusedError(Refusal.TOO_SLOW) from None
        except (web.RequestPayloadError, ClientPayloadError, ConnectionError):
            raise RefusedError(Refusal.TRUNCATED) from None
        body += part
        if len(body) > MAX_BODY:
            raise RefusedError(Refusal.OVERSIZED)
        return bool(part)

    def _patience_seconds(self, suspects: Sequence[Suspect], probes: int) -> float:
        """How long to wait for bursts of these paths at most."""
        packets = Counter[str]()
        for one in suspects:
            packets[one.vantage] += probes * one.packets
        sending = max(packets.values(), default=0) / PACKETS_PER_SECOND + packets.total() / self._bursts.rate
        return 2 * self._report_seconds() + self._round_seconds + sending

    async def _probed(self, asked: ProbeAsked) -> Answer:
        wanted = Wanted(asked.layer or "", asked.kind or "", asked.family or "", asked.from_, asked.to)
        suspects, others = suspects_between(self._matrix, wanted, most=MAX_PATHS)
        if not suspects:
            raise QuestionError(
                f"of the {others} paths between these two none can be probed now: only icmp, udp and tcp inside the cluster can"
                if others
                else "no path between these two is planned, and nothing else is probed: see /api/v1/plan"
            )
        changed = asyncio.Event()
        watch = self._bursts.watch(suspects, probes=asked.count, on_change=changed.set)
        try:
            async with asyncio.timeout(self._patience_seconds(suspects, asked.count)):
                while watch.pending:
                    await changed.wait()
                    changed.clear()
        except TimeoutError:
            pass
        finally:
            self._bursts.unwatch(watch)
        return {
            "version": 1,
            "count": asked.count,
            "left_out": others,
            "paths": [
                {
                    **described(self._matrix, one),
                    **shown(watch.results[place], told=place not in watch.pending),
                }
                for one in suspects
                for place in [(one.vantage, one.path)]
            ],
        }


def shown(result: Result, *, told: bool) -> Answer:
    """What came of a burst, in numbers and in a word; `told` is whether its agent said that it is over."""
    received = result.sent - result.lost
    if not result.sent:
        state = "not_sent" if told else "no_word"
    elif result.lost:
        state = "lossy" if received else "refused" if result.refused == result.lost else "lost"
    else:
        state = "unconfirmed" if result.unconfirmed else "answered"
    return {
        "state": state,
        "sent": result.sent,
        "received": received,
        "lost": result.lost,
        "refused": result.refused,
        "loss": round(result.lost / result.sent, 6) if result.sent else None,
        "mean_us": round(result.total_ns / received / 1000, 3) if received else None,
    }


T = TypeVar("T")


def _decoded(body: bytes, type_: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise QuestionError(f"the body is not as it should be: {error}") from None
