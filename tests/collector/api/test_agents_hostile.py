"""The agent port and everybody else."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import msgspec
import pytest
import trustme
from msgspec import structs

from collector.api import agents
from collector.api.spending import MOST_NS
from tests.collector.api.agent_port import (
    DEADLINE_SECONDS,
    KEY,
    MSGPACK,
    Served,
    agent,
    deliver,
    head,
    raw,
    report,
    serving,
    strangers,
    until,
)
from tests.leap import leap
from wire.codec import MAX_REPORT_BYTES, compress, encode


async def test_survive_47_whoever_has_no_token_is_answered_before_a_byte_of_the_body_is_there(served: Served) -> None:
    for token, reason in (("x" * 32, "unknown_token"), ("", "malformed_token")):
        async with asyncio.timeout(60):
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
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=served.context)
        writer.write(head(lines))
        for _ in range(3):
            await until(lambda: served.reading == {"a"})
            leap(DEADLINE_SECONDS / 3 - 1)
            writer.write(b"1\r\nx\r\n" if "chunked" in lines else b"x")
        leap(3)
        async with asyncio.timeout(60):
            assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
        writer.transport.abort()
    assert served.refused == {"too_slow": 2}


async def test_survive_51_a_body_that_ends_before_its_length_is_refused(served: Served) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=served.context)
    writer.write(head("Content-Length: 1000") + b"x" * 10)
    await until(lambda: served.reading == {"a"})
    writer.transport.abort()
    await until(lambda: bool(served.refused))
    assert served.refused == {"truncated": 1}


async def test_survive_20_reports_that_have_waited_too_long_for_their_turn_are_turned_away_and_the_connection_stays(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with agent(served) as session:
        monkeypatch.setattr(agents, "LATE_SECONDS", -1.0)
        for _ in range(2):
            async with session.post("/agent/v1/report", data=encode(report()), headers={"Content-Type": MSGPACK}) as answer:
                assert answer.status == 429
                assert 1 <= int(answer.headers["Retry-After"]) <= 10
        async with session.get("/agent/v1/plan") as answer:
            assert answer.status == 200
        monkeypatch.setattr(agents, "LEAST_NS", 0)  # as if none had been taken for long: then one of the late is
        assert (await deliver(session, encode(report())))[0] == 200
    assert served.refused == {"shed": 2}


async def test_survive_20_a_second_report_of_the_same_agent_at_once_is_turned_away_for_a_while(served: Served) -> None:
    turned_away = asyncio.Event()

    async def drip() -> AsyncIterator[bytes]:
        yield encode(report())[:10]
        await turned_away.wait()
        yield encode(report())[10:]

    async with agent(served) as session, asyncio.TaskGroup() as tasks:
        slow = tasks.create_task(deliver(session, drip()))
        await until(lambda: served.reading == {"a"})
        async with session.post("/agent/v1/report", data=encode(report(2)), headers={"Content-Type": MSGPACK}) as answer:
            assert answer.status == 429
            assert 1 <= int(answer.headers["Retry-After"]) <= 10
        turned_away.set()
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
        async with asyncio.timeout(60), agent(served) as session:
            for sequence in range(1, 6):
                for writer in halves:
                    writer.write(b"x")
                assert (await deliver(session, encode(report(sequence))))[0] == 200
        assert len(served.row.taken) == 5
        assert served.refused["connections"] > 0
        leap(DEADLINE_SECONDS)
        await until(lambda: not served.listener.connections)
        assert served.refused["no_proof"] > 0


async def test_survive_52_an_agent_that_proved_itself_is_not_dropped_for_strangers(authority: trustme.CA) -> None:
    async with serving(authority, each=4) as served, AsyncExitStack() as hostile:
        reader, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=served.context)
        hostile.callback(writer.transport.abort)
        known = served.board.etag("a")
        request = f"GET /agent/v1/plan HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY['a']}\r\nIf-None-Match: {known}"
        dropped = 0
        for _ in range(2):
            writer.write(f"{request}\r\n\r\n".encode())
            async with asyncio.timeout(60):
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 304 ")
            await strangers(served, hostile, 50)
            await until(lambda: served.listener.connections == 4)
            dropped += 47
            await until(lambda: served.refused["connections"] == dropped)  # noqa: B023 - at once
            leap(DEADLINE_SECONDS)
            await until(lambda: served.listener.connections == 1)
        assert not reader.at_eof()


async def test_survive_51_a_body_that_says_it_is_too_long_is_refused_before_it_comes(served: Served) -> None:
    async with asyncio.timeout(60):
        answer = await raw(served, head(f"Content-Length: {MAX_REPORT_BYTES + 1}"))
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert served.refused == {"oversized": 1}


async def test_survive_49_an_agent_that_asks_without_end_uses_up_its_own_share_and_nobody_elses(served: Served) -> None:
    served.clock.plan_costs_ns = MOST_NS // 4
    async with agent(served) as greedy, agent(served, "b") as other:
        answers = []
        for _ in range(10):
            async with greedy.get("/agent/v1/plan") as answer:
                answers.append((answer.status, "Retry-After" in answer.headers))
        assert (answers[0], answers[-1], answers.count((200, False))) == ((200, False), (429, True), 5)
        async with other.get("/agent/v1/plan") as answer:
            assert answer.status == 200
        assert (await deliver(greedy, encode(report(1))))[0] == 429
        assert (await deliver(other, encode(report(1, vantage="b"))))[0] == 200
    assert served.refused == {"shed": 6}


@pytest.mark.parametrize("sequence", [1, 13], ids=["taken", "refused"])
async def test_survive_49_reports_that_cost_too_much_use_up_the_share_of_whoever_sends_them(
    served: Served, sequence: int
) -> None:
    served.clock.report_costs_ns = MOST_NS
    async with agent(served) as greedy, agent(served, "b") as other:
        first, _ = await deliver(greedy, encode(report(sequence)))
        assert first == (400 if sequence == 13 else 200)
        assert (await deliver(greedy, encode(report(sequence + 1))))[0] == 429
        assert (await deliver(other, encode(report(1, vantage="b"))))[0] == 200
