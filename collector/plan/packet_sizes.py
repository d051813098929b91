"""How long the packets are that the layer `mtu` sends: a few lengths that networks are known to treat differently. Pure.

In: what a pod's network is said to carry. Out: asks. A path that carries short packets and loses long ones, in silence, is
found by no other layer; whoever compares the lengths of one path learns where it begins.
"""

from collections.abc import Sequence

from wire.path import LONGEST_PACKET_BYTES, Icmp, Udp

LENGTHS = (512, 1200)
"""More than one 256-byte cell of a switch's fabric, of which a faulty one eats the second; and what every path should carry,
so that a sender may start there (BASE_PLPMTU, RFC 8899 section 5.1.2)."""


def sizes(mtu: int) -> tuple[int, ...]:
    """Lengths of whole IP packets, ascending, none longer than the MTU and, where it is known (not 0), exactly that one.

    An MTU that is longer than what agents send at all is tested as far as they do.
    """
    if not mtu:
        return LENGTHS
    longest = min(mtu, LONGEST_PACKET_BYTES)
    return (*(length for length in LENGTHS if length < longest), longest)


def mtu_asks(mtu: int, port: int) -> Sequence[Icmp | Udp]:
    """What a vantage asks a peer that answers on this port: every length by ICMP and UDP, which devices treat differently."""
    return [ask for length in sizes(mtu) for ask in (Icmp(packet_bytes=length), Udp(port=port, packet_bytes=length))]
