"""Ports of a policy's rule as matches of nftables; a name means what the pod at the receiving end calls so.

In: the rule's ports, and the pods that may be at that end. Out: one match per port, where nothing stands for every port and
protocol.
"""

from collections.abc import Iterator, Sequence

from lab.policies import ClusterProtocol, Port, PortOf, Protocol
from lab.topology import Pod
from wire.path import Family

Ports = Sequence[str]
_IP = {Family.IPV4: "ip", Family.IPV6: "ip6"}


def ports_of(ports: Sequence[Port] | Sequence[ClusterProtocol], receivers: Sequence[Pod], family: Family) -> Ports:
    """Matches of a rule; without ports one that fits everything, and none where no receiver has a port of that name."""
    if not ports:
        return ("",)
    return [
        match
        for port in ports
        for match in (_of_port(port, receivers, family) if isinstance(port, Port) else _of_protocol(port, receivers, family))
    ]


def _of_port(port: Port, receivers: Sequence[Pod], family: Family) -> Iterator[str]:
    if isinstance(port.port, str):
        yield from _named(port.port, port.protocol, receivers, family)
    else:
        yield _numbers(port.protocol, port.port, port.end_port)


def _of_protocol(port: ClusterProtocol, receivers: Sequence[Pod], family: Family) -> Iterator[str]:
    if port.destination_named_port:
        yield from _named(port.destination_named_port, None, receivers, family)
    pairs: tuple[tuple[Protocol, PortOf | None], ...] = (("TCP", port.tcp), ("UDP", port.udp), ("SCTP", port.sctp))
    for protocol, found in pairs:
        if found is None:
            continue
        where = found.destination_port
        if where is not None and where.range is not None:
            yield _numbers(protocol, where.range.start, where.range.end)
        else:
            yield _numbers(protocol, where.number if where else None, None)


def _numbers(protocol: Protocol, first: int | None, last: int | None) -> str:
    word = protocol.lower()
    if first is None:
        return f"meta l4proto {word}"
    return f"{word} dport {first}" if last is None else f"{word} dport {first}-{last}"


def _named(name: str, protocol: Protocol | None, receivers: Sequence[Pod], family: Family) -> Iterator[str]:
    """Name and protocol must fit; each receiver may call another number so."""
    for pod in receivers:
        for port in pod.ports:
            if port.name == name and protocol in {None, port.protocol}:
                yield f"{_IP[family]} daddr {pod.addresses[family]} {port.protocol.lower()} dport {port.number}"
