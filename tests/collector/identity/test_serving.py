"""The certificate is replaced while connections are open, over real sockets."""

import asyncio
import ssl
import time
from pathlib import Path

from cryptography import x509

from collector.identity.authority import made
from collector.identity.certificates import server_pair
from collector.identity.serving import Serving

NAME = "netmatrix-collector"


async def test_connections_keep_their_certificate_and_new_ones_get_the_one_that_was_loaded_last() -> None:
    authority, now, serving = made(time.time()).signer, time.time(), Serving()
    first, second = (server_pair(authority, [NAME], (), now=now, seconds=day * 86_400.0) for day in (1, 2))
    trust = ssl.create_default_context(cadata=authority.certificate_pem)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async def connect(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", port, ssl=trust, server_hostname=NAME)

    serving.load(first)
    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=serving.context)
    port = server.sockets[0].getsockname()[1]
    async with server:
        reader, before = await connect(port)
        serving.load(second)
        _, after = await connect(port)
        before.write(b"still here\n")
        async with asyncio.timeout(60):
            assert await reader.readline() == b"still here\n"
        assert [served(before), served(after)] == [first.certificate, second.certificate]
        for writer in (before, after):
            writer.close()
            await writer.wait_closed()


def served(writer: asyncio.StreamWriter) -> x509.Certificate:
    return x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))


def test_no_descriptor_stays_open() -> None:
    pair = server_pair(made(time.time()).signer, [NAME], (), now=time.time(), seconds=86_400.0)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        Serving().load(pair)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
