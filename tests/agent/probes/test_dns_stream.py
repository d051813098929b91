import contextlib
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from agent.probes.dns import DnsProber
from agent.probes.dns_stream import MOST_IGNORED
from agent.probes.prober import Context, Note, Observation
from tests.agent.probes.dns_probing import fates, probe
from tests.agent.probes.name_server import NameServer, answered, framed, healthy, question_tail, with_records
from wire.outcome import Outcome
from wire.path import Record
from wire.window import FactName, Measure, Timed


@pytest.fixture
def prober() -> Iterator[DnsProber]:
    prober = DnsProber(Context(permits=lambda _: True))
    yield prober
    prober.close()


@pytest.fixture
def server() -> Iterator[NameServer]:
    with NameServer() as server:
        yield server


def test_tcp_from_the_start_counts_the_handshake_and_asks_both_on_one_connection(prober: DnsProber, server: NameServer) -> None:
    [observation] = fates(prober, server, probe(server.port, Record.BOTH, tcp=True))
    assert observation.facts[FactName.ANSWER] == "10.0.0.1 2001:db8::1"
    assert observation.timed == Timed.KERNEL | Timed.TCP_INFO
    assert observation.latency_ns is not None
    assert observation.latency_ns > observation.measures[Measure.CONNECT_NS] > 0
    assert server.queries == []
    assert len(server.connections) == 1


@pytest.mark.parametrize("record", [Record.A, Record.BOTH])
def test_survive_43_what_is_truncated_is_asked_for_again_over_tcp(
    prober: DnsProber, server: NameServer, record: Record
) -> None:
    server.udp = lambda query: [answered(query, truncated=True)]
    [observation] = fates(prober, server, probe(server.port, record, contains="10.0.0.1"))
    assert observation.outcome is None
    assert observation.measures[Measure.CONNECT_NS] > 0
    assert len(server.connections) == 1


def test_of_two_answers_only_the_truncated_one_is_asked_for_again(prober: DnsProber, server: NameServer) -> None:
    asked_over_tcp = []

    def over_tcp(query: bytes) -> list[bytes]:
        asked_over_tcp.append(query)
        return healthy(query)

    server.udp = lambda query: [answered(query, "10.0.0.1", truncated=query.endswith(question_tail("AAAA")))]
    server.tcp = over_tcp
    [observation] = fates(prober, server, probe(server.port, Record.BOTH))
    assert observation.facts[FactName.ANSWER] == "10.0.0.1 2001:db8::1"
    assert [query.endswith(question_tail("AAAA")) for query in asked_over_tcp] == [True]


def test_what_is_truncated_is_not_asked_for_again_where_that_would_exceed_the_packet_budget(server: NameServer) -> None:
    """Else a server that truncates everything has an agent send several times what its ceiling allows."""
    left = [6, 5]

    def spend(packets: int) -> bool:
        return left.pop(0) >= packets

    prober = DnsProber(Context(permits=lambda _: True, spend=spend))
    server.udp = lambda query: [answered(query, truncated=True)]
    [first] = fates(prober, server, probe(server.port))
    [second] = fates(prober, server, probe(server.port))
    prober.close()
    assert (first.outcome, second.outcome) == (None, Outcome.SKIPPED)
    assert len(server.connections) == 1


def test_survive_43_an_answer_that_is_truncated_over_tcp_too_is_malformed(prober: DnsProber, server: NameServer) -> None:
    server.udp = server.tcp = lambda query: [answered(query, truncated=True)]
    [observation] = fates(prober, server, probe(server.port))
    assert observation.outcome is Outcome.DNS_ERROR


def test_survive_43_64_kib_over_tcp_are_read_to_the_last_address(prober: DnsProber, server: NameServer) -> None:
    server.udp = lambda query: [answered(query, truncated=True)]
    many = [b"\xc0\x0c" + struct.pack("!HHIHHH", 1, 1, 30, 4, 0x0A01, number) for number in range(4000)]
    server.tcp = lambda query: [with_records(query, *many)]
    [observation] = fates(prober, server, probe(server.port, contains="10.1.15.159"))
    assert observation.outcome is None
    assert len(observation.facts[FactName.ANSWER]) <= 128


def test_survive_43_a_stream_that_does_not_end_is_not_read_for_ever(prober: DnsProber, server: NameServer) -> None:
    server.tcp = lambda _: [b"\0" * 65_535] * 3
    [observation] = fates(prober, server, probe(server.port, tcp=True))
    assert observation.outcome is Outcome.PROTOCOL


def test_survive_43_thousands_of_empty_messages_cost_no_more_than_a_few(prober: DnsProber, server: NameServer) -> None:
    server.tcp = lambda _: [b""] * 30_000
    [observation] = fates(prober, server, probe(server.port, tcp=True))
    assert observation.outcome is Outcome.PROTOCOL
    assert prober.ignored == MOST_IGNORED + 1


def test_survive_43_messages_that_answer_something_else_do_not_hide_the_answer(prober: DnsProber, server: NameServer) -> None:
    server.tcp = lambda query: [b""] * MOST_IGNORED + healthy(query) + [b""]
    [observation] = fates(prober, server, probe(server.port, tcp=True))
    assert observation.outcome is None


def test_survive_43_an_answer_that_dribbles_is_put_together(prober: DnsProber, server: NameServer) -> None:
    asked = probe(server.port, tcp=True)
    server.tcp = lambda _: []
    prober.send([asked])
    query, found = b"", list[Observation | Note]()
    while not query:
        found += prober.collect()
        server.accept()
        for connection in server.connections:
            with contextlib.suppress(BlockingIOError):
                query = connection.recv(512)[2:]
        time.sleep(0.001)
    for byte in framed(healthy(query)):
        assert not [one for one in found if isinstance(one, Observation)]
        server.connections[0].send(bytes([byte]))
        found += prober.collect()
    [observation] = found or prober.collect()
    assert isinstance(observation, Observation)
    assert observation.facts[FactName.ANSWER] == "10.0.0.1"


@pytest.mark.parametrize(("with_reset", "word"), [(False, Outcome.PROTOCOL), (True, Outcome.RESET)])
def test_survive_43_a_stream_that_ends_before_the_answer_is_no_answer(
    prober: DnsProber, server: NameServer, word: Outcome, *, with_reset: bool
) -> None:
    def end(_: bytes) -> list[bytes]:
        connection = server.connections.pop()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", with_reset, 0))
        connection.close()
        return []

    server.tcp = end
    [observation] = fates(prober, server, probe(server.port, tcp=True))
    assert observation.outcome is word


def test_a_connection_ends_with_rst(prober: DnsProber, server: NameServer) -> None:
    fates(prober, server, probe(server.port, tcp=True))
    server.connections[0].setblocking(True)
    with pytest.raises(ConnectionResetError):
        server.connections[0].recv(1)


def test_a_truncated_answer_without_tcp_is_refused(prober: DnsProber, server: NameServer) -> None:
    server.udp = lambda query: [answered(query, truncated=True)]
    server.listener.close()
    [observation] = fates(prober, server, probe(server.port))
    assert observation.outcome is Outcome.REFUSED
