import asyncio
import contextlib
import resource
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest

from agent.dns_message import Reply as Answer
from agent.resolver import Resolver, found_in, nameservers
from wire.outcome import Outcome
from wire.path import Family

Reply = Callable[[dns.message.Message], list[bytes]]


def records(query: dns.message.Message, *texts: str) -> dns.message.Message:
    answer = dns.message.make_response(query)
    for text in texts:
        name, kind, *value = text.split()
        answer.answer.append(dns.rrset.from_text(name, 30, "IN", kind, *value))
    return answer


def answers(*texts: str) -> Reply:
    return lambda query: [records(query, *texts).to_wire()]


def fails(code: dns.rcode.Rcode) -> Reply:
    def reply(query: dns.message.Message) -> list[bytes]:
        answer = dns.message.make_response(query)
        answer.set_rcode(code)
        return [answer.to_wire()]

    return reply


class Server(asyncio.DatagramProtocol):
    """A real name server on 127.0.0.x that answers as it is told to, and keeps what it was asked."""

    def __init__(self, reply: Reply) -> None:
        self.asked: list[dns.message.Message] = []
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, content: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(content)
        self.asked.append(query)
        for wire in self._reply(query):
            self.transport.sendto(wire, address)


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "resolv.conf"
    path.write_text("search example.test\nnameserver 127.0.0.1\nnameserver 127.0.0.2 # second\noptions ndots:5\n")
    return path


@contextlib.asynccontextmanager
async def serving(conf: Path, *replies: Reply, over_tcp: bytes | None = None, timeout_seconds: float = 10):  # type: ignore[no-untyped-def] # noqa: ANN201 - resolver, then its servers
    """A resolver, and its servers on 127.0.0.1, 127.0.0.2 and so on."""
    loop = asyncio.get_running_loop()
    servers: list[Server] = []

    async def stream(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = dns.message.from_wire(await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big")))
        wire = records(query, *(f"www.example.test. A 10.0.0.{host}" for host in (1, 2))).to_wire()
        writer.write(len(wire).to_bytes(2, "big") + wire if over_tcp is None else over_tcp)
        writer.close()

    try:
        streams = await asyncio.start_server(stream, "127.0.0.1", 0)
        port = streams.sockets[0].getsockname()[1]
        for host, reply in enumerate(replies, start=1):
            servers.append(Server(reply))
            await loop.create_datagram_endpoint(partial(next, iter(servers[-1:])), (f"127.0.0.{host}", port))
        yield Resolver(conf, port=port, timeout_seconds=timeout_seconds), *servers
        streams.close()
        await streams.wait_closed()
    finally:
        for server in servers:
            server.transport.close()
        await asyncio.sleep(0)


async def test_a_name_has_its_addresses_and_took_time(conf: Path) -> None:
    async with serving(conf, answers("www.example.test. A 10.0.0.1", "www.example.test. A 10.0.0.2")) as (resolver, server):
        resolved = await resolver.resolve("www.example.test", Family.IPV4)
        assert resolved.addresses == ("10.0.0.1", "10.0.0.2")
        assert resolved.outcome is None
        assert resolved.elapsed_ns > 0
        [query] = server.asked
        assert str(query.question[0]) == "www.example.test. IN A"


async def test_survive_43_names_are_absolute_and_never_tried_with_a_search_domain(conf: Path) -> None:
    async with serving(conf, fails(dns.rcode.NXDOMAIN)) as (resolver, server):
        resolved = await resolver.resolve("www", Family.IPV6)
        assert (resolved.addresses, resolved.outcome) == ((), Outcome.DNS_NXDOMAIN)
        assert [str(query.question[0]) for query in server.asked] == ["www. IN AAAA"]


async def test_a_chain_of_names_leads_to_the_address(conf: Path) -> None:
    chain = answers("www.example.test. CNAME edge.example.test.", "edge.example.test. A 10.0.0.9")
    async with serving(conf, chain) as (resolver, _):
        assert (await resolver.resolve("www.example.test", Family.IPV4)).addresses == ("10.0.0.9",)


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        (fails(dns.rcode.SERVFAIL), fails(dns.rcode.SERVFAIL), Outcome.DNS_SERVFAIL),
        (fails(dns.rcode.SERVFAIL), lambda _: [], Outcome.DNS_SERVFAIL),
        (lambda _: [], fails(dns.rcode.SERVFAIL), Outcome.DNS_SERVFAIL),
        (lambda _: [], lambda _: [], Outcome.DNS_TIMEOUT),
        (fails(dns.rcode.REFUSED), lambda _: [], Outcome.DNS_ERROR),
        (answers(), answers(), Outcome.DNS_ERROR),
        (fails(dns.rcode.REFUSED), answers("www.example.test. A 10.0.0.1"), None),
        (lambda _: [], answers("www.example.test. A 10.0.0.1"), None),
        (answers("www.example.test. CNAME www.example.test."), answers(), Outcome.DNS_ERROR),
        (lambda query: [answers("www.example.test. A 10.0.0.1")(query)[0][:-3]], lambda _: [], Outcome.DNS_ERROR),
    ],
)
async def test_survive_43_the_second_server_is_asked_and_the_most_telling_word_stays(
    conf: Path, first: Reply, second: Reply, word: Outcome | None
) -> None:
    async with serving(conf, first, second, timeout_seconds=0.4) as (resolver, *_):
        assert (await resolver.resolve("www.example.test", Family.IPV4)).outcome is word


