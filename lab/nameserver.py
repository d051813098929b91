"""The lab's DNS server: A and AAAA of the names in one JSON file, over UDP and TCP.

    python -m lab.nameserver ZONE.json [PORT]

The file maps names to lists of addresses. A name that is not in it gets NXDOMAIN, one without an address of the type asked for
an empty answer, a broken query nothing at all.
"""

import asyncio
import json
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[str, Sequence[str]]
TTL_SECONDS = 5
_PATIENCE = 5.0
_TYPE = {4: dns.rdatatype.A, 6: dns.rdatatype.AAAA}


def answer(query: bytes, zone: Zone) -> bytes | None:
    """The response to a query; None where there is nothing to say to it."""
    try:
        message = dns.message.from_wire(query)
        if message.flags & dns.flags.QR or len(message.question) != 1:
            return None
        response = dns.message.make_response(message, recursion_available=True)
    except (dns.exception.DNSException, ValueError):
        return None
    question = message.question[0]
    addresses = zone.get(question.name.to_text(omit_final_dot=True).lower())
    response.flags |= dns.flags.AA
    if addresses is None:
        response.set_rcode(dns.rcode.NXDOMAIN)
    else:
        fitting = [address for address in addresses if _TYPE[ip_address(address).version] == question.rdtype]
        if fitting:
            response.answer.append(dns.rrset.from_text(question.name, TTL_SECONDS, "IN", question.rdtype, *fitting))
    return response.to_wire()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self._zone = zone

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if response := answer(data, self._zone):
            self._transport.sendto(response, addr)


async def _stream(zone: Zone, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            if response := answer(await reader.readexactly(length), zone):
                writer.write(struct.pack("!H", len(response)) + response)
                await writer.drain()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def serve(zone: Zone, port: int) -> None:
    """Answer on every address of the host until cancelled."""
    loop = asyncio.get_running_loop()
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # Both families, as callers from IPv4 are mapped.
    datagrams.bind(("::", port))
    await loop.create_datagram_endpoint(lambda: _Datagrams(zone), sock=datagrams)
    server = await asyncio.start_server(lambda reader, writer: _stream(zone, reader, writer), None, port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(Path(sys.argv[1]).read_text()), int((sys.argv[2:] or ["53"])[0])))
