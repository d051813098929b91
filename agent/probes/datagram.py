"""What the two datagram kinds, icmp and udp, have in common: flights, and the kernel's stamps for them.

In: requests and answers as the kind reads them. Out: observations and notes. A flight is a probe that is under way on a line.

A transmit stamp is queued before its packet can reach anybody, so that after the replies have been read, the stamps of all of
them are there: the receive queue is always drained first. Both queues share one buffer, hence the drain after every few sends.
"""

import os
import socket
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agent import kernel, stamp
from agent.errno_words import word_for
from agent.icmp_words import word_for_icmp
from agent.latency import round_trip
from agent.probes.lines import RECEIVE_BYTES, Line, Lines
from agent.probes.prober import NO_FACTS, Context, Note, Observation, Probe
from wire.outcome import Outcome
from wire.path import Family, Icmp, Path, Udp
from wire.window import FactName, Measure

FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
SENDS_BEFORE_DRAIN = 64
"""The default receive buffer holds 128 undrained probes with both stamps."""
MOST_PER_DRAIN = 4096
REMEMBERED_ANSWERS = 4096
REMEMBERED_PATHS = 65_536
_SEND_ATTEMPTS = 3


@dataclass(slots=True, eq=False)
class Flight:
    """One probe under way. `sent_ns` is monotonic, `transmitted_ns` the kernel's stamp, 0 until it is there."""

    probe: Probe
    identifier: int
    nonce: bytes
    line: Line
    sequence: int = 0
    sent_ns: int = 0
    offset_ns: int = 0
    transmitted_ns: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that is one of ours beyond doubt, and what the kind read in it."""

    identifier: int
    notes: Sequence[Note] = ()
    dwell_ns: int = 0
    dwell_exact: bool = True
    """The reflector's own time is known to the kernel's precision."""
    outcome: Outcome | None = None
    """A word that makes the answer a failure."""
    confirmed: bool = False
    facts: Mapping[FactName, str] = field(default_factory=lambda: NO_FACTS)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A datagram as it was read."""

    packet: bytes
    address: str
    port: int
    line: Line


