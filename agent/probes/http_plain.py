"""Plain HTTP by a small state machine on sockets of our own: connect, ask, listen, done.

In: questions to final addresses. Out: observations whose phases are the kernel's own: `tcpi_rtt` for connecting, stamps on the
stream from the request's departure to the first and to the last byte of the answer. What passes between two ticks is in none of
them. Never more than the caps of `http_answer` is kept, and every connection ends with RST.
"""

import contextlib
import errno
import select
import socket
import time
from dataclasses import dataclass

from agent import handshake, kernel, stream_stamps
from agent.errno_words import word_for
from agent.handshake import Shaken
from agent.http_answer import Answer, MalformedError
from agent.latency import SLEW_SHARE, STEP_NS
from agent.probes.http_exchange import Question, judgement_of
from agent.probes.prober import Context, Observation, Probe
from wire.outcome import Outcome
from wire.window import Measure, Timed

MAX_OPEN = 1024
_PIECE_BYTES = 16 * 1024
_TIMED = tuple(Timed(bits) for bits in range(8))
"""Ways of timing by their bits: to unite two of them as they are takes longer than a system call."""
_KERNEL, _TCP_INFO, _USER = int(Timed.KERNEL), int(Timed.TCP_INFO), int(Timed.USER)


@dataclass(slots=True)
class _Moment:
    """One point in time by both clocks."""

    user_ns: int
    """CLOCK_MONOTONIC of our process: too late, never too early."""
    stamp_ns: int = 0
    """CLOCK_REALTIME of the kernel; 0 where it is missing."""


@dataclass(slots=True)
class _Exchange:
    question: Question
    connection: socket.socket
    started_ns: int
    answer: Answer
    shaken: Shaken | None = None
    asked: _Moment | None = None
    first: _Moment | None = None
    last: _Moment | None = None
    timed: int = 0
    offset_ns: int = 0
    """Wall clock minus monotonic clock when the request was sent."""

    def span_ns(self, since: _Moment, until: _Moment, *, stepped: bool) -> int:
        """From one moment to the other by the best clocks there are; `timed` tells which."""
        if since.stamp_ns and until.stamp_ns >= since.stamp_ns and not stepped:
            self.timed |= _KERNEL
            return until.stamp_ns - since.stamp_ns
        self.timed |= _USER
        return until.user_ns - since.user_ns


