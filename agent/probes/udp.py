"""STAMP (RFC 8762) to the reflector of another agent.

In: probes. Out: round trips from kernel stamp to kernel stamp without the reflector's own time; whether the planned pod gave
the answer; the direction of every loss; and the address that the peer saw us come from. Every path has a session and a
sequence of its own, which never restarts while it is planned, so that a packet on the wire can be told by its number. A packet
is sent only where there is a group key, and an answer counts only if it proves to be a colleague's.
"""

import errno
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast
from weakref import WeakValueDictionary

from agent import kernel, stamp
from agent.bulk import Arrival
from agent.directions import Directions, Settled
from agent.packet_length import padding_bytes
from agent.probes.datagram import FAMILIES, Answer, Answered, Course, DatagramProber, Flight
from agent.probes.lines import Line
from agent.probes.prober import NO_FACTS, Context, Note
from wire.outcome import Outcome
from wire.path import Family, Path, Udp
from wire.window import FactName, Measure

TELL_EVERY = 16
"""A session that loses nothing says so once in so many probes; a loss is told at once."""


@dataclass(slots=True, weakref_slot=True, eq=False, kw_only=True)
class Session(Course):
    """What we know of one path."""

    name: bytes
    sequence: int
    """Number of the next packet."""
    expected: str
    """UID that the path's target should have, as a packet has room for it; empty where it has none of ours."""
    padding: int
    directions: Directions = field(default_factory=Directions)
    told: int = -TELL_EVERY
    """Number through which directions were told last."""


class UdpProber(DatagramProber):
    """Prober of the kind udp."""

    numbers_paths = True

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._names: WeakValueDictionary[bytes, Session] = WeakValueDictionary()

    def _open(self, family: Family) -> socket.socket:
        sock = kernel.stamped(FAMILIES[family], socket.SOCK_DGRAM, 0, self._match)
        try:
            sock.bind(("", 0))
        except OSError:
            sock.close()
            raise
        return sock

    def _course(self, path: Path, *, is_apart: bool) -> Session:
        ask = cast("Udp", path.ask)
        padding = padding_bytes(ask, path.family)
        session = Session(
            path=path,
            sort=(path.family, ask.packet_bytes > 0, padding),
            port=ask.port,
            is_apart=is_apart,
            name=_session_name(is_apart=is_apart),
            sequence=0,
            expected=stamp.uid_word(path.target.uid),
            padding=padding,
        )
        self._names[session.name] = session
        return session

    def _requests(
        self,
        line: Line,  # noqa: ARG002 - the packet is the same on all
        courses: Sequence[Course],
        identifiers: Sequence[int],
        nonces: Sequence[bytes],
    ) -> tuple[list[bytes], list[bytes]]:
        if not self.context.keys:
            raise OSError(errno.EOPNOTSUPP, "no group key yet")
        key, uid, sent_ns = self.context.keys[0], self.context.uid, time.time_ns()
        sessions = cast("Sequence[Session]", courses)
        sequences = [session.sequence for session in sessions]
        asked = zip(sequences, identifiers, nonces, [session.name for session in sessions], strict=True)
        packets = stamp.encode_requests(asked, sent_ns=sent_ns, key=key, uid=uid, padding=sessions[0].padding)
        return packets, [packet[:4] + nonce for packet, nonce in zip(packets, nonces, strict=True)]  # sequence and nonce

    def _left(self, flights: Sequence[Flight]) -> None:
        # A number is used up only by a packet that has left: what we failed to send was not lost.
        for flight in flights:
            session: Session = flight.course  # type: ignore[assignment]  # no call for every probe
            session.directions.sent(session.sequence, flight.sent_ns)
            session.sequence += 1

    def _answers(self, arrivals: Sequence[Arrival], line: Line) -> list[Answered]:  # noqa: ARG002 - a reply proves itself
        read = ((arrival, self._answer(arrival)) for arrival in arrivals)
        return [(arrival, *answer) for arrival, answer in read if answer is not None]

    def _answer(self, arrival: Arrival) -> tuple[Flight | None, Answer] | None:
        """The flight that a packet answers, and how; None where it is to be ignored, and no flight where that was given up."""
        try:
            reply = stamp.decode_reply(arrival.packet, self.context.keys)
        except stamp.StampError:
            return None
        flight = self.known(reply.identifier)
        session: Session | None
        if flight is None:
            session = self._names.get(reply.session)
        else:
            session = flight.course  # type: ignore[assignment]  # no call for every probe
            if flight.address != arrival.sender or flight.token != reply.token:
                return None
        if session is None or session.name != reply.session or reply.sequence >= session.sequence:
            return None
        # A probe that was given up has no flight any more, but its answer still says which direction lost others.
        settled = session.directions.replied(reply.sequence, reply.receipt)
        notes = () if settled is None or session.is_apart else _notes(session, settled)
        facts, outcome, expected, addresses, uid = NO_FACTS, None, session.expected, self.context.addresses, reply.uid
        if addresses and reply.source not in addresses:
            facts = {FactName.SOURCE: reply.source}
        if expected and uid and uid != expected:
            facts, outcome = {**facts, FactName.PEER_UID: uid}, Outcome.WRONG_PEER
        is_expected = expected != "" and uid == expected
        return flight, Answer(notes, reply.departed_ns - reply.received_ns, reply.by_kernel, outcome, is_expected, facts)

    def _culprit(self, quote: bytes, address: str, port: int, line: Line) -> int | None:
        identifier = stamp.identifier_in(quote)
        if identifier is not None:
            return identifier
        # A router need not quote more than our UDP header (RFC 792): then only the address is left to go by.
        candidates = [
            flight
            for flight in self._flights.values()
            if flight.line is line and flight.probe.address == address and cast("Udp", flight.probe.path.ask).port == port
        ]
        return candidates[0].identifier if len(candidates) == 1 else None


def _session_name(*, is_apart: bool) -> bytes:
    """Random but for the first bit, which is set for a burst: a capture tells its packets from the schedule's by their SSID."""
    first, *rest = os.urandom(8)
    return bytes((first | 0x80 if is_apart else first & 0x7F, *rest))


def _notes(session: Session, settled: Settled) -> Sequence[Note]:
    lost = settled.forward_lost or settled.backward_lost
    if not lost and settled.through < session.told + TELL_EVERY:
        return ()
    session.told = settled.through
    measures = {Measure.THROUGH_SEQUENCE: settled.through}
    if settled.forward_lost:
        measures[Measure.FORWARD_LOST] = settled.forward_lost
    if settled.backward_lost:
        measures[Measure.BACKWARD_LOST] = settled.backward_lost
    return (Note(session.path, measures),)
