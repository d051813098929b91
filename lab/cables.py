"""Which cables a fault is about, as values."""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct, field

from lab.shape import DEFAULT_NETWORK
from lab.topology import Node, Topology

Direction = Literal["in", "out", "both"]
"""As seen from the node: `in` is what it would receive, `out` is what it has sent."""


class Links(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which links of a network are meant: all of one node, or those from one node to another."""

    node: str = ""
    direction: Direction = "both"
    from_: str = field(default="", name="from")
    to: str = ""
    network: str = DEFAULT_NETWORK

    def links(self, topology: Topology) -> Iterator[tuple[Node, Literal["in", "out"], Node | None]]:
        """Port, direction there, and the other node where only one pair is meant."""
        if self.node:
            if self.direction in {"out", "both"}:
                yield topology.node[self.node], "out", None
            if self.direction in {"in", "both"}:
                yield topology.node[self.node], "in", None
        else:
            yield topology.node[self.from_], "out", topology.node[self.to]
