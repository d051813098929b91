import json
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lab.nameserver import Behaviour, How, answer, answers, behaviour_in

ZONE = {"www.example.test": ["198.51.100.10", "2001:db8:1::10"], "four.test": ["198.51.100.10"]}
QUERY = dns.message.make_query("www.example.test", "A").to_wire()


def ask(name: str, kind: str) -> dns.message.Message:
    response = answer(dns.message.make_query(name, kind).to_wire(), ZONE)
    assert response
    return dns.message.from_wire(response.to_wire())


def sent(how: How, *, stream: bool = False, kind: str = "A") -> list[dns.message.Message]:
    query = dns.message.make_query("www.example.test", kind).to_wire()
    return [
        dns.message.from_wire(wire, raise_on_truncation=False, one_rr_per_rrset=True)
        for wire in answers(query, ZONE, how, stream=stream)
    ]


def addresses(message: dns.message.Message) -> list[str]:
    return [str(record) for records in message.answer for record in records]


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


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("how", "code", "expected"),
    [
        (How.HEALTHY, dns.rcode.NOERROR, ["198.51.100.10"]),
        (How.SLOW, dns.rcode.NOERROR, ["198.51.100.10"]),
        (How.LYING, dns.rcode.NOERROR, ["192.0.2.66"]),
        (How.SERVFAIL, dns.rcode.SERVFAIL, []),
        (How.NXDOMAIN, dns.rcode.NXDOMAIN, []),
    ],
)
def test_a_server_answers_as_it_behaves(how: How, code: dns.rcode.Rcode, expected: list[str], *, stream: bool) -> None:
    [message] = sent(how, stream=stream)
    assert (message.rcode(), addresses(message)) == (code, expected)


def test_a_silent_server_says_nothing() -> None:
    assert sent(How.SILENT) == sent(How.SILENT, stream=True) == []


@pytest.mark.parametrize("how", [How.TRUNCATING, How.BIG])
def test_what_is_truncated_over_udp_is_whole_over_tcp(how: How) -> None:
    [cut], [whole] = sent(how), sent(how, stream=True)
    assert (bool(cut.flags & dns.flags.TC), addresses(cut)) == (True, [])
    assert not whole.flags & dns.flags.TC
    assert addresses(whole)[-1] == "198.51.100.10"


def test_a_big_answer_has_64_kib() -> None:
    [wire] = answers(dns.message.make_query("www.example.test", "AAAA").to_wire(), ZONE, How.BIG, stream=True)
    assert 64_000 < len(wire) <= 65_535


def test_a_spoofed_answer_has_another_id_and_comes_before_the_true_one() -> None:
    forged, true = sent(How.SPOOFED)
    assert forged.id != true.id
    assert (addresses(forged), addresses(true)) == (["192.0.2.66"], ["198.51.100.10"])


def test_a_loop_is_none_that_anybody_can_read() -> None:
    [wire] = answers(QUERY, ZONE, How.LOOP, stream=False)
    with pytest.raises(dns.exception.FormError):
        dns.message.from_wire(wire)


def test_a_behaviour_is_read_from_its_file_and_healthy_without_one(tmp_path: Path) -> None:
    file = tmp_path / "behaviour.json"
    assert behaviour_in(file) == Behaviour()
    file.write_text(json.dumps({"how": "slow", "ms": 800}))
    assert behaviour_in(file) == Behaviour(How.SLOW, 800)


@settings(max_examples=100)
@example(b"\x00" * 12, How.HEALTHY)
@given(st.binary(max_size=80), st.sampled_from(How))
def test_broken_queries_are_no_error(query: bytes, how: How) -> None:
    answers(query, ZONE, how, stream=True)
