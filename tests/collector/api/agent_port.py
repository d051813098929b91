"""The agent port on loopback, over TLS, with real sockets: for good agents, broken ones and hostile ones."""

import asyncio
import io
import socket
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import trustme

from collector.admission import SharedKeys
from collector.api.agents import AgentPort
from collector.api.board import Board
from collector.api.listener import Listener, bound
from collector.discovery.snapshot import Node, Snapshot, Vantage
from collector.plan.compose import compose
from collector.plan.keys import group_keys
from collector.sessions import Sessions
from collector.settings import PlanSettings
from wire.outcome import Outcome
from wire.plan import Plan
from wire.report import Report, pack
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
DEADLINE_SECONDS = 30.0
"""Of bodies and of proofs. Tests leap over it."""
MSGPACK = "application/msgpack"


class InconsistentError(ValueError):
    reason = "too_many"


@dataclass
class Clock:
    """Stands still, save for what a plan and a report cost."""

    now: int = 7
    plan_costs_ns: int = 0
    report_costs_ns: int = 0


@dataclass
class Row:
    """In the place of the matrix: keeps what it is given, and finds every report of sequence 13 inconsistent."""

    clock: Clock = field(default_factory=Clock)
    taken: list[tuple[int, bool]] = field(default_factory=list)

    def apply(self, report: Report, *, arrived_ns: int, counted: bool) -> None:
        assert arrived_ns >= 7
        self.clock.now += self.clock.report_costs_ns
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
    reading: set[str]
    """Whose bodies are being read."""
    clock: Clock

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(
    authority: trustme.CA, *, instance: int = INSTANCE, most: int = 500, each: int = 64, settings: PlanSettings | None = None
) -> AsyncIterator[Served]:
    plans = compose(SNAPSHOT, settings or PlanSettings(), instance=instance, generation=1, keys=group_keys(b"s", 2))
    refused: Counter[str] = Counter()
    clock = Clock()

    def handed(_vantage: str, _plan: Plan) -> None:
        clock.now += clock.plan_costs_ns

    row, sessions, board = Row(clock), Sessions(instance=instance, silent_after_ns=1), Board(plans, handed=handed)
    sessions.replan(SNAPSHOT)
    port = AgentPort(
        admission=SharedKeys(SNAPSHOT.vantages),
        board=board,
        sessions=sessions,
        matrix=row,
        refuse=lambda reason: refused.update([reason]),
        now_ns=lambda: clock.now,
        body_seconds=DEADLINE_SECONDS,
        cpu_ns=lambda: clock.now,
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
        proof_seconds=DEADLINE_SECONDS,
    )
    port.prove = listener.prove
    async with asyncio.TaskGroup() as tasks:
        accepting = tasks.create_task(listener.serve())
        try:
            yield Served(listener.port, context, board, row, sessions, refused, listener, port._reading, clock)
        finally:
            board.release()
            accepting.cancel()
            await runner.cleanup()


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
    async with asyncio.timeout(60):
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
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.transport.abort()


def head(*lines: str, token: str = KEY["a"]) -> bytes:
    fixed = ["POST /agent/v1/report HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", f"Content-Type: {MSGPACK}"]
    return "\r\n".join([*fixed, *lines, "", ""]).encode()


async def strangers(served: Served, hostile: AsyncExitStack, number: int) -> None:
    """Connections over which nothing is ever said."""
    for _ in range(number):
        silent = hostile.enter_context(socket.socket())
        silent.setblocking(False)
        await asyncio.get_running_loop().sock_connect(silent, ("127.0.0.1", served.port))