async def test_survive_43_an_answer_with_another_id_or_question_is_not_believed(conf: Path) -> None:
    def forged(query: dns.message.Message) -> list[bytes]:
        other_id = records(query, "www.example.test. A 10.6.6.6")
        other_id.id ^= 1
        other_name = records(dns.message.make_query("w.example.test.", "A", id=query.id), "w.example.test. A 10.6.6.6")
        no_question = records(query, "www.example.test. A 10.6.6.6")
        no_question.question = []
        error = fails(dns.rcode.SERVFAIL)(dns.message.make_query("w.example.test.", "A", id=query.id))
        good = records(query, "www.example.test. A 10.0.0.1")
        return [other_id.to_wire(), other_name.to_wire(), no_question.to_wire(), *error, b"\0", b"", good.to_wire()]

    async with serving(conf, forged) as (resolver, _):
        assert (await resolver.resolve("www.example.test", Family.IPV4)).addresses == ("10.0.0.1",)


def truncated(query: dns.message.Message) -> list[bytes]:
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.TC
    return [answer.to_wire()]


async def test_survive_43_a_truncated_answer_is_asked_for_again_over_tcp(conf: Path) -> None:
    async with serving(conf, truncated) as (resolver, _):
        assert (await resolver.resolve("www.example.test", Family.IPV4)).addresses == ("10.0.0.1", "10.0.0.2")


@pytest.mark.parametrize("over_tcp", [b"", b"\0", b"\0\5abc", b"\0\3abc"])
async def test_survive_43_nonsense_over_tcp_is_an_error(conf: Path, over_tcp: bytes) -> None:
    async with serving(conf, truncated, truncated, over_tcp=over_tcp) as (resolver, *_):
        assert (await resolver.resolve("www.example.test", Family.IPV4)).outcome is Outcome.DNS_ERROR


async def test_an_answer_is_kept_for_its_time_to_live_and_takes_none_then(conf: Path) -> None:
    async with serving(conf, answers("www.example.test. A 10.0.0.1")) as (resolver, server):
        await resolver.resolve("www.example.test", Family.IPV4)
        assert await resolver.resolve("www.example.test", Family.IPV4) == (("10.0.0.1",), None, 0)
        assert len(server.asked) == 1


@pytest.mark.parametrize(("ttl", "kept"), [(0, 1), (30, 30), (10**6, 60)])
def test_the_time_to_live_is_between_a_second_and_a_minute(ttl: int, kept: int) -> None:
    found = found_in(Answer(0, addresses=(b"\x0a\0\0\1",), ttl_seconds=ttl))
    assert not isinstance(found, Outcome)
    assert found.ttl_seconds == kept


async def test_an_address_is_its_own_in_its_family_only() -> None:
    resolver = Resolver(Path("/nonexistent"))
    assert await resolver.resolve("10.0.0.1", Family.IPV4) == (("10.0.0.1",), None, 0)
    assert await resolver.resolve("10.0.0.1", Family.IPV6) == ((), Outcome.DNS_ERROR, 0)


async def test_localhost_is_loopback_and_nobody_is_asked() -> None:
    resolver = Resolver(Path("/nonexistent"))
    assert await resolver.resolve("localhost", Family.IPV4) == (("127.0.0.1",), None, 0)
    assert await resolver.resolve("localhost.", Family.IPV6) == (("::1",), None, 0)


@pytest.mark.parametrize("name", ["www.example.test", "a..b", "x" * 64 + ".test", ""])
async def test_without_a_server_or_a_name_it_is_an_error_and_no_exception(name: str) -> None:
    assert (await Resolver(Path("/nonexistent")).resolve(name, Family.IPV4)).outcome is Outcome.DNS_ERROR


async def test_survive_29_without_a_descriptor_it_is_our_own_fault(conf: Path) -> None:
    async with serving(conf, answers("www.example.test. A 10.0.0.1")) as (resolver, _):
        with only_descriptors_for(conf):
            assert (await resolver.resolve("www.example.test", Family.IPV4)).outcome is Outcome.NO_FD


@contextlib.contextmanager
def only_descriptors_for(path: Path) -> Iterator[None]:
    """As many descriptors as it takes to read one file, whose place is then taken."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    original = Path.open
    with pytest.MonkeyPatch.context() as patch, path.open("rb") as file:
        patch.setattr(Path, "open", lambda *_, **__: contextlib.nullcontext(file))
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert Path.open is original


def test_a_resolv_conf_is_read_for_its_servers_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text(
        "# nameserver 1.1.1.1\nnameserver 169.254.20.10\nnameserver FD00:0:0::A\nnameserver\nnameserver one\n"
        "nameserver fe80::1%eth0\nnameserver 224.0.0.1\nnameserver 0.0.0.0\nnameserver 169.254.20.10\nsearch x\n"
    )
    assert nameservers(path) == ("169.254.20.10", "fd00::a")
    assert nameservers(tmp_path / "none") == ()
