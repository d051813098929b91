"""What the two datagram kinds, icmp and udp, have in common: flights, and the kernel's stamps for them.

In: requests and answers as the kind reads them. Out: observations and notes. A flight is a probe that is under way on a line.

A transmit stamp is queued before its packet can reach anybody, so that after the replies have been read, the stamps of all of
them are there: the receive queue is always drained first. Both queues share one buffer, hence the drain after every few sends.
"""

import os
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from agent import bulk, kernel, stamp
from agent.bulk import Arrival
from agent.errno_words import word_for
from agent.icmp_words import word_for_icmp
from agent.latency import round_trip
from agent.probes.flights import Answer, Ended, Flight
from agent.probes.lines import SILENT_LIMIT, Line, Lines
from agent.probes.prober import NO_FACTS, NO_MEASURES, Context, Note, Observation, Probe
from wire.outcome import Outcome
from wire.path import Family
from wire.window import FactName, Measure

__all__ = ["FAMILIES", "Answer", "DatagramProber", "Flight"]
"""With what its kinds need of flights."""

FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
SENDS_BEFORE_DRAIN = 64
"""The default receive buffer holds 128 undrained probes with both stamps."""
MOST_PER_DRAIN = 4096
_SEND_ATTEMPTS = 3
_HALF_OF_ALL = 1 << 31
"""Of two identifiers, which are counted modulo 2^32, the newer one is less than this ahead."""
_HOPS: tuple[Mapping[FactName, str], ...] = (NO_FACTS, *({FactName.HOP_LIMIT: str(hops)} for hops in range(1, 256)))
"""The fact of every hop limit: the same mapping each time, which its reader need not read twice."""


