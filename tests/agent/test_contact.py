import asyncio
import gc
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from agent.contact import Collector, Unreachable, back_off_seconds
from tests.agent.fake_collector import KEY, FakeCollector, serving
from tests.agent.plans import plan

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def token(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(KEY + "\n")
    return file


@pytest.fixture
async def fake() -> AsyncIterator[FakeCollector]:
    async with serving(FakeCollector(plan())) as served:
        yield served


async def status(url: str, token_file: Path) -> int:
    async with Collector(url, token_file=token_file, ca_file=None).opened() as collector:
        return (await collector.get("/agent/v1/plan", {}, limit=10_000, seconds=5)).status


async def problem(url: str, token_file: Path, *, limit: int = 10_000, seconds: float = 5, ca_file: Path | None = None) -> str:
    async with Collector(url, token_file=token_file, ca_file=ca_file).opened() as collector:
        with pytest.raises(Unreachable) as failure:
            await collector.get("/agent/v1/plan", {}, limit=limit, seconds=seconds)
    assert KEY not in str(failure.value)
    assert "\n" not in str(failure.value)
    return str(failure.value)


def test_the_back_off_never_waits_longer_than_asked() -> None:
    assert 0.5 <= back_off_seconds(20, "n1", longest=1.0) <= 1.0


@given(st.integers(1, 10_000), st.text(max_size=20))
def test_the_back_off_doubles_from_a_quarter_second_to_half_a_minute(attempt: int, seed: str) -> None:
    longest = min(0.25 * 2 ** min(attempt - 1, 7), 30)
    assert longest / 2 <= back_off_seconds(attempt, seed) <= longest


def test_agents_that_failed_together_do_not_return_together() -> None:
    delays = [back_off_seconds(8, f"n{i}") for i in range(100)]
    assert max(delays) - min(delays) > 10


async def test_survive_64_a_token_that_is_late_empty_nonsense_or_rotated_is_read_again_and_never_ends_the_agent(
    fake: FakeCollector, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    async with Collector(fake.url, token_file=file, ca_file=None).opened() as collector:

        async def attempt() -> int | str:
            try:
                return (await collector.get("/agent/v1/plan", {}, limit=10_000, seconds=5)).status
            except Unreachable as failure:
                return str(failure)

        assert "cannot be read" in str(await attempt())
        file.write_text("")
        assert await attempt() == "the token file is empty"
        file.write_bytes(b"\xff\xfe")
        assert "something else than a token" in str(await attempt())
        file.write_text("two words\r\nX-Header: y")
        assert "something else than a token" in str(await attempt())
        file.write_text("another" * 8)
        assert await attempt() == 401
        file.write_text(KEY)
        assert await attempt() == 200


async def test_an_oversized_body_is_not_read_to_its_end(fake: FakeCollector, token: Path) -> None:
    fake.plan_answer = lambda: web.Response(body=bytes(20_000))
    assert await problem(fake.url, token) == "the answer has more than 10000 bytes"


async def test_a_body_without_an_end_is_cut_off_at_the_limit(token: Path) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(bytes(4096))

    app = web.Application()
    app.router.add_get("/agent/v1/plan", endless)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        assert "more than 10000 bytes" in await problem(f"http://127.0.0.1:{runner.addresses[0][1]}", token)
    finally:
        await runner.cleanup()


async def test_a_collector_that_says_nothing_is_given_up(fake: FakeCollector, token: Path) -> None:
    fake.hang = True
    assert await problem(fake.url, token, seconds=0.1) == "no answer within 0.1 s"


async def test_nobody_there_is_one_sentence(token: Path, unused_tcp_port: int) -> None:
    assert "127.0.0.1" in await problem(f"http://127.0.0.1:{unused_tcp_port}", token)


async def test_a_report_that_could_not_be_sent_is_not_kept_by_the_failure(token: Path, unused_tcp_port: int) -> None:
    """The collector is away for hours: what only the next search for cycles would free adds up."""
    body = bytes(1000)
    gc.collect()
    gc.disable()
    try:
        known = sys.getrefcount(body)
        async with Collector(f"http://127.0.0.1:{unused_tcp_port}", token_file=token, ca_file=None).opened() as collector:
            for _ in range(3):
                with pytest.raises(Unreachable):
                    await collector.post("/agent/v1/report", {}, body, limit=10, seconds=5)
        assert sys.getrefcount(body) == known
    finally:
        gc.enable()


async def test_a_redirect_is_an_answer_and_is_not_followed(fake: FakeCollector, token: Path) -> None:
    fake.plan_answer = lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})
    assert await status(fake.url, token) == 302


async def test_only_a_collector_with_a_certificate_of_our_authority_gets_the_token(tmp_path: Path, token: Path) -> None:
    ours, theirs = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ours.issue_cert("127.0.0.1").configure_cert(context)
    seen: list[str] = []

    async def get(request: web.Request) -> web.Response:
        seen.append(request.headers["Authorization"])
        return web.Response()

    app = web.Application()
    app.router.add_get("/agent/v1/plan", get)
    runner = web.AppRunner(app, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    file = tmp_path / "ca.pem"
    try:
        assert await problem(url, token, ca_file=tmp_path / "absent") == "the CA file cannot be used"
        file.write_text("\n")
        assert await problem(url, token, ca_file=file) == "the CA file cannot be used", "and not the system's authorities"
        theirs.cert_pem.write_to_path(str(file))
        assert "certificate" in (await problem(url, token, ca_file=file)).lower()
        assert seen == []
        ours.cert_pem.write_to_path(str(file))
        async with Collector(url, token_file=token, ca_file=file).opened() as collector:
            assert (await collector.get("/agent/v1/plan", {}, limit=10, seconds=5)).status == 200
            for unusable in ("", "torn"):
                file.write_text(unusable)
                assert (await collector.get("/agent/v1/plan", {}, limit=10, seconds=5)).status == 200, "as it was"
            theirs.cert_pem.write_to_path(str(file))
            with pytest.raises(Unreachable):
                await collector.get("/agent/v1/plan", {}, limit=10, seconds=5)
    finally:
        await runner.cleanup()


async def test_survive_29_a_process_without_descriptors_still_reaches_the_collector(fake: FakeCollector, token: Path) -> None:
    """The client runs in a process of its own, whose every descriptor but the reserved ones is taken."""
    script = """
import asyncio, os, resource, sys
from pathlib import Path
from agent.contact import Collector

async def main():
    collector = Collector(sys.argv[1], token_file=Path(sys.argv[2]), ca_file=None)
    async with collector.opened():
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
        taken = []
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        for _ in range(2):
            answer = await collector.get("/agent/v1/plan", {}, limit=10_000, seconds=5)
            print(answer.status)
            collector._server.close()  # the next one needs a descriptor again
            await asyncio.sleep(0)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, fake.url, str(token), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    output, errors = await process.communicate()
    assert output.decode().split() == ["200", "200"], errors.decode()
