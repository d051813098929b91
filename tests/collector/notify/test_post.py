"""One POST against receivers of every sort: whatever they do, it ends in time, in one word."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from collector.moment import written
from collector.notify.alertmanager import alerts_of
from collector.notify.post import Attempt, Destination, Post, Word, judged, skew_seconds
from collector.notify.telling import Links
from collector.receivers import Authorities, Header
from tests.collector.notify.telling import inbox

SECONDS = 1.0
"""What a receiver may take here."""
Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def post(url: str = "", *, loopback: bool = True, seconds: float = 20.0, **to: object) -> Post:
    url_file = str(to.pop("url_file", ""))
    authorities = Authorities(**to)  # type: ignore[arg-type]
    destination = Destination(authorities, url=url, url_file=url_file, timeout_seconds=seconds, loopback=loopback)
    return Post(destination, ThreadPoolExecutor(2))


@asynccontextmanager
async def speaking(speak: Speak) -> AsyncIterator[str]:
    """A server that says what it likes."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await speak(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def saying(*parts: bytes, then: float = 0.0) -> Speak:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()
        await asyncio.sleep(then)

    return speak


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A byte at a time, for ever."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def test_what_is_sent_arrives_with_its_headers() -> None:
    async with inbox() as there:
        attempt = await post(f"{there.url}/a", headers=(Header(name="X-Key", value="k"),)).send(b'{"a": 1}')
    assert attempt.word is Word.SENT
    assert attempt.date is not None
    assert abs(attempt.date - time.time()) < 60
    assert there.got == [{"a": 1}]
    assert there.headers[0]["X-Key"] == "k"
    assert there.headers[0]["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    "speak",
    [
        saying(b"SSH-2.0-OpenSSH_9\r\n"),
        saying(b"\0\xff" * 40_000),
        saying(b"HTTP/1.1 abc OK\r\n\r\n"),
        saying(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n"),
        saying(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20_000 + b"\r\n"),
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"),
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        saying(b"HTTP/1.1 2000 OK\r\n\r\n"),
        saying(),
    ],
    ids=range(9),
)
async def test_survive_46_garbage_is_no_success(speak: Speak) -> None:
    async with speaking(speak) as url:
        attempt = await post(url).send(b"{}")
    assert attempt.word in {Word.FAILED, Word.AWAY}


async def test_survive_46_an_answer_is_not_read_beyond_its_head() -> None:
    """Whoever answers with a gigabyte, compressed or not, keeps it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1000000000\r\n\r\n"
    async with speaking(saying(head, b"\x1f\x8b garbage", then=30)) as url:
        assert (await post(url).send(b"{}")).word is Word.SENT


@pytest.mark.parametrize(
    "speak", [drip, saying(then=30), saying(b"HTTP/1.1 100 Continue\r\n\r\n" * 100, then=30)], ids=range(3)
)
async def test_survive_46_a_receiver_that_takes_too_long_is_left(speak: Speak) -> None:
    async with speaking(speak) as url:
        began = time.monotonic()
        assert (await post(url, seconds=SECONDS).send(b"{}")).word is Word.AWAY
        assert time.monotonic() - began < 15


async def test_nobody_there_is_away() -> None:
    async with speaking(drip) as url:
        pass
    assert (await post(url).send(b"{}")).word is Word.AWAY
    assert (await post("http://no-such-name.invalid/").send(b"{}")).word is Word.AWAY


async def test_a_redirect_is_not_followed() -> None:
    async with inbox() as there, inbox() as elsewhere:
        there.answers = [web.Response(status=307, headers={"Location": elsewhere.url})]
        attempt = await post(there.url).send(b"{}")
    assert (attempt.word, attempt.status) == (Word.REFUSED, 307)
    assert elsewhere.headers == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
async def test_survive_55_the_address_is_checked_when_it_is_connected_to(host: str) -> None:
    """Also that of a name, which may lead elsewhere by then."""
    async with inbox() as there:
        attempt = await post(f"http://{host}:{there.port}", loopback=False).send(b"{}")
    assert attempt.word is Word.DENIED
    assert there.headers == []


async def test_metadata_are_out_of_reach_also_where_loopback_is_not() -> None:
    assert (await post("http://169.254.169.254/latest/meta-data").send(b"{}")).word is Word.DENIED


@pytest.mark.parametrize(
    ("status", "word"),
    [
        (200, "sent"),
        (202, "sent"),
        (204, "sent"),
        (301, "refused"),
        (400, "refused"),
        (404, "refused"),
        (413, "refused"),
        (429, "failed"),
    ],
)
def test_what_an_answer_means(status: int, word: str) -> None:
    assert judged(status, {}).word == word


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "9" * 400}, None),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
        ({"Retry-After": "²"}, None),
        ({}, None),
    ],
)
def test_how_long_a_receiver_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert judged(503, headers).retry_after == seconds


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Foo 99999 00:00:00 GMT", "\0" * 900])
def test_a_date_that_is_none_is_none(date: str) -> None:
    assert judged(200, {"Date": date}).date is None


@given(st.text(st.characters(codec="latin-1"), max_size=60), st.text(alphabet="MonFriDec 0123456789:+-GMT,", max_size=40))
def test_survive_46_any_head_of_an_answer_means_something(one: str, other: str) -> None:
    for date in (one, other):
        attempt = judged(200, {"Date": date, "Retry-After": one})
        ahead = skew_seconds(attempt.date, 1.8e9) if attempt.date is not None else 0.0
        assert alerts_of([], 1.8e9, ahead=ahead, links=Links(), kept_seconds=60.0) == b"[]"
        assert written(1.8e9 + ahead)


@pytest.mark.parametrize("name", ["var/run/secrets/kubernetes.io/serviceaccount/token", "pipe", "folder", "self"])
async def test_what_is_no_secret_of_a_receiver_is_not_sent_and_nobody_waits_for_it(name: str, tmp_path: Path) -> None:
    """Who may write a configuration could otherwise have our own token sent to them."""
    own = tmp_path / "var" / "run" / "secrets" / "kubernetes.io" / "serviceaccount"
    own.mkdir(parents=True)
    (own / "..data").write_text("eyJ0b2tlbg")
    (own / "token").symlink_to("..data")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "self").symlink_to("/proc/self/comm")
    (tmp_path / "link").symlink_to(tmp_path / name)
    for file in (tmp_path / name, tmp_path / "link"):
        header = Header(name="Authorization", file=str(file))
        assert (await post("https://127.0.0.1:1", headers=(header,)).send(b"{}")).word is Word.UNREADABLE


@pytest.mark.parametrize(
    ("date", "ahead"), [(1003.0, 0.0), (1060.0, 60.0), (400.0, -600.0), (253402300799.0, 0.0), (-1e15, 0.0)]
)
def test_a_clock_that_is_off_is_known_by_how_much_and_nonsense_is_not(date: float, ahead: float) -> None:
    assert skew_seconds(date, 1000.0) == ahead


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


def served(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_secrets_are_read_from_files_each_time_and_go_over_tls(tmp_path: Path, authority: trustme.CA) -> None:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    token, url = tmp_path / "token", tmp_path / "url"
    token.write_text("Bearer one\n")
    async with inbox(ssl=served(authority)) as there:
        url.write_text(f"{there.url}/T0/B0\n")
        to = post(url_file=str(url), ca=str(tmp_path / "ca.pem"), headers=(Header(name="Authorization", file=str(token)),))
        assert (await to.send(b"{}")).word is Word.SENT
        token.write_text("Bearer two")
        assert (await to.send(b"{}")).word is Word.SENT
    assert [headers["Authorization"] for headers in there.headers] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize(("name", "trusted"), [("127.0.0.1", False), ("other.example", True)])
async def test_whoever_cannot_prove_who_they_are_is_told_nothing(
    name: str, trusted: bool, tmp_path: Path, authority: trustme.CA
) -> None:
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(tmp_path / "ca.pem")
    async with inbox(ssl=served(authority, name)) as there:
        assert (await post(there.url, ca=str(tmp_path / "ca.pem")).send(b"{}")).word is Word.AWAY
    assert there.headers == []


@pytest.mark.parametrize("content", [None, b"", b"\n", b"a\nb", b"\xff\xfe", b"a" * 9000, b"a\x1b[0m"])
async def test_a_secret_that_cannot_be_used_is_not_sent(content: bytes | None, tmp_path: Path, authority: trustme.CA) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with inbox(ssl=served(authority)) as there:
        header = Header(name="Authorization", file=str(tmp_path / "token"))
        attempt = await post(there.url, ca=str(tmp_path / "ca.pem"), headers=(header,)).send(b"{}")
    assert attempt == Attempt(Word.UNREADABLE)
    assert there.headers == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/T0/s3cret", "file:///etc/passwd", "https://u:p@h/", "nonsense"])
async def test_a_secret_url_must_be_one_of_https(url: str, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(url)
    assert (await post(url_file=str(tmp_path / "url")).send(b"{}")).word is Word.UNREADABLE


async def test_certificates_that_are_none_are_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nonsense")
    assert (await post("https://127.0.0.1:1", ca=str(tmp_path / "ca.pem")).send(b"{}")).word is Word.UNREADABLE


async def test_a_receiver_that_is_stuck_in_its_handshake_is_left() -> None:
    async with speaking(saying(then=30)) as url:
        assert (await post(url.replace("http", "https"), seconds=SECONDS).send(b"{}")).word is Word.AWAY