class PlainExchanges:
    """All plain exchanges of a process."""

    def __init__(self, context: Context) -> None:
        """Keep the context; open nothing yet."""
        self._context = context
        self._exchanges: dict[int, _Exchange] = {}
        self._numbers: dict[int, int] = {}
        self._poll = select.poll()
        self._stamper: socket.socket | None = None

    def begin(self, question: Question) -> Outcome | None:
        """Begin to connect; the word where that failed at once."""
        probe = question.probe
        if len(self._exchanges) >= MAX_OPEN:
            return Outcome.SKIPPED
        if not self._context.permits(probe.address):
            return Outcome.FORBIDDEN
        self._keep_stamping()
        started_ns = time.monotonic_ns()
        try:
            connection = handshake.begin(probe.address, question.ask.port)
        except OSError as error:
            return word_for(error)
        answer = Answer(to_head=question.ask.method == "HEAD")
        self._exchanges[probe.number] = _Exchange(question, connection, started_ns, answer)
        self._numbers[connection.fileno()] = probe.number
        self._poll.register(connection, select.POLLOUT)
        return None

    def collect(self) -> list[Observation]:
        """Take every exchange as far as it gets without waiting; return those that have ended."""
        observations = []
        for descriptor, _ in self._poll.poll(0) if self._exchanges else ():
            exchange = self._exchanges[self._numbers[descriptor]]
            try:
                outcome = self._continue(exchange)
            except MalformedError:
                outcome = Outcome.PROTOCOL
            except BlockingIOError:
                continue  # nothing more to read for now
            except OSError as error:
                outcome = word_for(error)
            if outcome is not None or exchange.answer.complete:
                observations.append(self._ended(exchange, outcome))
        return observations

    def forget(self, probe: Probe) -> None:
        """Close its connection."""
        exchange = self._exchanges.pop(probe.number, None)
        if exchange is not None:
            self._poll.unregister(exchange.connection)
            del self._numbers[exchange.connection.fileno()]
            handshake.tear_down(exchange.connection)

    def close(self) -> None:
        """Close every connection."""
        for exchange in list(self._exchanges.values()):
            self.forget(exchange.question.probe)
        if self._stamper is not None:
            self._stamper.close()
            self._stamper = None

    def _continue(self, exchange: _Exchange) -> Outcome | None:
        if exchange.shaken is None:
            result = handshake.result_of(exchange.connection, exchange.started_ns)
            if not isinstance(result, Shaken):
                return result
            exchange.shaken = result
            exchange.asked = self._ask(exchange)
            self._poll.modify(exchange.connection, select.POLLIN)
            return None
        self._listen(exchange)
        return None

    def _ask(self, exchange: _Exchange) -> _Moment:
        with contextlib.suppress(OSError):  # then by our own clock
            stream_stamps.enable(exchange.connection)
        head = exchange.question.head
        exchange.offset_ns = kernel.realtime_offset_ns()
        asked = _Moment(time.monotonic_ns())
        if exchange.connection.send(head) != len(head):
            raise OSError(errno.ENOBUFS, "the send buffer is smaller than a request")
        return asked

    def _listen(self, exchange: _Exchange) -> None:
        """Read until there is no more; raises BlockingIOError then, MalformedError for nonsense."""
        asked = exchange.asked
        if asked is not None and not asked.stamp_ns:
            asked.stamp_ns = stream_stamps.departed(exchange.connection)
        while not exchange.answer.complete:
            # One byte first: its stamp is the first segment's, a larger piece would have the last one's.
            content, stamp_ns = stream_stamps.received(exchange.connection, _PIECE_BYTES if exchange.first else 1)
            if not content:
                exchange.answer.end()
                return
            moment = _Moment(time.monotonic_ns(), stamp_ns)
            exchange.first = exchange.first or moment
            exchange.last = moment
            exchange.answer.feed(content)

    def _ended(self, exchange: _Exchange, outcome: Outcome | None) -> Observation:
        probe, answer = exchange.question.probe, exchange.answer
        retransmits = handshake.retransmits_of(exchange.connection)
        self.forget(probe)
        shaken, asked, first, last = exchange.shaken, exchange.asked, exchange.first, exchange.last
        if outcome is not None or shaken is None or asked is None or first is None or last is None:
            return Observation(probe, outcome=outcome or Outcome.PROTOCOL)
        judgement = judgement_of(exchange.question, self._context, answer.status, bytes(answer.body))
        if judgement.outcome is not None:
            return Observation(probe, outcome=judgement.outcome, facts=judgement.facts)
        allowed_ns = STEP_NS + (last.user_ns - asked.user_ns) // SLEW_SHARE
        stepped = abs(kernel.realtime_offset_ns() - exchange.offset_ns) > allowed_ns
        measures = {
            Measure.CONNECT_NS: shaken.rtt_ns,
            Measure.FIRST_BYTE_NS: exchange.span_ns(asked, first, stepped=stepped),
            Measure.TRANSFER_NS: exchange.span_ns(first, last, stepped=stepped),
        }
        latency_ns = sum(measures.values())
        if probe.resolve_ns:
            measures[Measure.RESOLVE_NS] = probe.resolve_ns
        if retransmits:
            measures[Measure.RETRANSMITS] = retransmits
        return Observation(
            probe,
            latency_ns=latency_ns,
            timed=_TIMED[exchange.timed | (_USER if shaken.retransmits else _TCP_INFO)],
            confirmed=judgement.confirmed,
            measures=measures,
            facts=judgement.facts,
        )

    def _keep_stamping(self) -> None:
        """Hold one socket that asks for stamps: the machine stamps nothing while there is none, and starts with a delay."""
        if self._stamper is None:
            with contextlib.suppress(OSError):
                self._stamper = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                stream_stamps.enable(self._stamper)
