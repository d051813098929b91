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
from itertools import repeat
from operator import attrgetter

from agent import bulk, kernel, stamp
from agent.bulk import Arrival
from agent.errno_words import word_for
from agent.icmp_words import word_for_icmp
from agent.latency import round_trip
from agent.probes.flights import Answer, Course, Flight, Remembered
from agent.probes.lines import SILENT_LIMIT, Line, Lines
from agent.probes.prober import NO_FACTS, NO_MEASURES, Context, Note, Observation, Probe
from wire.outcome import Outcome
from wire.path import Family, Path
from wire.window import FactName, Measure

__all__ = ["FAMILIES", "Answer", "Course", "DatagramProber", "Flight"]
"""With what its kinds need of flights."""

FAMILIES = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
SENDS_BEFORE_DRAIN = 64
"""The default receive buffer holds 128 undrained probes with both stamps."""
MOST_PER_DRAIN = 4096
Answered = tuple[Arrival, Flight | None, Answer]
_SEND_ATTEMPTS = 3
REMEMBERED_ANSWERS = 4096
"""Flights that were answered, of which a second answer would be a duplicate: at least so many."""
_track = attrgetter("track")
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
        self._answered = Remembered[int, Flight](REMEMBERED_ANSWERS)
        self._sorts: dict[tuple[Family, bool, int], tuple[Family, bool, int]] = {}
        """Each once, so that it is near when one of thousands of courses is looked at."""
        self._first_identifier = int.from_bytes(os.urandom(4), "big")
        self._number = 0
        """The highest number of a probe so far; numbers do not leave in their order."""
        self._ready: list[Observation | Note] = []
        self._match = kernel.TransmitMatch.NONE

    @abstractmethod
    def _open(self, family: Family) -> socket.socket:
        """A new socket; raises OSError."""

    @abstractmethod
    def _course(self, path: Path, *, is_apart: bool) -> Course:
        """What to keep of a path, or of a burst on it. Raises ValueError where no packet has the length that is asked for."""

    @abstractmethod
    def _requests(
        self, line: Line, courses: Sequence[Course], identifiers: Sequence[int], nonces: Sequence[bytes]
    ) -> tuple[list[bytes], list[bytes]]:
        """The packets of so many probes of one sort, and what must come back of each. Raises OSError where there are none."""

    def _left(self, flights: Sequence[Flight]) -> None:  # noqa: B027 - only some kinds count what has left
        """The packets of these flights have left."""

    @abstractmethod
    def _answers(self, arrivals: Sequence[Arrival], line: Line) -> list[Answered]:
        """What of this is an answer, which flight it answers, and how; no flight where that was given up."""

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
            if self.numbers_paths and len(set(map(_track, some))) < len(some):
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
        flight = self._flights.pop(self._identifier(probe), None)
        if flight is not None:
            _landed(flight.line, time.monotonic_ns())
            if flight.course.is_apart:
                return  # it asks for many answers at once, so its silence is no longer than that of its path
            flight.line.silent += 1
            flight.course.silent += 1
            # Once in a silence, its path asks for another line, as others may be answered on this one all the time.
            if flight.course.silent == SILENT_LIMIT:
                flight.line.stuck = True

    def close(self) -> None:
        """Close every socket."""
        self._lines.close()
        self._flights.clear()

    def known(self, identifier: int) -> Flight | None:
        """The flight with this identifier, under way or answered not long ago."""
        return self._flights.get(identifier) or self._answered.get(identifier)

    def _identifier(self, probe: Probe) -> int:
        return (self._first_identifier + probe.number) & 0xFFFFFFFF

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
        """Send these; add those that failed at once."""
        lots: dict[tuple[Family, bool, int], tuple[list[Probe], list[Course]]] = {}
        sort: tuple[Family, bool, int] | None = None
        some: list[Probe] = []
        courses: list[Course] = []
        for probe in probes:
            track = probe.track
            course: Course | None = None if track is None else track.course
            if course is None or course.text != probe.address:
                try:
                    course = self._aimed(probe)
                except OSError as error:
                    failed.append(Observation(probe, outcome=word_for(error)))
                    continue
                except ValueError:
                    failed.append(Observation(probe, outcome=Outcome.UNSUPPORTED))
                    continue
            if course.sort is not sort:
                sort = course.sort
                some, courses = lots.setdefault(sort, ([], []))
            some.append(probe)
            courses.append(course)
        for (family, whole, _), (some, courses) in lots.items():
            try:
                line = self._lines.current(family, whole=whole)
            except OSError as error:
                failed += [Observation(probe, outcome=_refused(error)) for probe in some]
                continue
            try:
                flights, packets = self._boarded(line, some, courses)
            except OSError as error:
                failed += [Observation(probe, outcome=word_for(error)) for probe in some]
            else:
                self._transmit(line, flights, packets, failed)

    def _aimed(self, probe: Probe) -> Course:
        """The course of a probe, to its address. Raises what `_course` does, and OSError where it is no address."""
        track = probe.track
        if track is None:
            raise TypeError("a datagram prober was given a probe without a track")
        course: Course = track.course or self._course(probe.path, is_apart=track.is_apart)
        course.address = bulk.sockaddr(probe.address, course.port)
        course.text = probe.address
        course.sort = self._sorts.setdefault(course.sort, course.sort)
        track.course = course
        return course

    def _boarded(self, line: Line, probes: list[Probe], courses: list[Course]) -> tuple[list[Flight], list[bytes]]:
        """Flights and packets of probes of one sort; raises OSError where there are none."""
        numbers = [probe.number for probe in probes]
        self._number = max(self._number, *numbers)
        first, random = self._first_identifier, os.urandom(8 * len(probes))
        identifiers = [(first + number) & 0xFFFFFFFF for number in numbers]
        nonces = [random[at : at + 8] for at in range(0, len(random), 8)]
        packets, tokens = self._requests(line, courses, identifiers, nonces)
        addresses = [course.address for course in courses]
        offset_ns, sent_ns = repeat(kernel.realtime_offset_ns()), repeat(time.monotonic_ns())
        return list(map(Flight, probes, courses, identifiers, tokens, addresses, repeat(line), sent_ns, offset_ns)), packets

    def _transmit(self, line: Line, flights: list[Flight], packets: list[bytes], failed: list[Observation]) -> None:
        """Send packets of one length; add those that did not leave."""
        identifiers = [flight.identifier for flight in flights]
        addresses = [flight.address for flight in flights]
        self._flights.update(zip(identifiers, flights, strict=True))
        line.under_way += len(flights)
        keys = identifiers if self._match is kernel.TransmitMatch.IDENTIFIER else []
        begin = attempts = 0
        while begin < len(flights):
            try:
                sent = bulk.send(line.sock, packets[begin:], addresses[begin:], keys[begin:])
            except OSError as error:
                attempts += 1
                if attempts < _SEND_ATTEMPTS:
                    # An ICMP error that an earlier probe earned is reported by whichever send comes next: that one is innocent.
                    self._drain_errors(line)
                    continue
                self._flights.pop(identifiers[begin], None)
                line.under_way -= 1
                failed.append(Observation(flights[begin].probe, outcome=word_for(error)))
                sent = 1
            else:
                self._left(flights[begin : begin + sent])
            begin, attempts = begin + sent, 0

    def _drain_all(self) -> None:
        for line in self._lines:
            self._drain(line)

    def _drain(self, line: Line) -> None:
        arrivals = bulk.arrivals(line.sock, most=MOST_PER_DRAIN)
        self._drain_errors(line)
        if arrivals:
            self._take(arrivals, line)

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
        del self._flights[flight.identifier]
        _landed(flight.line, time.monotonic_ns())
        facts = {FactName.MTU: str(error.mtu)} if error.mtu else NO_FACTS
        self._ready.append(Observation(flight.probe, outcome=outcome, facts=facts))

    def _take(self, arrivals: Sequence[Arrival], heard_on: Line) -> None:  # noqa: C901, PLR0912 - one flat loop, per answer
        answers = self._answers(arrivals, heard_on)
        self.ignored += len(arrivals) - len(answers)
        read_ns, offset_ns, ready = time.monotonic_ns(), kernel.realtime_offset_ns(), self._ready
        under_way, remembered, landed = self._flights, self._answered.room(), 0
        for arrival, flight, answer in answers:
            if answer.notes:
                ready += answer.notes
            if flight is None:
                self.ignored += 1
                continue
            probe, course, identifier = flight.probe, flight.course, flight.identifier
            if under_way.pop(identifier, None) is None:
                if not course.is_apart:
                    ready.append(Note(probe.path, {Measure.DUPLICATES: 1}))
                continue
            remembered[identifier] = flight
            course.silent = 0
            if flight.line is heard_on:
                landed += 1
            else:
                _answered(flight.line, 1, read_ns)
            if probe.number < course.newest and not course.is_apart:
                ready.append(Note(probe.path, {Measure.REORDERED: 1}))
            else:
                course.newest = probe.number
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
            facts, outcome = _HOPS[arrival.hop_limit & 0xFF], answer.outcome
            if answer.facts:
                facts = {**answer.facts, **facts}
            if outcome is None:
                ready.append(Observation(probe, latency_ns, None, timed, answer.confirmed, NO_MEASURES, facts))
            else:
                ready.append(Observation(probe, None, outcome, timed, answer.confirmed, NO_MEASURES, facts))
        if landed:
            _answered(heard_on, landed, read_ns)


def _answered(line: Line, flights: int, now_ns: int) -> None:
    line.under_way -= flights
    line.landed_ns, line.silent = now_ns, 0


def _landed(line: Line, now_ns: int) -> None:
    line.under_way -= 1
    line.landed_ns = now_ns


def _refused(error: OSError) -> Outcome:
    """The word for a socket that could not be opened: a right that we lack makes the kind unsupported."""
    outcome = word_for(error)
    return Outcome.UNSUPPORTED if outcome is Outcome.FORBIDDEN else outcome
