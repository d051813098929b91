"""DNS: what a name server takes for one question, or for A and AAAA from one socket, and what it says.

In: probes to the address of a server. Out: round trips from kernel stamp to kernel stamp, over TCP with the handshake on top,
or a word. There is no retry, no search list and no cache, and no wait for one answer before asking the next question. Where
only one of two answers came until the runner gave up, a note says which: when A and AAAA leave one socket at once, two entries
of conntrack race, and the loser's packet is dropped.
"""

import contextlib
import secrets
import select
import socket
from collections.abc import Sequence
from dataclasses import dataclass

from agent import handshake, kernel
from agent.dns_message import MalformedError
from agent.errno_words import word_for
from agent.probes.dns_datagram import Datagrams
from agent.probes.dns_exchange import MALFORMED, Exchange, judgement_of
from agent.probes.dns_stream import Stream
from agent.probes.prober import Context, Note, Observation, Probe
from wire.address import DNS_PORT
from wire.outcome import Outcome
from wire.path import Dns, Family, packets
from wire.window import FactName, Measure, Timed

_OVER_TCP = Dns(".", tcp=True)
MAX_OPEN = 1024
"""Probes in flight; each holds a descriptor until it is answered or given up."""


@dataclass(slots=True, eq=False)
class _Dialogue:
    probe: Probe
    ask: Dns
    exchange: Exchange
    side: Datagrams | Stream
    datagrams_took: tuple[int, Timed] = (0, Timed.NONE)
    """Where a truncated answer was asked for again over TCP: what UDP took until then."""
    hop_limit: int = 0


