"""Every packet that the lab dropped, one by one."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Drop:
    """One packet that a fault took."""

    time_ns: int
    """CLOCK_MONOTONIC."""
    direction: Literal["in", "out"]
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


class DropLog:
    """Drops in the order in which they happened."""

    @property
    def records(self) -> list[Drop]:
        """All of them."""
        raise NotImplementedError

    def count(
        self,
        *,
        src: str | None = None,
        dst: str | None = None,
        protocol: str | None = None,
        direction: str | None = None,
        sequences: tuple[int, int] | None = None,
        since_ns: int | None = None,
        until_ns: int | None = None,
    ) -> int:
        """How many dropped packets fit; STAMP `sequences` in (low, high], time in [since, until)."""
        raise NotImplementedError

    def complete(self) -> str:
        """Empty when every packet that nftables counted is in the log, otherwise a sentence that says how many are not."""
        raise NotImplementedError
