"""The agent port on loopback, over TLS, with real sockets: good agents, broken ones and hostile ones."""

import asyncio
import gzip
import io
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import msgspec
import pytest
import trustme
from msgspec import structs

from collector.admission import Admission
from collector.api import agents
from collector.api.agents import AgentPort
from collector.api.board import Board
from collector.api.listener import Listener, bound
from collector.discovery.snapshot import Node, Snapshot, Vantage
from collector.plan.compose import compose
from collector.plan.keys import group_keys
from collector.sessions import Sessions
from collector.settings import PlanSettings
from wire.codec import MAX_REPORT_BYTES, compress, decode_acknowledgement, decode_plan, encode
from wire.outcome import Outcome
from wire.report import Acknowledgement, Report, pack
from wire.window import Window

INSTANCE = 1_000
KEY = {"a": "a" * 32, "b": "b" * 32}
SNAPSHOT = Snapshot(
    nodes=(Node(name="n1", zone="z1", addresses=("172.30.0.1",)),),
    vantages=tuple(
        Vantage(name=name, node="n1", namespace="netmatrix", pod=name, addresses=(f"10.30.1.{place}",), key=key)
        for place, (name, key) in enumerate(KEY.items(), start=2)
    ),
)
SLOW_SECONDS = 0.4
"""Deadline of bodies and of proofs in these tests."""
MSGPACK = "application/msgpack"


class InconsistentError(ValueError):
    reason = "too_many"


@pytest.fixture(autouse=True)
def _little_lingering(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agents, "LINGER_SECONDS", 0.1)


@dataclass
class Row:
    """In the place of the matrix: keeps what it is given, and finds every report of sequence 13 inconsistent."""

    taken: list[tuple[int, bool]] = field(default_factory=list)

    def apply(self, report: Report, *, arrived_ns: int, counted: bool) -> None:
        assert arrived_ns == 7
        if report.sequence == 13:
            raise InconsistentError
        self.taken.append((report.sequence, counted))


