import asyncio
import contextlib
import datetime as dt
import resource
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path as FilePath
from typing import Any

import pytest
import trustme

from agent.probes.http import HttpProber
from agent.probes.prober import Context, Observation, Probe
from tests.stuck_server import get_stuck
from wire.outcome import Outcome
from wire.path import Family, Http, Layer, Path, Target
from wire.window import FactName, Measure, Timed

NUMBERS = iter(range(1, 10_000))
HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def prober(authority: trustme.CA, tmp_path: FilePath, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpProber]:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    async with asyncio.TaskGroup() as tasks:
        prober = HttpProber(Context(permits=lambda _: True, spawn=tasks.create_task))
        yield prober
        prober.close()


class Served:
    """What a server was asked, and for which name in the handshake."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[bytes] = []
        self.names: list[str | None] = []


@contextlib.asynccontextmanager
async def server(
    authority: trustme.CA,
    behave: Behaviour | None = None,
    *,
    certificate: trustme.LeafCert | None = None,
    address: str = "127.0.0.1",
) -> AsyncIterator[Served]:
    served = Served()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (certificate or authority.issue_cert("www.example.test", "127.0.0.1", "::1")).configure_cert(context)
    context.sni_callback = lambda _, name, __: served.names.append(name)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            served.requests.append(await reader.readuntil(b"\r\n\r\n"))
            if behave is None:
                writer.write(HELLO)
            else:
                await behave(reader, writer)
            await writer.drain()
        writer.close()

    running = await asyncio.start_server(answer, address, 0, ssl=context)
    served.port = running.sockets[0].getsockname()[1]
    yield served
    running.close()


def probe(port: int, address: str = "127.0.0.1", **asked: Any) -> Probe:
    target = Target(name="external/t", peer="external/t", address=address)
    ask = Http(port=port, tls=True, **asked)
    path = Path(vantage="n1", target=target, layer=Layer.EXTERNAL, family=Family.of(address), ask=ask)
    return Probe(next(NUMBERS), path, address)


async def fate(prober: HttpProber, asked: Probe, patience_s: float = 10) -> Observation | None:
    """What becomes of a probe."""
    observations: list[Any] = list(prober.send([asked]))
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            while not observations:
                await asyncio.sleep(0.002)
                observations += prober.collect()
    return observations[0] if observations else None


async def outcome(prober: HttpProber, asked: Probe) -> Outcome | None:
    observation = await fate(prober, asked)
    assert observation is not None
    return observation.outcome


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_the_phases_add_up_to_the_latency(prober: HttpProber, authority: trustme.CA, address: str) -> None:
    async with server(authority, address=address) as served:
        observation = await fate(prober, probe(served.port, address))
    assert observation is not None
    assert observation.outcome is None
    assert set(observation.measures) == {Measure.CONNECT_NS, Measure.TLS_NS, Measure.FIRST_BYTE_NS, Measure.TRANSFER_NS}
    assert observation.latency_ns == sum(observation.measures.values())
    assert min(observation.measures.values()) >= 0
    assert observation.measures[Measure.TLS_NS] > observation.measures[Measure.CONNECT_NS] > 0
    assert observation.timed == Timed.USER | Timed.TCP_INFO


async def test_survive_55_the_name_is_in_host_and_sni_and_the_connection_goes_to_the_checked_address(
    prober: HttpProber, authority: trustme.CA
) -> None:
    async with server(authority) as served:
        observation = await fate(prober, probe(served.port, host="www.example.test", authority="front.example.test"))
    assert observation is not None
    assert observation.outcome is None
    assert served.names == ["www.example.test"]
    assert b"\r\nHost: front.example.test\r\n" in served.requests[0]
    assert b"ookie" not in served.requests[0]
    assert b"uthorization" not in served.requests[0]


async def test_the_expiry_of_the_certificate_is_a_fact(prober: HttpProber, authority: trustme.CA) -> None:
    expires = dt.datetime(2040, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    certificate = authority.issue_cert("127.0.0.1", not_after=expires)
    async with server(authority, certificate=certificate) as served:
        observation = await fate(prober, probe(served.port))
    assert observation is not None
    assert observation.facts[FactName.CERTIFICATE_EXPIRES] == str(int(expires.timestamp()))


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("fault", ["expired", "of another name", "of an unknown authority"])
async def test_survive_44_a_bad_certificate_is_tls_unless_it_is_not_to_be_verified(
    prober: HttpProber, authority: trustme.CA, fault: str, verify: bool
) -> None:
    before = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    certificate = {
        "expired": lambda: authority.issue_cert("127.0.0.1", not_after=before),
        "of another name": lambda: authority.issue_cert("elsewhere.example.test"),
        "of an unknown authority": lambda: trustme.CA().issue_cert("127.0.0.1"),
    }[fault]()
    async with server(authority, certificate=certificate) as served:
        assert await outcome(prober, probe(served.port, verify=verify)) is (Outcome.TLS if verify else None)


@pytest.mark.parametrize(
    ("greeting", "word"),
    [(b"HTTP/1.1 400 no TLS here\r\n\r\n", Outcome.TLS), (b"", Outcome.TLS), (None, Outcome.RESET)],
)
async def test_survive_44_a_server_that_speaks_no_tls_has_a_word(
    prober: HttpProber, greeting: bytes | None, word: Outcome
) -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        if greeting is None:
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            writer.write(greeting)
        writer.close()

    running = await asyncio.start_server(behave, "127.0.0.1", 0)
    assert await outcome(prober, probe(running.sockets[0].getsockname()[1])) is word
    running.close()
    await running.wait_closed()


async def test_a_port_where_nobody_listens_is_refused(prober: HttpProber) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert await outcome(prober, probe(unused.getsockname()[1])) is Outcome.REFUSED


def writes(content: bytes) -> Behaviour:
    async def behave(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(content)

    return behave


@pytest.mark.parametrize(
    ("content", "asked", "word"),
    [
        (b"HTTP/1.1 503 Sad\r\nContent-Length: 0\r\n\r\n", {}, Outcome.HTTP_STATUS),
        (HELLO, {"body_contains": "ell"}, None),
        (HELLO, {"body_contains": "bye"}, Outcome.PROTOCOL),
        (HELLO.removesuffix(b"hello"), {"method": "HEAD"}, None),
        (b"<html>no headers in HTTP/0.9</html>\r\n\r\n", {}, Outcome.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n", {}, Outcome.PROTOCOL),
        (HELLO.replace(b"5", b"6"), {}, Outcome.PROTOCOL),
        (b"", {}, Outcome.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", {"body_contains": "hello"}, None),
    ],
)
async def test_survive_44_an_answer_is_judged_by_what_the_path_expects(
    prober: HttpProber, authority: trustme.CA, content: bytes, asked: dict[str, Any], word: Outcome | None
) -> None:
    async with server(authority, writes(content)) as served:
        assert await outcome(prober, probe(served.port, **asked)) is word
    assert len(served.requests) == 1  # one probe is one request, whatever becomes of it


async def test_survive_44_a_redirect_is_an_answer_and_not_followed(prober: HttpProber, authority: trustme.CA) -> None:
    async with server(authority, writes(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")) as served:
        observation = await fate(prober, probe(served.port))
    assert observation is not None
    assert observation.facts[FactName.STATUS] == "302"
    assert len(served.requests) == 1


async def test_survive_44_an_endless_body_ends_at_64_kib(prober: HttpProber, authority: trustme.CA) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    async with server(authority, endless) as served:
        assert await outcome(prober, probe(served.port)) is None


async def test_a_forgotten_probe_closes_its_connection_and_has_no_outcome(prober: HttpProber, authority: trustme.CA) -> None:
    closed = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await reader.read()
        closed.set()

    async with server(authority, wait) as served:
        asked = probe(served.port)
        assert prober.send([asked]) == []
        while not served.requests:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.002)
        assert prober.collect() == []
        prober.forget(asked)
        await closed.wait()
    assert prober.collect() == []


async def test_survive_45_a_forgotten_probe_waits_for_no_farewell_of_a_server_that_is_stuck(
    prober: HttpProber, authority: trustme.CA
) -> None:
    loop, heard = asyncio.get_running_loop(), asyncio.Event()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                asyncio.to_thread(get_stuck, listener, context, b"", lambda: loop.call_soon_threadsafe(heard.set))
            )
            asked = probe(listener.getsockname()[1])
            assert prober.send([asked]) == []
            await heard.wait()
            prober.forget(asked)


async def test_survive_29_without_a_descriptor_a_probe_is_not_sampled_and_the_next_one_is(
    prober: HttpProber, authority: trustme.CA
) -> None:
    async with server(authority) as served:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
        try:
            assert await outcome(prober, probe(served.port)) is Outcome.NO_FD
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert await outcome(prober, probe(served.port)) is None


async def test_without_a_task_group_tls_is_unsupported() -> None:
    [observation] = HttpProber(Context(permits=lambda _: True)).send([probe(1)])
    assert observation.outcome is Outcome.UNSUPPORTED
