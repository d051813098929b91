"""Delays what passes a node's port: what netem would do, on kernels with and without it.

    python -m lab.relay PORT TAP MAC DIRECTION:PEER:NANOSECONDS...

Runs in the fabric's namespace. Rules send what comes out of the node into the TAP, and the bridge sends there what is meant for
the node, since the TAP is then the node's port. Both carry virtio headers, so that large segments and unfinished checksums pass
as they are. PEER is a MAC address or `*`. A packet is late by the sum of all that fit, and never overtakes one of its own kind.
"""

import fcntl
import heapq
import os
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass

IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x1000, 0x4000  # linux/if_tun.h
TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4
SOL_PACKET, PACKET_VNET_HDR = 263, 15  # linux/if_packet.h
SO_SNDBUFFORCE = 32
_VNET_HEADER = 10
_LONGEST = 65536 + 256
_SEND_BUFFER = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rule:
    """A delay for one direction, and one other node or all."""

    outward: bool
    peer: bytes | None
    delay_ns: int

    @classmethod
    def of(cls, word: str) -> "Rule":
        """From `DIRECTION:PEER:NANOSECONDS`."""
        direction, _, rest = word.partition(":")
        peer, _, delay = rest.rpartition(":")
        return cls(direction == "out", None if peer == "*" else mac_bytes(peer), int(delay))


def mac_bytes(text: str) -> bytes:
    """Six bytes of a MAC address in text."""
    return bytes.fromhex(text.replace(":", ""))


def delay_ns(rules: list[Rule], *, outward: bool, destination: bytes, source: bytes) -> int:
    """How late a packet shall be."""
    other = destination if outward else source
    return sum(rule.delay_ns for rule in rules if rule.outward == outward and rule.peer in {None, other})


def _open_tap(name: str) -> int:
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI | IFF_VNET_HDR))
    fcntl.ioctl(descriptor, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6)
    return descriptor


def _open_port(name: str) -> socket.socket:
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # Protocol 0: it sends and hears nothing.
    port.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
    try:
        port.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, _SEND_BUFFER)
    except PermissionError:  # in a user namespace
        port.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    port.bind((name, 0))
    return port


def _relay(port_name: str, tap_name: str, mac: bytes, rules: list[Rule]) -> None:
    port = _open_port(port_name)
    tap = _open_tap(tap_name)
    waiting: list[tuple[int, int, bool, bytes]] = []
    number = 0
    while True:
        patience = max(waiting[0][0] - time.monotonic_ns(), 0) / 1e9 if waiting else None
        readable, _, _ = select.select([tap], [], [], patience)
        while readable:
            try:
                frame = os.read(tap, _LONGEST)
            except BlockingIOError:
                break
            destination = frame[_VNET_HEADER : _VNET_HEADER + 6]
            source = frame[_VNET_HEADER + 6 : _VNET_HEADER + 12]
            outward = source == mac
            due = time.monotonic_ns() + delay_ns(rules, outward=outward, destination=destination, source=source)
            number += 1
            heapq.heappush(waiting, (due, number, outward, frame))
            if waiting[0][0] <= time.monotonic_ns():
                break
        while waiting and waiting[0][0] <= time.monotonic_ns():
            _, _, outward, frame = heapq.heappop(waiting)
            try:
                if outward:
                    os.write(tap, frame)
                else:
                    port.send(frame)
            except OSError as error:
                print(f"a packet of {len(frame)} bytes is lost in the relay: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    _relay(sys.argv[1], sys.argv[2], mac_bytes(sys.argv[3]), [Rule.of(word) for word in sys.argv[4:]])
