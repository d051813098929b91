"""The agent port: plans go out, reports come in.

In come requests from anybody, out go answers; the matrix and the sessions get whole, checked reports only. The order is the
point of this module: who asks is known before a byte of a body is read, how much is coming before it is kept, and whether it is
consistent before anything of it counts. One that is refused is counted by reason, and leaves nothing behind.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import structlog
from aiohttp import ClientPayloadError, web

from collector.admission import Admission, Refusal, RefusedError
from collector.api.board import Board
from collector.api.faults import server_log
from collector.api.spending import Spending
from collector.sessions import Sessions
from wire.burst import Burst
from wire.codec import MAX_REPORT_BYTES, CodecError, decode_report, decompress, encode
from wire.report import Acknowledgement, Report

BODY_SECONDS = 10.0
"""Deadline for a whole body, however it drips."""
MAX_WAIT_SECONDS = 30
"""Longest time that a request for a plan is held."""
KEEPALIVE_SECONDS = 75.0
LINGER_SECONDS = 0.5
"""How long the rest of a refused body is read and thrown away, so that its sender reads the answer and not a reset."""
MAX_READING = 64
"""Most bodies that are read at once: with both of its sizes a report holds up to 8 MiB."""
LATE_SECONDS = 2.0
"""A report whose bytes have waited this long for their turn is turned away, before an agent that waits 10 s gives up on it."""
LEAST_NS = 10_000_000
"""Unless none was taken for this long: whoever is late takes some of those that wait, or would never take any again."""
PLANS_A_TURN = 8
"""Most plans made in one turn of the loop, at some milliseconds each: when all agents want one, reports go on in between."""
MSGPACK = "application/msgpack"
_log = structlog.get_logger()

_LATER = frozenset({Refusal.SHED, Refusal.REVIEW_RATE, Refusal.REVIEW_AWAY})
"""What may be taken when it is tried again."""
_STATUS = {
    Refusal.NO_TOKEN: (401, "a bearer token is needed"),
    Refusal.MALFORMED_TOKEN: (401, "the bearer token is malformed"),
    Refusal.UNKNOWN_TOKEN: (401, "the bearer token is not known"),
    Refusal.EXPIRED_TOKEN: (401, "the bearer token has expired"),
    Refusal.OTHER_AUDIENCE: (401, "the bearer token is for another audience"),
    Refusal.OTHER_ACCOUNT: (403, "the token's ServiceAccount is not that of agents or vantages"),
    Refusal.UNBOUND_TOKEN: (403, "the token is bound to no pod"),
    Refusal.UNKNOWN_POD: (403, "the token's pod is not known as an agent or a vantage"),
    Refusal.OTHER_NODE: (403, "the token's pod is known on another node"),
    Refusal.REVIEW_RATE: (503, "too many tokens wait for their review"),
    Refusal.REVIEW_AWAY: (503, "tokens cannot be reviewed now"),
    Refusal.FOREIGN_ROW: (403, "the token is not of the vantage that the report is about"),
    Refusal.RETIRED_BOOT: (403, "another process of this vantage has taken over"),
    Refusal.TOO_SLOW: (408, "the body was not complete in time"),
    Refusal.OVERSIZED: (413, f"longer than {MAX_REPORT_BYTES} bytes"),
    Refusal.ENCODING: (415, f"expected {MSGPACK}, as it is or as one gzip member"),
    Refusal.COMPRESSION: (400, "not one gzip member, or one that grows too much"),
    Refusal.TRUNCATED: (400, "the body ended early or does not keep its framing"),
    Refusal.MALFORMED: (400, "not a report"),
    Refusal.SHED: (429, "too many reports at once"),
}


class Intake(Protocol):
    """The matrix as this module sees it."""

    def apply(self, report: Report, *, arrived_ns: int, counted: bool) -> None:
        """Take all windows of a report, or none and raise a ValueError that has a `reason`."""


class AgentPort:
    """Answers agents.

    `refuse` is told the reason of everything that is not taken, `took` of every report that is: the seconds to decode and
    apply it, and how many reports before it never came. `confirm` is told of the same, and says what its agent is to confirm.
    """

    def __init__(
        self,
        *,
        admission: Admission,
        board: Board,
        sessions: Sessions,
        matrix: Intake,
        refuse: Callable[[str], None],
        now_ns: Callable[[], int],
        took: Callable[[float, int], None] = lambda _seconds, _gap: None,
        confirm: Callable[[Report], tuple[Burst, ...]] = lambda _report: (),
        body_seconds: float = BODY_SECONDS,
        cpu_ns: Callable[[], int] = time.thread_time_ns,
    ) -> None:
        self._admission = admission
        self.prove: Callable[[web.BaseRequest], float] = lambda _: 0.0
        """Told of every request whose token is known, and says how many seconds ago its last bytes came; set by whoever puts us
        behind a listener."""
        self._took = took
        self._confirm = confirm
        self._body_seconds = body_seconds
        self._board = board
        self._sessions = sessions
        self._matrix = matrix
        self._refuse = refuse
        self._now_ns = now_ns
        self._reading: set[str] = set()
        self._taken_ns = 0
        """When a report was taken last."""
        self._making = asyncio.Semaphore(PLANS_A_TURN)
        self._spending = Spending(now_ns)
        self._cpu_ns = cpu_ns

    def runner(self) -> web.ServerRunner:
        """Its runner, which leaves bodies compressed (our own reader is bounded) and logs no request.

        Without the router and the middlewares of an application, which cost more than the two paths that there are.
        """
        server = web.Server(
            self._answer,
            access_log=None,
            logger=server_log("agents", self._refuse),
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE_SECONDS,
            lingering_time=LINGER_SECONDS,
            max_headers=32,
        )
        return web.ServerRunner(server, shutdown_timeout=2.0)

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Who asks comes first, then what; a refusal becomes its answer and its count."""
        vantage = ""
        try:
            vantage = await self._admission.vantage_of(request.headers.get("Authorization"), request.remote or "")
            waited = self.prove(request)
            handlers = {"/agent/v1/plan": ("GET", self._plan), "/agent/v1/report": ("POST", self._report)}
            method, handler = handlers.get(request.path, ("", None))
            if handler is None:
                return _closing(request, web.Response(status=404))
            if request.method != method:
                return _closing(request, web.Response(status=405, headers={"Allow": method}))
            if not self._spending.has_room(vantage):
                raise RefusedError(Refusal.SHED)  # noqa: TRY301 - one place turns refusals into answers
            if waited > LATE_SECONDS and handler == self._report and self._now_ns() - self._taken_ns < LEAST_NS:
                raise RefusedError(Refusal.SHED)  # noqa: TRY301 - one place turns refusals into answers
            return await handler(request, vantage)
        except RefusedError as error:
            return self._refused(request, error.reason, vantage)

    def _refused(self, request: web.BaseRequest, reason: Refusal, vantage: str) -> web.Response:
        self._refuse(reason.value)
        status, sentence = _STATUS[reason]
        headers = {}
        if status == web.HTTPUnauthorized.status_code:
            headers["WWW-Authenticate"] = "Bearer"
        elif reason in _LATER:
            headers["Retry-After"] = str(_spread_seconds(vantage or request.remote or ""))
        return _closing(request, web.Response(status=status, text=sentence, headers=headers))

    async def _plan(self, request: web.BaseRequest, vantage: str) -> web.StreamResponse:
        known = request.headers.get("If-None-Match", "")
        seconds = _wait_seconds(request.headers.get("Prefer", ""))
        if known and not await self._board.other_than(vantage, known, seconds=seconds):
            return web.Response(status=304, headers={"ETag": self._board.etag(vantage)})
        async with self._making:
            if request.transport is None:  # it gave up before its turn: a plan for nobody would cost the others theirs
                return web.Response(status=503)
            used_ns = self._cpu_ns()
            handout = self._board.handout(vantage)
            self._spending.spend(vantage, self._cpu_ns() - used_ns)
            await asyncio.sleep(0)
        if handout is None:  # it left the inventory while it waited
            raise RefusedError(Refusal.UNKNOWN_TOKEN)
        body, etag = handout
        # The server keeps an answer until the next request of its connection: thousands of plans, if they were part of it.
        answer = web.StreamResponse(headers={"Content-Type": MSGPACK, "ETag": etag, "Cache-Control": "no-store"})
        answer.content_length = len(body)
        with suppress(ConnectionError):  # it hung up meanwhile
            await answer.prepare(request)
            await answer.write(body)
        return answer

    async def _report(self, request: web.BaseRequest, vantage: str) -> web.Response:
        if request.content_type != MSGPACK or request.headers.get("Content-Encoding", "identity") not in ("identity", "gzip"):
            raise RefusedError(Refusal.ENCODING)
        if (request.content_length or 0) > MAX_REPORT_BYTES:
            raise RefusedError(Refusal.OVERSIZED)
        if vantage in self._reading or len(self._reading) >= MAX_READING:
            raise RefusedError(Refusal.SHED)
        self._reading.add(vantage)
        try:
            body = await _body(request, self._body_seconds)
        finally:
            self._reading.discard(vantage)
        began_ns, used_ns = self._now_ns(), self._cpu_ns()
        try:
            if request.headers.get("Content-Encoding") == "gzip":
                body = decompress(body, limit=MAX_REPORT_BYTES)
            return self._taken(vantage, decode_report(body), began_ns)
        except CodecError as error:
            _log.warning("report refused", vantage=vantage, reason=error.reason, because=str(error))
            raise RefusedError(Refusal(error.reason)) from None
        finally:
            self._spending.spend(vantage, self._cpu_ns() - used_ns)

    def _taken(self, vantage: str, report: Report, began_ns: int) -> web.Response:
        """Judge, apply and record a report, without a pause in between."""
        if report.vantage != vantage:
            _log.warning("report of another row", vantage=vantage, claimed=report.vantage, security=True)
            raise RefusedError(Refusal.FOREIGN_ROW)
        if vantage not in self._board.plans:  # it left the inventory while it sent
            raise RefusedError(Refusal.UNKNOWN_TOKEN)
        judgement = self._sessions.judge(report)
        if judgement.refusal is Refusal.RETIRED_BOOT:
            raise RefusedError(Refusal.RETIRED_BOOT)
        if judgement.refusal is not None:
            self._refuse(judgement.refusal.value)
            status = 409 if judgement.refusal is Refusal.OTHER_INSTANCE else 200
            return self._acknowledged(vantage, judgement.sequence, status=status)
        now_ns = self._now_ns()
        try:
            self._matrix.apply(report, arrived_ns=now_ns, counted=judgement.counted)
        except ValueError as error:
            reason = str(getattr(error, "reason", "inconsistent"))
            self._refuse(reason)
            _log.warning("report refused", vantage=vantage, reason=reason, because=str(error))
            return web.Response(status=400, text=f"inconsistent: {reason}")
        gap = self._sessions.record(report, now_ns=now_ns)
        self._taken_ns = now_ns
        self._took((self._now_ns() - began_ns) / 1e9, gap)
        return self._acknowledged(vantage, report.sequence, bursts=self._confirm(report))

    def _acknowledged(self, vantage: str, sequence: int, *, status: int = 200, bursts: tuple[Burst, ...] = ()) -> web.Response:
        plans = self._board.in_force(vantage)
        generation = plans.generation_of(vantage)
        acknowledgement = Acknowledgement(plans.instance, sequence, generation, bursts)
        return web.Response(status=status, body=encode(acknowledgement), content_type=MSGPACK)


