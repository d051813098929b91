import asyncio
import contextlib
import json
import resource
import select
import socket
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent import proof
from agent.probes.http import HttpProber
from agent.probes.prober import Context, Observation, Probe
from agent.responders import one_answer
from agent.responders.echo import EchoServer
from tests.agent.ports import free_port
from wire.path import Family, Http, Layer, Path, Target
from wire.plan import GroupKey
from wire.window import FactName

KEY = GroupKey(epoch=1, key=b"k" * 16)
OLD = GroupKey(epoch=0, key=b"o" * 16)
STRANGE = GroupKey(epoch=1, key=b"s" * 16)
NONCE = b"12345678"


@dataclass(frozen=True)
class Here:
    node: str = "n1"
    namespace: str = "netmatrix"
    pod: str = "agent-n1"


@pytest.fixture
async def server() -> AsyncIterator[EchoServer]:
    server = EchoServer(Context(uid="uid-1", keys=(OLD, KEY)), Here(), free_port())
    server.open()
    yield server
    server.close()
    await asyncio.sleep(0)


async def said(server: EchoServer, request: bytes, address: str = "127.0.0.1") -> bytes:
    """All that the server says to these bytes until it hangs up."""
    async with asyncio.timeout(60):
        reader, writer = await asyncio.open_connection(address, server.port)
        writer.write(request)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while piece := await reader.read(4096):
                answer += piece
        writer.close()
        with contextlib.suppress(ConnectionResetError):
            await writer.wait_closed()
    return answer


def asking(method: str = "GET", path: str = "/echo", *, key: GroupKey | None = None, more: str = "") -> bytes:
    proofs = f"{proof.HTTP_HEADER}: {proof.http_request_proof(key, 'uid-2', NONCE, 'GET', '/echo')}\r\n" if key else ""
    return f"{method} {path} HTTP/1.1\r\nHost: x\r\n{proofs}{more}\r\n".encode()


def split(answer: bytes) -> tuple[int, dict[str, str]]:
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body) if body else {}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_survive_57_a_stranger_is_told_its_own_address_and_nothing_else(server: EchoServer, address: str) -> None:
    answer = await said(server, asking(), address)
    assert split(answer) == (200, {"source": address})
    assert len(answer) < 300


@pytest.mark.parametrize("key", [KEY, OLD])
async def test_a_colleague_is_told_who_answers_with_a_proof_of_it(server: EchoServer, key: GroupKey) -> None:
    status, body = split(await said(server, asking(key=key)))
    signed = body.pop("proof")
    assert status == 200
    assert body == {"source": "127.0.0.1", "uid": "uid-1", "node": "n1", "namespace": "netmatrix", "pod": "agent-n1"}
    assert proof.verify_http_answer(signed, key, NONCE, "uid-1")
    assert server.answered == {"colleague": 1}


@pytest.mark.parametrize(
    "request_bytes",
    [
        asking(key=STRANGE),
        asking("HEAD", key=KEY),
        asking(path="/echo?x", key=KEY),
        asking(key=KEY, more=f"{proof.HTTP_HEADER}: 1\r\n"),
        asking(more=f"{proof.HTTP_HEADER}: {'9' * 500}\r\n"),
    ],
)
async def test_survive_57_a_wrong_repeated_or_borrowed_proof_is_none(server: EchoServer, request_bytes: bytes) -> None:
    status, body = split(await said(server, request_bytes))
    assert status == 200
    assert set(body) <= {"source"}
    assert server.dropped == {"proof": 1}


async def test_head_is_answered_without_a_body(server: EchoServer) -> None:
    answer = await said(server, asking("HEAD"))
    assert answer.endswith(b"\r\n\r\n")
    assert b"Content-Length: 22\r\n" in answer


@pytest.mark.parametrize(
    ("request_bytes", "status", "reason"),
    [
        (asking("POST"), 405, "method"),
        (asking("X-ANYTHING"), 405, "method"),
        (asking(path="/"), 404, "path"),
        (asking(path="/../../etc/passwd"), 404, "path"),
        (asking(path="/echo/%2e%2e"), 404, "path"),
        (asking(path="http://169.254.169.254/"), 400, "malformed"),
        (b"CONNECT 169.254.169.254:80 HTTP/1.1\r\n\r\n", 400, "malformed"),
        (b"GET /echo\r\n\r\n", 400, "malformed"),
        (b"GET /echo HTTP/2.0\r\n\r\n", 400, "malformed"),
        (b"\x16\x03\x01\r\n\r\n", 400, "malformed"),
        (asking(path="/" + "x" * 1_000_000), 431, "oversized"),
        (asking(more="X: y\r\n" * 1000), 431, "oversized"),
        (b"x" * 100_000, 431, "oversized"),
    ],
)
async def test_survive_61_any_other_request_is_an_error_and_counted_by_a_word_of_ours(
    server: EchoServer, request_bytes: bytes, status: int, reason: str
) -> None:
    answer = await said(server, request_bytes)
    # What was not read when the answer was sent may turn it into a reset.
    assert not answer or answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert server.dropped == {reason: 1}
    assert len(answer) < 300


