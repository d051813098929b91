"""DNS over UDP: the questions of one probe leave one fresh socket back to back, as a C library's do.

In: a server's address and questions. Out: what one look at the socket brought, and the time from the kernel's stamp of the
first question to that of the last answer. The socket is connected, so that the kernel drops what comes from anybody else, and
chose a random port of its own for this probe.
"""

import socket
import time

from agent import kernel
from agent.errno_words import word_for
from agent.handshake import SOCKET_FAMILY
from agent.icmp_words import word_for_icmp
from agent.latency import round_trip
from agent.probes.dns_exchange import Exchange
from wire.outcome import Outcome
from wire.path import Family
from wire.window import Timed

LONGEST = 65_535
MOST_PER_LOOK = 256
"""Messages read at once; somebody may be flooding us with guesses."""


class Datagrams:
    """The UDP side of one probe."""

    def __init__(self, address: str, port: int, exchange: Exchange) -> None:
        """Open a socket; raises OSError where that fails, with nothing left open."""
        self.exchange = exchange
        self.hop_limit = 0
        self._questions = list(exchange.pending.values())
        self._match = kernel.transmit_match()
        self._transmitted_ns = self._received_ns = self._read_ns = self._read_offset_ns = 0
        self._sent_ns = self._offset_ns = 0
        self.sock = kernel.stamped(SOCKET_FAMILY[Family.of(address)], socket.SOCK_DGRAM, 0, self._match)
        try:
            self.sock.connect((address, port))
        except OSError:
            self.sock.close()
            raise

    def ask(self) -> Outcome | None:
        """Send the questions; the word where one could not leave."""
        by_identifier = self._match is kernel.TransmitMatch.IDENTIFIER
        self._offset_ns = kernel.realtime_offset_ns()
        self._sent_ns = time.monotonic_ns()
        try:
            for asked in self._questions:
                self.sock.sendmsg([asked.wire], kernel.identified(asked.identifier) if by_identifier else [])
        except OSError as error:  # of the second, the first may already have earned it
            return self._drain_errors() or word_for(error)
        return None

    def look(self) -> Outcome | None:
        """Take in what has arrived, without waiting; the word where it failed. Raises MalformedError."""
        error = None
        for _ in range(MOST_PER_LOOK):
            if not self.exchange.pending:
                break
            try:
                wire, ancillary, _, _ = self.sock.recvmsg(LONGEST, kernel.ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError as raised:
                error = error or raised
                continue
            if self.exchange.take(wire):
                heard = kernel.heard(ancillary)
                self._received_ns, self.hop_limit = heard.stamp_ns, heard.hop_limit
                self._read_ns, self._read_offset_ns = time.monotonic_ns(), kernel.realtime_offset_ns()
        # After the answers: a transmit stamp is queued before its packet can reach anybody.
        word = self._drain_errors()
        if not self.exchange.pending:
            return None
        return word or (None if error is None else word_for(error))

    def took(self) -> tuple[int, Timed]:
        """Nanoseconds from the first question to the last answer that counted, and how they were timed."""
        return round_trip(
            sent_ns=self._sent_ns,
            read_ns=self._read_ns,
            sent_offset_ns=self._offset_ns,
            read_offset_ns=self._read_offset_ns,
            transmitted_ns=self._transmitted_ns,
            received_ns=self._received_ns,
        )

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()

    def _drain_errors(self) -> Outcome | None:
        word = None
        for _ in range(MOST_PER_LOOK):
            try:
                packet, ancillary, _, _ = self.sock.recvmsg(LONGEST, kernel.ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
            except OSError:
                break
            heard = kernel.heard(ancillary)
            if heard.error is not None:
                word = word or word_for_icmp(heard.error)
            elif heard.stamp_ns and self._is_first(packet, heard.identifier):
                self._transmitted_ns = heard.stamp_ns
        return word

    def _is_first(self, packet: bytes, identifier: int | None) -> bool:
        first = self._questions[0]
        return first.wire in packet if self._match is kernel.TransmitMatch.PACKET else identifier == first.identifier
