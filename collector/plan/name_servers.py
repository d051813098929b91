"""What name servers are asked for and how often, and from which targets. Pure.

Each address of a server is a target of its own, since a resolver that has the bad one waits seconds before it tries another.
"""

from collections.abc import Iterator, Sequence

from collector.discovery.snapshot import DnsServer
from wire.path import Ask, Dns, Family, Record, Target, shortest

FURTHER_NAMES = 3
"""Names after the first are asked for every third interval: they tell one name from the server, and are no measure of it."""
OVER_TCP = 6
"""TCP costs six packets and is what long answers fall back to."""


def asks_of(server: DnsServer) -> Sequence[tuple[Ask, int]]:
    """What one address of a server is asked, and every how many intervals.

    The first name is asked for as a C library does, A and AAAA from one socket at once, and over TCP for one of them. The
    address that must be among the answers stands where it can be, on a question for its family.
    """
    first, *further = server.names
    contains = shortest(server.contains) if server.contains else ""
    alone = Record.AAAA if ":" in contains else Record.A
    return [
        (Dns(first, Record.BOTH, server.port, contains=contains), 1),
        *((Dns(name, Record.A, server.port), FURTHER_NAMES) for name in further),
        (Dns(first, alone, server.port, tcp=True, contains=contains), OVER_TCP),
    ]


def dns_aims(server: DnsServer) -> Iterator[tuple[Family, Target, Ask, int]]:
    """Family, target, question, and every how many intervals: for all addresses of a server."""
    name = f"dns/{server.name}"
    asks = asks_of(server)
    for address in server.addresses:
        target = Target(name=name, peer=name, address=address)
        for ask, every in asks:
            yield Family.of(address), target, ask, every
