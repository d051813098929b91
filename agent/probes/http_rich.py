"""HTTP over TLS by aiohttp, one task and one connection per probe.

In: questions to final addresses. Out: observations, by our own clock but for the connect phase, which is `tcpi_rtt`. The
connection goes to the address that was checked, and to no other; Host, SNI and certificate name come from the path. Nothing is
followed, unpacked, kept or sent along: no redirects, no decompression, no cookies, no credentials, at most 64 KiB of body.
"""

import asyncio
import errno
import socket
import ssl
import time
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from agent import handshake
from agent.errno_words import word_for
from agent.http_answer import MAX_BODY_BYTES
from agent.probes.http_exchange import Question, judgement_of
from agent.probes.prober import Context, Observation, Probe
from wire.outcome import Outcome
from wire.window import FactName, Measure, Timed

MAX_OPEN = 256
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=None, sock_read=None)
"""Only the runner knows how long to wait; it forgets the probe, which cancels the task."""


@dataclass(slots=True)
class _Course:
    """When what happened, in nanoseconds of CLOCK_MONOTONIC."""

    connection: socket.socket | None = None
    transport: asyncio.Transport | None = None
    connecting: int = 0
    connected: int = 0
    """With TLS: aiohttp does both in one step."""
    handshake_rtt_ns: int | None = None
    retransmits: int = 0
    asked: int = 0
    answered: int = 0
    ended: int = 0
    facts: dict[FactName, str] = field(default_factory=dict)

    def measures(self) -> dict[Measure, int]:
        """The phases, which add up to the time from the first SYN to the last byte but for what we needed in between."""
        secured_ns = self.connected - self.connecting
        # After a retransmission nobody knows where connecting ended: all of it is the connect phase then.
        connect_ns = secured_ns if self.handshake_rtt_ns is None else min(self.handshake_rtt_ns, secured_ns)
        return {
            Measure.CONNECT_NS: connect_ns,
            Measure.TLS_NS: secured_ns - connect_ns,
            Measure.FIRST_BYTE_NS: self.answered - self.asked,
            Measure.TRANSFER_NS: self.ended - self.answered,
        }


