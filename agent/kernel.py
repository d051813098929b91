"""The kernel's side of a measurement: packet stamps, ICMP errors, addresses and hop limits, out of ancillary data.

In: sockets and control messages. Out: plain values. CPython 3.11 names few of these numbers, so they stand here with the header
that they come from; they are those of Linux on x86-64 and arm64. All stamps are CLOCK_REALTIME and are only ever compared
with each other, within one flight, and only where that clock did not step meanwhile.

The counter of SOF_TIMESTAMPING_OPT_ID is never believed: it also counts failed sends, so that after one of them every later
stamp would belong to another packet. Stamps are matched by an identifier of our own, or by the returned packet.
"""

import errno
import functools
import ipaddress
import os
import socket
import struct
import time
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

Ancillary = Iterable[tuple[int, int, bytes]]
"""Control messages as recvmsg returns them: level, type, content."""

IP_PKTINFO = 8  # linux/in.h
IP_MTU_DISCOVER = 10
IP_RECVERR = 11
IP_RECVTTL = 12
IP_RECVFRAGSIZE = 25
PMTUDISC_WANT, PMTUDISC_PROBE = 1, 3
IPV6_MTU_DISCOVER = 23  # linux/in6.h
IPV6_RECVERR = 25
IPV6_RECVFRAGSIZE = 77
SO_TIMESTAMPING = 37  # asm-generic/socket.h
SCM_TS_OPT_ID = 81  # asm-generic/socket.h of Linux 6.13
TX_SOFTWARE, RX_SOFTWARE, SOFTWARE, OPT_ID, OPT_TSONLY = 1 << 1, 1 << 3, 1 << 4, 1 << 7, 1 << 11  # linux/net_tstamp.h
ORIGIN_ICMP, ORIGIN_ICMP6, ORIGIN_TIMESTAMPING = 2, 3, 4  # linux/errqueue.h

ANCILLARY_BYTES = 512
"""Room for every control message that a packet of ours can bring."""
_EXTENDED_ERROR = struct.Struct("=IBBBxII")  # struct sock_extended_err, linux/errqueue.h
_TOO_BIG = {(socket.AF_INET, 3, 4), (socket.AF_INET6, 2, 0)}  # fragmentation needed (RFC 1191), packet too big (RFC 4443)
_TIMESPEC = struct.Struct("@ll")
_INT = struct.Struct("@i")
_KEY = struct.Struct("@I")
_SECOND = 1_000_000_000
_RECEIVE_BUFFER_BYTES = 4 << 20


class TransmitMatch(Enum):
    """How a transmit stamp finds its packet on this machine."""

    IDENTIFIER = "identifier"
    """By SCM_TS_OPT_ID, an identifier of our own (Linux 6.13 or newer)."""
    PACKET = "packet"
    """The packet itself comes back with its stamp."""
    NONE = "none"
    """Not at all: latencies are taken by the process's clock."""


class IcmpError(NamedTuple):
    """An ICMP error that came back for a packet of ours (RFC 792, RFC 4443)."""

    family: socket.AddressFamily
    kind: int
    """ICMP type."""
    code: int
    offender: str
    """Address of the host or router that says so; empty where the kernel does not tell."""
    mtu: int = 0
    """Bytes that the next link carries, where the packet was too big for it; 0 where not told."""


class Heard(NamedTuple):
    """What the ancillary data of one packet say."""

    stamp_ns: int = 0
    """Nanoseconds since 1970 when the kernel received or sent it; 0 where it was not stamped."""
    identifier: int | None = None
    """Of the packet that was sent, where this is a transmit stamp."""
    error: IcmpError | None = None
    local: str = ""
    """Own address that it was sent to."""
    interface: int = 0
    hop_limit: int = 0
    """TTL or hop limit on arrival, 0 where not told."""
    fragmented: bool = False
    """It came in fragments; known only where `told_of_fragments` was called."""


def heard(ancillary: Ancillary) -> Heard:  # noqa: C901, PLR0912 - one flat switch, read for every packet
    """Read control messages; what is unknown or too short is skipped."""
    stamp, identifier, error, local, interface, hop_limit, fragmented = 0, None, None, "", 0, 0, False
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET:
            if kind == SO_TIMESTAMPING and len(content) >= _TIMESPEC.size:
                seconds, nanoseconds = _TIMESPEC.unpack_from(content)
                stamp = seconds * _SECOND + nanoseconds
        elif level == socket.IPPROTO_IP:
            if kind == IP_RECVERR and len(content) >= _EXTENDED_ERROR.size:
                identifier, error = _extended_error(content)
            elif kind == IP_PKTINFO and len(content) >= 12:  # noqa: PLR2004 - struct in_pktinfo, linux/in.h
                interface, local = _INT.unpack_from(content)[0], socket.inet_ntop(socket.AF_INET, content[8:12])
            elif kind == socket.IP_TTL and len(content) >= _INT.size:
                (hop_limit,) = _INT.unpack_from(content)
            elif kind == IP_RECVFRAGSIZE:
                fragmented = True
        elif level == socket.IPPROTO_IPV6:
            if kind == IPV6_RECVERR and len(content) >= _EXTENDED_ERROR.size:
                identifier, error = _extended_error(content)
            elif kind == socket.IPV6_PKTINFO and len(content) >= 20:  # noqa: PLR2004 - struct in6_pktinfo, linux/ipv6.h
                interface, local = _INT.unpack_from(content, 16)[0], socket.inet_ntop(socket.AF_INET6, content[:16])
            elif kind == socket.IPV6_HOPLIMIT and len(content) >= _INT.size:
                (hop_limit,) = _INT.unpack_from(content)
            elif kind == IPV6_RECVFRAGSIZE:
                fragmented = True
    return Heard(stamp, identifier, error, local, interface, hop_limit, fragmented)


