"""Every packet that the lab dropped, one by one.

nftables counts each packet that a fault takes and sends it to a sink instead; here the other end of the sink is read. The two
must agree, or the log says how many are missing.
"""

import json
import os
import select
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal

from lab import namespaces
from lab.frames import dissect
from lab.rules import SEEN
from lab.topology import Topology

Direction = Literal["in", "out"]

MAX_RECORDS = 500_000
"""Beyond, packets are only counted, and the log is not complete."""
ETH_P_ALL = 3
SO_RCVBUFFORCE = 33
SO_TIMESTAMPNS = 35
_BUFFER_BYTES = 64 * 1024 * 1024
_SNAP_BYTES = 256
_CATCH_UP = 1.0
_TIMESPEC = struct.Struct("=qq")


@dataclass(frozen=True, slots=True)
class Drop:
    """One packet that a fault took."""

    time_ns: int
    """CLOCK_MONOTONIC."""
    direction: Direction
    """As seen from `node`."""
    node: str
    """At whose port it was taken; empty for a broadcast into a node."""
    protocol: str
    """`icmp` (both families), `udp`, `tcp`, `arp`, `nd` for neighbour discovery, otherwise a number."""
    src: str = ""
    dst: str = ""
    src_port: int = 0
    dst_port: int = 0
    sequence: int | None = None
    """STAMP: the sender's sequence number, of a request or of a reply."""
    reply: bool = False
    """STAMP: a reply of the reflector."""
    is_of_burst: bool = False
    """STAMP: of a burst, which has a session with numbers of its own."""
    packet_bytes: int = 0
    """Of the whole IP packet."""


class DropLog:
    """Drops in the order in which they were read. A thread of its own reads them between `open` and `close`."""

    def __init__(self, topology: Topology) -> None:
        self._topology = topology
        self._names = {
            bytes.fromhex(mac.replace(":", "")): node.name
            for node in topology.nodes
            for network in topology.shape.networks
            for mac in topology.macs(node, network)
        }
        self._records: list[Drop] = []
        self._captured = 0
        self._counted_before = 0
        self._counted_at_close: int | None = None
        self._sockets: dict[int, tuple[socket.socket, Direction]] = {}
        self._thread: threading.Thread | None = None
        self._wake = -1

    def open(self) -> None:
        """Start to listen; raises OSError where the lab is not there."""
        directions: tuple[Direction, ...] = ("in", "out")
        for direction in directions:
            sink = namespaces.call_inside(self._topology.fabric_netns, partial(_listen, SEEN[direction]))
            self._sockets[sink.fileno()] = (sink, direction)
        self._counted_before = self._counters()
        stopped, self._wake = os.pipe()
        self._thread = threading.Thread(target=self._read, args=(stopped,), name="drops", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take in what has arrived and stop. The records stay."""
        if self._thread:
            with suppress(RuntimeError):  # Somebody else removed the lab, and the counters with it.
                self.complete()
                self._counted_at_close = self._counters()
            os.close(self._wake)
            self._thread.join()
            self._thread = None

    @property
    def records(self) -> list[Drop]:
        """All of them so far."""
        return list(self._records)

    def count(
        self,
        *,
        src: str | None = None,
        dst: str | None = None,
        protocol: str | None = None,
        direction: Direction | None = None,
        sequences: tuple[int, int] | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> int:
        """How many dropped packets fit; STAMP `sequences` in (low, high], time in [since, until)."""
        return sum(
            1
            for drop in self.records
            if src in {None, drop.src}
            and dst in {None, drop.dst}
            and protocol in {None, drop.protocol}
            and direction in {None, drop.direction}
            and (sequences is None or (drop.sequence is not None and sequences[0] < drop.sequence <= sequences[1]))
            and (since_ns is None or drop.time_ns >= since_ns)
            and (until_ns is None or drop.time_ns < until_ns)
        )

    @property
    def captured(self) -> int:
        """Packets read."""
        return self._captured

    @property
    def counted(self) -> int:
        """Packets that nftables counted since `open`."""
        return (self._counters() if self._counted_at_close is None else self._counted_at_close) - self._counted_before

    def complete(self) -> str:
        """Empty when every packet that nftables counted is in the log, otherwise a sentence that says how many are not.

        Waits for the reader where it is behind, up to a second.
        """
        deadline = time.monotonic() + _CATCH_UP
        while True:
            captured, counted = self.captured, self.counted
            if captured == counted:
                break
            if time.monotonic() > deadline or self._thread is None:
                return f"{counted} packets were dropped, but {captured} were seen"
            time.sleep(0.01)
        return "" if captured <= MAX_RECORDS else f"{captured} packets were dropped, but only {MAX_RECORDS} are kept"

    def _counters(self) -> int:
        text = namespaces.query_inside(self._topology.fabric_netns, "nft", "-j", "list", "counters", "table", "netdev", "lab")
        return sum(entry["counter"]["packets"] for entry in json.loads(text)["nftables"] if "counter" in entry)

    def _read(self, stopped: int) -> None:
        try:
            while True:
                readable, _, _ = select.select([stopped, *self._sockets], [], [])
                for descriptor in readable:
                    if descriptor in self._sockets:
                        self._take(*self._sockets[descriptor])
                if readable == [stopped]:
                    break
        finally:
            os.close(stopped)
            for sink, _ in self._sockets.values():
                sink.close()

    def _take(self, sink: socket.socket, direction: Direction) -> None:
        # The kernel stamps with the wall clock; the age of a packet is what moves it to the monotonic one.
        offset = time.time_ns() - time.monotonic_ns()
        while True:
            try:
                content, ancillary, _, _ = sink.recvmsg(_SNAP_BYTES, 64)
            except OSError:
                return  # Nothing more for now, or the interface went away with the lab.
            self._captured += 1
            if self._captured > MAX_RECORDS:
                continue
            stamps = [_TIMESPEC.unpack(value) for _, kind, value in ancillary if kind == SO_TIMESTAMPNS]
            moment = stamps[0][0] * 1_000_000_000 + stamps[0][1] if stamps else time.time_ns()
            frame = dissect(content)
            self._records.append(
                Drop(
                    time_ns=moment - offset,
                    direction=direction,
                    node=self._names.get(frame.source if direction == "out" else frame.destination, ""),
                    protocol=frame.protocol,
                    src=frame.src,
                    dst=frame.dst,
                    src_port=frame.src_port,
                    dst_port=frame.dst_port,
                    sequence=frame.sequence,
                    reply=frame.reply,
                    is_of_burst=frame.is_of_burst,
                    packet_bytes=frame.packet_bytes,
                )
            )


def _listen(interface: str) -> socket.socket:
    sink = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        sink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, _BUFFER_BYTES)
    except PermissionError:  # in a user namespace; there it is what net.core.rmem_max allows
        sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    sink.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sink.settimeout(0)
    sink.bind((interface, ETH_P_ALL))
    return sink
