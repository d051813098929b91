import resource
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from agent.probes import dns as dns_prober
from agent.probes.dns import DnsProber
from agent.probes.prober import Context, Note, Observation, Probe
from tests.agent.probes.dns_probing import fates, nothing_comes, probe
from tests.agent.probes.name_server import END_OF_QUESTION, NameServer, answered, healthy, question_tail, with_records
from wire.outcome import Outcome
from wire.path import Family, Icmp, Layer, Path, Record, Target
from wire.report import MAX_FACT
from wire.window import FactName, Timed


@pytest.fixture
def prober() -> Iterator[DnsProber]:
    prober = DnsProber(Context(permits=lambda _: True))
    yield prober
    prober.close()


@pytest.fixture
def server() -> Iterator[NameServer]:
    with NameServer() as server:
        yield server


def test_an_answer_takes_what_the_kernel_stamped_and_says_what_it_said(prober: DnsProber, server: NameServer) -> None:
    [observation] = fates(prober, server, probe(server.port))
    assert observation.outcome is None
    assert observation.timed is Timed.KERNEL
    assert observation.latency_ns is not None
    assert observation.latency_ns > 0
    assert observation.facts == {FactName.STATUS: "NOERROR", FactName.ANSWER: "10.0.0.1", FactName.HOP_LIMIT: "64"}


def test_ipv6_is_probed_as_ipv4_is(prober: DnsProber) -> None:
    with NameServer("::1") as server:
        [udp] = fates(prober, server, probe(server.port, Record.AAAA, address="::1"))
        [tcp] = fates(prober, server, probe(server.port, Record.AAAA, address="::1", tcp=True))
    assert udp.facts[FactName.ANSWER] == tcp.facts[FactName.ANSWER] == "2001:db8::1"
    assert udp.timed is Timed.KERNEL


def test_a_late_look_does_not_lengthen_the_latency(prober: DnsProber, server: NameServer) -> None:
    prober.send([probe(server.port)])
    server.turn()
    time.sleep(0.1)
    [observation] = prober.collect()
    assert isinstance(observation, Observation)
    assert observation.latency_ns is not None
    assert observation.latency_ns < 90_000_000


def test_survive_43_a_slow_server_takes_as_long_as_it_takes(prober: DnsProber, server: NameServer) -> None:
    def slow(query: bytes) -> list[bytes]:
        time.sleep(0.05)
        return healthy(query)

    server.udp = slow
    [observation] = fates(prober, server, probe(server.port))
    assert observation.latency_ns is not None
    assert observation.latency_ns >= 50_000_000


def test_every_probe_has_a_port_and_ids_of_its_own(prober: DnsProber, server: NameServer) -> None:
    fates(prober, server, *(probe(server.port, Record.BOTH) for _ in range(20)))
    assert len(server.queries) == 40
    assert len({peer for _, peer in server.queries}) == 20
    assert len({(query[:2], peer) for query, peer in server.queries}) == 40


def test_a_and_aaaa_leave_one_socket_and_are_answered_when_both_are(prober: DnsProber, server: NameServer) -> None:
    def after_a_while(query: bytes) -> list[bytes]:
        time.sleep(0.02)
        return healthy(query)

    server.udp = after_a_while
    [observation] = fates(prober, server, probe(server.port, Record.BOTH))
    assert observation.facts[FactName.ANSWER] == "10.0.0.1 2001:db8::1"
    assert observation.latency_ns is not None
    assert observation.latency_ns >= 40_000_000, "of both, one after the other"
    assert observation.timed is Timed.KERNEL


