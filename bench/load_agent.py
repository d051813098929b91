"""One agent that is played: it fetches its plan by long poll, reports every span at its own phase, and does as it is told.

What it does on the wire is what `agent.downlink` and `agent.uplink` do: two connections that stay open, a report at a time, the
same number until it is answered, everything again for another collector process, and never before it was asked to return.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from ssl import SSLContext

from bench.load_connection import Connection, Loop
from bench.load_tally import Tally
from bench.load_windows import Windows
from wire.codec import CodecError, compress, decode_acknowledgement, decode_plan, encode
from wire.path import Layer
from wire.report import Columns, Health, Report

WAIT_SECONDS = 25
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

    def __init__(self, loop: Loop, collector: Collector, name: str, key: str, tally: Tally, *, entries: int = 0) -> None:
        self.name = name
        self.external: dict[str, float] = {}
        """Packets per second that its plan sends to each external target."""
        self.packets_per_second = 0.0
        self.generation = 0
        self._loop = loop
        self._tally = tally
        self._entries = entries
        self._plans = Connection(loop, collector.address, collector.trust)
        self._reports = Connection(loop, collector.address, collector.trust)
        host = f"[{collector.address[0]}]" if ":" in collector.address[0] else collector.address[0]
        self._common = f"HTTP/1.1\r\nHost: {host}:{collector.address[1]}\r\nAuthorization: Bearer {key}\r\n"
        digest = blake2b(name.encode(), digest_size=16).digest()
        self._share = int.from_bytes(digest[:8], "little") / 2**64
        """Of a second, a span or a delay: spreads agents without chance."""
        self._boot = blake2b(f"{name}/{loop.now}".encode(), digest_size=16).digest()
        self._etag = ""
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

    def start(self) -> None:
        """Ask for a plan."""
        asked = f"If-None-Match: {self._etag}\r\n" if self._etag else ""
        request = f"GET /agent/v1/plan {self._common}Accept: application/msgpack\r\nPrefer: wait={WAIT_SECONDS}\r\n{asked}\r\n"
        began = self._loop.now
        self._plans.ask(
            request.encode(),
            lambda status, headers, body: self._planned(began, status, headers, body),
            lambda word: self._unplanned(word, 0.0),
            seconds=WAIT_SECONDS + 10,
        )

    def close(self) -> None:
        """Close the connections."""
        self._plans.close()
        self._reports.close()

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
            self.external = {}
            self.packets_per_second = 0.0
            for planned in plan.paths:
                rate = planned.path.packets * 1000 / planned.interval_ms
                self.packets_per_second += rate
                if planned.path.layer is Layer.EXTERNAL:
                    name = planned.path.target.name
                    self.external[name] = self.external.get(name, 0.0) + rate
            self._windows = Windows(plan, entries=self._entries)
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
        self._loop.at(max(self._loop.now, began + 1.0), self.start)

    def _unplanned(self, word: str, delay: float) -> None:
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
        self._send()

    def _cut(self) -> None:
        """End a span, and begin the next."""
        self._due += self._span_seconds  # not from now: agents that were late together would stay together
        self._loop.at(self._due, self._cut)
        if self._windows is not None:
            self._sequence += 1
            self._spans.append(_Span(self._number, self._loop.now, self._windows.columns(self._number), self._sequence))
        self._number += 1
        self._send()

    def _send(self) -> None:
        if self._busy or not self._spans:
            return
        self._busy = True
        span = self._spans[0]
        body = compress(encode(self._report(span)))
        head = (
            f"POST /agent/v1/report {self._common}Content-Type: application/msgpack\r\n"
            f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        began = self._loop.now
        self._reports.ask(
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
        elif status in FOR_GOOD:
            self._tally.count(f"report {status}")
        elif status == OTHER_INSTANCE:
            self._tally.count("report 409")
            self._adopt(decode_acknowledgement(body).instance)
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
        self._send()

    def _again(self, word: str, delay: float) -> None:
        """Send what is first once more, later."""
        if word:
            self._tally.count(f"report {word}")
        self._failures += 1
        pause = max(delay, min(self._back_off(self._failures), self._span_seconds))

        def resume() -> None:
            self._busy = False
            self._send()

        self._loop.at(self._loop.now + pause, resume)