class DatagramProber(ABC):
    """A kind that asks with one datagram and is answered with one."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.ignored = 0
        """Packets that were not the answer to anything: from elsewhere, with a wrong nonce, or after they were given up."""
        self._lines = Lines(self._fresh)
        self._flights: dict[int, Flight] = {}
        self._identifiers: dict[int, int] = {}
        self._answered: OrderedDict[int, Flight] = OrderedDict()
        self._newest: OrderedDict[int, int] = OrderedDict()
        self._identifier = int.from_bytes(os.urandom(4), "big")
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

    def _left(self, flight: Flight) -> None:  # noqa: B027 - only some kinds count what has left
        """The packet of this flight has left."""

    @abstractmethod
    def _answer(self, arrival: Arrival) -> Answer | None:
        """What an arrival answers; None where it is to be ignored."""

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
        failed = []
        offset_ns = kernel.realtime_offset_ns()
        nonces = os.urandom(8 * len(probes))
        for index, probe in enumerate(probes):
            outcome = self._launch(probe, nonces[8 * index : 8 * index + 8], offset_ns)
            if outcome is not None:
                failed.append(Observation(probe, outcome=outcome))
            if index % SENDS_BEFORE_DRAIN == SENDS_BEFORE_DRAIN - 1:
                self._drain_all()
                offset_ns = kernel.realtime_offset_ns()
        return failed

    def collect(self) -> list[Observation | Note]:
        """Take in replies, stamps and errors that have arrived since the last call."""
        self._drain_all()
        self._lines.close_quiet()
        ready, self._ready = self._ready, []
        return ready

    def forget(self, probe: Probe) -> None:
        """Free what a given-up probe holds; an answer after this is ignored."""
        flight = self._flights.get(self._identifiers.get(probe.number, -1))
        if flight is not None:
            self._landed(flight)
            flight.line.silent += 1

    def close(self) -> None:
        """Close every socket."""
        self._lines.close()
        self._flights.clear()
        self._identifiers.clear()

    def known(self, identifier: int) -> Flight | None:
        """The flight with this identifier, under way or answered not long ago."""
        return self._flights.get(identifier) or self._answered.get(identifier)

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

    def _launch(self, probe: Probe, nonce: bytes, offset_ns: int) -> Outcome | None:
        try:
            line = self._lines.current(probe.path.family, whole=_must_stay_whole(probe.path))
        except OSError as error:
            return _refused(error)
        self._identifier = identifier = (self._identifier + 1) & 0xFFFFFFFF
        flight = Flight(probe, identifier, nonce, line, offset_ns=offset_ns)
        try:
            packet, port = self._request(flight)
            line.longest = max(line.longest, len(packet) + 256)
            flight.sent_ns = time.monotonic_ns()
            self._transmit(line, packet, identifier, (probe.address, port))
        except OSError as error:
            return word_for(error)
        except ValueError:
            return Outcome.UNSUPPORTED
        line.under_way += 1
        self._flights[identifier] = flight
        self._identifiers[probe.number] = identifier
        self._left(flight)
        return None

    def _transmit(self, line: Line, packet: bytes, identifier: int, address: tuple[str, int]) -> None:
        # An ICMP error that an earlier probe earned is reported by whichever send comes next: that one is innocent.
        ancillary = kernel.identified(identifier) if self._match is kernel.TransmitMatch.IDENTIFIER else []
        for attempt in range(1, _SEND_ATTEMPTS + 1):
            try:
                line.sock.sendmsg([packet], ancillary, 0, address)
            except OSError:
                if attempt == _SEND_ATTEMPTS:
                    raise
                self._drain_errors(line)
            else:
                return

    def _landed(self, flight: Flight) -> None:
        self._flights.pop(flight.identifier, None)
        self._identifiers.pop(flight.probe.number, None)
        flight.line.under_way -= 1
        flight.line.landed_ns = time.monotonic_ns()

    def _drain_all(self) -> None:
        for line in self._lines:
            self._drain(line)

    def _drain(self, line: Line) -> None:
        arrivals = []
        for _ in range(MOST_PER_DRAIN):
            try:
                packet, ancillary, _, sender = line.sock.recvmsg(line.longest, kernel.ANCILLARY_BYTES)
            except BlockingIOError:
                break
            except OSError:
                continue  # the error of an earlier send, which the error queue explains
            arrivals.append((Arrival(packet, sender[0], sender[1], line), kernel.heard(ancillary)))
        self._drain_errors(line)
        if arrivals:
            read_ns, offset_ns = time.monotonic_ns(), kernel.realtime_offset_ns()
            for arrival, heard in arrivals:
                self._take(arrival, heard, read_ns, offset_ns)

    def _drain_errors(self, line: Line) -> None:
        for _ in range(MOST_PER_DRAIN):
            try:
                packet, ancillary, _, target = line.sock.recvmsg(RECEIVE_BYTES, kernel.ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
            except OSError:
                return
            heard = kernel.heard(ancillary)
            if heard.error is not None:
                self._blame(packet, heard.error, target, line)
            elif heard.stamp_ns:
                by_packet = self._match is kernel.TransmitMatch.PACKET
                identifier = stamp.identifier_in(packet) if by_packet else heard.identifier
                flight = self._flights.get(-1 if identifier is None else identifier)
                if flight is not None:
                    flight.transmitted_ns = heard.stamp_ns

    def _blame(self, quote: bytes, error: kernel.IcmpError, target: tuple[str, int], line: Line) -> None:
        outcome = word_for_icmp(error)
        identifier = self._culprit(quote, target[0], target[1], line) if outcome and target else None
        flight = self._flights.get(-1 if identifier is None else identifier)
        if outcome is None or flight is None or flight.probe.address != target[0]:
            self.ignored += 1
            return
        self._landed(flight)
        facts = {FactName.MTU: str(error.mtu)} if error.mtu else NO_FACTS
        self._ready.append(Observation(flight.probe, outcome=outcome, facts=facts))

    def _take(self, arrival: Arrival, heard: kernel.Heard, read_ns: int, offset_ns: int) -> None:
        answer = self._answer(arrival)
        if answer is None:
            self.ignored += 1
            return
        self._ready += answer.notes
        flight = self._flights.get(answer.identifier)
        if flight is None:
            again = self._answered.get(answer.identifier)
            if again is None:
                self.ignored += 1
            else:
                self._ready.append(Note(again.probe.path, {Measure.DUPLICATES: 1}))
            return
        self._landed(flight)
        self._remember(flight)
        flight.line.silent = 0
        latency_ns, timed = round_trip(
            sent_ns=flight.sent_ns,
            read_ns=read_ns,
            sent_offset_ns=flight.offset_ns,
            read_offset_ns=offset_ns,
            transmitted_ns=flight.transmitted_ns,
            received_ns=heard.stamp_ns,
            dwell_ns=answer.dwell_ns,
            dwell_exact=answer.dwell_exact,
        )
        facts = {**answer.facts, FactName.HOP_LIMIT: str(heard.hop_limit)} if heard.hop_limit else answer.facts
        failed = answer.outcome is not None
        self._ready.append(
            Observation(
                flight.probe,
                latency_ns=None if failed else latency_ns,
                outcome=answer.outcome,
                timed=timed,
                confirmed=answer.confirmed,
                facts=facts,
            )
        )

    def _remember(self, flight: Flight) -> None:
        self._answered[flight.identifier] = flight
        if len(self._answered) > REMEMBERED_ANSWERS:
            self._answered.popitem(last=False)
        path: Path = flight.probe.path
        if flight.probe.number < self._newest.get(path.id, 0):
            self._ready.append(Note(path, {Measure.REORDERED: 1}))
            return
        self._newest[path.id] = flight.probe.number
        self._newest.move_to_end(path.id)
        if len(self._newest) > REMEMBERED_PATHS:
            self._newest.popitem(last=False)


def _must_stay_whole(path: Path) -> bool:
    return isinstance(path.ask, Icmp | Udp) and path.ask.packet_bytes > 0


def _refused(error: OSError) -> Outcome:
    """The word for a socket that could not be opened: a right that we lack makes the kind unsupported."""
    outcome = word_for(error)
    return Outcome.UNSUPPORTED if outcome is Outcome.FORBIDDEN else outcome
