"""DNS messages (RFC 1035): the questions that we ask, and the one strict reader of what comes back. Pure.

In: a name and a record type; later bytes from whoever could send some. Out: a question with its bytes; of an answer the
response code and the addresses at the end of its chain of names. Reading takes time in proportion to the message and never
more, and ends with a reply, with None where the bytes answer something else, or with MalformedError.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

from wire.path import Record, shortest

UDP_PAYLOAD = 1232
"""Largest answer over UDP that no path fragments (DNS flag day 2020), said in EDNS (RFC 6891)."""
NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
MAX_CHAIN = 16
"""Names that may follow each other by CNAME."""
MAX_LABELS = 16_384
"""Labels looked at in one message; an honest one needs a tenth, since a name that repeats is read once."""
_CODES = ("NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH")
_TYPE = {Record.A: 1, Record.AAAA: 28}
_LENGTH = {1: 4, 28: 16}
_CNAME, _OPT = 5, 41
_IN = 1
_RESPONSE, _TRUNCATED, _RECURSION_DESIRED, _OPCODE, _CODE = 1 << 15, 1 << 9, 1 << 8, 15 << 11, 15
_MAX_LABEL, _MAX_NAME = 63, 255
_POINTER = 0xC0
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_EDNS = b"\0" + _RECORD.pack(_OPT, UDP_PAYLOAD, 0, 0)


class MalformedError(ValueError):
    """A message that claims to answer our question and cannot be read."""


@dataclass(frozen=True, slots=True)
class Question:
    """One question of one message, and its bytes."""

    identifier: int
    record: Record
    """A or AAAA."""
    wire: bytes
    asked: bytes
    """Name, type and class as they stand in the message, in lower case."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a message says to our question."""

    code: int
    """Response code, extended where it is (RFC 6891 section 6.1.3)."""
    truncated: bool = False
    """Cut off, so that it holds no addresses here."""
    addresses: tuple[bytes, ...] = ()
    """Of the type asked for and in the order of the answer, in network byte order."""
    ttl_seconds: int = 0
    """Shortest on the way to the addresses; 0 without any."""

    @property
    def code_name(self) -> str:
        """Such as `NXDOMAIN`."""
        return _CODES[self.code] if self.code < len(_CODES) else f"RCODE{self.code}"

    def texts(self, most: int) -> tuple[str, ...]:
        """The first so many addresses in their shortest form."""
        return tuple(_text(address) for address in self.addresses[:most])


def question(name: str, record: Record, identifier: int) -> Question:
    """Ask for the A or AAAA records of an absolute name; raises ValueError where it is none. Its last dot may be left out."""
    encoded = _encoded(name)
    tail = struct.pack("!HH", _TYPE[record], _IN)
    header = _HEADER.pack(identifier, _RECURSION_DESIRED, 1, 0, 0, 1)
    return Question(identifier, record, header + encoded + tail + _EDNS, encoded.lower() + tail)


def reply_to(question: Question, wire: bytes) -> Reply | None:
    """What these bytes say to the question; None unless they have its id and repeat it (RFC 5452 section 9.1).

    Not even an error counts without the question: an attacker would have to guess the id alone. Raises MalformedError.
    """
    end = _HEADER.size + len(question.asked)
    if len(wire) < end or wire[_HEADER.size : end].lower() != question.asked:
        return None
    identifier, flags, questions, answers, authorities, others = _HEADER.unpack_from(wire)
    if (identifier, flags & (_RESPONSE | _OPCODE), questions) != (question.identifier, _RESPONSE, 1):
        return None
    if flags & _TRUNCATED:
        return Reply(flags & _CODE, truncated=True)
    records = _Records(wire, question)
    try:
        for place in range(answers + authorities + others):
            end = records.take(end, is_answer=place < answers)
    except (IndexError, struct.error):
        raise MalformedError("it ends within a record") from None
    addresses, ttl_seconds = records.found()
    return Reply(flags & _CODE | records.extended_code, addresses=addresses, ttl_seconds=ttl_seconds)


