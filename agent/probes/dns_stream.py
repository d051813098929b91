"""DNS over TCP (RFC 7766): the questions of one probe on one connection of its own, which ends with RST.

In: a server's address and questions. Out: what one look at the connection brought; the handshake by the kernel's own account,
and the time from the kernel's stamp of the questions to that of the last answer. How long to wait is not decided here, and an
answer may dribble as it likes until then: a message has at most 64 KiB, and no more is taken in for each question.
"""

import contextlib
import errno
import time

from agent import handshake, kernel, stream_stamps
from agent.errno_words import word_for
from agent.handshake import Shaken
from agent.latency import round_trip
from agent.probes.dns_exchange import Exchange
from wire.outcome import Outcome
from wire.window import Timed

_PREFIX = 2
MAX_MESSAGE = _PREFIX + 65_535
_PIECE_BYTES = 65_536
MOST_IGNORED = 16
"""Messages that answer nothing of ours on one connection: a server that sends thousands of empty ones only costs us time."""


class Stream:
    """The TCP side of one probe."""

    def __init__(self, address: str, port: int, exchange: Exchange) -> None:
        """Begin to connect; raises OSError where that fails at once."""
        self.exchange = exchange
        self.shaken: Shaken | None = None
        self._most_bytes = MAX_MESSAGE * len(exchange.pending)
        self._begun_ns = time.monotonic_ns()
        self.sock = handshake.begin(address, port)
        self._buffer = bytearray()
        self._read_bytes = self._ignored = 0
        self._sent_ns = self._offset_ns = self._transmitted_ns = self._received_ns = self._read_ns = 0

    def look(self) -> Outcome | None:
        """Go as far as it gets without waiting; the word where it failed. Raises MalformedError."""
        try:
            return self._begun() or (self._heard() if self.shaken else None)
        except BlockingIOError:
            return None
        except OSError as error:
            return word_for(error)

    @property
    def retransmits(self) -> int:
        """Segments that were sent again."""
        return handshake.retransmits_of(self.sock)

    def took(self) -> tuple[int, Timed]:
        """Nanoseconds from the questions to the last answer, without the handshake, and how they were timed."""
        return round_trip(
            sent_ns=self._sent_ns,
            read_ns=self._read_ns,
            sent_offset_ns=self._offset_ns,
            read_offset_ns=kernel.realtime_offset_ns(),
            transmitted_ns=self._transmitted_ns,
            received_ns=self._received_ns,
        )

    def close(self) -> None:
        """Close with RST."""
        handshake.tear_down(self.sock)

    def _begun(self) -> Outcome | None:
        if self.shaken is not None:
            return None
        result = handshake.result_of(self.sock, self._begun_ns)
        if not isinstance(result, Shaken):
            return result
        self.shaken = result
        with contextlib.suppress(OSError):  # then by our own clock
            stream_stamps.enable(self.sock)
        asked = b"".join(len(one.wire).to_bytes(_PREFIX, "big") + one.wire for one in self.exchange.pending.values())
        self._offset_ns = kernel.realtime_offset_ns()
        self._sent_ns = time.monotonic_ns()
        if self.sock.send(asked) != len(asked):
            raise OSError(errno.ENOBUFS, "the send buffer is smaller than two questions")
        return None

    def _heard(self) -> Outcome | None:
        """Read until there is no more; raises BlockingIOError then."""
        self._transmitted_ns = self._transmitted_ns or stream_stamps.departed(self.sock)
        while self.exchange.pending:
            piece, self._received_ns = stream_stamps.received(self.sock, _PIECE_BYTES)
            self._read_ns = time.monotonic_ns()
            self._read_bytes += len(piece)
            if not piece or self._read_bytes > self._most_bytes:
                return Outcome.PROTOCOL
            self._buffer += piece
            while self.exchange.pending and (message := self._message()) is not None:
                if not self.exchange.take(message):
                    self._ignored += 1
                    if self._ignored > MOST_IGNORED:
                        return Outcome.PROTOCOL
        return None

    def _message(self) -> bytes | None:
        """The first message of the buffer, once it is whole."""
        end = _PREFIX + int.from_bytes(self._buffer[:_PREFIX], "big")
        if len(self._buffer) < end:
            return None
        message = bytes(self._buffer[_PREFIX:end])
        del self._buffer[:end]
        return message