async def test_a_connection_answers_one_request(server: EchoServer) -> None:
    answer = await said(server, asking() + asking())
    assert answer.count(b"HTTP/1.1") == 1
    assert server.answered == {"stranger": 1}


async def test_survive_52_a_request_that_comes_too_slowly_is_cut_off(
    server: EchoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_answer, "DEADLINE_SECONDS", 0.05)
    assert await said(server, b"GET /echo HTTP/1.1\r\nHost:") == b""
    assert server.dropped == {"deadline": 1}
    assert not server.open_connections


async def test_survive_52_the_oldest_of_too_many_connections_makes_way(server: EchoServer) -> None:
    server.max_connections = 3
    slow = []
    for _ in range(3):
        slow.append(await asyncio.open_connection("127.0.0.1", server.port))
        slow[-1][1].write(b"G")
        await asyncio.sleep(0.01)  # accepted in this order
    assert split(await said(server, asking()))[0] == 200
    assert server.dropped["crowded"] == 1
    with contextlib.suppress(ConnectionResetError):
        assert await slow[0][0].read() == b""
    assert not any(reader.at_eof() for reader, _ in slow[1:])
    for _, writer in slow:
        writer.close()


async def test_a_caller_that_says_nothing_is_accepted_after_a_second_and_cut_off_as_a_slow_one_is(
    server: EchoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_answer, "DEADLINE_SECONDS", 0.05)
    assert await said(server, b"") == b""
    assert server.dropped == {"deadline": 1}


async def test_survive_29_without_a_descriptor_an_accept_is_tried_again_later(
    server: EchoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_answer, "_RETRY_SECONDS", 0.01)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
    try:
        writer.write(asking())
        await asyncio.sleep(0.05)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    async with asyncio.timeout(60):
        assert split(await reader.read())[0] == 200
    writer.close()


async def test_an_answer_larger_than_the_buffers_of_its_socket_is_sent_as_they_empty() -> None:
    class Large(one_answer.OneAnswerServer):
        def page(self, _: one_answer.Request) -> one_answer.Page:
            return one_answer.Page(b"x" * 20_000_000)

    server = Large(free_port(), max_connections=1)
    server.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(asking())
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Content-Length: 20000000\r\n" in head
        assert await reader.readexactly(20_000_000) == b"x" * 20_000_000
    writer.close()
    server.close()


async def test_a_bare_connect_that_is_reset_wakes_nobody(server: EchoServer) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", server.port)) as prober:
            prober.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert select.select(server._listeners, [], [], 0.02)[0] == []
        assert select.select(server._listeners, [], [], 0.02)[0] == []
    assert split(await said(server, asking()))[0] == 200


async def test_an_http_probe_of_a_colleague_is_confirmed(server: EchoServer) -> None:
    target = Target(name="pod/netmatrix/agent-n1", peer="n1", address="127.0.0.1", uid="uid-1")
    path = Path(vantage="n2", target=target, layer=Layer.POD, family=Family.IPV4, ask=Http(port=server.port, path="/echo"))
    context = Context(uid="uid-2", keys=(KEY,), addresses=frozenset({"10.0.0.9"}), permits=lambda _: True)
    prober = HttpProber(context)
    prober.send([Probe(1, path, "127.0.0.1")])
    found: list[object] = []
    async with asyncio.timeout(60):
        while not found:
            await asyncio.sleep(0.002)
            found += prober.collect()
    prober.close()
    [observation] = found
    assert isinstance(observation, Observation)
    assert observation.confirmed
    assert observation.facts[FactName.SOURCE] == "127.0.0.1"


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.sampled_from([b"GET /echo HTTP/1.1\r\n", b"\r\n", b"Netmatrix-Proof: 1.", b"\n\n"]) | st.binary(max_size=30),
        max_size=8,
    )
)
def test_survive_61_any_bytes_get_a_short_answer_or_none(pieces: list[bytes]) -> None:
    async def feed() -> bytes:
        ours, theirs = socket.socketpair()
        ours.settimeout(0)
        theirs.settimeout(0)
        with theirs:
            connection = one_answer.Connection(EchoServer(Context(keys=(KEY,)), Here(), 0), ours, "10.0.0.7")
            written = b""
            for piece in filter(None, pieces):
                theirs.send(piece)
                connection.read()
                with contextlib.suppress(BlockingIOError):
                    written = theirs.recv(4096)
                    break
            connection.close()
            return written

    written = asyncio.run(feed())
    assert len(written) < 300
    assert written.count(b"HTTP/1.1 ") <= 1


async def test_a_port_that_is_taken_on_one_family_is_no_half_open_echo() -> None:
    port = free_port()
    with socket.create_server(("0.0.0.0", port)):
        server = EchoServer(Context(), Here(), port)
        with pytest.raises(OSError, match="in use"):
            server.open()
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("::1", port))
