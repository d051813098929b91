"""What a DNS probe asks, and what the answers to it mean. Pure.

In: what a path asks, and later messages from whoever could send some. Out: the questions, and a verdict on the answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from agent.dns_message import NOERROR, NXDOMAIN, SERVFAIL, Question, Reply, question, reply_to
from wire.outcome import Outcome
from wire.path import Dns, Record
from wire.report import MAX_FACT
from wire.window import FactName

MAX_TOLD = 8
"""Addresses of one answer in a fact, as far as they fit."""
NO_RECORDS = "no records"
MALFORMED = "malformed"
_RECORDS = {Record.A: (Record.A,), Record.AAAA: (Record.AAAA,), Record.BOTH: (Record.A, Record.AAAA)}
_WORDS = {NXDOMAIN: Outcome.DNS_NXDOMAIN, SERVFAIL: Outcome.DNS_SERVFAIL}


@dataclass(slots=True)
class Exchange:
    """The questions of one probe and the answers so far."""

    pending: dict[int, Question]
    """Not answered yet, by id."""
    replies: dict[Record, Reply] = field(default_factory=dict)
    truncated: list[Question] = field(default_factory=list)
    """Answered, and to be asked again where there is more room."""
    ignored: int = 0
    """Messages that answer none of our questions."""

    @classmethod
    def of(cls, ask: Dns, identifiers: Sequence[int]) -> "Exchange":
        """The one or two questions of an ask; the identifiers, two and different, should be beyond guessing."""
        pairs = zip(_RECORDS[ask.record], identifiers, strict=False)
        return cls({identifier: question(ask.name, record, identifier) for record, identifier in pairs})

    def take(self, wire: bytes) -> bool:
        """Whether a message answers one of our questions; any other is counted. Raises MalformedError where it claims to."""
        asked = self.pending.get(int.from_bytes(wire[:2], "big"))
        reply = None if asked is None else reply_to(asked, wire)
        if asked is None or reply is None:
            self.ignored += 1
            return False
        del self.pending[asked.identifier]
        if reply.truncated:
            self.truncated.append(asked)
        else:
            self.replies[asked.record] = reply
        return True

    def facts(self) -> dict[FactName, str]:
        """What the answers so far say; of two questions also which one has none."""
        if not self.replies:
            return {}
        half = f"{' and '.join(self.replies)} only: " if self.pending else ""
        addresses = [text for reply in self.replies.values() for text in reply.texts(MAX_TOLD)]
        answer = half + (_fitting(addresses, MAX_FACT - len(half)) or NO_RECORDS)
        worst = max(self.replies.values(), key=lambda reply: reply.code)
        return {FactName.STATUS: worst.code_name, FactName.ANSWER: answer}


def _fitting(words: Sequence[str], most: int) -> str:
    """The first words that have at most so many characters together: half an address would be another address."""
    text = ""
    for word in words:
        longer = f"{text} {word}" if text else word
        if len(longer) > most:
            break
        text = longer
    return text


def judgement_of(ask: Dns, replies: Mapping[Record, Reply]) -> Outcome | None:
    """What complete answers mean; None where they are as they should be.

    No error and no records of the type is an answer, unless a certain address is asked for: the server works.
    """
    for reply in replies.values():
        if reply.code != NOERROR:
            return _WORDS.get(reply.code, Outcome.DNS_ERROR)
    if ask.contains:
        wanted = ip_address(ask.contains).packed
        if not any(wanted in reply.addresses for reply in replies.values()):
            return Outcome.DNS_ERROR
    return None
