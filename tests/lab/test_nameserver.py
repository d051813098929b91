import dns.flags
import dns.message
import dns.rcode
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lab.nameserver import answer

ZONE = {"www.example.test": ["198.51.100.10", "2001:db8:1::10"], "four.test": ["198.51.100.10"]}


def ask(name: str, kind: str) -> dns.message.Message:
    response = answer(dns.message.make_query(name, kind).to_wire(), ZONE)
    assert response
    return dns.message.from_wire(response)


def test_a_name_has_its_addresses_of_the_type_asked_for() -> None:
    assert [str(item) for item in ask("www.example.test", "A").answer[0]] == ["198.51.100.10"]
    assert [str(item) for item in ask("WWW.Example.TEST", "AAAA").answer[0]] == ["2001:db8:1::10"]


def test_an_unknown_name_does_not_exist_and_a_missing_type_is_empty() -> None:
    assert ask("nowhere.test", "A").rcode() == dns.rcode.NXDOMAIN
    assert (ask("four.test", "AAAA").rcode(), ask("four.test", "AAAA").answer) == (dns.rcode.NOERROR, [])


def test_an_answer_is_not_answered() -> None:
    query = dns.message.make_query("www.example.test", "A")
    query.flags |= dns.flags.QR
    assert answer(query.to_wire(), ZONE) is None


@settings(max_examples=100, deadline=None)
@example(b"\x00" * 12)
@given(st.binary(max_size=80))
def test_broken_queries_are_no_error(query: bytes) -> None:
    answer(query, ZONE)
