import itertools
import struct
from collections.abc import Callable
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import dns_message
from agent.dns_message import MalformedError, Question, Reply, question, reply_to
from wire.path import Record

ASKED = question("www.Example.test.", Record.A, 0x1234)
POINTER_TO_QUESTION = b"\xc0\x0c"


def response(asked: Question, *records: str, code: int = 0, ttl: int = 30) -> dns.message.Message:
    """An answer as dnspython writes it; a record is `owner type value`."""
    made = dns.message.make_response(dns.message.from_wire(asked.wire))
    made.set_rcode(dns.rcode.Rcode(code))
    for record in records:
        owner, kind, value = record.split(maxsplit=2)
        made.answer.append(dns.rrset.from_text(owner, ttl, "IN", kind, value))
    return made


def raw(*records: bytes, flags: int = 0x8180, asked: Question = ASKED) -> bytes:
    """An answer with records as they are given."""
    head = struct.pack("!6H", asked.identifier, flags, 1, len(records), 0, 0)
    return head + asked.wire[12 : 12 + len(asked.asked)] + b"".join(records)


def record(owner: bytes, kind: int, content: bytes, *, ttl: int = 30, length: int | None = None) -> bytes:
    return owner + struct.pack("!HHIH", kind, 1, ttl, len(content) if length is None else length) + content


def test_a_question_is_one_that_others_understand() -> None:
    query = dns.message.from_wire(question("www.example.test.", Record.AAAA, 7).wire)
    assert str(query.question[0]) == "www.example.test. IN AAAA"
    assert (query.id, query.flags, query.edns, query.payload) == (7, dns.flags.RD, 0, 1232)


@pytest.mark.parametrize("name", ["", "a..test.", "x" * 64 + ".test.", "ä.test.", ".".join(["x" * 60] * 5), ".."])
def test_what_is_no_name_is_not_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        question(name, Record.A, 7)


@pytest.mark.parametrize("name", [".", "test", "test.", "_dns.x-1.test."])
def test_names_are_absolute_with_and_without_their_last_dot(name: str) -> None:
    assert str(dns.message.from_wire(question(name, Record.A, 7).wire).question[0].name) == name.rstrip(".") + "."


def test_addresses_are_those_at_the_end_of_the_chain_with_the_shortest_time_to_live() -> None:
    made = response(ASKED, "www.example.test. CNAME Edge.test.", "other.test. A 10.6.6.6")
    made.answer.append(dns.rrset.from_text("edge.test.", 7, "IN", "A", "10.0.0.1"))
    reply = reply_to(ASKED, made.to_wire())
    assert reply is not None
    assert reply.texts(16) == ("10.0.0.1",)
    assert reply.ttl_seconds == 7


def test_ipv6_addresses_are_in_their_shortest_form() -> None:
    asked = question("a.test.", Record.AAAA, 1)
    reply = reply_to(asked, response(asked, "a.test. AAAA 2001:db8:0::1", "a.test. AAAA ::ffff:10.0.0.1").to_wire())
    assert reply is not None
    assert reply.texts(16) == ("2001:db8::1", "::ffff:10.0.0.1")


