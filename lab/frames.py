"""What an Ethernet frame that was dropped had in it: addresses, protocol, length, and session and number of a STAMP packet.

Of a packet inside of a tunnel they are told as if there were no tunnel, since that is what a pod has sent.
"""

import struct
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

from lab.roles import ECHO_PORT, VXLAN_PORT

ETHERNET = 14
_ETHERTYPE = struct.Struct("!H")
_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58
_IPV4_LEAST, _IPV6_HEADER, _UDP_HEADER = 20, 40, 8
_NEIGHBOUR_DISCOVERY = range(133, 138)
_NAMES = {_ICMP: "icmp", _ICMPV6: "icmp", _TCP: "tcp", _UDP: "udp"}
_VXLAN_HEADER = 8  # RFC 7348 section 5
_FRAGMENT_OFFSET = 0x1FFF

# RFC 8762: a sender's packet starts with its sequence number (4.2.1); in a reply the sender's own stands behind the reflector's
# sequence number, time, error estimate and receive time (4.3.1).
_REQUEST_SEQUENCE, _REPLY_SEQUENCE = 0, 24
_SSID = 14
"""RFC 8972 section 3: in requests and replies alike. Its first bit says that the packet is one of a burst."""
_OF_A_BURST = 0x80


@dataclass(frozen=True, slots=True)
class Frame:
    """What can be told from a frame; empty and zero where it is not in there. MAC addresses are those outside."""

    destination: bytes
    source: bytes
    protocol: str
    src: str = ""
    dst: str = ""
    packet_bytes: int = 0
    """Of the whole IP packet."""
    src_port: int = 0
    dst_port: int = 0
    sequence: int | None = None
    reply: bool = False
    is_of_burst: bool = False


def dissect(frame: bytes) -> Frame:
    """Read a frame, which may end anywhere; never raises."""
    destination, source = frame[0:6], frame[6:12]
    if len(frame) < ETHERNET:
        return Frame(destination, source, "short")
    (ethertype,) = _ETHERTYPE.unpack_from(frame, 12)
    packet = frame[ETHERNET:]
    if ethertype == _ARP:
        return Frame(destination, source, "arp")
    if ethertype == _IPV4 and len(packet) >= _IPV4_LEAST:
        whole = not int.from_bytes(packet[6:8], "big") & _FRAGMENT_OFFSET
        payload = packet[(packet[0] & 0x0F) * 4 :] if whole else b""
        length = int.from_bytes(packet[2:4], "big")
        ends = Frame(destination, source, "", str(IPv4Address(packet[12:16])), str(IPv4Address(packet[16:20])), length)
        return _transport(ends, packet[9], payload)
    if ethertype == _IPV6 and len(packet) >= _IPV6_HEADER:
        length = _IPV6_HEADER + int.from_bytes(packet[4:6], "big")
        ends = Frame(destination, source, "", str(IPv6Address(packet[8:24])), str(IPv6Address(packet[24:40])), length)
        return _transport(ends, packet[6], packet[_IPV6_HEADER:])
    return Frame(destination, source, f"{ethertype:#06x}")


def _transport(ends: Frame, number: int, payload: bytes) -> Frame:
    name = _NAMES.get(number, str(number))
    if number == _ICMPV6 and payload[:1] and payload[0] in _NEIGHBOUR_DISCOVERY:
        name = "nd"
    if number not in {_TCP, _UDP} or len(payload) < _UDP_HEADER:
        return replace(ends, protocol=name)
    src_port, dst_port = struct.unpack_from("!HH", payload)
    if number == _UDP and dst_port == VXLAN_PORT:
        inner = dissect(payload[_UDP_HEADER + _VXLAN_HEADER :])
        return replace(inner, destination=ends.destination, source=ends.source)
    ends = replace(ends, protocol=name, src_port=src_port, dst_port=dst_port)
    return _stamp(ends, payload[_UDP_HEADER:]) if number == _UDP and ECHO_PORT in {src_port, dst_port} else ends


def _stamp(ends: Frame, packet: bytes) -> Frame:
    reply = ends.src_port == ECHO_PORT
    place = _REPLY_SEQUENCE if reply else _REQUEST_SEQUENCE
    if len(packet) < max(place + 4, _SSID + 2):
        return replace(ends, reply=reply)
    (sequence,) = struct.unpack_from("!I", packet, place)
    return replace(ends, sequence=sequence, reply=reply, is_of_burst=bool(packet[_SSID] & _OF_A_BURST))
