"""What really happened to each probe, read from the packets at an interface, and how far a figure is from it.

In: packets. Out: for each probe the time from its request to its answer. Nothing here knows what the agent measured or which
answer it took for which request: a request and its answer are told by what stands in them.

A key names one probe, as kind and name: for icmp and udp the 32-bit identifier that a request carries and an answer returns,
for tcp and http the address that is asked and the port that it is asked from.
"""

import math
import socket
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence

from agent.stamp import identifier_in
from bench.capture import Packet
from wire.path import Kind

Key = tuple[Kind, str]
_ICMP_REQUEST, _ICMP_REPLY = 8, 0
_PORTS = struct.Struct("!HH")
_SYN, _ACK = 0x02, 0x10


def flow(address: str, port: int) -> str:
    """The name of a probe that connects: the address that is asked, and the port that it is asked from."""
    return f"{address}:{port}"


def read(content: bytes, ports: Mapping[int, Kind]) -> tuple[Key, bool] | None:
    """Key of the probe that an IPv4 packet belongs to, and whether it asks; None for any other packet.

    `ports` are those that are probed: udp by datagrams; tcp by its SYN alone; http by its first bytes, in both directions.
    """
    if len(content) < 20 or content[0] >> 4 != 4:  # noqa: PLR2004 - shortest header, IP version
        return None
    body = content[4 * (content[0] & 0xF) : max(int.from_bytes(content[2:4], "big"), 20)]
    try:
        match content[9]:
            case socket.IPPROTO_ICMP if body[0] in (_ICMP_REQUEST, _ICMP_REPLY):
                return _identified(Kind.ICMP, body, asks=body[0] == _ICMP_REQUEST)
            case socket.IPPROTO_UDP:
                source, destination = _PORTS.unpack_from(body)
                asks = ports.get(destination) is Kind.UDP
                return _identified(Kind.UDP, body, asks=asks) if asks or ports.get(source) is Kind.UDP else None
            case socket.IPPROTO_TCP:
                return _of_stream(content, body, ports)
    except (IndexError, struct.error):
        pass
    return None


def _identified(kind: Kind, body: bytes, *, asks: bool) -> tuple[Key, bool] | None:
    identifier = identifier_in(body)
    return None if identifier is None else ((kind, str(identifier)), asks)


def _of_stream(content: bytes, body: bytes, ports: Mapping[int, Kind]) -> tuple[Key, bool] | None:
    source, destination = _PORTS.unpack_from(body)
    asks = destination in ports
    kind = ports.get(destination if asks else source)
    flags, payload = body[13], len(body) > 4 * (body[12] >> 4)
    if not ((kind is Kind.TCP and flags & _SYN and bool(flags & _ACK) is not asks) or (kind is Kind.HTTP and payload)):
        return None
    address = socket.inet_ntop(socket.AF_INET, content[16:20] if asks else content[12:16])
    return (kind, flow(address, source if asks else destination)), asks


def times(packets: Iterable[Packet], ports: Mapping[int, Kind], *, asking: bool) -> dict[Key, int]:
    """Nanoseconds from each request to its first answer, at the interface of the side that asks, or of the one that is asked.

    A request that was sent twice is left out, since it cannot be known which of the two was answered.
    """
    asked: dict[Key, int] = {}
    answered: dict[Key, int] = {}
    repeated: set[Key] = set()
    for packet in packets:
        found = read(packet.content, ports)
        if found is None:
            continue
        key, asks = found
        if packet.outgoing is not (asks is asking):
            continue
        if not asks:
            answered.setdefault(key, packet.stamp_ns)
        elif asked.setdefault(key, packet.stamp_ns) != packet.stamp_ns:
            repeated.add(key)
    return {key: stamp_ns - asked[key] for key, stamp_ns in answered.items() if key in asked and key not in repeated}


def round_trips(near: Mapping[Key, int], far: Mapping[Key, int]) -> Iterator[tuple[Key, int]]:
    """What a probe of each kind should measure, in nanoseconds, from the times at both ends.

    The reflector's own time is subtracted for udp, as its stamps are meant to allow. A kernel's answer to an echo or a SYN and
    a server's to a request belong to what is measured.
    """
    for key, whole_ns in near.items():
        if key[0] is not Kind.UDP:
            yield key, whole_ns
        elif key in far:
            yield key, whole_ns - far[key]


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed; raises ValueError where there is none."""
    ordered: Sequence[float] = sorted(values)
    if not ordered:
        raise ValueError("no values")
    return ordered[max(math.ceil(share * len(ordered)), 1) - 1]
