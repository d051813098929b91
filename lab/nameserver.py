"""The lab's DNS server: A and AAAA of the names in one JSON file, over UDP and TCP, well or in one of many bad ways.

    python -m lab.nameserver ZONE.json BEHAVIOUR.json [PORT]

The zone maps names to lists of addresses. A name that is not in it gets NXDOMAIN, one without an address of the type asked for
an empty answer, a broken query nothing at all. The second file says how the server behaves and is read again for each query, so
that a fault begins and ends without a restart; without that file it is healthy.
"""

import asyncio
import json
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import msgspec
from msgspec import Struct

Zone = Mapping[str, Sequence[str]]
TTL_SECONDS = 5
FALSE = {dns.rdatatype.A: "192.0.2.66", dns.rdatatype.AAAA: "2001:db8:bad::66"}
"""What a lying server says of every name; documentation addresses, which nobody has (RFC 5737, RFC 3849)."""
MANY = 2300
"""Addresses of a large answer: 64 KiB of AAAA records, 36 KiB of A records."""
_PATIENCE = 30.0
_TYPE = {4: dns.rdatatype.A, 6: dns.rdatatype.AAAA}
_QUESTION = 12
"""Where the question stands in a message, and the name in it."""


class How(StrEnum):
    """How the server behaves."""

    HEALTHY = "healthy"
    GONE = "gone"
    """Its program has ended, so that what comes is refused: not by us any more."""
    SILENT = "silent"
    """It takes queries and connections, and says nothing."""
    SLOW = "slow"
    """It answers after a fixed delay."""
    LYING = "lying"
    """Every name has a false address."""
    SERVFAIL = "servfail"
    NXDOMAIN = "nxdomain"
    TRUNCATING = "truncating"
    """Over UDP nothing but the word that there is more over TCP."""
    SPOOFED = "spoofed"
    """A false answer with another id comes before the true one."""
    LOOP = "loop"
    """The name of a record points to itself."""
    BIG = "big"
    """Answers of some 64 KiB, so over TCP only; the true addresses are the last."""


class Behaviour(Struct, frozen=True, forbid_unknown_fields=True):
    """What the second file holds."""

    how: How = How.HEALTHY
    ms: float = 0.0
    """Delay of a slow server."""


def answers(query: bytes, zone: Zone, how: How, *, stream: bool) -> list[bytes]:
    """What is sent in response to a query; nothing where there is nothing to say to it."""
    response = answer(query, zone, how)
    if response is None or how is How.SILENT:
        return []
    if how in {How.TRUNCATING, How.BIG} and not stream:
        response.answer.clear()
        response.flags |= dns.flags.TC
    wire = response.to_wire()
    match how:
        case How.SPOOFED if lie := answer(query, zone, How.LYING):
            forged = lie.to_wire()
            return [bytes([forged[0] ^ 0xFF]) + forged[1:], wire]
        case How.LOOP:
            return [_with_records(query, 1, lambda at: _record(at, dns.rdatatype.A, bytes(4)))]
        case How.BIG if stream and response.answer:
            own = [(item.rdtype, ip_address(str(item[0])).packed) for item in response.answer]
            many = _many(own[0][0]) + b"".join(_record(_QUESTION, kind, content) for kind, content in own)
            return [_with_records(query, MANY + len(own), lambda _: many)]
        case _:
            return [wire]


def answer(query: bytes, zone: Zone, how: How = How.HEALTHY) -> dns.message.Message | None:
    """The response to a query, as far as it can be written down in the ordinary way; None where there is nothing to say."""
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
    if how is How.SERVFAIL:
        response.set_rcode(dns.rcode.SERVFAIL)
    elif addresses is None or how is How.NXDOMAIN:
        response.set_rcode(dns.rcode.NXDOMAIN)
    else:
        fitting = [address for address in addresses if _TYPE[ip_address(address).version] == question.rdtype]
        if how is How.LYING and question.rdtype in FALSE:
            fitting = [FALSE[question.rdtype]]
        # One at a time, since a set of records has no order.
        response.answer += [
            dns.rrset.from_text(question.name, TTL_SECONDS, "IN", question.rdtype, address) for address in fitting
        ]
    return response


@cache
def _many(kind: dns.rdatatype.RdataType) -> bytes:
    """Records with addresses for benchmarks and documentation (RFC 2544, RFC 3849)."""
    start = bytes([198, 18]) if kind == dns.rdatatype.A else bytes.fromhex("20010db8") + bytes(10)
    return b"".join(_record(_QUESTION, kind, start + struct.pack("!H", number)) for number in range(MANY))


def _with_records(query: bytes, count: int, records: Callable[[int], bytes]) -> bytes:
    """An answer whose records are as given, whatever they are; a function of where the first of them begins."""
    end = _QUESTION + len(dns.message.from_wire(query).question[0].name.to_wire() or b"") + 4
    header = query[:2] + struct.pack("!5H", dns.flags.QR | dns.flags.RD | dns.flags.RA, 1, count, 0, 0)
    return header + query[_QUESTION:end] + records(end)


def _record(owner: int, kind: int, content: bytes) -> bytes:
    """A record whose name stands elsewhere in the message (RFC 1035 section 4.1.4)."""
    return struct.pack("!HHHIH", 0xC000 | owner, kind, 1, TTL_SECONDS, len(content)) + content


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone, behaviour: Callable[[], Behaviour]) -> None:
        self._zone = zone
        self._behaviour = behaviour

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        now = self._behaviour()
        for wire in answers(data, self._zone, now.how, stream=False):
            asyncio.get_running_loop().call_later(now.ms / 1000, self._transport.sendto, wire, addr)


async def _stream(
    zone: Zone, behaviour: Callable[[], Behaviour], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                query, now = await reader.readexactly(length), behaviour()
                await asyncio.sleep(now.ms / 1000)
                for wire in answers(query, zone, now.how, stream=True):
                    writer.write(struct.pack("!H", len(wire)) + wire)
                await writer.drain()
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


def behaviour_in(file: Path) -> Behaviour:
    """How to behave by now; healthy where there is no file."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Behaviour)
    except FileNotFoundError:
        return Behaviour()


async def serve(zone: Zone, behaviour: Callable[[], Behaviour], port: int) -> None:
    """Answer on every address of the host until cancelled."""
    loop = asyncio.get_running_loop()
    datagrams = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)  # Both families, as callers from IPv4 are mapped.
    datagrams.bind(("::", port))
    await loop.create_datagram_endpoint(lambda: _Datagrams(zone, behaviour), sock=datagrams)
    server = await asyncio.start_server(lambda reader, writer: _stream(zone, behaviour, reader, writer), None, port)
    await server.serve_forever()


if __name__ == "__main__":
    _zone, _behaviour, *_port = sys.argv[1:]
    _port_number = int(_port[0]) if _port else 53
    asyncio.run(serve(json.loads(Path(_zone).read_text()), lambda: behaviour_in(Path(_behaviour)), _port_number))
