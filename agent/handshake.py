"""One TCP handshake on a non-blocking socket: begun, looked at, torn down.

In: an address and a port. Out: the kernel's own round trip of the handshake, or the word why there was none. Not a byte of
payload is sent here, and whatever was opened is closed with RST, so that neither side keeps a TIME_WAIT.
"""

import errno
import os
import socket
import struct
import time
from dataclasses import dataclass

from agent import kernel
from agent.errno_words import word_for
from agent.icmp_words import word_for_icmp
from wire.outcome import Outcome
from wire.path import Family
from wire.window import Timed

# linux/tcp.h, struct tcp_info: tcpi_state at 0, tcpi_last_ack_recv at 56, tcpi_rtt at 68, tcpi_total_retrans at 100.
_TCP_INFO = struct.Struct("=B55xI8xI28xI")
# include/net/tcp_states.h
_ESTABLISHED = 1
_SYN_SENT = 2
_SYN_RECV = 3
_CLOSE_WAIT = 8

_ERROR_REPORTS = {
    socket.AF_INET: (socket.IPPROTO_IP, kernel.IP_RECVERR),
    socket.AF_INET6: (socket.IPPROTO_IPV6, kernel.IPV6_RECVERR),
}

_RESET_ON_CLOSE = struct.pack("=ii", 1, 0)

SOCKET_FAMILY = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class Shaken:
    """A completed handshake."""

    rtt_ns: int
    timed: Timed
    retransmits: int


def begin(address: str, port: int) -> socket.socket:
    """A non-blocking socket whose SYN is on its way; raises OSError where it never left."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    connection = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        connection.setsockopt(*_ERROR_REPORTS[family], 1)
        number = connection.connect_ex((address, port))
    except OSError:
        connection.close()
        raise
    if number in {0, errno.EINPROGRESS}:
        return connection
    connection.close()
    raise OSError(number, os.strerror(number))


def result_of(connection: socket.socket, started_ns: int) -> Shaken | Outcome | None:
    """What became of a handshake begun at `started_ns` (monotonic); None while it is still going on."""
    state, silent_ms, rtt_us, retransmits = _TCP_INFO.unpack(
        connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    )
    if state in {_ESTABLISHED, _CLOSE_WAIT}:
        if not retransmits:
            return Shaken(rtt_us * 1000, Timed.TCP_INFO, 0)
        # Linux puts a round number of milliseconds into tcpi_rtt then: it cannot know which of its SYNs was answered.
        elapsed_ns = time.monotonic_ns() - started_ns - silent_ms * 1_000_000
        return Shaken(max(elapsed_ns, 0), Timed.USER, retransmits)
    # An ICMP error that arrives while connect() still holds the socket ends nothing and shows up in the queue only.
    word = _icmp_word(connection)
    if word is not None or state in {_SYN_SENT, _SYN_RECV}:
        return word
    number = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if number in {errno.EACCES, errno.EPERM}:
        return Outcome.PROHIBITED  # our own kernel would have refused the connect() itself
    return word_for(OSError(number, "")) if number else Outcome.RESET


def reset_on_close(connection: socket.socket) -> None:
    """Have close() send RST: no TIME_WAIT, no conntrack entry that lingers, and nothing left half open."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


def tear_down(connection: socket.socket) -> None:
    """Close with RST."""
    try:
        reset_on_close(connection)
    finally:
        connection.close()


def retransmits_of(connection: socket.socket) -> int:
    """Segments that were sent again since the SYN, itself included."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    return int(_TCP_INFO.unpack(info)[3])


def no_such_family(family: Family) -> str | None:
    """Why no TCP socket of this family can be had, in a few words; None where it can."""
    try:
        socket.socket(SOCKET_FAMILY[family], socket.SOCK_STREAM).close()
    except OSError as error:
        return f"no {family} in this kernel" if error.errno == errno.EAFNOSUPPORT else None
    return None


def _icmp_word(connection: socket.socket) -> Outcome | None:
    while True:
        try:
            _, ancillary, _, _ = connection.recvmsg(1, kernel.ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
        except OSError:  # empty: it holds none, or SO_ERROR has a word that comes without type and code
            return None
        error = kernel.heard(ancillary).error
        if error is not None and (word := word_for_icmp(error)) is not None:
            return word
