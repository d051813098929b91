"""Kernel stamps on one TCP stream: when the request left, and when each piece of the answer arrived.

In: a connected socket. Out: nanoseconds of CLOCK_REALTIME taken by the kernel, so that neither the tick nor a busy process
is in them. A stamp can be missing (0); who needs one falls back to its own clock and says so.
"""

import socket
import struct

from agent import kernel

_TIMESPEC = struct.Struct("@ll")  # the first of struct scm_timestamping, linux/errqueue.h
_STAMP = (socket.SOL_SOCKET, kernel.SO_TIMESTAMPING)
# A stream needs no identifiers: one request is sent on it.
_FLAGS = kernel.TX_SOFTWARE | kernel.RX_SOFTWARE | kernel.SOFTWARE | kernel.OPT_TSONLY


def enable(connection: socket.socket) -> None:
    """Stamp what is sent and received from now on; raises OSError where the kernel does not."""
    connection.setsockopt(socket.SOL_SOCKET, kernel.SO_TIMESTAMPING, _FLAGS)


def received(connection: socket.socket, size: int) -> tuple[bytes, int]:
    """Up to `size` bytes, and when the last of their segments arrived. Raises OSError as recv does.

    The kernel merges segments that wait to be read and keeps the last one's stamp: the first byte's stamp is exact as long
    as it is read before the next segment comes, and the last byte's always is.
    """
    content, ancillary, _, _ = connection.recvmsg(size, kernel.ANCILLARY_BYTES)
    return content, _stamp_ns(ancillary)


def departed(connection: socket.socket) -> int:
    """When what was sent left for the first time; 0 where no stamp has come back (yet)."""
    while True:
        try:
            _, ancillary, _, _ = connection.recvmsg(1, kernel.ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
        except OSError:
            return 0
        if stamp_ns := _stamp_ns(ancillary):
            return stamp_ns


def _stamp_ns(ancillary: kernel.Ancillary) -> int:
    for level, kind, content in ancillary:
        if (level, kind) == _STAMP and len(content) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(content)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return 0
