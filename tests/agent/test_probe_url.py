import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.probe_url import question_of
from wire.path import Ask, Dns, Http, Icmp, Record, Tcp, Udp


@pytest.mark.parametrize(
    ("url", "ask"),
    [
        ("icmp://10.0.0.1", Icmp()),
        ("udp://10.0.0.1", Udp(port=8620)),
        ("udp://10.0.0.1:1", Udp(port=1)),
        ("tcp://[fd00::1]:443", Tcp(port=443)),
        ("http://10.0.0.1", Http(port=80)),
        ("http://www.example.test:8080/a?b", Http(port=8080, path="/a?b", host="www.example.test")),
        ("https://www.example.test", Http(port=443, tls=True, host="www.example.test")),
        ("dns://10.96.0.10/www.example.test", Dns("www.example.test.")),
        ("dns://10.96.0.10:5353/www.example.test.?type=AAAA&tcp=1", Dns("www.example.test.", Record.AAAA, 5353, tcp=True)),
        ("dns://[fd96::a]/.?type=both&tcp=0", Dns(".", Record.BOTH)),
        ("dns://10.96.0.10/api?contains=10.0.0.1", Dns("api.", contains="10.0.0.1")),
        ("dns://10.96.0.10/api?type=AAAA&contains=2001:DB8:0::1", Dns("api.", Record.AAAA, contains="2001:db8::1")),
    ],
)
def test_a_url_is_a_way_to_ask(url: str, ask: object) -> None:
    assert question_of(url).ask == ask


def test_survive_43_a_name_is_absolute_and_never_completed() -> None:
    assert question_of("dns://10.96.0.10/api").ask == Dns("api.")


def test_a_packet_length_is_that_of_the_ask() -> None:
    assert question_of("icmp://10.0.0.1", 1500).ask == Icmp(packet_bytes=1500)
    assert question_of("udp://10.0.0.1", 1500).ask == Udp(port=8620, packet_bytes=1500)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("dns://10.96.0.10", "dns needs a name to ask for, as in dns://10.96.0.10/www.example.test"),
        ("dns://10.96.0.10/", "dns needs a name to ask for, as in dns://10.96.0.10/www.example.test"),
        ("dns://10.96.0.10/a?type=MX", "type is 'MX', and can be A, AAAA or both"),
        ("dns://10.96.0.10/a?tcp=yes", "tcp is 'yes', and can be 1 or 0"),
        ("dns://10.96.0.10/a?contains=b", "contains is 'b', which is no address"),
        ("dns://10.96.0.10/a?contains=fe80::1%25eth0", "contains is 'fe80::1%eth0', which is no address"),
        (
            "dns://10.96.0.10/a..b",
            "'a..b.' is no name: labels of 1 to 63 letters, digits, - and _ with dots between them",
        ),
        ("dns://10.96.0.10/a?search=1", "dns has no option 'search', only type, tcp and contains"),
        ("dns:///a", "'dns:///a' names no address (one of IPv6 stands in brackets, as in icmp://[::1])"),
        ("tcp://10.0.0.1", "tcp needs a port, as in tcp://ADDRESS:PORT"),
    ],
)
def test_a_url_without_sense_gets_exactly_this_sentence(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        question_of(url)


@given(st.sampled_from(["icmp", "udp", "tcp", "http", "dns"]), st.text(max_size=40))
def test_any_url_is_a_question_that_is_valid_or_a_sentence(scheme: str, rest: str) -> None:
    try:
        question = question_of(f"{scheme}://{rest}")
    except ValueError:
        return
    assert msgspec.convert(msgspec.to_builtins(question.ask), Ask) == question.ask
