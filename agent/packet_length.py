"""How much of an IP packet of a planned length is left for its content.

In: what a path asks for, and its family. Out: bytes of ICMP payload, or of STAMP padding; or a sentence, where such a packet
cannot be. `packet_bytes` counts the whole packet from the first byte of the IP header, without options or extension headers.
"""

from agent import stamp
from wire.path import LONGEST_PACKET_BYTES, Family, Icmp, Udp

_IP_HEADER_BYTES = {Family.IPV4: 20, Family.IPV6: 40}  # RFC 791, RFC 8200
_HEADER_BYTES = 8  # ICMP echo (RFC 792, RFC 4443) and UDP (RFC 768) alike
_TLV_HEADER_BYTES = 4  # RFC 8972 section 4


def payload_bytes(ask: Icmp, family: Family) -> int:
    """Bytes after the ICMP header of an echo request. Raises ValueError with a sentence where no packet has this length."""
    return _left(ask.packet_bytes, "icmp", family, 0) if ask.packet_bytes else ask.size


def padding_bytes(ask: Udp, family: Family) -> int:
    """Bytes in the Extra Padding TLV of a STAMP packet. Raises ValueError with a sentence where no packet has this length."""
    # At least one byte of padding: between none and a TLV with nothing in it there are lengths that no packet can have.
    return _left(ask.packet_bytes, "udp", family, stamp.MIN_BYTES + _TLV_HEADER_BYTES, 1) if ask.packet_bytes else ask.padding


def _left(packet_bytes: int, kind: str, family: Family, used: int, least: int = 0) -> int:
    overhead = _IP_HEADER_BYTES[family] + _HEADER_BYTES + used
    if not overhead + least <= packet_bytes <= LONGEST_PACKET_BYTES:
        msg = f"a packet of {kind} over {family} has {overhead + least} to {LONGEST_PACKET_BYTES} bytes, and not {packet_bytes}"
        raise ValueError(msg)
    return packet_bytes - overhead
