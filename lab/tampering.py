"""Faults that meddle with single flows and programs, rather than with whole cables, as values."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from lab.cables import Links


class Tamper(Links, frozen=True, tag="tamper", tag_field="kind"):
    """What passes a cable does not arrive as it was sent; ARP and neighbour discovery do.

    `duplicate`: every packet arrives twice. `corrupt`: one bit of it has changed, and its checksum has not. `reorder`: what is
    sent in every other second is late by so many ms, and what is sent in the seconds between overtakes it.
    """

    how: Literal["duplicate", "corrupt", "reorder"] = "duplicate"
    ms: Annotated[float, Meta(ge=0, le=10_000)] = 0.0

    def __post_init__(self) -> None:
        """Raise ValueError unless what is reordered, and nothing else, is late."""
        if (self.how == "reorder") != (self.ms > 0):
            raise ValueError("what is reordered, and nothing else, is late by ms above 0")


class FullTable(Struct, frozen=True, forbid_unknown_fields=True, tag="full_table", tag_field="kind"):
    """A node's table of connections has no place, so that packets that would begin another one are dropped."""

    node: str


class DnsRace(Struct, frozen=True, forbid_unknown_fields=True, tag="dns_race", tag_field="kind"):
    """Of the questions that a pod of a node sends from one socket over UDP, all but the first are dropped."""

    node: str


class OtherSource(Struct, frozen=True, forbid_unknown_fields=True, tag="other_source", tag_field="kind"):
    """Answers of one node's pods to STAMP and ping reach the pods of another one from an address that nobody asked."""

    from_: str = field(name="from")
    to: str


class StuckSession(Struct, frozen=True, forbid_unknown_fields=True, tag="stuck_session", tag_field="kind"):
    """A firewall drops the flows that one node's agent has with another one's right now, by udp port and icmp id."""

    from_: str = field(name="from")
    to: str


class Throttle(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="throttle", tag_field="kind"):
    """The agent of a node may use so many percent of one core, in periods of 100 ms, and of a second below 1 percent."""

    node: str
    percent: Annotated[float, Meta(ge=0.1, le=100)] = 2.0


class Stranger(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, tag="stranger", tag_field="kind"):
    """The name server's pod floods a node's agent with STAMP requests that are right but for the key."""

    to: str
    packets_per_second: Annotated[int, Meta(ge=1, le=20_000)] = 1000


Tampering = Tamper | FullTable | DnsRace | OtherSource | StuckSession | Throttle | Stranger