class DatagramProber(ABC):
    """A kind that asks with one datagram and is answered with one."""

    numbers_paths = False
    """Whether packets of a path are numbered, so that the fate of one must be known before the next one is made."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.ignored = 0
        """Packets that were not the answer to anything: from elsewhere, with a wrong nonce, or after they were given up."""
        self._lines = Lines(self._fresh)
        self._flights: dict[int, Flight] = {}
        self._ended = Ended()
        self._first_identifier = self._identifier = int.from_bytes(os.urandom(4), "big")
        self._ready: list[Observation | Note] = []
        self._match = kernel.TransmitMatch.NONE

    @abstractmethod
    def _open(self, family: Family) -> socket.socket:
        """A new socket; raises OSError."""

    @abstractmethod
    def _request(self, flight: Flight) -> tuple[bytes, int]:
        """Packet and port of a probe; may set the flight's sequence.

        Raises OSError where it cannot be made, and ValueError where no packet has the length that is asked for.
        """

    def _left(self, flights: Sequence[Flight]) -> None:  # noqa: B027 - only some kinds count what has left
        """The packets of these flights have left."""

    @abstractmethod
    def _answer(self, arrival: Arrival, line: Line) -> tuple[int, Answer] | None:
        """Identifier of the flight that this answers, and how; None where it is to be ignored."""

    @abstractmethod
    def _culprit(self, quote: bytes, address: str, port: int, line: Line) -> int | None:
        """Identifier of the flight that an ICMP error quotes; None where it cannot be told."""

    def unsupported(self, family: Family) -> str | None:
        """Why this kind cannot be sent over this family from here; None where it can."""
        try:
            self._lines.current(family)
        except OSError as error:
            if _refused(error) is Outcome.UNSUPPORTED:
                return f"no socket: {error.strerror}"
        return None

    def send(self, probes: Sequence[Probe]) -> list[Observation]:
        """Send a batch; return those that failed at once, by a fault of ours or for want of a route."""
        failed: list[Observation] = []
        # Where our own clock is all there is, every packet needs a time of its own.
        most = 1 if kernel.transmit_match() is kernel.TransmitMatch.NONE else SENDS_BEFORE_DRAIN
        for start in range(0, len(probes), most):
            if start and not start % SENDS_BEFORE_DRAIN:
                self._drain_all()
            some = probes[start : start + most]
            if self.numbers_paths and len({probe.path.id for probe in some}) < len(some):
                for one in some:
                    self._launch([one], failed)
            else:
                self._launch(some, failed)
        return failed

    def collect(self) -> list[Observation | Note]:
        """Take in replies, stamps and errors that have arrived since the last call."""
        self._drain_all()
        self._lines.close_quiet()
        ready, self._ready = self._ready, []
        return ready

    def forget(self, probe: Probe) -> None:
        """Free what a given-up probe holds; an answer after this is ignored."""
        flight = self._flights.get((self._first_identifier + probe.number) & 0xFFFFFFFF)
        if flight is not None:
            self._landed(flight, time.monotonic_ns())
            flight.line.silent += 1
            # Once in a silence, its path asks for another line, as others may be answered on this one all the time.
            if self._ended.miss(flight) == SILENT_LIMIT:
                flight.line.stuck = True

    def close(self) -> None:
        """Close every socket."""
        self._lines.close()
        self._flights.clear()

    def known(self, identifier: int) -> Flight | None:
        """The flight with this identifier, under way or answered not long ago."""
        return self._flights.get(identifier) or self._ended.answered(identifier)

    def _fresh(self, family: Family, whole: bool) -> socket.socket:  # noqa: FBT001 - called by position only
        self._match = kernel.transmit_match()
        sock = self._open(family)
        if whole:
            try:
                kernel.send_whole(sock)
            except OSError:
                sock.close()
                raise
        return sock

    def _launch(self, probes: Sequence[Probe], failed: list[Observation]) -> None:
        """Send these, no two of one path; add those that failed at once."""
        offset_ns, sent_ns = kernel.realtime_offset_ns(), time.monotonic_ns()
        nonces = os.urandom(8 * len(probes))
        lines: dict[tuple[Family, bool], Line] = {}
        lots: dict[tuple[int, int], tuple[list[Flight], list[bytes]]] = {}
        for index, probe in enumerate(probes):
            path = probe.path
            treatment = path.family, path.ask.packet_bytes > 0  # type: ignore[union-attr]  # no call for every probe
            try:
                line = lines.get(treatment)
                if line is None:
                    line = lines[treatment] = self._lines.current(treatment[0], whole=treatment[1])
            except OSError as error:
                failed.append(Observation(probe, outcome=_refused(error)))
                continue
            identifier = (self._first_identifier + probe.number) & 0xFFFFFFFF
            if (identifier - self._identifier) & 0xFFFFFFFF < _HALF_OF_ALL:  # numbers do not leave in their order
                self._identifier = identifier
            flight = Flight(probe, identifier, nonces[8 * index : 8 * index + 8], line, sent_ns, offset_ns)
            try:
                packet, port = self._request(flight)
                flight.address = bulk.sockaddr(probe.address, port)
            except OSError as error:
                failed.append(Observation(probe, outcome=word_for(error)))
                continue
            except ValueError:
                failed.append(Observation(probe, outcome=Outcome.UNSUPPORTED))
                continue
            sort = id(line), len(packet)
            lot = lots.get(sort)
            if lot is None:
                lot = lots[sort] = [], []
            lot[0].append(flight)
            lot[1].append(packet)
        for flights, packets in lots.values():
            self._transmit(flights, packets, failed)

    def _transmit(self, flights: list[Flight], packets: list[bytes], failed: list[Observation]) -> None:
        """Send packets of one length on one line; add those that did not leave."""
        line = flights[0].line
        by_identifier = self._match is kernel.TransmitMatch.IDENTIFIER
        for flight in flights:
            self._flights[flight.identifier] = flight
        line.under_way += len(flights)
        begin = attempts = 0
        while begin < len(flights):
            waiting = flights[begin:]
            identifiers = [flight.identifier for flight in waiting] if by_identifier else []
            try:
                sent = bulk.send(line.sock, packets[begin:], [flight.address for flight in waiting], identifiers)
            except OSError as error:
                attempts += 1
                if attempts < _SEND_ATTEMPTS:
                    # An ICMP error that an earlier probe earned is reported by whichever send comes next: that one is innocent.
                    self._drain_errors(line)
                    continue
                self._flights.pop(flights[begin].identifier, None)
                line.under_way -= 1
                failed.append(Observation(flights[begin].probe, outcome=word_for(error)))
                sent = 1
            else:
                self._left(waiting[:sent])
            begin, attempts = begin + sent, 0

    def _landed(self, flight: Flight, now_ns: int) -> None:
        self._flights.pop(flight.identifier, None)
        flight.line.under_way -= 1
        flight.line.landed_ns = now_ns

    def _drain_all(self) -> None:
        for line in self._lines:
            self._drain(line)

    def _drain(self, line: Line) -> None:
        arrivals = bulk.arrivals(line.sock, most=MOST_PER_DRAIN)
        self._drain_errors(line)
        if arrivals:
            read_ns, offset_ns = time.monotonic_ns(), kernel.realtime_offset_ns()
            for arrival in arrivals:
                self._take(arrival, line, read_ns, offset_ns)

    def _drain_errors(self, line: Line) -> None:
        departed, others = bulk.returned(line.sock)
        flights = self._flights
        for identifier, stamp_ns in departed:
            flight = flights.get(identifier)
            if flight is not None:
                flight.transmitted_ns = stamp_ns
        for other in others:
            heard = other.heard
            if heard.error is not None:
                self._blame(other.packet, heard.error, bulk.address_of(other.target)[:2], line)
            elif heard.stamp_ns:
                by_packet = self._match is kernel.TransmitMatch.PACKET
                quoted = stamp.identifier_in(other.packet) if by_packet else heard.identifier
                flight = flights.get(-1 if quoted is None else quoted)
                if flight is not None:
                    flight.transmitted_ns = heard.stamp_ns

    def _blame(self, quote: bytes, error: kernel.IcmpError, target: tuple[str, int], line: Line) -> None:
        outcome = word_for_icmp(error)
        identifier = self._culprit(quote, target[0], target[1], line) if outcome and target else None
        flight = self._flights.get(-1 if identifier is None else identifier)
        if outcome is None or flight is None or flight.probe.address != target[0]:
            self.ignored += 1
            return
        self._landed(flight, time.monotonic_ns())
        facts = {FactName.MTU: str(error.mtu)} if error.mtu else NO_FACTS
        self._ready.append(Observation(flight.probe, outcome=outcome, facts=facts))

    def _take(self, arrival: Arrival, line: Line, read_ns: int, offset_ns: int) -> None:
        answered = self._answer(arrival, line)
        if answered is None:
            self.ignored += 1
            return
        identifier, answer = answered
        self._ready += answer.notes
        flight = self._flights.pop(identifier, None)
        if flight is None:
            again = self.known(identifier)
            if again is None:
                self.ignored += 1
            else:
                self._ready.append(Note(again.probe.path, {Measure.DUPLICATES: 1}))
            return
        line = flight.line
        line.under_way -= 1
        line.landed_ns = read_ns
        line.silent = 0
        if not self._ended.take(flight):
            self._ready.append(Note(flight.probe.path, {Measure.REORDERED: 1}))
        latency_ns, timed = round_trip(
            flight.sent_ns,
            read_ns,
            flight.offset_ns,
            offset_ns,
            flight.transmitted_ns,
            arrival.stamp_ns,
            answer.dwell_ns,
            answer.dwell_exact,
        )
        facts = _HOPS[arrival.hop_limit & 0xFF]
        if answer.facts:
            facts = {**answer.facts, **facts}
        outcome = answer.outcome
        self._ready.append(
            Observation(
                flight.probe, latency_ns if outcome is None else None, outcome, timed, answer.confirmed, NO_MEASURES, facts
            )
        )


def _refused(error: OSError) -> Outcome:
    """The word for a socket that could not be opened: a right that we lack makes the kind unsupported."""
    outcome = word_for(error)
    return Outcome.UNSUPPORTED if outcome is Outcome.FORBIDDEN else outcome