class _Records:
    """The records of one message as they are read."""

    def __init__(self, wire: bytes, question: Question) -> None:
        self._wire = wire
        self._type = _TYPE[question.record]
        self._asked = question.asked[:-4]
        self._names = {_HEADER.size: self._asked}
        self._labels_left = MAX_LABELS
        self._aliases: dict[bytes, tuple[bytes, int]] = {}
        self._addresses: dict[bytes, list[tuple[bytes, int]]] = {}
        self.extended_code = 0

    def take(self, start: int, *, is_answer: bool) -> int:
        """Read the record that begins here; where the next one does."""
        owner, at = self._name(start)
        kind, class_, ttl, length = _RECORD.unpack_from(self._wire, at)
        at += _RECORD.size
        end = at + length
        if end > len(self._wire):
            raise MalformedError("it ends within a record")
        if is_answer and class_ == _IN:
            ttl = 0 if ttl >> 31 else ttl  # RFC 2181 section 8
            if kind == self._type:
                if length != _LENGTH[kind]:
                    raise MalformedError("an address has another length than its type")
                self._addresses.setdefault(owner, []).append((self._wire[at:end], ttl))
            elif kind == _CNAME:
                target, after = self._name(at)
                if after != end or self._aliases.setdefault(owner, (target, ttl))[0] != target:
                    raise MalformedError("a CNAME that is none, or one of two")
        elif kind == _OPT and not is_answer:
            self.extended_code = ttl >> 24 << 4
        return int(end)

    def found(self) -> tuple[tuple[bytes, ...], int]:
        """The addresses at the end of the chain, and the shortest time to live on the way."""
        name, ttls = self._asked, list[int]()
        while name not in self._addresses and name in self._aliases:
            if len(ttls) == MAX_CHAIN:
                raise MalformedError("a chain of names that does not end")
            name, ttl = self._aliases[name]
            ttls.append(ttl)
        records = self._addresses.get(name, [])
        ttls += [ttl for _, ttl in records]
        return tuple(address for address, _ in records), min(ttls) if records else 0

    def _name(self, start: int) -> tuple[bytes, int]:
        """The name that begins here, without pointers and in lower case, and where it ends. Pointers must point back."""
        wire, at, end, length = self._wire, start, 0, 0
        pieces: list[bytes] = []
        jump: tuple[int, int] | None = None
        while size := wire[at]:
            self._labels_left -= 1
            if size <= _MAX_LABEL:
                pieces.append(wire[at : at + 1 + size])
                at += 1 + size
                length += 1 + size
            elif size >= _POINTER:
                target = (size & ~_POINTER) << 8 | wire[at + 1]
                end = end or at + 2
                if not _HEADER.size <= target < at:
                    raise MalformedError("a name points to no earlier one")
                at = target
                jump = jump or (target, len(pieces))
                if target in self._names:
                    pieces.append(self._names[target])
                    break
            else:
                raise MalformedError("a label of an unknown type")
            if length >= _MAX_NAME or self._labels_left < 0:
                raise MalformedError("a name that is too long, or too many of them")
        else:
            pieces.append(b"\0")
            end = end or at + 1
        name = b"".join(pieces).lower()
        if len(name) > _MAX_NAME:
            raise MalformedError("a name that is too long")
        self._names[start] = name
        if jump is not None:
            self._names[jump[0]] = b"".join(pieces[jump[1] :]).lower()
        return name, end


def _encoded(name: str) -> bytes:
    labels = [label.encode() for label in name.removesuffix(".").split(".")] if name != "." else []
    if not name.isascii() or not all(1 <= len(label) <= _MAX_LABEL for label in labels):
        raise ValueError(f"{name!r} is not a name")
    encoded = b"".join(len(label).to_bytes(1, "big") + label for label in labels) + b"\0"
    if len(encoded) > _MAX_NAME:
        raise ValueError(f"{name!r} is longer than a name may be")
    return encoded


def _text(address: bytes) -> str:
    return ".".join(map(str, address)) if len(address) == _LENGTH[1] else shortest(str(IPv6Address(address)))
