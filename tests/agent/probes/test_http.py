import contextlib
import errno
import resource
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from agent import kernel, proof
from agent.probes import http_plain
from agent.probes.http import HttpProber
from agent.probes.prober import Context, Observation, Probe
from wire.outcome import Outcome
from wire.path import Family, Http, Layer, Path, Target
from wire.plan import GroupKey
from wire.window import FactName, Measure, Timed

NUMBERS = iter(range(1, 10_000))
UID = "uid-of-cart-0"
KEY = GroupKey(epoch=1, key=b"k" * 16)


class Server:
    """A real server in a thread that does to each connection what it is told to, and keeps what it was asked."""

    def __init__(self, behave: Callable[[socket.socket, bytes], None], address: str = "127.0.0.1") -> None:
        self.address = address
        self.asked: list[bytes] = []
        self._behave = behave
        self._listener = socket.create_server((address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                try:
                    connection, _ = self._listener.accept()
                except OSError as error:
                    if error.errno != errno.EMFILE:
                        raise
                    continue  # the test has just taken all descriptors away, from us as well
                with connection, contextlib.suppress(OSError):
                    request = connection.recv(4096)
                    self.asked.append(request)
                    self._behave(connection, request)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(5)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(behave: Callable[[socket.socket, bytes], None], address: str = "127.0.0.1") -> Server:
        servers.append(Server(behave, address))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def prober() -> Iterator[HttpProber]:
    prober = HttpProber(Context(uid="uid-of-asker", keys=(KEY,), addresses=frozenset({"127.0.0.1"}), permits=lambda _: True))
    yield prober
    prober.close()


def says(content: bytes) -> Callable[[socket.socket, bytes], None]:
    return lambda connection, _: connection.sendall(content)


def waits(connection: socket.socket, _: bytes) -> None:
    """Say nothing for as long as the other side does not hang up."""
    connection.recv(1)


def probe(server: Server, *, uid: str = "", resolve_ns: int = 0, **asked: Any) -> Probe:
    target = Target(name="external/t", peer="external/t", address=server.address, uid=uid)
    ask = Http(port=server.port, **asked)
    path = Path(vantage="n1", target=target, layer=Layer.EXTERNAL, family=Family.of(server.address), ask=ask)
    return Probe(next(NUMBERS), path, server.address, resolve_ns)


def fate(prober: HttpProber, asked: Probe, patience_s: float = 10) -> Observation | None:
    """What becomes of a probe."""
    observations: list[Any] = list(prober.send([asked]))
    deadline = time.monotonic() + patience_s
    while not observations and time.monotonic() < deadline:
        time.sleep(0.002)
        observations += prober.collect()
    return observations[0] if observations else None


def outcome(prober: HttpProber, asked: Probe) -> Outcome | None:
    observation = fate(prober, asked)
    assert observation is not None
    return observation.outcome


HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_phases_add_up_to_the_latency_and_are_the_kernel_s(
    prober: HttpProber, serve: Callable[..., Server], address: str
) -> None:
    fate(prober, probe(serve(says(HELLO), address)))  # the first packets of a machine may come unstamped
    observation = fate(prober, probe(serve(says(HELLO), address), resolve_ns=77))
    assert observation is not None
    measures = dict(observation.measures)
    assert measures.pop(Measure.RESOLVE_NS) == 77
    assert set(measures) == {Measure.CONNECT_NS, Measure.FIRST_BYTE_NS, Measure.TRANSFER_NS}
    assert observation.latency_ns == sum(measures.values())
    assert observation.timed == Timed.TCP_INFO | Timed.KERNEL
    assert observation.facts[FactName.STATUS] == "200"


def test_what_passes_between_two_looks_is_in_no_phase(prober: HttpProber, serve: Callable[..., Server]) -> None:
    server = serve(says(HELLO))
    fate(prober, probe(server))
    prober.send([probe(server)])
    found: list[Any] = []
    for _ in range(10):
        time.sleep(0.1)
        found += prober.collect()
        if found:
            break
    assert found[0].timed == Timed.TCP_INFO | Timed.KERNEL
    assert found[0].latency_ns < 90_000_000


def test_what_the_server_needs_is_the_first_byte_and_the_transfer(prober: HttpProber, serve: Callable[..., Server]) -> None:
    def slow(connection: socket.socket, _: bytes) -> None:
        time.sleep(0.03)
        connection.sendall(HELLO[:20])
        time.sleep(0.04)
        connection.sendall(HELLO[20:])

    fate(prober, probe(serve(says(HELLO))))  # the first packets of a machine may come unstamped
    observation = fate(prober, probe(serve(slow)))
    assert observation is not None
    assert observation.measures[Measure.FIRST_BYTE_NS] >= 29_000_000
    assert observation.measures[Measure.TRANSFER_NS] >= 39_000_000


def test_survive_06_after_a_step_of_the_wall_clock_the_latency_is_by_our_own_clock(
    prober: HttpProber, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets = iter([0, 3_600_000_000_000])
    monkeypatch.setattr(kernel, "realtime_offset_ns", lambda: next(offsets))
    observation = fate(prober, probe(serve(says(HELLO))))
    assert observation is not None
    assert observation.timed == Timed.TCP_INFO | Timed.USER


def test_the_request_is_what_the_path_says_and_carries_no_secret(prober: HttpProber, serve: Callable[..., Server]) -> None:
    server = serve(says(HELLO.replace(b"hello", b"")))
    fate(prober, probe(server, method="HEAD", path="/x?y", host="www.example.test"))
    [request] = server.asked
    lines = request.decode().split("\r\n")
    assert lines[0] == "HEAD /x?y HTTP/1.1"
    assert f"Host: www.example.test:{server.port}" in lines
    assert {line.split(":")[0] for line in lines[1:-2]} == {"Host", "User-Agent", "Accept", "Accept-Encoding"}


@pytest.mark.parametrize(
    ("content", "asked", "word"),
    [
        (b"HTTP/1.1 503 Sad\r\nContent-Length: 0\r\n\r\n", {}, Outcome.HTTP_STATUS),
        (HELLO, {"expect_status": "204"}, Outcome.HTTP_STATUS),
        (HELLO, {"body_contains": "ell"}, None),
        (HELLO, {"body_contains": "bye"}, Outcome.PROTOCOL),
        (b"<html>no headers in HTTP/0.9</html>", {}, Outcome.PROTOCOL),
        (HELLO[:-1], {}, Outcome.PROTOCOL),
        (b"", {}, Outcome.PROTOCOL),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", {"body_contains": "hello"}, None),
    ],
)
def test_survive_44_an_answer_is_judged_by_what_the_path_expects(
    prober: HttpProber, serve: Callable[..., Server], content: bytes, asked: dict[str, Any], word: Outcome | None
) -> None:
    assert outcome(prober, probe(serve(says(content)), **asked)) is word


def test_survive_44_a_redirect_to_another_host_is_an_answer_and_not_followed(
    prober: HttpProber, serve: Callable[..., Server]
) -> None:
    elsewhere = serve(says(HELLO))
    location = f"http://127.0.0.1:{elsewhere.port}/".encode()
    moved = serve(says(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: " + location + b"\r\n\r\n"))
    observation = fate(prober, probe(moved))
    assert observation is not None
    assert observation.facts[FactName.STATUS] == "302"
    assert elsewhere.asked == []


def endless(connection: socket.socket, _: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
    while True:
        connection.sendall(b"x" * 65536)


def test_survive_44_an_endless_body_ends_at_64_kib(prober: HttpProber, serve: Callable[..., Server]) -> None:
    observation = fate(prober, probe(serve(endless)))
    assert observation is not None
    assert observation.latency_ns is not None


def test_survive_44_headers_that_never_end_are_over_when_the_runner_forgets(
    prober: HttpProber, serve: Callable[..., Server]
) -> None:
    def drip(connection: socket.socket, _: bytes) -> None:
        for byte in HELLO[:30]:
            connection.sendall(bytes([byte]))
            time.sleep(0.01)

    asked = probe(serve(drip))
    assert fate(prober, asked, patience_s=0.05) is None
    prober.forget(asked)
    time.sleep(0.02)
    assert prober.collect() == []
    assert not prober._plain._exchanges


def test_survive_45_a_server_that_accepts_and_stays_silent_has_no_outcome_of_its_own(
    prober: HttpProber, serve: Callable[..., Server]
) -> None:
    asked = probe(serve(waits))
    assert fate(prober, asked, patience_s=0.05) is None
    prober.forget(asked)


def test_a_server_that_resets_is_reset_and_one_that_is_not_there_refused(
    prober: HttpProber, serve: Callable[..., Server]
) -> None:
    def reset(connection: socket.socket, _: bytes) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    server = serve(reset)
    asked = probe(server)
    assert outcome(prober, asked) is Outcome.RESET
    server.close()
    assert outcome(prober, asked) is Outcome.REFUSED


def test_survive_29_without_a_descriptor_a_probe_is_not_sampled_and_the_next_one_is(
    prober: HttpProber, serve: Callable[..., Server]
) -> None:
    server = serve(says(HELLO))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        [observation] = prober.send([probe(server)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert observation.outcome is Outcome.NO_FD
    assert outcome(prober, probe(server)) is None


def test_no_more_connections_are_open_than_the_limit(
    prober: HttpProber, serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_plain, "MAX_OPEN", 2)
    server = serve(waits)
    assert [observation.outcome for observation in prober.send([probe(server) for _ in range(3)])] == [Outcome.SKIPPED]
    prober.close()


@pytest.mark.parametrize("tls", [False, True])
def test_survive_55_an_address_is_asked_about_again_right_before_it_is_connected_to(
    serve: Callable[..., Server], tls: bool
) -> None:
    server = serve(says(HELLO))
    prober = HttpProber(Context(spawn=lambda _: pytest.fail("a task was started")))
    [observation] = prober.send([probe(server, tls=tls)])
    assert observation.outcome is Outcome.FORBIDDEN
    time.sleep(0.02)
    assert server.asked == []


def test_a_pod_that_proves_another_uid_is_the_wrong_peer(prober: HttpProber, serve: Callable[..., Server]) -> None:
    def answer(uid: str) -> Callable[[socket.socket, bytes], None]:
        def behave(connection: socket.socket, request: bytes) -> None:
            headers = dict(line.split(": ", 1) for line in request.decode().split("\r\n")[1:-2])
            verified = proof.verify_http_request(headers[proof.HTTP_HEADER], (KEY,), "GET", "/echo")
            assert verified is not None
            body = f'{{"source": "10.1.1.1", "uid": "{uid}", "proof": "{proof.http_answer_proof(verified, uid)}"}}'
            connection.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

        return behave

    observation = fate(prober, probe(serve(answer(UID)), uid=UID, path="/echo"))
    assert observation is not None
    assert observation.confirmed
    assert observation.facts[FactName.SOURCE] == "10.1.1.1"
    observation = fate(prober, probe(serve(answer("another")), uid=UID, path="/echo"))
    assert observation is not None
    assert observation.outcome is Outcome.WRONG_PEER
    assert observation.facts[FactName.PEER_UID] == "another"