def _extended_error(content: bytes) -> tuple[int | None, IcmpError | None]:
    _, origin, kind, code, told, key = _EXTENDED_ERROR.unpack_from(content)
    if origin == ORIGIN_TIMESTAMPING:
        return key, None
    if origin == ORIGIN_ICMP:
        start = _EXTENDED_ERROR.size + 4
        offender = content[start : start + 4]
        family = socket.AF_INET
    elif origin == ORIGIN_ICMP6:
        start = _EXTENDED_ERROR.size + 8
        offender = content[start : start + 16]
        family = socket.AF_INET6
    else:
        return None, None
    known = len(offender) in (4, 16) and any(offender)
    mtu = told if (family, kind, code) in _TOO_BIG else 0
    return None, IcmpError(family, kind, code, str(ipaddress.ip_address(offender)) if known else "", mtu)


def identified(key: int) -> list[tuple[int, int, bytes]]:
    """Ancillary data for a send whose transmit stamp is to come back with this 32-bit identifier."""
    return [(socket.SOL_SOCKET, SCM_TS_OPT_ID, _KEY.pack(key))]


def leaving_from(local: str, interface: int) -> list[tuple[int, int, bytes]]:
    """Ancillary data for a send that is to leave from this own address; the interface counts for link-local ones only."""
    if ":" not in local:
        return [(socket.IPPROTO_IP, IP_PKTINFO, _INT.pack(0) + socket.inet_pton(socket.AF_INET, local) + bytes(4))]
    scope = interface if local.startswith("fe80") else 0
    return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, socket.inet_pton(socket.AF_INET6, local) + _INT.pack(scope))]


def stamped(family: socket.AddressFamily, kind: socket.SocketKind, protocol: int, match: TransmitMatch) -> socket.socket:
    """A non-blocking socket with receive stamps, hop limits, ICMP errors, and transmit stamps as `match` says.

    Raises OSError where it may not be opened. An option that the kernel refuses is left out: what it would have told is
    then missing from each packet, which every reader allows for.
    """
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    flags = RX_SOFTWARE | SOFTWARE
    if match is not TransmitMatch.NONE:
        flags |= TX_SOFTWARE | OPT_ID | (OPT_TSONLY if match is TransmitMatch.IDENTIFIER else 0)
    options = [(socket.SOL_SOCKET, SO_TIMESTAMPING, flags), (socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)]
    if family == socket.AF_INET:
        options += [(socket.IPPROTO_IP, IP_RECVERR, 1), (socket.IPPROTO_IP, IP_RECVTTL, 1)]
    else:
        options += [
            (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1),
            (socket.IPPROTO_IPV6, IPV6_RECVERR, 1),
            (socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1),
        ]
    for level, option, value in options:
        try:
            sock.setsockopt(level, option, value)
        except OSError:
            continue
    return sock


def told_own_address(sock: socket.socket) -> None:
    """Have each packet say which own address it was sent to."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)


def told_of_fragments(sock: socket.socket) -> None:
    """Have each packet that came in fragments say so."""
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVFRAGSIZE, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVFRAGSIZE, 1)


def send_whole(sock: socket.socket, *, whole: bool = True) -> None:
    """Send every packet whole from now on: never in fragments, with DF, and however small the path is thought to be.

    What is longer than the own link is then EMSGSIZE at the send. `whole` False is the default of a new socket: what is longer
    than the path's MTU, as far as the kernel knows it, goes in fragments. Raises OSError.
    """
    mode = PMTUDISC_PROBE if whole else PMTUDISC_WANT
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, mode)
    else:
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_MTU_DISCOVER, mode)


@functools.cache
def transmit_match() -> TransmitMatch:
    """How transmit stamps are matched here, found out once per process by sending a packet to ourselves."""
    return next((match for match in (TransmitMatch.IDENTIFIER, TransmitMatch.PACKET) if _works(match)), TransmitMatch.NONE)


def _works(match: TransmitMatch) -> bool:
    key, content = 0x6E6D7478, os.urandom(16)
    try:
        with stamped(socket.AF_INET, socket.SOCK_DGRAM, 0, match) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.sendmsg([content], identified(key) if match is TransmitMatch.IDENTIFIER else [], 0, sock.getsockname())
            packet, ancillary, *_ = sock.recvmsg(512, ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
    except OSError as error:
        # Without a loopback interface nothing is disproved: an unknown control message would have been EINVAL.
        return match is TransmitMatch.IDENTIFIER and error.errno not in (errno.EINVAL, errno.EAGAIN)
    found = heard(ancillary)
    return found.stamp_ns > 0 and (found.identifier == key if match is TransmitMatch.IDENTIFIER else content in packet)


def realtime_offset_ns() -> int:
    """CLOCK_REALTIME minus CLOCK_MONOTONIC in nanoseconds, to within some microseconds however busy the machine is."""
    best, offset = 0, 0
    for _ in range(5):
        before = time.monotonic_ns()
        wall = time.time_ns()
        gap = time.monotonic_ns() - before
        if not best or gap < best:
            best, offset = gap, wall - before
        if gap < 20_000:  # noqa: PLR2004 - nanoseconds: nobody came between
            break
    return offset
