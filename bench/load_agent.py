"""One agent that is played: a report every span at its own phase, a plan when it is told of another one.

What it does on the wire is what `agent.downlink` and `agent.uplink` do: one connection that stays open, a report at a time, the
same number until it is answered, everything again for another collector process, and never before it was asked to return.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from ssl import SSLContext

from bench.load_connection import Connection, Loop
from bench.load_tally import Tally
from bench.load_windows import LOSS, Windows
from wire.codec import CodecError, compress, decode_acknowledgement, decode_plan, encode
from wire.path import Layer
from wire.report import Acknowledgement, Columns, Health, Report

PLAN_SECONDS = 35
CONFIRMED_SECONDS = 60.0
KEPT = 360
"""Spans kept while the collector is away: an hour."""
TAKEN = 200
SAME = 304
OTHER_INSTANCE = 409
FOR_GOOD = frozenset({400, 413})
HEALTH = Health(loop_lag_p99_ns=2_000_000, loop_lag_max_ns=9_000_000, cpu_ns=60_000_000, resident_bytes=44_000_000, in_flight=9)


@dataclass(frozen=True, slots=True)
class Collector:
    """Where it is, and how it is trusted."""

    address: tuple[str, int]
    trust: SSLContext | None


@dataclass(slots=True)
class _Span:
    number: int
    ended: float
    columns: Columns
    sequence: int = 0


class Agent:
    """One vantage. `start` begins; the loop does the rest."""

    def __init__(
        self, loop: Loop, collector: Collector, name: str, key: str, tally: Tally, *, entries: int = 0, loss: float = LOSS
    ) -> None:
        self.name = name
        self.external: dict[str, float] = {}
        """Packets per second that its plan sends to each external target."""
        self.packets_per_second = 0.0
        self.generation = 0
        self._loop = loop
        self._tally = tally
        self._entries = entries
        self._loss = loss
        self._connection = Connection(loop, collector.address, collector.trust)
        host = f"[{collector.address[0]}]" if ":" in collector.address[0] else collector.address[0]
        self._common = f"HTTP/1.1\r\nHost: {host}:{collector.address[1]}\r\nAuthorization: Bearer {key}\r\n"
        digest = blake2b(name.encode(), digest_size=16).digest()
        self._share = int.from_bytes(digest[:8], "little") / 2**64
        """Of a second, a span or a delay: spreads agents without chance."""
        self._boot = blake2b(f"{name}/{loop.now}".encode(), digest_size=16).digest()
        self._etag = ""
        self._plan = 0, 0
        self._attempt = 0
        self._failures = 0
        self._instance = 0
        self._span_seconds = 10.0
        self._windows: Windows | None = None
        self._spans: deque[_Span] = deque(maxlen=KEPT)
        self._answered: deque[_Span] = deque(maxlen=2)
        self._due = 0.0
        self._number = 0
        self._sequence = 0
        self._acknowledged = 0
        self._busy = False
        """There is a request under way."""
        self._pausing = False
        """The report that is first waits to be sent once more."""
        self._outdated = False
        """There is another plan."""
        self._confirmed = loop.now

    def start(self) -> None:
        """Ask for a plan, as soon as the connection is free."""
        self._outdated = True
        self._next()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _next(self) -> None:
        if self._busy:
            return
        if self._outdated:
            self._outdated = False
            self._busy = True
            self._ask()
        elif self._spans and not self._pausing:
            self._busy = True
            self._send(self._spans[0])

    def _ask(self) -> None:
        asked = f"If-None-Match: {self._etag}\r\n" if self._etag else ""
        request = f"GET /agent/v1/plan {self._common}Accept: application/msgpack\r\n{asked}\r\n"
        began = self._loop.now
        self._connection.ask(
            request.encode(),
            lambda status, headers, body: self._planned(began, status, headers, body),
            lambda word: self._unplanned(word, 0.0),
            seconds=PLAN_SECONDS,
        )

    def _planned(self, began: float, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if status == TAKEN:
            try:
                plan = decode_plan(body)
            except CodecError as error:
                self._unplanned(f"plan_{error.reason}", 0.0)
                return
            self._tally.planned(self._loop.now - began, len(body))
            self._etag = headers.get("etag", "")
            first = self._windows is None
            self.generation = plan.generation
            self._plan = plan.instance, plan.generation
            self.external = {}
            self.packets_per_second = 0.0
            for planned in plan.paths:
                rate = planned.path.packets * 1000 / planned.interval_ms
                self.packets_per_second += rate
                if planned.path.layer is Layer.EXTERNAL:
                    name = planned.path.target.name
                    self.external[name] = self.external.get(name, 0.0) + rate
            self._windows = Windows(plan, entries=self._entries, loss=self._loss)
            self._adopt(plan.instance)
            self._span_seconds = plan.report_interval_ms / 1000
            if first:
                self._due = self._loop.now + self._share * self._span_seconds
                self._loop.at(self._due, self._cut)
        elif status == SAME:
            self._tally.count("plan 304")
        else:
            self._unplanned(f"plan {status}", float(headers.get("retry-after", "0")))
            return
        self._attempt = 0
        self._confirmed = self._loop.now
        self._busy = False
        self._next()

    def _unplanned(self, word: str, delay: float) -> None:
        self._busy = False
        self._next()
        self._tally.count(word if word.startswith("plan") else f"plan {word}")
        self._attempt += 1
        self._loop.at(self._loop.now + max(delay, self._back_off(self._attempt)), self.start)

    def _back_off(self, attempt: int) -> float:
        return min(0.25 * 2.0 ** min(attempt - 1, 20), 30.0) * (0.5 + self._share / 2)

    def _adopt(self, instance: int) -> None:
        """Another collector process gets all that is kept."""
        if self._instance and instance != self._instance:
            self._spans.extendleft(reversed(self._answered))
            self._answered.clear()
        self._instance = instance

    def _cut(self) -> None:
        """End a span, and begin the next."""
        self._due += self._span_seconds  # not from now: agents that were late together would stay together
        while self._due <= self._loop.now:  # or we would make up for what we missed, and miss more meanwhile
            self._tally.count("span skipped")
            self._due += self._span_seconds
            self._number += 1
        self._loop.at(self._due, self._cut)
        if self._windows is not None:
            self._sequence += 1
            self._spans.append(_Span(self._number, self._loop.now, self._windows.columns(self._number), self._sequence))
        self._number += 1
        if self._loop.now > self._confirmed + CONFIRMED_SECONDS:
            self._confirmed = self._loop.now
            self._outdated = True
        self._next()

    def _send(self, span: _Span) -> None:
        body = compress(encode(self._report(span)))
        head = (
            f"POST /agent/v1/report {self._common}Content-Type: application/msgpack\r\n"
            f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        began = self._loop.now
        self._connection.ask(
            head.encode() + body,
            lambda status, headers, answer: self._settle(span, began, status, headers, answer),
            lambda word: self._again(word, 0.0),
            seconds=10,
        )

    def _report(self, span: _Span) -> Report:
        return Report(
            vantage=self.name,
            instance=self._instance,
            boot=self._boot,
            sequence=span.sequence,
            acknowledged=self._acknowledged,
            generation=self.generation,
            span_ns=int(self._span_seconds * 1e9),
            age_ns=max(0, int((self._loop.now - span.ended) * 1e9)),
            columns=span.columns,
            health=HEALTH,
        )

    def _settle(self, span: _Span, began: float, status: int, headers: Mapping[str, str], body: bytes) -> None:
        if status == TAKEN:
            self._tally.taken(self.name, self._loop.now - began, len(span.columns))
            self._acknowledged = max(self._acknowledged, span.sequence)
            self._told(decode_acknowledgement(body))
        elif status in FOR_GOOD:
            self._tally.count(f"report {status}")
        elif status == OTHER_INSTANCE:
            self._tally.count("report 409")
            acknowledgement = decode_acknowledgement(body)
            self._adopt(acknowledgement.instance)
            self._told(acknowledgement)
            self._again("", 0.0)
            return
        else:
            self._again(f"{status}", float(headers.get("retry-after", "0")))
            return
        if self._spans and self._spans[0] is span:
            self._spans.popleft()
            self._answered.append(span)
        self._failures = 0
        self._busy = False
        self._next()

    def _told(self, acknowledgement: Acknowledgement) -> None:
        if (acknowledgement.instance, acknowledgement.generation) == self._plan:
            self._confirmed = self._loop.now
        elif self._windows is not None:
            self._outdated = True

    def _again(self, word: str, delay: float) -> None:
        """Send what is first once more, later."""
        if word:
            self._tally.count(f"report {word}")
        self._failures += 1
        pause = max(delay, min(self._back_off(self._failures), self._span_seconds))

        def resume() -> None:
            self._pausing = False
            self._next()

        self._busy, self._pausing = False, True
        self._loop.at(self._loop.now + pause, resume)
        self._next()
