"""Delays what passes a node's port, or tampers with it: what netem would do, on kernels with and without it.

    python -m lab.relay PORT TAP MAC DIRECTION:PEER:HOW:NANOSECONDS...

Runs in the fabric's namespace. Rules send what comes out of the node into the TAP, and the bridge sends there what is meant for
the node, since the TAP is then the node's port. Both carry virtio headers, so that large segments and unfinished checksums pass
as they are. PEER is a MAC address or `*`, HOW `delay`, `duplicate`, `corrupt` or `reorder`. A packet is late by the sum of all
that fit, and overtakes another one only where they are reordered. All but `delay` spare neighbour discovery, and what is no IP
packet.
"""

import fcntl
import heapq
import os
import select
import socket
import struct
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x2, 0x1000, 0x4000  # linux/if_tun.h
TUNSETIFF, TUNSETOFFLOAD = 0x400454CA, 0x400454D0
TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6 = 1, 2, 4
SOL_PACKET, PACKET_VNET_HDR = 263, 15  # linux/if_packet.h
SO_SNDBUFFORCE = 32
_VNET = struct.Struct("=BBHHHH")
_NEEDS_CHECKSUM = 1  # VIRTIO_NET_HDR_F_NEEDS_CSUM
_NEIGHBOUR_DISCOVERY = range(133, 138)
SECOND_NS = 1_000_000_000
_LONGEST = 65536 + 256
_SEND_BUFFER = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to packets in one direction, to or from one other node or all."""

    outward: bool
    peer: bytes | None
    how: str
    delay_ns: int

    @classmethod
    def of(cls, word: str) -> "Rule":
        """From `DIRECTION:PEER:HOW:NANOSECONDS`."""
        direction, _, rest = word.partition(":")
        peer, how, delay = rest.rsplit(":", 2)
        return cls(direction == "out", None if peer == "*" else mac_bytes(peer), how, int(delay))


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one packet."""

    delay_ns: int = 0
    copies: int = 1
    corrupt: bool = False


def mac_bytes(text: str) -> bytes:
    """Six bytes of a MAC address in text."""
    return bytes.fromhex(text.replace(":", ""))


def fate(rules: list[Rule], frame: bytes, *, outward: bool, now_ns: int) -> Fate:
    """What shall become of a frame that comes at a time."""
    other = frame[:6] if outward else frame[6:12]
    fitting = [rule for rule in rules if rule.outward == outward and rule.peer in {None, other}]
    if not _is_payload(frame):
        fitting = [rule for rule in fitting if rule.how == "delay"]
    even = now_ns // SECOND_NS % 2 == 0
    return Fate(
        delay_ns=sum(rule.delay_ns for rule in fitting if rule.how == "delay" or even),
        copies=2 if any(rule.how == "duplicate" for rule in fitting) else 1,
        corrupt=any(rule.how == "corrupt" for rule in fitting),
    )


def corrupted(header: bytes, frame: bytes) -> tuple[bytes, bytes]:
    """A virtio header and frame of which the last bit is another one, while the checksum is that of the true frame.

    What is still to be cut into segments, or says that its checksum needs no look, cannot be told apart from what is whole, and
    is left alone in the first case.
    """
    flags, segmentation, _, _, start, offset = _VNET.unpack(header)
    if segmentation:
        return header, frame
    changed = bytearray(frame)
    if flags & _NEEDS_CHECKSUM:
        # So far it holds the sum of the pseudo header (linux/virtio_net.h).
        struct.pack_into("!H", changed, start + offset, checksum(frame[start:]) or 0xFFFF)
    changed[-1] ^= 1
    return bytes(len(header)), bytes(changed)


def checksum(content: bytes) -> int:
    """Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{(len(content) + 1) // 2}H", content + b"\0" * (len(content) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _is_payload(frame: bytes) -> bool:
    """Whether it is an IP packet, and no neighbour discovery."""
    ethertype = frame[12:14]
    neighbour = ethertype == b"\x86\xdd" and frame[20] == socket.IPPROTO_ICMPV6 and frame[54] in _NEIGHBOUR_DISCOVERY
    return ethertype in {b"\x08\x00", b"\x86\xdd"} and not neighbour


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


def _hurry() -> None:
    """Go before other programs where that is allowed: packets that fit no rule shall not be late because others compute."""
    with suppress(PermissionError):  # in a user namespace
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(os.sched_get_priority_min(os.SCHED_FIFO)))


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
            header, content = frame[: _VNET.size], frame[_VNET.size :]
            outward, now_ns = content[6:12] == mac, time.monotonic_ns()
            what = fate(rules, content, outward=outward, now_ns=now_ns)
            if what.corrupt:
                frame = b"".join(corrupted(header, content))
            for _ in range(what.copies):
                number += 1
                heapq.heappush(waiting, (now_ns + what.delay_ns, number, outward, frame))
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
    _hurry()
    _relay(sys.argv[1], sys.argv[2], mac_bytes(sys.argv[3]), [Rule.of(word) for word in sys.argv[4:]])