@pytest.mark.parametrize(("lost", "kept"), [("A", "AAAA only: 2001:db8::1"), ("AAAA", "A only: 10.0.0.1")])
def test_survive_32_where_one_of_two_answers_is_lost_the_facts_say_which_one_came(
    prober: DnsProber, server: NameServer, lost: str, kept: str
) -> None:
    server.udp = lambda query: [] if query.endswith(question_tail(lost)) else healthy(query)
    asked = probe(server.port, Record.BOTH)
    nothing_comes(prober, server, asked)
    prober.forget(asked)
    [note] = prober.collect()
    assert isinstance(note, Note)
    assert note.path is asked.path
    assert note.facts == {FactName.STATUS: "NOERROR", FactName.ANSWER: kept}


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize(
    ("code", "word", "name"),
    [
        (1, Outcome.DNS_ERROR, "FORMERR"),
        (2, Outcome.DNS_SERVFAIL, "SERVFAIL"),
        (3, Outcome.DNS_NXDOMAIN, "NXDOMAIN"),
        (5, Outcome.DNS_ERROR, "REFUSED"),
    ],
)
def test_survive_43_an_answer_without_an_answer_is_its_response_code(
    prober: DnsProber, server: NameServer, code: int, word: Outcome, name: str, *, tcp: bool
) -> None:
    server.udp = server.tcp = lambda query: [answered(query, code=code)]
    [observation] = fates(prober, server, probe(server.port, tcp=tcp))
    assert observation.outcome is word
    assert observation.facts[FactName.STATUS] == name


def test_of_two_answers_the_failed_one_counts(prober: DnsProber, server: NameServer) -> None:
    server.udp = lambda query: [answered(query, code=2)] if query.endswith(question_tail("AAAA")) else healthy(query)
    [observation] = fates(prober, server, probe(server.port, Record.BOTH))
    assert observation.outcome is Outcome.DNS_SERVFAIL
    assert observation.facts[FactName.STATUS] == "SERVFAIL"


def test_no_error_and_no_records_is_an_answer(prober: DnsProber, server: NameServer) -> None:
    server.udp = lambda query: [answered(query)]
    [observation] = fates(prober, server, probe(server.port, Record.BOTH))
    assert observation.outcome is None
    assert observation.facts[FactName.ANSWER] == "no records"


@pytest.mark.parametrize(
    ("record", "contains", "outcome"),
    [
        (Record.A, "10.0.0.1", None),
        (Record.BOTH, "10.0.0.1", None),
        (Record.BOTH, "2001:db8::1", None),
        (Record.A, "10.0.0.2", Outcome.DNS_ERROR),
        (Record.AAAA, "10.0.0.1", Outcome.DNS_ERROR),
    ],
)
def test_survive_43_a_server_that_lies_is_an_error_where_it_is_known_what_is_true(
    prober: DnsProber, server: NameServer, record: Record, contains: str, outcome: Outcome | None
) -> None:
    [observation] = fates(prober, server, probe(server.port, record, contains=contains))
    assert observation.outcome is outcome
    assert FactName.ANSWER in observation.facts


def _hostile(query: bytes) -> list[bytes]:
    """Whatever an attacker would try first; none of it is the answer to this query."""
    other_id = bytes([query[0] ^ 1]) + query[1:]
    forged = answered(query, "10.6.6.6")
    other_name = forged.replace(b"\3www", b"\3vvv", 1)
    other_type = bytearray(forged)
    other_type[END_OF_QUESTION - 3] = 28
    unasked = forged[:4] + b"\0\0" + forged[6:]
    question_loop = forged[:12] + b"\xc0\x0c" + forged[14:]
    return [answered(other_id, "10.6.6.6"), other_name, bytes(other_type), unasked, question_loop, query, b"", b"\0" * 5]


def test_survive_43_a_forged_message_is_never_the_answer_and_the_true_one_still_counts(
    prober: DnsProber, server: NameServer
) -> None:
    server.udp = lambda query: [*_hostile(query), *healthy(query)]
    [observation] = fates(prober, server, probe(server.port))
    assert observation.facts[FactName.ANSWER] == "10.0.0.1"
    assert prober.ignored == 8


def test_survive_43_forged_messages_alone_are_silence_over_udp_and_tcp(prober: DnsProber, server: NameServer) -> None:
    server.udp = server.tcp = _hostile
    nothing_comes(prober, server, probe(server.port), probe(server.port, tcp=True))
    assert prober.ignored == 16