class DnsProber:
    """Prober of the kind dns: one socket for each probe, and a poll over all of them."""

    def __init__(self, context: Context) -> None:
        """Keep the context; open nothing yet."""
        self.ignored = 0
        """Messages that answered nothing of ours: a wrong id, another question, garbage."""
        self._context = context
        self._dialogues: dict[int, _Dialogue] = {}
        self._numbers: dict[int, int] = {}
        self._poll = select.poll()
        self._notes: list[Note] = []
        self._stamper: socket.socket | None = None

    def unsupported(self, family: Family) -> str | None:
        """Why DNS cannot be sent over this family from here; None where it can."""
        return handshake.no_such_family(family)

    def send(self, probes: Sequence[Probe]) -> list[Observation]:
        """Ask; return those that failed at once."""
        failed = []
        for probe in probes:
            outcome = self._begin(probe)
            if outcome is not None:
                self.forget(probe)
                failed.append(Observation(probe, outcome=outcome))
        return failed

    def collect(self) -> list[Observation | Note]:
        """Take every dialogue as far as it gets without waiting; return those that have ended, and notes."""
        found: list[Observation | Note] = [*self._notes]
        self._notes.clear()
        for descriptor, _ in self._poll.poll(0) if self._dialogues else ():
            dialogue = self._dialogues[self._numbers[descriptor]]
            ignored = dialogue.exchange.ignored
            try:
                observation = self._continued(dialogue)
            except MalformedError:
                # It came from the server and has our id and our question: it is the answer, and who would forge it could
                # as well forge one that can be read. To wait on would call a server silent that talks nonsense.
                facts = {**dialogue.exchange.facts(), FactName.ANSWER: MALFORMED}
                observation = Observation(dialogue.probe, outcome=Outcome.DNS_ERROR, facts=facts)
            self.ignored += dialogue.exchange.ignored - ignored
            if observation is not None:
                self._drop(dialogue.probe)
                found.append(observation)
        return found

    def forget(self, probe: Probe) -> None:
        """Close its socket; where one of two answers had come, a note says so."""
        dialogue = self._drop(probe)
        if dialogue is not None and dialogue.exchange.replies:
            self._notes.append(Note(probe.path, facts=dialogue.exchange.facts()))

    def close(self) -> None:
        """Close every socket."""
        for dialogue in list(self._dialogues.values()):
            self._drop(dialogue.probe)
        if self._stamper is not None:
            self._stamper.close()
            self._stamper = None

    def _begin(self, probe: Probe) -> Outcome | None:
        ask = probe.path.ask
        if not isinstance(ask, Dns):
            raise TypeError(f"a dns prober was given a path of kind {probe.path.kind}")
        if len(self._dialogues) >= MAX_OPEN:
            return Outcome.SKIPPED
        if not self._may_ask(probe.address, ask.port):
            return Outcome.FORBIDDEN
        self._keep_stamping()
        exchange = Exchange.of(ask, _two_identifiers())
        try:
            side = (Stream if ask.tcp else Datagrams)(probe.address, ask.port, exchange)
        except OSError as error:
            return word_for(error)
        self._watch(_Dialogue(probe, ask, exchange, side))
        return side.ask() if isinstance(side, Datagrams) else None

    def _continued(self, dialogue: _Dialogue) -> Observation | None:
        """What has become of it; None while it goes on."""
        side, exchange = dialogue.side, dialogue.exchange
        outcome = side.look()
        if outcome is not None:
            return Observation(dialogue.probe, outcome=outcome, facts=exchange.facts())
        if isinstance(side, Stream):
            if side.shaken is not None:
                self._poll.modify(side.sock, select.POLLIN)
            if exchange.truncated:
                raise MalformedError("truncated, where there is room for all")
        elif side.hop_limit:
            dialogue.hop_limit = side.hop_limit
        if exchange.pending:
            return None
        return self._ask_again(dialogue) if exchange.truncated else _answered(dialogue)

    def _ask_again(self, dialogue: _Dialogue) -> Observation | None:
        """The truncated answers once more, over TCP: packets that were not counted when the questions left."""
        exchange = dialogue.exchange
        if not self._context.spend(packets(_OVER_TCP)):
            return Observation(dialogue.probe, outcome=Outcome.SKIPPED, facts=exchange.facts())
        dialogue.datagrams_took = dialogue.side.took()
        self._unwatch(dialogue)
        exchange.pending = {asked.identifier: asked for asked in exchange.truncated}
        exchange.truncated = []
        try:
            dialogue.side = Stream(dialogue.probe.address, dialogue.ask.port, exchange)
        except OSError as error:
            del self._dialogues[dialogue.probe.number]
            return Observation(dialogue.probe, outcome=word_for(error), facts=exchange.facts())
        self._watch(dialogue)
        return None

    def _watch(self, dialogue: _Dialogue) -> None:
        self._dialogues[dialogue.probe.number] = dialogue
        self._numbers[dialogue.side.sock.fileno()] = dialogue.probe.number
        self._poll.register(dialogue.side.sock, select.POLLOUT if isinstance(dialogue.side, Stream) else select.POLLIN)

    def _unwatch(self, dialogue: _Dialogue) -> None:
        self._poll.unregister(dialogue.side.sock)
        del self._numbers[dialogue.side.sock.fileno()]
        dialogue.side.close()

    def _drop(self, probe: Probe) -> _Dialogue | None:
        dialogue = self._dialogues.pop(probe.number, None)
        if dialogue is not None:
            self._unwatch(dialogue)
        return dialogue

    def _may_ask(self, address: str, port: int) -> bool:
        """The name servers of resolv.conf are excepted from the deny list, on their own port."""
        return self._context.permits(address) or (port == DNS_PORT and address in self._context.resolvers)

    def _keep_stamping(self) -> None:
        """Hold one socket that asks for stamps: the machine stamps nothing while there is none, and starts with a delay."""
        if self._stamper is None:
            with contextlib.suppress(OSError):
                self._stamper = kernel.stamped(socket.AF_INET, socket.SOCK_DGRAM, 0, kernel.TransmitMatch.NONE)


def _two_identifiers() -> tuple[int, int]:
    first = secrets.randbelow(1 << 16)
    return first, (first + 1 + secrets.randbelow((1 << 16) - 1)) % (1 << 16)


def _answered(dialogue: _Dialogue) -> Observation:
    side, ask = dialogue.side, dialogue.ask
    facts = dialogue.exchange.facts()
    if dialogue.hop_limit:
        facts[FactName.HOP_LIMIT] = str(dialogue.hop_limit)
    outcome = judgement_of(ask, dialogue.exchange.replies)
    if outcome is not None:
        return Observation(dialogue.probe, outcome=outcome, facts=facts)
    earlier_ns, earlier_timed = dialogue.datagrams_took
    last_ns, timed = side.took()
    latency_ns = earlier_ns + last_ns
    measures = {}
    if isinstance(side, Stream) and side.shaken is not None:
        latency_ns += side.shaken.rtt_ns
        timed |= side.shaken.timed
        measures[Measure.CONNECT_NS] = side.shaken.rtt_ns
        if side.retransmits:
            measures[Measure.RETRANSMITS] = side.retransmits
    if dialogue.probe.resolve_ns:
        measures[Measure.RESOLVE_NS] = dialogue.probe.resolve_ns
    return Observation(dialogue.probe, latency_ns=latency_ns, timed=timed | earlier_timed, measures=measures, facts=facts)
