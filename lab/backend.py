"""A tiny HTTP server for the lab: application backends and the host outside.

    python -m lab.backend NAME PORT...

Every GET and HEAD is answered with one line: NAME, and the address that the server saw the caller have. A person in a lab can
see from it which backend answered, and whether there was NAT on the way.
"""

import asyncio
import sys

_MAX_REQUEST = 8192
_PATIENCE = 5.0


async def _answer(name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            request = await reader.readuntil(b"\r\n\r\n")
            method = request.partition(b" ")[0]
            body = f"{name} {writer.get_extra_info('peername')[0].removeprefix('::ffff:')}\n".encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + (b"" if method == b"HEAD" else body))
            await writer.drain()
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # A TCP probe says nothing and resets; that is no error of the server.
    finally:
        writer.close()


async def serve(name: str, ports: list[int]) -> None:
    """Answer on all addresses until cancelled."""
    servers = [
        await asyncio.start_server(
            lambda reader, writer: _answer(name, reader, writer),
            None,
            port,
            limit=_MAX_REQUEST,
            backlog=1024,
            reuse_address=True,
        )
        for port in ports
    ]
    async with asyncio.TaskGroup() as tasks:
        for server in servers:
            tasks.create_task(server.serve_forever())


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], [int(port) for port in sys.argv[2:]]))