def test_survive_43_an_answer_from_elsewhere_never_reaches_us(prober: DnsProber, server: NameServer) -> None:
    def spoof(query: bytes) -> list[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as elsewhere:
            elsewhere.sendto(answered(query, "10.6.6.6"), server.queries[-1][1])
        return []

    server.udp = spoof
    nothing_comes(prober, server, probe(server.port))


@pytest.mark.parametrize("tcp", [False, True])
def test_survive_43_a_compression_loop_in_the_servers_answer_is_a_dns_error(
    prober: DnsProber, server: NameServer, *, tcp: bool
) -> None:
    loop = struct.pack("!HHHIH", 0xC000 | END_OF_QUESTION, 1, 1, 30, 4) + b"\x0a\0\0\1"
    server.udp = server.tcp = lambda query: [with_records(query, loop)]
    [observation] = fates(prober, server, probe(server.port, tcp=tcp))
    assert observation.outcome is Outcome.DNS_ERROR
    assert observation.facts[FactName.ANSWER] == "malformed"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
@pytest.mark.parametrize(("tcp", "record"), [(False, Record.A), (False, Record.BOTH), (True, Record.A)])
def test_a_server_that_is_not_there_is_refused(
    prober: DnsProber, server: NameServer, address: str, record: Record, *, tcp: bool
) -> None:
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as unused:
        unused.bind((address, 0))
        [observation] = fates(prober, server, probe(unused.getsockname()[1], record, address=address, tcp=tcp))
    assert observation.outcome is Outcome.REFUSED


def test_survive_54_what_is_denied_is_never_asked(server: NameServer) -> None:
    prober = DnsProber(Context(permits=lambda _: False))
    [observation] = prober.send([probe(server.port)])
    assert observation.outcome is Outcome.FORBIDDEN
    server.turn()
    assert server.queries == []


def test_survive_54_a_resolver_of_ours_may_be_asked_on_port_53_and_on_no_other() -> None:
    prober = DnsProber(Context(permits=lambda _: False, resolvers=frozenset({"127.0.0.1"})))
    denied = prober.send([probe(53), probe(5353), probe(53, address="127.0.0.2")])
    assert [one.probe.path.ask.port for one in denied if one.outcome is Outcome.FORBIDDEN] == [5353, 53]  # type: ignore[union-attr]
    prober.close()


def test_survive_43_no_address_is_told_in_part(prober: DnsProber, server: NameServer) -> None:
    """A fact that is too long is cut, and half an address is another one."""
    addresses = [f"2001:db8:1111:2222:3333:4444:5555:{number:x}" for number in range(0x6661, 0x6669)]
    server.udp = lambda query: [answered(query, "10.0.0.1", *addresses)]
    [observation] = fates(prober, server, probe(server.port, Record.BOTH))
    told = observation.facts[FactName.ANSWER]
    assert len(told) <= MAX_FACT
    assert told.split() == ["10.0.0.1", *addresses][: len(told.split())]
    assert len(told.split()) == 4


@pytest.mark.parametrize("tcp", [False, True])
def test_survive_29_without_a_descriptor_it_is_our_own_fault(prober: DnsProber, server: NameServer, *, tcp: bool) -> None:
    prober.send([])
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    asked = probe(server.port, tcp=tcp)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        [observation] = prober.send([asked])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert observation.outcome is Outcome.NO_FD


def test_survive_29_there_is_an_end_to_what_is_open(
    prober: DnsProber, server: NameServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dns_prober, "MAX_OPEN", 2)
    [observation] = prober.send([probe(server.port) for _ in range(3)])
    assert observation.outcome is Outcome.SKIPPED


@pytest.mark.parametrize("tcp", [False, True])
def test_a_probe_that_was_given_up_holds_nothing_and_is_not_answered_any_more(
    prober: DnsProber, server: NameServer, *, tcp: bool
) -> None:
    asked = probe(server.port, tcp=tcp)
    prober.send([asked])
    prober.forget(asked)
    prober.forget(asked)
    for _ in range(3):
        server.turn()
        assert prober.collect() == []


def test_a_path_of_another_kind_is_a_fault_in_the_program(prober: DnsProber) -> None:
    path = Path("n1", Target("a", "a", address="127.0.0.1"), Layer.POD, Family.IPV4, Icmp())
    with pytest.raises(TypeError, match="kind icmp"):
        prober.send([Probe(1, path, "127.0.0.1")])