def _closing(request: web.BaseRequest, response: web.Response) -> web.Response:
    """An answer that ends the connection, unless the whole body of its request is here already."""
    if not request.body_exists or not request.content.is_eof():
        response.force_close()
    return response


async def _body(request: web.BaseRequest, seconds: float) -> bytes:
    """The body as it was sent; raises RefusedError where it is too long, too slow or torn."""
    content = request.content
    if content.is_eof() and content.total_bytes <= MAX_REPORT_BYTES and content.exception() is None:
        return bytes(content.read_nowait())  # all of it is here already, as of nearly every report: no deadline needs to be set
    parts = bytearray()
    try:
        async with asyncio.timeout(seconds):
            async for part in request.content.iter_any():
                parts += part
                if len(parts) > MAX_REPORT_BYTES:
                    raise RefusedError(Refusal.OVERSIZED)
    except TimeoutError:
        raise RefusedError(Refusal.TOO_SLOW) from None
    except (web.RequestPayloadError, ClientPayloadError, ConnectionError):
        raise RefusedError(Refusal.TRUNCATED) from None
    return bytes(parts)


def _wait_seconds(prefer: str) -> float:
    """The seconds of `Prefer: wait=N` (RFC 7240), at most MAX_WAIT_SECONDS; 0 where there are none."""
    for preference in prefer[:200].split(","):
        name, _, value = preference.strip().partition("=")
        if name.lower() == "wait" and value.isascii() and value.isdigit():
            return min(int(value[:6]), MAX_WAIT_SECONDS)
    return 0


def _spread_seconds(vantage: str) -> int:
    """1 to 10, by the name: those that are turned away together do not come back together."""
    return 1 + hashlib.blake2b(vantage.encode(), digest_size=2).digest()[0] % 10