@pytest.mark.parametrize(("code", "name"), [(0, "NOERROR"), (2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (15, "RCODE15")])
def test_a_response_code_has_its_name(code: int, name: str) -> None:
    reply = reply_to(ASKED, raw(flags=0x8180 | code))
    assert reply == Reply(code)
    assert reply.code_name == name


def test_a_response_code_is_read_with_its_extension() -> None:
    made = response(ASKED)
    made.use_edns(0, ednsflags=1 << 24)
    reply = reply_to(ASKED, made.to_wire())
    assert reply is not None
    assert reply.code == dns.rcode.BADVERS


def test_a_time_to_live_beyond_its_range_is_none_at_all() -> None:
    reply = reply_to(ASKED, raw(record(POINTER_TO_QUESTION, 1, b"\x0a\0\0\1", ttl=1 << 31)))
    assert reply is not None
    assert reply.ttl_seconds == 0


def test_the_case_of_the_question_is_no_matter_and_all_else_of_it_is() -> None:
    good = raw(record(POINTER_TO_QUESTION, 1, b"\x0a\0\0\1"))
    assert reply_to(ASKED, good.replace(b"Example", b"eXAMPLE")) == Reply(0, addresses=(b"\x0a\0\0\1",), ttl_seconds=30)
    assert reply_to(ASKED, good.replace(b"Example", b"examplf")) is None
    other_type = bytearray(good)
    other_type[12 + len(ASKED.asked) - 3] = 28
    assert reply_to(ASKED, bytes(other_type)) is None


@pytest.mark.parametrize(
    "change",
    [
        lambda wire: b"\x12\x35" + wire[2:],
        lambda wire: wire[:2] + b"\x01" + wire[3:],  # a query
        lambda wire: wire[:2] + b"\xa9" + wire[3:],  # another opcode
        lambda wire: wire[:4] + b"\0\0" + wire[6:],  # no question, says the header
        lambda wire: wire[:4] + b"\0\2" + wire[6:],
        lambda wire: wire[:20],
        lambda _: b"",
        lambda wire: wire[:12] + b"\xc0\x0c" + wire[14:],  # a question that points to itself
    ],
)
def test_survive_43_a_message_with_another_id_or_question_answers_nothing(change: Callable[[bytes], bytes]) -> None:
    assert reply_to(ASKED, change(raw(record(POINTER_TO_QUESTION, 1, b"\x0a\0\0\1")))) is None


AT_FIRST_RECORD = 12 + len(ASKED.asked)


@pytest.mark.parametrize(
    "wire",
    [
        raw(record(b"\xc0" + bytes([AT_FIRST_RECORD]), 1, b"\x0a\0\0\1")),  # to itself
        raw(record(b"\xc0\xff", 1, b"\x0a\0\0\1")),  # forwards
        raw(record(b"\xc0\x02", 1, b"\x0a\0\0\1")),  # into the header
        raw(record(b"\1a\xc0" + bytes([AT_FIRST_RECORD]), 1, b"\x0a\0\0\1")),  # a loop of a label and a pointer
        raw(record(POINTER_TO_QUESTION, 5, b"\xc0" + bytes([AT_FIRST_RECORD + 12]))),
        raw(record(POINTER_TO_QUESTION, 5, POINTER_TO_QUESTION)),  # a CNAME of itself
        raw(record(POINTER_TO_QUESTION, 5, b"\1a\0"), record(POINTER_TO_QUESTION, 5, b"\1b\0")),
        raw(record(POINTER_TO_QUESTION, 5, b"\1a\0\0")),
        raw(record(POINTER_TO_QUESTION, 1, b"\x0a\0\0")),
        raw(record(POINTER_TO_QUESTION, 1, b"\x0a\0\0\1", length=5)),
        raw(record(POINTER_TO_QUESTION, 1, b"\x0a\0\0\1"))[:-3],
        raw(record(POINTER_TO_QUESTION, 1, b"\x0a\0\0\1"))[: AT_FIRST_RECORD + 5],
        raw(record(b"\x80", 1, b"\x0a\0\0\1")),
        raw(record((b"\x3f" + b"x" * 63) * 4 + b"\0", 1, b"\x0a\0\0\1")),
        raw()[:6] + b"\xff\xff" + raw()[8:],
    ],
)
def test_survive_43_what_claims_to_be_our_answer_and_cannot_be_read_is_malformed(wire: bytes) -> None:
    with pytest.raises(MalformedError):
        reply_to(ASKED, wire)


def test_survive_43_a_chain_of_names_ends() -> None:
    names = ["www.example.test.", *(f"n{number}.test." for number in range(40))]
    made = response(ASKED, *(f"{one} CNAME {other}" for one, other in itertools.pairwise(names)))
    with pytest.raises(MalformedError, match="does not end"):
        reply_to(ASKED, made.to_wire())


def test_survive_43_a_message_of_64_kib_is_read_to_its_end() -> None:
    addresses = [bytes([10, 1, number >> 8, number & 255]) for number in range(4000)]
    reply = reply_to(ASKED, raw(*(record(POINTER_TO_QUESTION, 1, address) for address in addresses)))
    assert reply is not None
    assert reply.addresses == tuple(addresses)


def test_survive_43_names_that_cost_more_than_an_honest_message_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    region = (b"\1x" * 126 + b"\0") * 60  # each of 7,560 suffixes is a name of up to 126 labels
    first = record(b"\0", 16, region)
    start = AT_FIRST_RECORD + 11
    targets = [start + at for at in range(0, len(region), 2) if region[at] == 1 and start + at < 0x4000]
    wire = raw(first, *(record(struct.pack("!H", 0xC000 | target), 16, b"") for target in targets[:4000]))
    with pytest.raises(MalformedError, match="too many"):
        reply_to(ASKED, wire)
    monkeypatch.setattr(dns_message, "MAX_LABELS", 10**9)
    assert reply_to(ASKED, wire) == Reply(0), "but for the limit it could be read"


def test_a_name_that_repeats_by_pointers_into_another_is_read_once() -> None:
    made = response(ASKED, "www.example.test. CNAME x.pool.test.")
    for number in range(1500):
        made.answer.append(dns.rrset.from_text("x.pool.test.", 30, "IN", "A", f"10.1.{number >> 8}.{number & 255}"))
    reply = reply_to(ASKED, made.to_wire(max_size=65_535))
    assert reply is not None
    assert len(reply.addresses) == 1500


def test_records_beside_the_answer_are_read_and_say_nothing() -> None:
    made = response(ASKED, "www.example.test. A 10.0.0.1")
    made.authority.append(dns.rrset.from_text("example.test.", 30, "IN", "NS", "ns.example.test."))
    made.additional.append(dns.rrset.from_text("www.example.test.", 30, "IN", "A", "10.6.6.6"))
    reply = reply_to(ASKED, made.to_wire())
    assert reply is not None
    assert reply.texts(16) == ("10.0.0.1",)


def test_what_is_truncated_holds_no_addresses() -> None:
    assert reply_to(ASKED, raw(b"\xff", flags=0x8380)) == Reply(0, truncated=True)


GOOD = response(ASKED, "www.example.test. CNAME a.test.", "a.test. A 10.0.0.1", "a.test. A 10.0.0.2").to_wire()


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    wire = bytearray(GOOD)
    for _ in range(draw(st.integers(1, 4))):
        wire[draw(st.integers(0, len(wire) - 1))] = draw(st.integers(0, 255) | st.sampled_from([0, 0xC0, 0x3F, 12]))
    return bytes(wire[: draw(st.integers(0, len(wire)) | st.just(len(wire)))])


@settings(max_examples=200)
@given(st.binary(max_size=80) | mutated() | st.binary(max_size=400).map(raw))
def test_survive_43_any_bytes_are_a_reply_or_none_or_malformed(wire: bytes) -> None:
    try:
        reply = reply_to(ASKED, wire)
    except MalformedError:
        return
    assert reply is None or len(reply.texts(16)) <= 16


@settings(max_examples=100)
@given(mutated())
def test_what_is_read_as_addresses_others_read_so_too(wire: bytes) -> None:
    try:
        if (reply := reply_to(ASKED, wire)) is None:
            return
        chain = cast("dns.message.QueryMessage", dns.message.from_wire(wire, ignore_trailing=True)).resolve_chaining()
    except (MalformedError, dns.exception.DNSException, ValueError):
        return
    if not reply.truncated:
        assert set(reply.texts(64)) == set(map(str, chain.answer or ()))
