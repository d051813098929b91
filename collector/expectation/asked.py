"""Which connections a declaration is about, for one target at a time.

In: what it asks for, and a target or a service. Out: protocol and port as a policy sees them, with what asked for them. A range
of ports is asked at its ends, and is about all of them.
"""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from collector.expectation.asks import DNS_PORT, HTTP_PORT, PortAsk
from collector.expectation.cluster import Backing, Service, ServicePort
from collector.policy.ends import ContainerPort, End, Pod, Protocol

_WITHOUT_ONE = {"DNS": DNS_PORT, "HTTP": HTTP_PORT}
"""The port that is asked where neither the declaration nor the target names one."""


class Asked(Struct, frozen=True):
    """One port of a target."""

    protocol: Protocol
    port: int
    by: PortAsk | None = None
    """None where the declaration names no port, so that it is one that the target declares."""


def asked_of(ports: Sequence[PortAsk], target: End) -> Iterator[Asked]:
    """What is asked of a target itself; nothing where a port has a name that the target does not know."""
    declared = target.ports if isinstance(target, Pod) else ()
    if not ports:
        yield from (Asked(port.protocol, port.port) for port in declared)
        if not declared:
            yield Asked("ICMP", 0)
    for ask in ports:
        yield from (Asked(ask.transport, number, ask) for number in _numbers(ask, declared))


def asked_behind(ports: Sequence[PortAsk], service: Service) -> Iterator[tuple[Backing, Asked]]:
    """What is asked of a service: its endpoints with their own ports, which is what a policy sees."""
    for backing in service.backings:
        for by in asking_for(ports, backing.port)[:1]:
            yield backing, Asked(backing.port.protocol, backing.target_port, by)


def asking_for(ports: Sequence[PortAsk], port: ServicePort) -> Sequence[PortAsk | None]:
    """What asks for a port of a service; a None where every port is meant, and nothing where this one is not."""
    if not ports:
        return [None]
    return [ask for ask in ports if ask.transport == port.protocol and _means(ask, port.port, port.name)]


def is_about(ports: Sequence[PortAsk], target: End, protocol: Protocol, port: int) -> bool:
    """Whether a connection to a target itself is one of those that are meant."""
    if any(
        ask.transport == protocol and isinstance(ask.port, int) and ask.port <= port <= (ask.end_port or ask.port)
        for ask in ports
    ):
        return True
    return any((one.protocol, one.port) == (protocol, port) for one in asked_of(ports, target))


def missing_ports(ports: Sequence[PortAsk], declared: Sequence[ContainerPort | ServicePort]) -> list[PortAsk]:
    """The ports that nobody has who says which he has."""
    return [
        ask
        for ask in ports
        if ask.port is not None
        and not any(one.protocol == ask.transport and _means(ask, one.port, one.name) for one in declared)
    ]


def _numbers(ask: PortAsk, declared: Sequence[ContainerPort]) -> Sequence[int]:
    if ask.protocol == "ICMP":
        return (0,)
    if ask.port is None:
        own = [port.port for port in declared if port.protocol == ask.transport]
        return own or ([_WITHOUT_ONE[ask.protocol]] if ask.protocol in _WITHOUT_ONE else [])
    if isinstance(ask.port, str):
        return [port.port for port in declared if port.name == ask.port and port.protocol == ask.transport]
    return [port for port in ask.sampled if isinstance(port, int)]


def _means(ask: PortAsk, number: int, name: str) -> bool:
    if ask.port is None:
        return True
    if isinstance(ask.port, str):
        return ask.port == name
    return ask.port <= number <= (ask.end_port or ask.port)
