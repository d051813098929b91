"""A burst: a few probes of one path in quick succession, for a question that a loss raises and the schedule answers late.

An order travels in the acknowledgement of a report. An agent treats it as untrusted input, like a plan: whatever it says, the
path must be one of the plan in force, and the agent's own budget for bursts stays what it is. What came of it travels as
measures of the path's window (wire.window.Measure), apart from the counts of the schedule.
"""

from typing import Annotated

from msgspec import Meta, Struct

MAX_PACKETS = 20
"""Most packets of a burst, and of all bursts of one path within a minute."""
PACKETS_PER_SECOND = 50
"""Most packets a second of all bursts of one agent together."""
MINUTE_NS = 60_000_000_000
MAX_BURSTS = 64
"""Most orders in one acknowledgement: with them it still fits the 1,024 bytes that an agent reads of one."""


class Burst(Struct, frozen=True, array_like=True):
    """An order for one path of the agent's plan."""

    path: Annotated[int, Meta(ge=0)]
    """Its id."""
    probes: Annotated[int, Meta(ge=1, le=MAX_PACKETS)] = MAX_PACKETS
    """Probes wanted; a handshake is three packets, so that there are fewer where the budget is used up."""


def most_probes(packets: int) -> int:
    """Probes of so many packets each that one burst may have."""
    return MAX_PACKETS // packets
