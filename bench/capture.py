"""Every packet that passes one interface, with the kernel's stamp and its direction: what other clocks are measured against.

In: a namespace, a device, and a time between entering and leaving. Out: packets in the order in which they passed. The kernel
writes them into a ring that is mapped into our memory (packet(7), TPACKET_V2), and nobody reads it before the end: no process
of ours runs because of a packet, and none can be too slow to see it. A ring that was too small says so.

An outgoing packet is stamped right before the driver takes it (`dev_queue_xmit_nit`). An incoming one carries the stamp that
the kernel gave it on arrival, the one that sockets get as well.
"""

import mmap
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import NamedTuple, Self

from lab.namespaces import call_inside

FRAME_BYTES = 256
"""Of a packet about the first 170 bytes are kept."""
_BLOCK_BYTES = 1 << 16
_SOL_PACKET, _PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 263, 5, 6, 10  # linux/if_packet.h
_TPACKET_V2 = 1
_TP_STATUS_USER = 1
_SO_TIMESTAMPNS = 35  # asm-generic/socket.h
_ETH_P_ALL, _ETH_P_LOOP = 3, 0x60  # linux/if_ether.h; nothing sends the latter
_HEADER = struct.Struct("=IIIHHII8x")  # struct tpacket2_hdr: status, length, kept, mac, net, seconds, nanoseconds
_DIRECTION_AT = _HEADER.size + 10  # sll_pkttype of the struct sockaddr_ll behind it


class Packet(NamedTuple):
    """One packet from its network header on, perhaps cut short; nanoseconds since 1970."""

    stamp_ns: int
    outgoing: bool
    content: bytes


class Capture:
    """One ring on one device; `capacity` is how many packets it holds."""

    def __init__(self, netns: str, device: str, *, capacity: int) -> None:
        self._device = device
        self._blocks = -(-capacity * FRAME_BYTES // _BLOCK_BYTES)
        self._socket = call_inside(netns, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0))
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            self._socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V2)
            ring = (_BLOCK_BYTES, self._blocks, FRAME_BYTES, self._blocks * _BLOCK_BYTES // FRAME_BYTES)
            self._socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, struct.pack("=IIII", *ring))
            self._ring = mmap.mmap(self._socket.fileno(), self._blocks * _BLOCK_BYTES)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        """Nothing yet: the kernel needs a moment until it stamps packets, and begins when somebody asks for it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None:
        """Give the ring back."""
        self._ring.close()
        self._socket.close()

    def start(self) -> None:
        """Capture from now on."""
        self._socket.bind((self._device, _ETH_P_ALL))

    def stop(self) -> None:
        """Capture nothing more."""
        self._socket.bind((self._device, _ETH_P_LOOP))

    def missed(self) -> int:
        """Packets that found the ring full; may be asked once."""
        _, dropped = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        return int(dropped)

    def packets(self) -> Iterator[Packet]:
        """What is in the ring, in the order in which it passed; to be called when nothing is captured any more."""
        for start in range(0, len(self._ring), FRAME_BYTES):
            status, _, kept, _, net, seconds, nanoseconds = _HEADER.unpack_from(self._ring, start)
            if not status & _TP_STATUS_USER:
                return
            outgoing = self._ring[start + _DIRECTION_AT] == socket.PACKET_OUTGOING
            yield Packet(seconds * 1_000_000_000 + nanoseconds, outgoing, self._ring[start + net : start + net + kept])
