"""TLS in memory, spoken to by OpenSSL's own client over a real socket."""

import asyncio
import gc
import os
import socket
import ssl
import tracemalloc
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from collector.api.encrypted import Encrypted


class Echo(asyncio.Protocol):
    """Sends everything back, and remembers how it ended."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.made = asyncio.Event()
        self.lost = asyncio.Event()
        self.paused = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.made.set()

    def data_received(self, data: bytes) -> None:
        assert self.transport
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.paused += 1

    def connection_lost(self, _: Exception | None) -> None:
        self.lost.set()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


def contexts(authority: trustme.CA) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


@asynccontextmanager
async def echoing(server: ssl.SSLContext) -> AsyncIterator[tuple[int, list[Echo]]]:
    echoes: list[Echo] = []

    def one() -> Encrypted:
        echoes.append(Echo())
        return Encrypted(server, echoes[-1])

    listening = await asyncio.get_running_loop().create_server(one, "127.0.0.1", 0)
    async with asyncio.timeout(60), listening:
        yield listening.sockets[0].getsockname()[1], echoes


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_what_goes_in_comes_out_over_many_records_and_the_end_is_told(
    authority: trustme.CA, version: ssl.TLSVersion
) -> None:
    server, client = contexts(authority)
    client.maximum_version = version
    sent = bytes(range(256)) * 4000
    async with echoing(server) as (port, echoes):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        assert echoes[0].transport
        assert echoes[0].transport.get_extra_info("ssl_object").version() == version.name.replace("_", ".")
        assert echoes[0].transport.get_protocol() is echoes[0]
        echoes[0].transport.close()
        assert await reader.read() == b""
        await echoes[0].lost.wait()
        writer.transport.abort()


async def test_a_peer_that_says_farewell_is_let_go(authority: trustme.CA) -> None:
    server, client = contexts(authority)
    async with echoing(server) as (port, echoes):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        writer.close()
        await writer.wait_closed()
        await echoes[0].lost.wait()


@pytest.mark.parametrize("words", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x00" * 6000])
async def test_whoever_does_not_speak_tls_is_let_go_and_nobody_above_hears_of_it(authority: trustme.CA, words: bytes) -> None:
    server, _ = contexts(authority)
    async with echoing(server) as (port, echoes):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(words)
        await reader.read()
        await echoes[0].lost.wait()
        assert echoes[0].transport is None
        writer.transport.abort()


async def test_a_connection_that_has_ended_is_freed_without_a_look_for_cycles(authority: trustme.CA) -> None:
    server, client = contexts(authority)
    async with echoing(server) as (port, echoes):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client)
        await echoes[0].made.wait()
        held, lost = weakref.ref(echoes[0]), echoes[0].lost
        echoes.clear()
        gc.disable()
        try:
            writer.transport.abort()
            await lost.wait()
            await asyncio.sleep(0)
            assert held() is None
        finally:
            gc.enable()


async def test_a_forged_record_ends_the_connection(authority: trustme.CA) -> None:
    server, client = contexts(authority)
    async with echoing(server) as (port, echoes):
        plain = socket.create_connection(("127.0.0.1", port))
        with await asyncio.to_thread(client.wrap_socket, plain, server_hostname="127.0.0.1") as secured:
            os.write(secured.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)
            await echoes[0].lost.wait()


async def test_whoever_does_not_read_is_written_to_no_further(authority: trustme.CA) -> None:
    server, client = contexts(authority)
    async with echoing(server) as (port, echoes):
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, limit=1)
        await echoes[0].made.wait()
        assert echoes[0].transport
        echoes[0].transport.write(b"x" * 8_000_000)
        assert echoes[0].paused == 1
        echoes[0].transport.abort()
        await echoes[0].lost.wait()
        assert echoes[0].transport.is_closing()
        echoes[0].transport.write(b"too late")
        writer.transport.abort()


async def test_a_connection_that_waits_holds_no_buffer_of_its_own(authority: trustme.CA) -> None:
    """OpenSSL's part is not seen here; asyncio's own TLS would have 256 KiB for each."""
    server, client = contexts(authority)
    async with echoing(server) as (port, echoes):
        tracemalloc.start()
        try:
            opened = [await asyncio.open_connection("127.0.0.1", port, ssl=client) for _ in range(4)]
            for echo in echoes:
                await echo.made.wait()
            size = sum(one.size for one in tracemalloc.take_snapshot().filter_traces(_OWN).statistics("filename"))
        finally:
            tracemalloc.stop()
        assert size < 16_384 * len(opened)
        for _, writer in opened:
            writer.transport.abort()


_OWN = [tracemalloc.Filter(inclusive=True, filename_pattern="*/collector/api/encrypted.py")]