class RichExchanges:
    """All exchanges over TLS of a process."""

    def __init__(self, context: Context) -> None:
        """Keep the context; open nothing yet."""
        self._context = context
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._ended: deque[Observation] = deque()
        self._trusting: ssl.SSLContext | None = None

    def begin(self, question: Question) -> Outcome | None:
        """Start the task of an exchange; the word where there can be none."""
        if self._context.spawn is None:
            return Outcome.UNSUPPORTED
        if len(self._tasks) >= MAX_OPEN:
            return Outcome.SKIPPED
        if not self._context.permits(question.probe.address):
            return Outcome.FORBIDDEN
        self._tasks[question.probe.number] = self._context.spawn(self._run(question))
        return None

    def collect(self) -> list[Observation]:
        """The exchanges that have ended since the last call."""
        ended = list(self._ended)
        self._ended.clear()
        return ended

    def forget(self, probe: Probe) -> None:
        """Cancel its task, which closes its connection."""
        task = self._tasks.pop(probe.number, None)
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """Cancel every task; whoever spawned them awaits them."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def _run(self, question: Question) -> None:
        observation = Observation(question.probe, outcome=Outcome.INTERNAL)  # unless it turns out otherwise
        try:
            observation = await self._observed(question)
        finally:
            # A probe that was forgotten meanwhile is judged already.
            if self._tasks.pop(question.probe.number, None) is not None:
                self._ended.append(observation)

    async def _observed(self, question: Question) -> Observation:
        course = _Course()
        try:
            return await self._exchange(question, course)
        except asyncio.CancelledError:
            if course.transport is not None:
                course.transport.abort()  # a farewell in TLS would wait 30 s for one of a server that is stuck
            raise
        except _BrokenError as broken:
            outcome = word_for(broken.cause) if isinstance(broken.cause, OSError) else Outcome.PROTOCOL
        except (aiohttp.ClientSSLError, ssl.SSLError, ssl.CertificateError):
            outcome = Outcome.TLS
        except OSError as error:
            outcome = _word(error, course)
        except (aiohttp.ClientError, ValueError):  # what came is not HTTP, or was cut short
            outcome = Outcome.PROTOCOL
        return Observation(question.probe, outcome=outcome)

    async def _exchange(self, question: Question, course: _Course) -> Observation:
        probe, ask = question.probe, question.ask
        host = f"[{probe.address}]" if ":" in probe.address else probe.address
        async with (
            self._session(course) as session,
            session.request(
                ask.method,
                URL(f"https://{host}:{ask.port}{ask.path}", encoded=True),
                headers=question.headers,
                server_hostname=ask.host or probe.address,
                ssl=self._verified() if ask.verify else self._unverified,
                allow_redirects=False,
                middlewares=(_once,),
            ) as response,
        ):
            course.answered = time.monotonic_ns()
            body = await _start_of(response)
            course.ended = time.monotonic_ns()
            judgement = judgement_of(question, self._context, response.status, body)
        facts = {**judgement.facts, **course.facts}
        if judgement.outcome is not None:
            return Observation(probe, outcome=judgement.outcome, facts=facts)
        measures = course.measures()
        latency_ns = sum(measures.values())
        if probe.resolve_ns:
            measures[Measure.RESOLVE_NS] = probe.resolve_ns
        if course.retransmits:
            measures[Measure.RETRANSMITS] = course.retransmits
        timed = Timed.USER if course.handshake_rtt_ns is None else Timed.USER | Timed.TCP_INFO
        return Observation(
            probe, latency_ns=latency_ns, timed=timed, confirmed=judgement.confirmed, measures=measures, facts=facts
        )

    def _session(self, course: _Course) -> aiohttp.ClientSession:
        def opened(info: aiohttp.AddrInfoType) -> socket.socket:
            course.connection = socket.socket(info[0], info[1] | socket.SOCK_NONBLOCK, info[2])
            handshake.reset_on_close(course.connection)
            return course.connection

        class Answer(aiohttp.ClientResponse):
            async def start(self, connection: Connection) -> aiohttp.ClientResponse:
                course.transport = connection.transport
                course.facts = _expiry(connection.transport)
                return await super().start(connection)

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, limit=1, socket_factory=opened),
            timeout=_NO_TIMEOUT,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            read_bufsize=MAX_BODY_BYTES,
            trace_configs=[_tracing(course)],
            response_class=Answer,
        )

    def _verified(self) -> ssl.SSLContext:
        if self._trusting is not None:
            return self._trusting
        context = ssl.create_default_context()
        # Without a descriptor to spare it reads no certificates and does not say so: such a context is not kept.
        if context.cert_store_stats()["x509_ca"]:
            self._trusting = context
        return context

    @cached_property
    def _unverified(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context


class _BrokenError(aiohttp.ClientError):
    """The connection broke after it was there."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from asking a second time when the connection breaks: a probe is one connection, and says so."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _BrokenError(error) from error


def _tracing(course: _Course) -> aiohttp.TraceConfig:
    async def connecting(*_: object) -> None:
        course.connecting = time.monotonic_ns()

    async def connected(*_: object) -> None:
        course.connected = time.monotonic_ns()
        if course.connection is not None:
            result = handshake.result_of(course.connection, course.connecting)
            if isinstance(result, handshake.Shaken):
                course.retransmits = result.retransmits
                course.handshake_rtt_ns = None if result.retransmits else result.rtt_ns

    async def asked(*_: object) -> None:
        course.asked = time.monotonic_ns()

    tracing = aiohttp.TraceConfig()
    tracing.on_connection_create_start.append(connecting)
    tracing.on_connection_create_end.append(connected)
    tracing.on_request_headers_sent.append(asked)
    return tracing


def _expiry(transport: asyncio.Transport | None) -> dict[FactName, str]:
    """When the certificate expires; nothing where it was not verified, since Python does not read it then."""
    certificate = transport.get_extra_info("peercert") if transport is not None else None
    if not certificate or "notAfter" not in certificate:
        return {}
    return {FactName.CERTIFICATE_EXPIRES: str(ssl.cert_time_to_seconds(certificate["notAfter"]))}


async def _start_of(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    while len(body) < MAX_BODY_BYTES:
        piece = await response.content.read(MAX_BODY_BYTES - len(body))
        if not piece:
            break
        body += piece
    return bytes(body)


def _word(error: OSError, course: _Course) -> Outcome:
    if error.errno is None and course.connection is not None:
        return Outcome.TLS  # asyncio says without a number that the other side hung up during the TLS handshake
    if error.errno in {errno.EACCES, errno.EPERM}:
        return Outcome.PROHIBITED  # ICMPv6 says so; our own kernel has no reason to
    return word_for(error)
