"""Many packets with one system call: sendmmsg and recvmmsg, with the kernel's stamps.

In: a socket, and packets with addresses. Out: how many have left; or what has arrived, and what the error queue holds. An
address is a `struct sockaddr` as bytes, as the kernel has it: equal ones are the same place, and nobody needs the text.

A system call costs a third of a microsecond, but to have Python make and read the structures of one packet costs ten times
that. `message_tables` has them laid out. Where the machine lacks these calls, or has other structures than 64-bit Linux, the
same is done packet by packet.
"""

import ctypes
import functools
import socket
import struct
import sys
from collections.abc import Sequence

from agent import kernel
from agent.message_tables import BATCH, SLOT, Arrival, Departure, Returned, Tables, arrival

__all__ = ["BATCH", "Arrival", "Departure", "Returned", "address_of", "arrivals", "returned", "send", "sockaddr"]
"""With what others need of the tables."""

_NAME_BYTES = {socket.AF_INET: 16, socket.AF_INET6: 28}
_MOST_ERRORS = 4096


@functools.lru_cache(8192)
def sockaddr(address: str, port: int) -> bytes:
    """`struct sockaddr_in` or `sockaddr_in6` (netinet/in.h) of an IP address in text; raises OSError where it is none."""
    if ":" in address:
        address, _, zone = address.partition("%")
        scope = socket.if_nametoindex(zone) if zone and not zone.isdecimal() else int(zone or 0)
        packed = socket.inet_pton(socket.AF_INET6, address)
        return struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0) + packed + struct.pack("=I", scope)
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_pton(socket.AF_INET, address) + bytes(8)


@functools.lru_cache(8192)
def address_of(name: bytes) -> tuple[str, int] | tuple[str, int, int, int]:
    """A `struct sockaddr` as the socket module has it: text and port first; empty and 0 where it is none."""
    family, port = int.from_bytes(name[:2], sys.byteorder), int.from_bytes(name[2:4], "big")
    if family == socket.AF_INET and len(name) >= _NAME_BYTES[socket.AF_INET]:
        return socket.inet_ntop(socket.AF_INET, name[4:8]), port
    if family == socket.AF_INET6 and len(name) >= _NAME_BYTES[socket.AF_INET6]:
        return socket.inet_ntop(socket.AF_INET6, name[8:24]), port, 0, int.from_bytes(name[24:28], sys.byteorder)
    return "", 0


def send(sock: socket.socket, packets: Sequence[bytes], addresses: Sequence[bytes], identifiers: Sequence[int]) -> int:
    """Send at most BATCH packets of one length; how many have left. Raises the OSError of the first where none has.

    Where there are identifiers, transmit stamps come back with them (`kernel.identified`).
    """
    tables = _tables()
    if tables is not None:
        return tables.send(sock, packets, addresses, identifiers)
    for number, (packet, address) in enumerate(zip(packets, addresses, strict=True)):
        try:
            sock.sendmsg([packet], kernel.identified(identifiers[number]) if identifiers else [], 0, address_of(address))
        except OSError:
            if not number:
                raise
            return number
    return len(packets)


def arrivals(sock: socket.socket, *, most: int, told: bool = False) -> list[Arrival]:
    """All that has arrived, at most about so many; `told` where the socket tells own addresses (`kernel.told_own_address`)."""
    tables = _tables()
    found: list[Arrival] = []
    for _ in range(most):
        if len(found) >= most:
            break
        try:
            if tables is None:
                packet, ancillary, _, sender = sock.recvmsg(SLOT, kernel.ANCILLARY_BYTES)
                found.append(arrival(packet, sockaddr(*sender[:2]), kernel.heard(ancillary)))
            elif tables.receive(sock, found, told=told) < BATCH:
                break
        except BlockingIOError:
            break
        except OSError:
            continue  # the error of an earlier send, which the error queue explains
    return found


def returned(sock: socket.socket) -> tuple[list[Departure], list[Returned]]:
    """All that is in the error queue: plain transmit stamps, and everything else."""
    tables = _tables()
    departed: list[Departure] = []
    others: list[Returned] = []
    while len(departed) + len(others) < _MOST_ERRORS:
        try:
            if tables is None:
                packet, ancillary, _, target = sock.recvmsg(SLOT, kernel.ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
                others.append(Returned(packet, sockaddr(*target[:2]) if target else b"", kernel.heard(ancillary)))
            elif tables.take_returned(sock, departed, others) < BATCH:
                break
        except OSError:
            break
    return departed, others


@functools.cache
def _tables() -> Tables | None:
    """The one set of tables of this process; None where the machine has other structures, or no such calls."""
    if struct.calcsize("@PQ") != 16:  # noqa: PLR2004 - struct iovec of a 64-bit machine
        return None
    try:
        # The calls never wait, so that the interpreter's lock is kept: whoever lets go of it may wait long to have it again.
        tables = Tables(ctypes.PyDLL(None, use_errno=True))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            tables.receive(probe, [], told=False)
    except (OSError, AttributeError):
        return None
    return tables