@dataclass
class Served:
    """A collector's agent port, from outside and from inside."""

    port: int
    context: ssl.SSLContext
    board: Board
    row: Row
    sessions: Sessions
    refused: Counter[str]
    listener: Listener

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@asynccontextmanager
async def serving(authority: trustme.CA, *, instance: int = INSTANCE, most: int = 500, each: int = 64) -> AsyncIterator[Served]:
    plans = compose(SNAPSHOT, PlanSettings(), instance=instance, generation=1, keys=group_keys(b"s", 2))
    refused: Counter[str] = Counter()
    row, sessions, board = Row(), Sessions(instance=instance, silent_after_ns=1), Board(plans)
    sessions.replan(SNAPSHOT)
    port = AgentPort(
        admission=Admission(SNAPSHOT.vantages),
        board=board,
        sessions=sessions,
        matrix=row,
        refuse=lambda reason: refused.update([reason]),
        now_ns=lambda: 7,
        body_seconds=SLOW_SECONDS,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    runner = port.runner()
    await runner.setup()
    listener = Listener(
        runner,
        bound("127.0.0.1", 0),
        most=most,
        most_per_address=each,
        dropped=lambda reason: refused.update([reason]),
        tls=tls,
        proof_seconds=SLOW_SECONDS,
    )
    port.prove = listener.prove
    async with asyncio.TaskGroup() as tasks:
        accepting = tasks.create_task(listener.serve())
        try:
            yield Served(listener.port, context, board, row, sessions, refused, listener)
        finally:
            board.release()
            accepting.cancel()
            await runner.cleanup()


@pytest.fixture
async def served(authority: trustme.CA) -> AsyncIterator[Served]:
    async with serving(authority) as one:
        yield one


def report(sequence: int = 1, *, vantage: str = "a", instance: int = INSTANCE, acknowledged: int = 0) -> Report:
    windows = [Window(path=path, failed={Outcome.TIMEOUT: 1}) for path in range(50)]
    return Report(
        vantage=vantage,
        instance=instance,
        boot=b"b" * 16,
        sequence=sequence,
        acknowledged=acknowledged,
        generation=1,
        span_ns=10,
        age_ns=0,
        columns=pack(windows),
    )


@asynccontextmanager
async def agent(served: Served, vantage: str = "a") -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(ssl=served.context)
    headers = {"Authorization": f"Bearer {KEY[vantage]}"}
    async with aiohttp.ClientSession(served.url, connector=connector, headers=headers) as session:
        yield session


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what the other side of a socket does in its own time."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - nothing inside of the server says so
            await asyncio.sleep(0.01)


async def deliver(
    session: aiohttp.ClientSession, body: bytes | AsyncIterator[bytes], *, encoding: str = "", kind: str = MSGPACK
) -> tuple[int, bytes]:
    headers = {"Content-Type": kind} | ({"Content-Encoding": encoding} if encoding else {})
    async with session.post(
        "/agent/v1/report", data=io.BytesIO(body) if isinstance(body, bytes) else body, headers=headers
    ) as answer:
        return answer.status, await answer.read()


async def raw(served: Served, *parts: bytes, pause: float = 0.0) -> bytes:
    """What a socket of one's own gets for these bytes, until the server closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=served.context)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def head(*lines: str, token: str = KEY["a"]) -> bytes:
    fixed = ["POST /agent/v1/report HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", f"Content-Type: {MSGPACK}"]
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


async def test_an_agent_gets_its_own_plan_and_not_again_what_it_has(served: Served) -> None:
    async with agent(served, "b") as session:
        async with session.get("/agent/v1/plan") as answer:
            plan = decode_plan(await answer.read())
            assert (answer.status, answer.content_type, plan.identity.vantage) == (200, MSGPACK, "b")
            assert answer.headers["ETag"] == '"1000-1"'
        for prefer in ({}, {"Prefer": "wait=0"}, {"Prefer": "respond-async, wait=nonsense"}):
            async with session.get("/agent/v1/plan", headers={"If-None-Match": '"1000-1"', **prefer}) as answer:
                assert (answer.status, await answer.read()) == (304, b"")


async def test_who_waits_for_another_plan_gets_it_when_it_is_made(served: Served) -> None:
    async def wait() -> int:
        headers = {"If-None-Match": '"1000-1"', "Prefer": "wait=30"}
        async with agent(served) as session, session.get("/agent/v1/plan", headers=headers) as answer:
            return decode_plan(await answer.read()).generation

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        waiting = [tasks.create_task(wait()) for _ in range(3)]
        await until(lambda: served.listener.connections == 3)
        await asyncio.sleep(0.05)
        assert not any(task.done() for task in waiting)
        served.board.publish(compose(SNAPSHOT, PlanSettings(), instance=INSTANCE, generation=2, keys=()))
    assert [task.result() for task in waiting] == [2, 2, 2]


async def test_an_agent_that_left_the_inventory_while_it_waited_is_refused(served: Served) -> None:
    headers = {"If-None-Match": '"1000-1"', "Prefer": "wait=30"}
    alone = structs.replace(SNAPSHOT, vantages=SNAPSHOT.vantages[1:])
    async with asyncio.timeout(5), agent(served) as session, asyncio.TaskGroup() as tasks:
        tasks.create_task(
            _later(lambda: served.board.publish(compose(alone, PlanSettings(), instance=1, generation=2, keys=())))
        )
        async with session.get("/agent/v1/plan", headers=headers) as answer:
            assert answer.status == 401


async def _later(do: Callable[[], None]) -> None:
    await asyncio.sleep(0.1)
    do()


async def test_survive_4_a_report_is_applied_once_however_often_it_comes(served: Served) -> None:
    async with agent(served) as session:
        for body, encoding in ((encode(report()), ""), (compress(encode(report())), "gzip"), (encode(report()), "identity")):
            status, answer = await deliver(session, body, encoding=encoding)
            assert (status, decode_acknowledgement(answer)) == (200, Acknowledgement(instance=INSTANCE, sequence=1))
    assert served.row.taken == [(1, True)]
    assert served.refused == {"repeated": 2}


async def test_survive_1_after_a_restart_every_window_is_sent_again_and_counted_only_if_nobody_had_it(
    authority: trustme.CA,
) -> None:
    async with serving(authority) as first, agent(first) as session:
        for sequence in (1, 2, 3):
            assert (await deliver(session, encode(report(sequence, acknowledged=sequence - 1))))[0] == 200
        assert first.row.taken == [(1, True), (2, True), (3, True)]
    async with serving(authority, instance=2_000) as second, agent(second) as session:
        # The answer to 3 was lost on the way: the agent knows of 2. It made 4 meanwhile.
        status, answer = await deliver(session, encode(report(4, acknowledged=2)))
        assert (status, decode_acknowledgement(answer)) == (409, Acknowledgement(instance=2_000, sequence=0))
        assert second.row.taken == []
        for sequence in (1, 2, 3, 4):
            body = encode(report(sequence, instance=2_000, acknowledged=2))
            assert (await deliver(session, body))[0] == 200
        assert second.row.taken == [(1, False), (2, False), (3, True), (4, True)]
        assert second.refused == {"other_instance": 1}


async def test_survive_47_whoever_has_no_token_is_answered_before_a_byte_of_the_body_is_there(served: Served) -> None:
    for token, reason in (("x" * 32, "unknown_token"), ("", "malformed_token")):
        async with asyncio.timeout(3):
            answer = await raw(served, head(f"Content-Length: {MAX_REPORT_BYTES}", token=token))
        assert answer.startswith(b"HTTP/1.1 401 Unauthorized\r\n")
        assert b"WWW-Authenticate: Bearer\r\n" in answer
        assert served.refused[reason] == 1
    bare = await raw(served, b"GET /agent/v1/plan HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert bare.startswith(b"HTTP/1.1 401 ")
    assert served.refused["no_token"] == 1
    assert served.row.taken == []


async def test_survive_48_an_agent_writes_its_own_row_only(served: Served) -> None:
    async with agent(served, "b") as session:
        status, _ = await deliver(session, encode(report(vantage="a")))
    assert status == 403
    assert served.refused == {"foreign_row": 1}
    assert served.row.taken == []


async def test_survive_5_a_captured_report_does_nothing_when_it_is_sent_again(served: Served) -> None:
    captured = encode(report(1))
    async with agent(served) as session:
        await deliver(session, captured)
        await deliver(session, encode(structs.replace(report(1), boot=b"c" * 16)))
        assert (await deliver(session, captured))[0] == 403
    assert served.refused == {"retired_boot": 1}
    assert len(served.row.taken) == 2


async def test_survive_49_what_the_matrix_finds_inconsistent_is_refused_with_its_word_and_not_recorded(served: Served) -> None:
    async with agent(served) as session:
        assert await deliver(session, encode(report(13))) == (400, b"inconsistent: too_many")
        assert served.refused == {"too_many": 1}
        assert served.sessions.agents(0)[0].sequence == 0
        assert (await deliver(session, encode(report(14))))[0] == 200


NESTED = b"\x91" * 200_000
FLOATING = msgspec.msgpack.encode({**msgspec.to_builtins(report(), builtin_types=(bytes,)), "span_ns": float("nan")})
LATIN = encode(report()).replace(b"\xa1a", b"\xa1\xff", 1)
HUGE = msgspec.msgpack.encode({"columns": {"facts": [[] for _ in range(2_000_000)]}})
NEGATIVE = msgspec.msgpack.encode({**msgspec.to_builtins(report(), builtin_types=(bytes,)), "age_ns": -1})
ESCAPING = msgspec.msgpack.encode({**msgspec.to_builtins(report(), builtin_types=(bytes,)), "vantage": "a\x1b[31m\n"})


@pytest.mark.parametrize(
    "body", [b"", b"\xc1", NESTED, FLOATING, LATIN, HUGE, NEGATIVE, ESCAPING, encode(report())[:-1], encode(report()) + b"\x00"]
)
async def test_survive_50_what_is_no_report_is_refused_and_nothing_of_it_kept(served: Served, body: bytes) -> None:
    async with agent(served) as session:
        status, sentence = await deliver(session, body)
        assert (status, sentence) == (400, b"not a report")
        assert served.refused == {"malformed": 1}
        assert (await deliver(session, encode(report())))[0] == 200
    assert served.row.taken == [(1, True)]


async def test_survive_24_unknown_fields_of_a_later_version_are_skipped(served: Served) -> None:
    body = msgspec.msgpack.encode({**msgspec.to_builtins(report(), builtin_types=(bytes,)), "tomorrow": [1, 2]})
    async with agent(served) as session:
        assert (await deliver(session, body))[0] == 200


BOMB = gzip.compress(bytes(MAX_REPORT_BYTES + 1))
MEMBERS = compress(encode(report())) + gzip.compress(b"") * 1_000


@pytest.mark.parametrize(
    ("body", "encoding", "kind", "answer"),
    [
        (BOMB, "gzip", MSGPACK, (400, "compression")),
        (MEMBERS, "gzip", MSGPACK, (400, "compression")),
        (compress(encode(report()))[:-4], "gzip", MSGPACK, (400, "compression")),
        (b"no gzip", "gzip", MSGPACK, (400, "compression")),
        (encode(report()), "br", MSGPACK, (415, "encoding")),
        (encode(report()), "gzip, gzip", MSGPACK, (415, "encoding")),
        (encode(report()), "deflate", MSGPACK, (415, "encoding")),
        (encode(report()), "", "application/json", (415, "encoding")),
        (bytes(MAX_REPORT_BYTES + 1), "", MSGPACK, (413, "oversized")),
    ],
)
async def test_survive_51_a_body_that_is_packed_to_explode_or_in_a_way_of_its_own_is_refused(
    served: Served, body: bytes, encoding: str, kind: str, answer: tuple[int, str]
) -> None:
    status, reason = answer
    async with agent(served) as session:
        try:
            got = (await deliver(session, body, encoding=encoding, kind=kind))[0]
        except aiohttp.ClientConnectionError:  # it was still sending when it was refused
            got = status
    assert got == status
    assert served.refused == {reason: 1}
    assert served.row.taken == []


async def test_survive_51_a_chunked_body_is_cut_where_it_is_too_long(served: Served) -> None:
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    await raw(served, head("Transfer-Encoding: chunked"), *[chunk] * (MAX_REPORT_BYTES // 0x10000 + 2))
    assert served.refused == {"oversized": 1}


async def test_survive_51_a_body_that_drips_or_never_comes_has_a_deadline(served: Served) -> None:
    for lines in ("Content-Length: 1000", "Transfer-Encoding: chunked"):
        drip = [b"1\r\nx\r\n" if "chunked" in lines else b"x"] * 15
        async with asyncio.timeout(5):
            answer = await raw(served, head(lines), *drip, pause=SLOW_SECONDS / 10)
        assert answer.startswith(b"HTTP/1.1 408 ") or not answer
    assert served.refused == {"too_slow": 2}


async def test_survive_51_a_body_that_ends_before_its_length_is_refused(served: Served) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=served.context)
    writer.write(head("Content-Length: 1000") + b"x" * 10)
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.transport.abort()
    await until(lambda: bool(served.refused))
    assert served.refused == {"truncated": 1}


async def test_survive_20_a_second_report_of_the_same_agent_at_once_is_turned_away_for_a_while(served: Served) -> None:
    async def drip() -> AsyncIterator[bytes]:
        yield encode(report())[:10]
        await asyncio.sleep(SLOW_SECONDS / 2)
        yield encode(report())[10:]

    async with agent(served) as session, asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(deliver(session, drip()))
        await asyncio.sleep(SLOW_SECONDS / 4)
        async with session.post("/agent/v1/report", data=encode(report(2)), headers={"Content-Type": MSGPACK}) as answer:
            assert answer.status == 429
            assert 1 <= int(answer.headers["Retry-After"]) <= 10
    assert slow.result()[0] == 200
    assert served.refused == {"shed": 1}


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /agent/v1/report", b"405"),
        ("HEAD /agent/v1/plan", b"405"),
        ("DELETE /agent/v1/plan", b"405"),
        ("BREW /agent/v1/plan", b"400"),
        ("GET /agent/v1/../../etc/passwd", b"404"),
        ("GET /agent/v1/%2e%2e/%2e%2e/etc/passwd", b"404"),
        ("GET /metrics", b"404"),
        ("GET /" + "x" * 1_000_000, b"400"),
        ("GET", b"400"),
        ("\x16\x03\x01\x02", b"400"),
    ],
)
async def test_survive_61_what_is_not_ours_is_a_client_error(served: Served, request_line: str, status: bytes) -> None:
    lines = [f"{request_line} HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY['a']}", "Connection: close", "", ""]
    answer = await raw(served, "\r\n".join(lines).encode())
    assert answer[9:12] == status or (len(request_line) > 100_000 and not answer)


async def test_survive_61_a_flood_of_headers_is_refused(served: Served) -> None:
    answer = await raw(served, head(*[f"X-{number}: y" for number in range(5_000)], "Content-Length: 0"))
    assert answer[9:12] == b"400" or not answer
    assert served.row.taken == []


async def test_survive_37_strangers_fill_no_log(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(5):
        assert (await raw(served, b"\x16\x03\x01 nonsense\r\n\r\n"))[9:12] == b"400"
    assert not caplog.records
    assert served.refused == {"not_http": 5}


async def test_survive_59_no_answer_repeats_what_was_sent(served: Served) -> None:
    for line in ("GET /agent/v1/<script>", "GET /agent/v1/plan?<script>", "POST /<script>"):
        answer = await raw(served, f"{line} HTTP/1.1\r\nHost: <script>\r\nConnection: close\r\n\r\n".encode())
        assert answer
        assert b"script" not in answer.lower()


async def strangers(served: Served, hostile: AsyncExitStack, number: int) -> None:
    """Connections over which nothing is ever said."""
    for _ in range(number):
        silent = hostile.enter_context(socket.socket())
        silent.setblocking(False)
        await asyncio.get_running_loop().sock_connect(silent, ("127.0.0.1", served.port))


@pytest.mark.parametrize("each", [500, 16])
async def test_survive_52_silent_and_dripping_connections_keep_no_good_agent_out(authority: trustme.CA, each: int) -> None:
    """All from one address: 200 that never shake hands, 20 that send half a head, 20 that drip theirs, and a good agent."""
    async with serving(authority, most=64, each=each) as served, AsyncExitStack() as hostile:
        await strangers(served, hostile, 200)
        halves = []
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=served.context)
            hostile.callback(writer.transport.abort)
            writer.write(b"GET /agent/v1/plan HTTP/1.1\r\nX: ")
            halves.append(writer)
        assert served.listener.connections <= min(each, 64)
        async with asyncio.timeout(3), agent(served) as session:
            for sequence in range(1, 6):
                for writer in halves:
                    writer.write(b"x")
                assert (await deliver(session, encode(report(sequence))))[0] == 200
                await asyncio.sleep(SLOW_SECONDS / 4)
        assert len(served.row.taken) == 5
        assert served.refused["connections"] > 0
        await until(lambda: not served.listener.connections)
        assert served.refused["no_proof"] > 0


async def test_survive_52_an_agent_that_proved_itself_is_not_dropped_for_strangers(authority: trustme.CA) -> None:
    async with serving(authority, each=4) as served, agent(served) as session, AsyncExitStack() as hostile:
        assert (await deliver(session, encode(report(1))))[0] == 200
        await strangers(served, hostile, 50)
        connector = session.connector
        assert isinstance(connector, aiohttp.TCPConnector)
        held = [key for key in connector._conns.values() if key]
        assert (await deliver(session, encode(report(2))))[0] == 200
        assert held
        assert len(connector._conns) == 1
        assert served.listener.connections <= 4
