"""Sends what is in the backlog, one report at a time, and takes back what the collector says about it.

In: spans from the backlog. Out: reports to the collector; acknowledgements into the backlog. A report that is not answered is
sent again with the same number, which the collector takes once. A collector process that is not the one we knew gets all that
is kept (HTTP 409). What it will never take (400, 413) is dropped and counted; everything else is tried again, ever more rarely.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable

import structlog
from msgspec import structs

from agent.backlog import Backlog, Span
from agent.contact import LONGEST_DELAY_SECONDS, Answer, Collector, Unreachable, back_off_seconds
from wire.codec import CodecError, compress, decode_acknowledgement, encode
from wire.plan import Plan
from wire.report import Acknowledgement, Report

COMPRESS_ABOVE_BYTES = 1024
POST_SECONDS = 10.0
MAX_ANSWER_BYTES = 4096
MAX_AGE_NS = 30 * 86_400_000_000_000

log = structlog.get_logger(__name__)


class Uplink:
    """The way of reports. `run` sends for ever; `flushed` waits until there is nothing left to send."""

    def __init__(
        self,
        collector: Collector,
        backlog: Backlog,
        *,
        boot: bytes,
        seed: str,
        on_contact: Callable[[Acknowledgement], None] = lambda _: None,
        on_miss: Callable[[], None] = lambda: None,
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.counts: Counter[str] = Counter()
        """Reports by what became of the attempt: `taken`, `rewound`, `dropped`, `unreachable`, `status_503` and the like."""
        self._collector = collector
        self._backlog = backlog
        self._boot = boot
        self._seed = seed
        self._on_contact = on_contact
        self._on_miss = on_miss
        self._clock = clock
        self._vantage = ""
        self._instance: int | None = None
        self._longest_delay_seconds = LONGEST_DELAY_SECONDS
        self._wake = asyncio.Event()
        self._hasten = asyncio.Event()
        self._flushed = asyncio.Event()

    def adopt(self, plan: Plan) -> None:
        """A plan names the collector process that reports go to; another one than before gets all that is kept."""
        self._vantage = plan.identity.vantage
        # A collector that is back has the whole matrix again within two report intervals.
        self._longest_delay_seconds = min(plan.report_interval_ms / 1000, LONGEST_DELAY_SECONDS)
        if self._instance is not None and plan.instance != self._instance:
            self._backlog.rewind()
        self._instance = plan.instance
        self._wake.set()

    def wake(self) -> None:
        """There is something in the backlog."""
        self._flushed.clear()
        self._wake.set()

    async def flushed(self) -> None:
        """Wait until the collector has everything; an attempt that is waiting to be repeated is repeated at once."""
        self._hasten.set()
        if len(self._backlog):
            await self._flushed.wait()

    async def run(self) -> None:
        """Send for ever."""
        attempt = 0
        while True:
            waiting = self._backlog.next() if self._instance is not None else None
            if waiting is None:
                self._flushed.set()
                self._wake.clear()
                await self._wake.wait()
                continue
            delay = await self._send(*waiting)
            if delay is None:
                attempt = 0
                continue
            attempt += 1
            try:
                back_off = back_off_seconds(attempt, self._seed, longest=self._longest_delay_seconds)
                async with asyncio.timeout(max(delay, back_off)):
                    await self._hasten.wait()
                await asyncio.sleep(back_off_seconds(1, self._seed))
            except TimeoutError:
                pass

    async def _send(self, sequence: int, span: Span) -> float | None:
        """Send one report once. None where the next may follow at once, else how long the collector asks us to wait."""
        body = encode(self.report(sequence, span))
        headers = {"Content-Type": "application/msgpack"}
        if len(body) > COMPRESS_ABOVE_BYTES:
            body, headers["Content-Encoding"] = compress(body), "gzip"
        try:
            answer = await self._collector.post("/agent/v1/report", headers, body, limit=MAX_ANSWER_BYTES, seconds=POST_SECONDS)
        except Unreachable as failure:
            self.counts["unreachable"] += 1
            self._on_miss()
            log.warning("report not sent", problem=str(failure), waiting=len(self._backlog))
            return 0.0
        return self._settle(sequence, answer)

    def report(self, sequence: int, span: Span) -> Report:
        """The report of a span, as of now."""
        return Report(
            vantage=self._vantage,
            instance=self._instance or 0,
            boot=self._boot,
            sequence=sequence,
            acknowledged=self._backlog.acknowledged,
            generation=span.generation,
            span_ns=span.ended_ns - span.started_ns,
            age_ns=min(max(self._clock() - span.ended_ns, 0), MAX_AGE_NS),
            columns=span.columns,
            health=structs.replace(span.health, windows_dropped=self._backlog.windows_dropped),
            merged=span.merged,
            urgent=span.urgent,
            leaving=span.leaving,
        )

    def _settle(self, sequence: int, answer: Answer) -> float | None:
        match answer.status:
            case 200:
                acknowledgement = _acknowledgement(answer)
                if acknowledgement is None:
                    self.counts["malformed"] += 1
                    return 0.0
                self._backlog.acknowledge(max(sequence, acknowledgement.sequence))
                self.counts["taken"] += 1
                self._on_contact(acknowledgement)
                known = acknowledgement.instance == self._instance
                if not known:  # while it answered, a plan named another process, which has nothing of what this one took
                    self._backlog.rewind()
                return None if known else 0.0
            case 409:
                acknowledgement = _acknowledgement(answer)
                self.counts["rewound"] += 1
                if acknowledgement is None or acknowledgement.instance == self._instance:
                    return 0.0
                log.info("another collector process, sending again what is kept", instance=acknowledgement.instance)
                self._instance = acknowledgement.instance
                self._backlog.rewind()
                self._backlog.acknowledge(acknowledgement.sequence)
                self._on_contact(acknowledgement)
                return 0.0  # two processes that take turns must not make us send as fast as we can
            case 400 | 413:
                self.counts["dropped"] += 1
                log.error("the collector refuses a report for good", status=answer.status, sequence=sequence)
                self._backlog.drop(sequence)
                return None
            case status:
                self.counts[f"status_{status}"] += 1
                log.warning("report not taken", status=status, waiting=len(self._backlog))
                return answer.retry_after_seconds


def _acknowledgement(answer: Answer) -> Acknowledgement | None:
    try:
        return decode_acknowledgement(answer.body)
    except CodecError:
        return None
